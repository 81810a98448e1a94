"""What `action.yml` starts: inputs by environment variable, then `ciml` as anybody would call it.

    python -I -m ciml.cli.action

Inputs are one JSON object in the variable CIML_INPUTS, so nothing of them is ever text of a script.
In a container the runner translates paths of the machine, but only where they are the whole of a
variable: folders have variables of their own. The Action begins with few packages; where more are
needed it is told which by the output `more`, brings them and calls this again, with CIML_MORE set.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping, MutableMapping, Sequence
from functools import partial

import msgspec

from ciml.adapters.ci.runner import Runner
from ciml.adapters.git.credentials import with_config
from ciml.cli.main import main as ciml
from ciml.cli.main import tell
from ciml.core.errors import CimlError, ConfigurationError, ExitCode, MissingExtraError, TrustError

PHASES = ("plan", "stage", "rescore", "settle", "deploy", "record", "report")
"""Commands that are phases of `ciml ci`, so that a workflow can name them alone."""

_VERSION = re.compile(r"3\.\d{1,2}(\.\d{1,2})?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_KEY = "CIML_SIGNING_KEY"
_INPUTS = {
    "store": "CIML_STORE",
    "registry": "MLFLOW_TRACKING_URI",
    "token": "CIML_TOKEN",
    "comment": "CIML_COMMENT",
}
"""Input -> variable that it sets, where it says something."""
_FOLDERS = {"from": "CIML_FROM", "to": "CIML_TO"}
"""Input -> variable that holds it as this machine or container knows it."""
_RUNS_STAGES = frozenset({"stage", "rescore"})
"""Phases that need no package but the store's: they may neither ask the registry nor tell anybody."""


def arguments(inputs: Mapping[str, str]) -> list[str]:
    """The words after `ciml` that the inputs ask for.

    Args:
        inputs: by name in kebab-case; those that are not given are absent or empty.

    Raises:
        ConfigurationError: an input is not what it can be.
    """
    words = _words(inputs, "command") or ["ci"]
    if words[0] in PHASES:
        words = ["ci", *words]
    directory = inputs.get("working-directory", "")
    options = ["-C", directory] if directory else []
    if profile := inputs.get("profile", ""):
        if not _NAME.fullmatch(profile):
            raise _wrong("profile", profile, "the name of a profile")
        options += ["--profile", profile]
    if words[0] != "ci":
        return [*options, *words]
    for name in ("stages", "models", "environment"):
        # An environment's name may hold spaces; names of stages and models hold none.
        words += [inputs[name]] if name == "environment" and inputs.get(name) else inputs.get(name, "").split()
    for name, option in (("base", "--base"), ("from", "--from"), ("to", "--to")):
        if value := inputs.get(name, ""):
            words += [option, value]
    return [*options, *words, *_params(inputs)]


def _words(inputs: Mapping[str, str], name: str) -> list[str]:
    try:
        return shlex.split(inputs.get(name, ""))
    except ValueError as error:
        raise _wrong(name, inputs[name], "words as a shell would take them") from error


def _params(inputs: Mapping[str, str]) -> list[str]:
    lines = [line.strip() for line in inputs.get("params", "").splitlines() if line.strip()]
    for line in lines:
        if "=" not in line:
            raise _wrong("params", line, "lines of NAME=VALUE")
    return [word for line in lines for word in ("-P", line)]


def check(inputs: Mapping[str, str]) -> None:
    """Check the inputs that never reach a command.

    Raises:
        ConfigurationError: one is not what it can be.
    """
    version = inputs.get("python-version", "")
    if version and not _VERSION.fullmatch(version):
        raise ConfigurationError(f"input 'python-version' is not a version: {version!r}", hint='python-version: "3.11"')
    if inputs.get("comment", "true") not in ("", "true", "false"):
        raise _wrong("comment", inputs["comment"], "true or false")


def refuse_outside(inputs: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """Check that the working directory lies in what was checked out.

    Raises:
        TrustError: it is a link to somewhere else, where anybody could have left a repository and its settings.
    """
    directory, tree = inputs.get("working-directory", ""), environ.get("GITHUB_WORKSPACE", "")
    if not directory or not tree:
        return
    here, root = os.path.realpath(directory), os.path.realpath(tree)
    if os.path.commonpath([here, root]) != root:
        raise TrustError(f"input 'working-directory' is {directory!r}, which leads out of the workspace, to {here}")


def _wrong(name: str, value: str, right: str) -> ConfigurationError:
    return ConfigurationError(f"input {name!r} is {value!r}, which is not {right}")


def given(environ: Mapping[str, str]) -> dict[str, str]:
    """The Action's inputs, by name in kebab-case.

    Raises:
        ConfigurationError: they are not what a runner hands on.
    """
    try:
        inputs = msgspec.json.decode(environ.get("CIML_INPUTS", "{}"), type=dict[str, str])
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"CIML_INPUTS is not the Action's inputs: {error}") from error
    inputs |= {name: environ[variable] for name, variable in _FOLDERS.items() if variable in environ}
    return {name: value.strip() for name, value in inputs.items()}


def prepare(inputs: Mapping[str, str], environ: MutableMapping[str, str]) -> None:
    """Set the variables that inputs stand for, and lay the signing key down as the file that is read.

    Git is told that the work tree may be read: in a container it belongs to the machine's user, and the
    runner has checked it out for this very job.
    """
    for name, variable in _INPUTS.items():
        if inputs.get(name):
            environ[variable] = inputs[name]
    if environ.get(_KEY, "").lstrip().startswith("-----BEGIN"):
        folder = environ.get("RUNNER_TEMP") or tempfile.gettempdir()
        descriptor, path = tempfile.mkstemp(prefix="ciml-key-", dir=folder)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(environ[_KEY].strip() + "\n")
        environ[_KEY] = path
    if tree := environ.get("GITHUB_WORKSPACE"):
        place = os.path.realpath(os.path.join(tree, inputs.get("working-directory", "")))
        environ.update(with_config(environ, [("safe.directory", tree), ("safe.directory", place)]))


def main() -> int:
    """The exit code of the call, with the output `more` where it could not begin."""
    try:
        inputs = given(os.environ)
        check(inputs)
        refuse_outside(inputs, os.environ)
        words = arguments(inputs)
    except CimlError as error:
        return tell(error)
    prepare(inputs, os.environ)
    return ciml(words, missing=None if os.environ.get("CIML_MORE") else partial(_ask_for, words))


def _ask_for(words: Sequence[str], error: MissingExtraError) -> int:
    sys.stdout.write(f"{error.message}: it is brought now.\n")
    Runner(os.environ).outputs({"more": lock_with(error.extra, words)})
    return ExitCode.OK


def lock_with(extra: str, words: Sequence[str]) -> str:
    """The lock file that has an extra, and all that the rest of the call may ask for."""
    phase = words[words.index("ci") + 1 :][:1] if "ci" in words else []
    return "action-store" if extra == "aws" and _RUNS_STAGES.issuperset(phase or "?") else "action-all"


if __name__ == "__main__":
    sys.exit(main())
