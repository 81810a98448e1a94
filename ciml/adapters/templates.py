"""The example projects that `ciml init` writes; each is a folder of ordinary files."""

from __future__ import annotations

from pathlib import Path

from ciml.core.errors import RepositoryError, UsageError
from ciml.core.ids import RepoPath
from ciml.core.value import Value

_PACKAGE = Path(__file__).parent.parent
# A wheel carries the folder inside the package; a checkout has it at the top, where people find it.
_PLACES = (_PACKAGE / "_templates", _PACKAGE.parent / "templates")


class Written(Value, frozen=True, kw_only=True):
    """What became of a template's files, each by its path below the target."""

    created: tuple[RepoPath, ...] = ()
    extended: tuple[RepoPath, ...] = ()
    """A `.gitignore` that was there and got the lines it lacked."""


def names() -> tuple[str, ...]:
    """The projects there are to start from, sorted; other folders hold files to copy by hand."""
    return tuple(sorted(place.parent.name for place in _root().glob("*/ciml.yaml")))


def write(name: str, target: Path) -> Written:
    """Copy a template into `target`, which may exist; no file of the user's is ever replaced.

    Raises:
        UsageError: there is no such template.
        RepositoryError: a file of the template exists already; nothing was written.
    """
    if name not in names():
        raise UsageError(f"no template {name!r}", hint=f"There is {', '.join(names())}.")
    source = _root() / name
    files = _files(source)
    present = tuple(path for path in files if _exists(target / path))
    _refuse_to_replace(target, [path for path in present if path not in (".gitignore", "README.md")])
    for path in files:
        if path not in present:
            _create(target / path, (source / path).read_bytes())
    extended = tuple(path for path in present if path == ".gitignore" and _extend(target / path, source / path))
    return Written(
        created=tuple(path for path in files if path not in present),
        extended=extended,
    )


def _root() -> Path:
    return next(place for place in _PLACES if place.is_dir())


def _files(source: Path) -> tuple[RepoPath, ...]:
    found = (path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return tuple(sorted(RepoPath(path.relative_to(source).as_posix()) for path in found))


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _refuse_to_replace(target: Path, paths: list[RepoPath]) -> None:
    if paths:
        raise RepositoryError(
            f"{target} has {', '.join(paths)} already; nothing was written",
            hint="Choose an empty directory. For a project of your own the README has a short ciml.yaml.",
        )


def _create(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise RepositoryError(f"cannot write {path}: {error.strerror}") from error


def _extend(path: Path, template: Path) -> bool:
    """Whether lines of the template's file were missing at `path`; they are there now."""
    text = path.read_text()
    missing = [line for line in template.read_text().splitlines() if line not in text.splitlines()]
    if missing:
        joint = "" if not text or text.endswith("\n") else "\n"
        path.write_text(text + joint + "\n".join(missing) + "\n")
    return bool(missing)
