"""`ciml.yaml` from bytes to values, with every problem located."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ciml.adapters.parameters import tree
from ciml.adapters.typed import read as read_typed
from ciml.adapters.yaml import Places, compose
from ciml.core.document import Document
from ciml.core.errors import ConfigurationError
from ciml.core.findings import Findings
from ciml.core.ids import RepoPath
from ciml.core.loading import pipeline_from
from ciml.core.paths import inside_fault, normal
from ciml.core.pipeline import ParamValue, Pipeline

Read = Callable[[RepoPath], bytes | None]
"""The bytes of a file of the repository, or None where there is none."""


def document(text: bytes, *, file: str) -> Document:
    """What `ciml.yaml` says, keys and types checked and nothing else.

    Raises:
        ConfigurationError: with all problems at once.
    """
    parsed, found = _parsed(text, file)
    found.stop_if_any()
    return parsed


def load(
    text: bytes, *, file: str, read: Read, overrides: Mapping[str, str] | None = None, profile: str | None = None
) -> Pipeline:
    """The concrete pipeline.

    Args:
        text: the bytes of `ciml.yaml`.
        file: its path, for the problems.
        read: for the params files that it names.
        overrides: `-P NAME=VALUE`.
        profile: `--profile NAME`.

    Raises:
        ConfigurationError: with all problems at once; only what has no meaning without the types that are
            wrong stays unsaid until they are right.
    """
    parsed, found = _parsed(text, file)
    files = _params_files(parsed, read, found)
    return pipeline_from(parsed, files, overrides=overrides or {}, profile=profile, found=found)


def _parsed(text: bytes, file: str) -> tuple[Document, Findings]:
    """The document with the problems that leave it readable: unknown keys."""
    root = compose(text, file=file)
    parsed, problems, reliable = read_typed(root, Document, file=file)
    if parsed is None or not reliable:
        raise ConfigurationError(problems=problems)
    found = Findings(file, Places(root))
    found.problems += problems
    return parsed, found


def _params_files(parsed: Document, read: Read, found: Findings) -> dict[RepoPath, dict[str, ParamValue]]:
    """The trees of the params files, in the order of `ciml.yaml`."""
    trees: dict[RepoPath, dict[str, ParamValue]] = {}
    for index, name in enumerate(parsed.params_files):
        at = ("params-files", index)
        if fault := inside_fault(name):
            found.add(at, f"path '{name}' {fault}")
            continue
        path = normal(name)
        if path in trees:
            found.add(at, f"{path} is named twice", "keep one")
            continue
        data = read(path)
        if data is None:
            found.add(at, f"{path} is not in the repository", "create it, or remove it here")
            found.unread = True
            continue
        try:
            trees[path] = tree(data, file=path)
        except ConfigurationError as error:
            found.problems += error.problems
            found.unread = True
    return trees
