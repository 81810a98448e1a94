"""What a run says of the data that a change brings."""

from __future__ import annotations

from ciml.app.datadiff import difference
from ciml.app.ports import Tree
from ciml.cli.ci.call import Call
from ciml.cli.datashow import difference_lines, move_text
from ciml.core.dataset import move_of
from ciml.core.errors import CimlError
from ciml.core.ids import RepoPath
from ciml.core.manifest import Manifest, manifest_paths

_MOST = 50
"""Manifests that are told of."""


def data_lines(call: Call) -> tuple[str, ...]:
    """A line for each manifest that changed: files and bytes added and lost."""
    base, project = call.prepared.base, call.project
    before = project.history.commit_tree(base) if base is not None else None
    return tuple(_line(path, before, call) for path in call.prepared.changes.data[:_MOST])


def _line(path: RepoPath, before: Tree | None, call: Call) -> str:
    try:
        old, new = (_manifest(path, tree, call) if tree else None for tree in (before, call.project.tree))
    except CimlError as error:
        return f"{path}: {error.message}"
    try:
        return next(iter(difference_lines(difference(path, old, new, call.project.store.read), verbose=False)), path)
    except CimlError:
        # Its listings are not here; the manifests tell how much there was and is.
        return move_text(move_of(path, old, new))


def _manifest(path: RepoPath, tree: Tree, call: Call) -> Manifest | None:
    for file in manifest_paths(path):
        text = tree.read(file)
        if text is not None:
            return call.project.documents.manifest(text, file)
    return None
