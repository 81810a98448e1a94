"""References to ciml in a workflow that somebody else could make mean another ciml."""

from __future__ import annotations

import re

_USES = re.compile(r"""(?<![\w.-])["']?uses["']?[ \t]*:[ \t]*["']?([\w.-]+/[\w.-]+)((?:/[\w./-]+)?)@([^\s"'#,}\]]+)""")
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def movable(workflow: str, action: str | None) -> list[str]:
    """Each use of ciml by a tag or a branch, as it is written: a tag can be moved, and then other code runs.

    Args:
        workflow: text of a workflow file, which need not be well-formed.
        action: as in `ciml.yaml`; a repository of another name than `ciml` is known by it.
    """
    own = action.partition("@")[0].casefold() if action else ""
    found = [
        f"{repository}{path}@{ref}"
        for repository, path, ref in _USES.findall(_COMMENT.sub("", workflow))
        if (repository.casefold() == own or repository.casefold().endswith("/ciml")) and not _COMMIT.fullmatch(ref)
    ]
    return list(dict.fromkeys(found))
