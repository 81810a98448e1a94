"""What DVC's own files say: a directory's list, and where objects lie in a cache or a remote."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from ciml.core.errors import IntegrityError
from ciml.core.paths import has_invisible
from ciml.core.value import Value

_MD5 = re.compile(r"[0-9a-f]{32}")


class PointedFile(Value, frozen=True, kw_only=True, gc=False):
    """One file of a directory that DVC keeps."""

    path: bytes
    """Below the directory."""
    md5: str


class _Line(Value, frozen=True, kw_only=True):
    md5: str
    relpath: str


def directory_files(data: bytes, name: str) -> list[PointedFile]:
    """The files that a `.dir` object of DVC's lists, sorted by path as bytes.

    Args:
        data: the object.
        name: what it is called in errors.

    Raises:
        IntegrityError: it is no such list, or names a path that no directory can hold.
    """
    try:
        lines = msgspec.json.decode(data, type=list[_Line])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{name} is no list of a directory's files: {error}") from error
    for line in lines:
        parts = line.relpath.split("/")
        if not {"", ".", ".."}.isdisjoint(parts) or has_invisible(line.relpath) or not _MD5.fullmatch(line.md5):
            raise IntegrityError(f"{name} lists {line.relpath!r}, which is no file of a directory")
    files = [PointedFile(path=line.relpath.encode(), md5=line.md5) for line in lines]
    return sorted(files, key=lambda file: file.path)


def directory_list(files: Iterable[PointedFile]) -> bytes:
    """The `.dir` object that DVC writes for these files; its MD5 names the directory.

    Source: dvc-data, `hashfile/tree.py`: `json.dumps(list, sort_keys=True)`, sorted by relpath.
    """
    import json

    lines = [{"md5": file.md5, "relpath": file.path.decode()} for file in files]
    return json.dumps(sorted(lines, key=lambda line: line["relpath"]), sort_keys=True).encode()


def object_names(md5: str) -> tuple[str, str]:
    """Where an object lies below a cache or a remote: since DVC 3, and before."""
    plain = f"{md5[:2]}/{md5[2:]}"
    return f"files/md5/{plain}", plain
