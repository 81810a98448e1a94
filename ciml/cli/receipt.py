"""What the answer of a call that found nothing to do depends on, file by file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from ciml.app.plan import Prepared
from ciml.app.project import Project
from ciml.cli import quick
from ciml.cli.console import Console
from ciml.cli.invocation import Invocation
from ciml.cli.wiring import Place, ledgers_are_local
from ciml.core.changes import CONFIGURATION
from ciml.core.inputs import DataInput, Input, TrackedInput
from ciml.core.tree import DIRECTORY, SUBMODULE

Signature = quick.Signature

_WATCHED = 20_000
"""Data files from which on they are looked at by the ordinary way, which needs less memory."""


def keep(
    place: Place, project: Project, prepared: Prepared, invocation: Invocation, console: Console, code: int
) -> None:
    """Leave a receipt for `ciml.cli.quick`, where the answer depends on this machine's files alone."""
    local = ledgers_are_local(place, project.pipeline, invocation.environ)
    out, error = console.out, console.error
    if place.root is None or not local or out is None or error is None:
        return
    data = _data(place, prepared)
    if data is None:
        return
    inputs = [*_inputs(place.root, prepared)]
    if any(path.endswith("/.git") for path in inputs):
        return  # A submodule is at a commit that its own repository knows.
    outputs = [f"{place.root}/{output.path}" for stage in project.pipeline.stages.values() for output in stage.outputs]
    ledgers = [f"{place.repository.common_dir}/refs/heads/ciml/ledger/{model}" for model in project.pipeline.models]
    quick.keep(
        invocation.arguments,
        invocation.environ,
        invocation.directory,
        watched=[
            *quick.git_files(invocation.directory),
            *ledgers,
            *_store(place.state),
            *inputs,
            # Once these are as they were, a verdict may be due that was not before.
            *(f"{place.root}/{path}" for path in project.tree.dirty),
        ],
        known=place.index.watched(outputs) | data,
        out=out,
        error=error,
        code=code,
        begun_ns=place.opened_ns,
    )


def _store(state: str) -> list[str]:
    """What changes when a record is taken out of the store, or is believed no more."""
    store = f"{state}/store"
    bins = [f"/actions/{name}" for name in os.listdir(f"{store}/actions")] if os.path.isdir(f"{store}/actions") else []
    return [store + name for name in ("", "/salt", "/actions", *bins, "/quarantine", "/trash", "/marks")]


def _data(place: Place, prepared: Prepared) -> dict[str, Signature] | None:
    """Every data file with the signature it was read with; None where they are too many to be looked at each time."""
    found: dict[str, Signature] = {}
    paths = {item.stood_for for inputs in prepared.graph.inputs.values() for item in _of_data(inputs)}
    tree = place.data() if paths else None
    for path in paths:
        if tree is None or not tree.here(path):
            found[f"{place.root}/{path}"] = (0, 0, 0, 0)
        elif (watched := tree.watched(path, _WATCHED - len(found))) is None:
            return None
        else:
            found |= watched
    return found


def _of_data(inputs: Iterable[Input]) -> Iterator[DataInput]:
    return (item for item in inputs if isinstance(item, DataInput))


def _inputs(root: str, prepared: Prepared) -> Iterator[str]:
    """The configuration, every input, and every folder in which a file may turn up that counts."""
    pipeline = prepared.graph.pipeline
    requirements = pipeline.environment.requirements if pipeline.environment else None
    for file in (CONFIGURATION, *pipeline.params_files, *([requirements] if requirements else [])):
        yield f"{root}/{file}"
        yield os.path.realpath(f"{root}/{file}")  # any of them may be a link
    yield f"{root}/.gitignore"
    for folder in prepared.graph.folders:
        if os.path.isdir(f"{root}/{folder}"):
            yield f"{root}/{folder}"
            yield f"{root}/{folder}/.gitignore"
    for inputs in prepared.graph.inputs.values():
        for item in inputs:
            match item:
                case TrackedInput(mode=mode) if mode == DIRECTORY:
                    yield from _below(f"{root}/{item.path}")
                case TrackedInput(mode=mode) if mode == SUBMODULE:
                    yield f"{root}/{item.path}/.git"
                case TrackedInput():
                    yield f"{root}/{item.path}"
                case DataInput():
                    yield f"{root}/{item.manifest}"


def _below(folder: str) -> Iterator[str]:
    yield folder
    for at, folders, files in os.walk(folder):
        if at == folder and ".git" in folders:
            folders.remove(".git")
        for name in (*folders, *files):
            yield f"{at}/{name}"
