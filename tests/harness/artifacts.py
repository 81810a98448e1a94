"""actions/upload-artifact and actions/download-artifact as they are since version 4.

An artifact cannot be changed; modes of files and empty folders do not survive; hidden files stay at home.

Source: README of both actions.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import shutil
from pathlib import Path

from tests.harness.call import Call
from tests.harness.job import StepError


def upload(call: Call) -> None:
    """Keep files as an artifact of the run."""
    name = call.inputs.get("name") or "artifact"
    if any(sign in name for sign in '":<>|*?\r\n\\/'):
        raise StepError(f"The artifact name is not valid: {name}.")
    root, found = _chosen(call)
    if not found:
        told = f"No files were found with the provided path: {call.required('path')}."
        match call.inputs.get("if-no-files-found", "warn"):
            case "error":
                raise StepError(told)
            case "warn":
                call.job.notes.append(told)
        return
    place = call.job.run.artifact(name, overwrite=call.flag("overwrite"))
    for path in found:
        target = place / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    call.say(f"Artifact {name} has been successfully uploaded: {len(found)} files")
    call.step.outputs |= {"artifact-id": str(call.job.run.hub.api.next_id())}


def _chosen(call: Call) -> tuple[Path, list[Path]]:
    """The folder that all paths are told from, and the files."""
    hidden = call.flag("include-hidden-files")
    lines = [line.strip() for line in call.required("path").splitlines() if line.strip()]
    wanted = [call.path(line) for line in lines if not line.startswith("!")]
    unwanted = {path for line in lines if line.startswith("!") for path in _files(call.path(line[1:]), hidden=True)}
    roots = [_root(path) for path in wanted]
    found = sorted({path for pattern in wanted for path in _files(pattern, hidden=hidden)} - unwanted)
    if len(found) == 1 and roots == [found[0]]:
        return found[0].parent, found
    common = Path(os.path.commonpath(roots)) if len(roots) > 1 else roots[0]
    return (common.parent if common.is_file() else common), found


def _root(pattern: Path) -> Path:
    """The part of a path before its first sign of a pattern."""
    parts = pattern.parts
    first = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:first])


def _files(pattern: Path, *, hidden: bool) -> list[Path]:
    found: list[Path] = []
    for text in glob.glob(str(pattern), recursive=True, include_hidden=hidden):
        path = Path(text)
        inside = [path] if path.is_file() else [below for below in path.rglob("*") if below.is_file()]
        found += [
            file
            for file in inside
            if hidden or not any(part.startswith(".") for part in file.relative_to(_root(pattern)).parts)
        ]
    return found


def download(call: Call) -> None:
    """Bring artifacts of this run or of another one."""
    run = call.job.run
    there = run.artifacts() if not call.inputs.get("run-id") else _of_other(call)
    target = call.path(call.inputs.get("path", ""))
    name, pattern = call.inputs.get("name"), call.inputs.get("pattern")
    if name:
        if name not in there:
            raise StepError(f"Unable to download artifact(s): Artifact not found for name: {name}")
        _copy(there[name], target)
        return
    wanted = _alternatives(pattern) if pattern else ["*"]
    chosen = [found for found in sorted(there) if any(fnmatch.fnmatchcase(found, one) for one in wanted)]
    # One that is alone has no folder of its own, since version 5.
    together = call.flag("merge-multiple") or len(chosen) == 1
    for found in chosen:
        _copy(there[found], target if together else target / found)
    call.say(f"Total of {len(chosen)} artifact(s) downloaded")
    call.step.outputs["download-path"] = str(target)


def _alternatives(pattern: str) -> list[str]:
    """A pattern without braces for each of the alternatives in its braces."""
    found = re.search(r"\{([^{}]*,[^{}]*)\}", pattern)
    if found is None:
        return [pattern]
    parts = (f"{pattern[: found.start()]}{part}{pattern[found.end() :]}" for part in found[1].split(","))
    return [one for part in parts for one in _alternatives(part)]


def _of_other(call: Call) -> dict[str, Path]:
    """The artifacts of another run, for which the token must have `actions: read`."""
    hub = call.job.run.hub
    token = hub.api.tokens.get(call.inputs.get("github-token", ""))
    if token is None or token.permissions.get("actions") not in ("read", "write"):
        raise StepError("Unable to download artifact(s): Resource not accessible by integration")
    other = next((run for run in hub.runs if str(run.id) == call.inputs["run-id"]), None)
    if other is None:
        raise StepError("Unable to download artifact(s): Not Found")
    return other.artifacts()


def _copy(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target, dirs_exist_ok=True, copy_function=shutil.copyfile)
