"""What lies in a work tree that Git does not track."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ciml.adapters.git.command import Git
from ciml.adapters.git.trees import decoded, encoded
from ciml.core.ids import RepoPath
from ciml.core.paths import folders

_MANY = 500
"""Paths from which on everything is listed: more might not fit on a command line."""


def untracked(git: Git, root: str, under: Iterable[RepoPath]) -> list[RepoPath]:
    """The files at or below these paths that are neither tracked nor ignored, sorted.

    One process, and none where nothing lies at any of the paths. Repositories inside are left out.
    """
    here = [path for path in under if os.path.lexists(f"{root}/{path}")]
    if not here:
        return []
    asked = here if len(here) < _MANY else [RepoPath("")]
    listed = git.run("ls-files", "-z", "--others", "--exclude-standard", "--", *(path or "." for path in asked))
    names = {decoded(name) for name in listed.split(b"\0") if name and not name.endswith(b"/")}
    if asked is not here:
        wanted = {*here}
        names = {name for name in names if not wanted.isdisjoint((name, *folders(name), ""))}
    return sorted(names)


def ignored(git: Git, path: RepoPath) -> bool:
    """Whether something lies at or below `path` that Git was told to ignore."""
    flags = ("--others", "--ignored", "--exclude-standard", "--directory")
    return bool(git.ask("ls-files", "-z", *flags, "--", path).out)


def ignoring_rule(git: Git, path: RepoPath) -> str | None:
    """The rule by which Git ignores a path, tracked or not, as `.gitignore:3: data/`; None where it does not."""
    plain = Git(git.directory, git.env)
    del plain.env["GIT_LITERAL_PATHSPECS"]  # which this command refuses; it takes no patterns anyway
    # A path that begins with a colon would be magic.
    answer = plain.ask("check-ignore", "--verbose", "--no-index", "-z", "--stdin", data=b"./" + encoded(path) + b"\0")
    if answer.code not in (0, 1):
        raise git.error(("check-ignore",), answer)
    if not answer.out:
        return None
    file, line, pattern, *_ = (decoded(part) for part in answer.out.split(b"\0"))
    return None if pattern.startswith("!") else f"{file}:{line}: {pattern}"
