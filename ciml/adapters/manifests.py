"""Data manifests from bytes to values: ciml's own, and the pointers of DVC."""

from __future__ import annotations

import json
import posixpath
import re
from typing import Annotated, TypeVar

import msgspec

from ciml.core.document import Keys
from ciml.core.errors import ConfigurationError, Problem
from ciml.core.ids import Digest, RepoPath, is_digest
from ciml.core.key import digest
from ciml.core.manifest import DVC_SUFFIX, Manifest, stands_for
from ciml.core.s3 import s3_address

_SHA256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$", title="a SHA-256 in 64 hex digits")]
_MD5 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}(\.dir)?$", title="an MD5, with .dir for a directory")]
_T = TypeVar("_T")
_PLAIN = re.compile(r"s3://[A-Za-z0-9._/-]+")
_Count = Annotated[int, msgspec.Meta(ge=0, title="a whole number from 0")]


class _ManifestKeys(Keys, frozen=True, kw_only=True):
    """`NAME.manifest.yaml`."""

    version: int
    sha256: _SHA256
    size: _Count
    files: _Count
    directory: bool = False
    source: str = ""
    object_version: str = ""
    etag: str = ""
    index: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$", title="a SHA-256 in 64 hex digits")] = ""


class _PointerOutput(msgspec.Struct, frozen=True, kw_only=True):
    md5: _MD5 = ""
    path: str
    size: _Count = 0
    nfiles: _Count = 1


class _Pointer(msgspec.Struct, frozen=True, kw_only=True):
    """`NAME.dvc`, as far as it says what the data is."""

    outs: list[_PointerOutput]
    wdir: str = "."


def parse(text: bytes, file: RepoPath) -> Manifest:
    """What a manifest says.

    Raises:
        ConfigurationError: with every problem, located.
    """
    path = stands_for(file)
    assert path is not None, f"{file} is named like no manifest"
    if not text.strip():
        hint = f"`ciml data add {path}` writes it anew from what lies there; `git log -p -- {file}` shows what it was"
        raise ConfigurationError(problems=[Problem(message="is empty", file=file, hint=hint)])
    if file.endswith(DVC_SUFFIX):
        return _pointer(text, file, path)
    keys = _typed(text, file, _ManifestKeys)
    if keys.version != 1:
        problem = Problem(message=f"version {keys.version} is unknown", file=file, hint="a newer ciml wrote this")
        raise ConfigurationError(problems=[problem])
    if (wrong := _source_problem(keys, file)) is not None:
        raise ConfigurationError(problems=[wrong])
    return Manifest(
        file=file,
        path=path,
        digest=Digest(keys.sha256),
        size=keys.size,
        files=keys.files,
        directory=keys.directory,
        source=keys.source or None,
        object_version=keys.object_version or None,
        etag=keys.etag or None,
        index=Digest(keys.index) if keys.index else None,
    )


def dump(manifest: Manifest) -> bytes:
    """The text of a manifest, the same wherever it is written."""
    lines = [
        f"# Stands for {posixpath.basename(manifest.path)}, whose bytes are not in Git. `ciml data` writes this file.",
        "version: 1",
        f"sha256: {manifest.digest}",
        f"size: {manifest.size}",
        f"files: {manifest.files}",
        *(["directory: true"] if manifest.directory else []),
        *_lines("source", manifest.source),
        *_lines("object-version", manifest.object_version),
        *_lines("etag", manifest.etag),
        *_lines("index", manifest.index),
    ]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")


def _lines(key: str, value: str | None) -> list[str]:
    """The line of a key, in quotes where YAML might take the text for something else; none without a value."""
    if not value:
        return []
    plain = _PLAIN.fullmatch(value) or is_digest(value)
    return [f"{key}: {value}" if plain else f"{key}: {json.dumps(value)}"]


def _source_problem(keys: _ManifestKeys, file: RepoPath) -> Problem | None:
    """What is wrong with where a manifest says that the data comes from."""
    if not keys.source:
        pins = {"object-version": keys.object_version, "etag": keys.etag, "index": keys.index}
        pinned = next((key for key, value in pins.items() if value), None)
        return Problem(message="pins a `source` that is not named", file=file, key=pinned) if pinned else None
    try:
        address = s3_address(keys.source)
    except ConfigurationError as error:
        return Problem(message=error.message, file=file, key="source", hint=error.hint)
    if address.is_prefix != keys.directory:
        kind = "many objects" if address.is_prefix else "one object"
        return Problem(message=f"names {kind}, and `directory` says otherwise", file=file, key="source")
    return None


def _pointer(text: bytes, file: RepoPath, path: RepoPath) -> Manifest:
    """A DVC pointer as a manifest. Its MD5 names the data in plans; it proves nothing about bytes."""
    pointer = _typed(text, file, _Pointer, lenient=True)
    if (wrong := _pointer_problem(pointer, file, path)) is not None:
        raise ConfigurationError(problems=[wrong])
    out = pointer.outs[0]
    return Manifest(
        file=file,
        path=path,
        digest=digest("ciml/dvc/1", out.md5, out.size),
        size=out.size,
        files=out.nfiles,
        directory=out.md5.endswith(".dir"),
        md5=out.md5,
    )


def _pointer_problem(pointer: _Pointer, file: RepoPath, path: RepoPath) -> Problem | None:
    """Why a pointer of DVC's is none that stands for the path beside it."""
    if len(pointer.outs) != 1:
        return Problem(message=f"it names {len(pointer.outs)} outputs, not one", file=file, key="outs")
    out = pointer.outs[0]
    meant = posixpath.normpath(posixpath.join(posixpath.dirname(file), pointer.wdir, out.path))
    if "://" in out.path or meant != path:
        away = out.path if "://" in out.path else meant
        hint = f"`dvc add {away}` writes a pointer beside it"
        return Problem(message=f"stands for {away}, and not for {path} beside it", file=file, key="outs", hint=hint)
    if not out.md5:
        message = "has no MD5 of the data, which DVC finds by versions in the cloud: ciml reads pointers with an MD5"
        return Problem(message=message, file=file, key="outs", hint="`ciml data add s3://…` makes a manifest for it")
    return None


def _typed(text: bytes, file: RepoPath, kind: type[_T], *, lenient: bool = False) -> _T:
    """The file as a value; `lenient` passes over keys that are not known, such as another tool's."""
    # Most manifests were read before and are only remembered: YAML costs those who read one.
    from ciml.adapters.typed import read
    from ciml.adapters.yaml import compose

    value, problems, _ = read(compose(text, file=file), kind, file=file)
    wrong = [problem for problem in problems if not lenient or "unknown key" not in problem.message]
    if value is None or wrong:
        raise ConfigurationError(problems=wrong or problems)
    return value
