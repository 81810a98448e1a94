"""Untracked files that count all the same: a new script, a new file in an input folder, a new module.

Whoever works on a project adds files before they commit them. What a stage names, and Git does not
ignore, is its input from the moment it exists; anything else that is untracked concerns nobody.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from itertools import chain

from ciml.app.ports import Tree
from ciml.core.changes import CONFIGURATION
from ciml.core.ids import RepoPath
from ciml.core.manifest import manifest_paths, stands_for
from ciml.core.paths import folders
from ciml.core.pipeline import Pipeline
from ciml.core.producers import Producers, is_glob, matches
from ciml.core.tree import DIRECTORY


def admit_settings(pipeline: Pipeline, tree: Tree) -> None:
    """Let `ciml.yaml`, the params files and the requirements file count where they are not tracked, ignored or not.

    They are read from disk in any case, so no commit says what they hold.
    """
    requirements = pipeline.environment.requirements if pipeline.environment else None
    files = [CONFIGURATION, *pipeline.params_files, *([requirements] if requirements else [])]
    known = tree.entries(files)
    tree.admit([path for path in files if path not in known])


def admit_declared(declared: Iterable[RepoPath], tree: Tree, producers: Producers) -> None:
    """Let the untracked files count that declared inputs name, or that lie in folders which they name.

    Not the outputs among them, nor data that a manifest stands for, nor Python's bytecode.
    """
    paths = {path for path in declared if not producers.covers(path)}
    globs = [path for path in paths if is_glob(path)]
    manifests = {path: manifest_paths(path) for path in paths if not is_glob(path)}
    named = {*manifests, *chain.from_iterable(manifests.values())}
    entries = tree.entries(named)
    asked = {glob_start(glob) for glob in globs}
    for path, beside in manifests.items():
        if path in entries and entries[path].mode == DIRECTORY:
            asked.add(path)
        elif entries.keys().isdisjoint((path, *beside)):
            above = [file for folder in folders(path) for file in manifest_paths(RepoPath(folder))]
            named.update(above)
            asked.update((path, *beside, *above))
    found = [
        path
        for path in tree.untracked(*sorted(asked))
        if not named.isdisjoint((path, *folders(path), ""))
        or any(matches(name, glob) for name in (path, stands_for(path) or path) for glob in globs)
    ]
    _admit([path for path in found if not _is_bytecode(path) and not producers.covers(path)], tree)


def admit_modules(candidates: Sequence[RepoPath], tree: Tree, producers: Producers) -> bool:
    """Let untracked Python files count that an import may mean; whether there were any."""
    found = [path for path in tree.untracked(*candidates) if path.endswith(".py") and not producers.covers(path)]
    tree.admit(found)
    return bool(found)


def glob_start(glob: str) -> RepoPath:
    """The folder in which everything lies that a glob may match; "" for the root."""
    return RepoPath(posixpath.dirname(glob.partition("*")[0].partition("?")[0].partition("[")[0]))


def _admit(found: list[RepoPath], tree: Tree) -> None:
    """Those of the files that no manifest stands for."""
    if not found:
        return
    above = {path: (path, *map(RepoPath, folders(path))) for path in found}
    manifests = {path: manifest_paths(path) for around in above.values() for path in around}
    known = tree.entries(dict.fromkeys(file for files in manifests.values() for file in files)).keys() | set(found)
    stood_for = {path for path, files in manifests.items() if not known.isdisjoint(files)}
    tree.admit([path for path in found if stood_for.isdisjoint(above[path])])


def _is_bytecode(path: RepoPath) -> bool:
    return "__pycache__" in path.split("/")
