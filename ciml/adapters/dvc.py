"""A dvc.yaml from bytes to a ciml.yaml's text."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ciml.adapters.parameters import tree
from ciml.adapters.yaml import Places, compose, plain
from ciml.core.dvc.document import Converted, convert
from ciml.core.errors import ConfigurationError
from ciml.core.findings import Findings
from ciml.core.ids import RepoPath
from ciml.core.pipeline import ParamValue


def convert_text(
    text: bytes, *, file: RepoPath, files: Collection[RepoPath], read: Callable[[RepoPath], bytes | None]
) -> Converted:
    """The ciml.yaml that does what a dvc.yaml does, and what it could not carry over.

    Args:
        text: of dvc.yaml.
        file: its path in the repository.
        files: all files that Git tracks, or would.
        read: for params files and files of `vars`.

    Raises:
        ConfigurationError: DVC itself would refuse it; with all problems at once.
    """
    root = compose(text, file=file)
    found = Findings(file, Places(root))
    document = plain(root, found)

    def values(path: RepoPath) -> dict[str, ParamValue] | None:
        data = read(path)
        try:
            return None if data is None else tree(data, file=path)
        except ConfigurationError:
            return None

    return convert(document, file=file, files=files, read=values, found=found)
