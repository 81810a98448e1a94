"""What `uses:` means: an action of a repository, run step by step, or one of GitHub's own, done by hand here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.harness import artifacts, caches, checkout
from tests.harness.call import Call
from tests.harness.job import FAILURE, SUCCESS, Job, Scope, StepError, StepRun
from tests.harness.language import JSON, text


def use(spec: JSON, scope: Scope, made: StepRun, env: dict[str, str], deadline: float) -> None:
    """Carry out a step that uses an action.

    Raises:
        StepError: the action fails.
    """
    job, name = scope.job, str(spec["uses"])
    inputs = scope.texts(spec.get("with") or {}, env)
    repository, _, ref = name.partition("@")
    owner_and_name = "/".join(repository.split("/")[:2]).casefold()
    job.used.append(name)
    known = _KNOWN.get(repository.casefold())
    if known is not None:
        known(Call(job=job, inputs=inputs, env=env, step=made))
    elif name.startswith("$/"):
        home = job.place.home
        own = home.casefold() == job.run.hub.action_repository.casefold()
        folder = (job.run.hub.action if own else job.run.files()) / name[2:]
        _composite(Action(folder, repository=home, ref=""), inputs, scope, made, env, deadline)
    elif name.startswith("./"):
        folder = job.machine.workspace / name
        _composite(Action(folder, repository="", ref=""), inputs, scope, made, env, deadline)
    elif owner_and_name == job.run.hub.action_repository.casefold():
        folder = job.run.hub.action / "/".join(repository.split("/")[2:])
        _composite(Action(folder, repository=owner_and_name, ref=ref), inputs, scope, made, env, deadline)
    else:
        raise AssertionError(f"{name}: the harness knows no such action")


@dataclass(frozen=True)
class Action:
    """A composite action: where its files are, and whose it is."""

    folder: Path
    repository: str
    ref: str

    def root(self, job: Job) -> JSON:
        """Its action.yml, parsed."""
        for name in ("action.yml", "action.yaml"):
            if (self.folder / name).is_file():
                found: JSON = job.language.action(name, (self.folder / name).read_text(encoding="utf-8"))["root"]
                return found
        raise StepError(f"Can't find 'action.yml' or 'action.yaml' under '{self.folder}'.")


def _composite(
    action: Action, inputs: dict[str, str], scope: Scope, made: StepRun, env: dict[str, str], deadline: float
) -> None:
    from tests.harness.steps import run_steps

    job = scope.job
    root = action.root(job)
    if root["runs"]["using"] != "composite":
        raise AssertionError(f"{action.folder}: the harness runs composite actions alone")
    github = {
        "action_path": str(action.folder),
        "action_repository": action.repository,
        "action_ref": action.ref,
    }
    declared = {name.casefold(): told or {} for name, told in (root.get("inputs") or {}).items()}
    given = {name.casefold(): value for name, value in inputs.items()}
    job.notes += [f"Unexpected input '{name}'" for name in given if name not in declared]
    outer = Scope(job, env=env, inputs=given, github=github)
    defaults = {name: text(outer.resolve(told.get("default"))) for name, told in declared.items()}
    inner = Scope(job, env=env, inputs={**defaults, **given}, github=github)
    run_steps(root["runs"]["steps"], inner, deadline=deadline)
    outputs = root.get("outputs") or {}
    made.outputs |= {name: text(inner.resolve((told or {}).get("value"))) for name, told in outputs.items()}
    if inner.status != SUCCESS:
        made.outcome = FAILURE
        raise StepError(f"{action.repository or action.folder.name} failed")


def _setup_python(call: Call) -> None:
    """The Python that runs the tests takes the place of the one that would be downloaded."""
    wanted = call.inputs.get("python-version") or "3.11"
    here = ".".join(map(str, sys.version_info[:3]))
    if not f"{here}.".startswith(f"{wanted}."):
        raise AssertionError(f"a job wants Python {wanted}, and the tests have {here}")
    base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    folder = call.job.machine.tools / f"Python/{here}/x64/bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("python", "python3", f"python{sys.version_info[0]}.{sys.version_info[1]}"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(base)
    call.job.path.insert(0, str(folder))
    call.job.env |= {"pythonLocation": str(folder.parent), "LD_LIBRARY_PATH": str(folder.parent / "lib")}
    call.step.outputs |= {"python-version": here, "python-path": str(folder / "python"), "cache-hit": ""}


def _configure_aws(call: Call) -> None:
    """A role by the job's identity, or the keys that were given: variables for the steps that follow."""
    given, job = call.inputs, call.job
    region = given.get("aws-region")
    if not region:
        raise StepError("Input required and not supplied: aws-region")
    keys = (given.get("aws-access-key-id"), given.get("aws-secret-access-key"))
    if not all(keys):
        if not given.get("role-to-assume") or job.permissions.get("id-token") != "write":
            raise StepError("Credentials could not be loaded, please check your action inputs")
        keys = (f"ASIA{job.run.id}", f"secret of {given['role-to-assume']}")
        job.env["AWS_SESSION_TOKEN"] = f"session-{job.run.id}"
    job.env |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    job.env |= {"AWS_ACCESS_KEY_ID": keys[0] or "", "AWS_SECRET_ACCESS_KEY": keys[1] or ""}
    job.masks |= {key for key in keys if key}


_KNOWN: dict[str, Callable[[Call], None]] = {
    "actions/checkout": checkout.checkout,
    "actions/setup-python": _setup_python,
    "actions/upload-artifact": artifacts.upload,
    "actions/download-artifact": artifacts.download,
    "actions/cache": caches.cache,
    "actions/cache/restore": caches.restore,
    "actions/cache/save": caches.save,
    "aws-actions/configure-aws-credentials": _configure_aws,
}
