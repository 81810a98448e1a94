"""Data manifests from bytes to values: ciml's own, and the pointers of DVC."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from ciml.adapters.typed import read
from ciml.adapters.yaml import compose
from ciml.core.document import Keys
from ciml.core.errors import ConfigurationError, Problem
from ciml.core.ids import Digest, RepoPath
from ciml.core.key import digest
from ciml.core.manifest import DVC_SUFFIX, Manifest, stands_for

_SHA256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$", title="a SHA-256 in 64 hex digits")]
_MD5 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}(\.dir)?$", title="an MD5, with .dir for a directory")]
_T = TypeVar("_T")
_Count = Annotated[int, msgspec.Meta(ge=0, title="a whole number from 0")]


class _ManifestKeys(Keys, frozen=True, kw_only=True):
    """`NAME.manifest.yaml`."""

    version: int
    sha256: _SHA256
    size: _Count
    files: _Count
    directory: bool = False
    source: str = ""


class _PointerOutput(msgspec.Struct, frozen=True, kw_only=True):
    md5: _MD5
    path: str
    size: _Count = 0
    nfiles: _Count = 1


class _Pointer(msgspec.Struct, frozen=True, kw_only=True):
    """`NAME.dvc`, as far as it says what the data is."""

    outs: list[_PointerOutput]


def parse(text: bytes, file: RepoPath) -> Manifest:
    """What a manifest says.

    Raises:
        ConfigurationError: with every problem, located.
    """
    path = stands_for(file)
    assert path is not None, f"{file} is named like no manifest"
    if file.endswith(DVC_SUFFIX):
        return _pointer(text, file, path)
    keys = _typed(text, file, _ManifestKeys)
    if keys.version != 1:
        problem = Problem(message=f"version {keys.version} is unknown", file=file, hint="a newer ciml wrote this")
        raise ConfigurationError(problems=[problem])
    return Manifest(
        file=file,
        path=path,
        digest=Digest(keys.sha256),
        size=keys.size,
        files=keys.files,
        directory=keys.directory,
        source=keys.source or None,
    )


def _pointer(text: bytes, file: RepoPath, path: RepoPath) -> Manifest:
    """A DVC pointer as a manifest. Its MD5 names the data in plans; it proves nothing about bytes."""
    outs = _typed(text, file, _Pointer, lenient=True).outs
    if len(outs) != 1:
        problem = Problem(message=f"it names {len(outs)} outputs, not one", file=file, key="outs")
        raise ConfigurationError(problems=[problem])
    out = outs[0]
    return Manifest(
        file=file,
        path=path,
        digest=digest("ciml/dvc/1", out.md5, out.size),
        size=out.size,
        files=out.nfiles,
        directory=out.md5.endswith(".dir"),
    )


def _typed(text: bytes, file: RepoPath, kind: type[_T], *, lenient: bool = False) -> _T:
    """The file as a value; `lenient` passes over keys that are not known, such as another tool's."""
    value, problems, _ = read(compose(text, file=file), kind, file=file)
    wrong = [problem for problem in problems if not lenient or "unknown key" not in problem.message]
    if value is None or wrong:
        raise ConfigurationError(problems=wrong or problems)
    return value
