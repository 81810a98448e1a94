"""What a lineage is asked about: a version, an alias, a commit, bytes, or a path."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from ciml.core.ancestry import Ancestry, Kind, Node
from ciml.core.errors import UsageError
from ciml.core.history import History, VersionLine
from ciml.core.ids import CommitSha, ModelName, RepoPath
from ciml.core.manifest import stands_for
from ciml.core.paths import folders
from ciml.core.value import Value

_VERSION = re.compile(r"(?:models:/)?(?P<model>[^/@]+)/(?P<version>[1-9][0-9]*)")
_ALIAS = re.compile(r"(?:models:/)?(?P<model>[^/@]+)@(?P<alias>[^/@]+)")
_HEX = re.compile(r"[0-9a-f]{7,64}")

FORMS = "a version (churn/3), an alias (churn@champion), a commit, a path, a manifest, or a digest"


class VersionSubject(Value, frozen=True, kw_only=True):
    """A registered version."""

    line: VersionLine


class CommitSubject(Value, frozen=True, kw_only=True):
    """A commit."""

    sha: CommitSha


class NodesSubject(Value, frozen=True, kw_only=True):
    """Everything recorded of a path, or under a digest."""

    nodes: tuple[str, ...]


Recorded = CommitSubject | NodesSubject


def version_of(text: str, history: History) -> VersionSubject | None:
    """The version that `churn/3`, `models:/churn/3` or `churn@champion` names, or None where it is neither.

    Raises:
        UsageError: the model is known and the version or alias is not.
    """
    if not (match := _VERSION.fullmatch(text) or _ALIAS.fullmatch(text)):
        return None
    model, wanted = match.group(1), match.group(2)
    lines = [line for line in history.versions if line.model == ModelName(model)]
    by_alias = match.re is _ALIAS
    for line in lines:
        if wanted in line.aliases if by_alias else int(wanted) == line.version:
            return VersionSubject(line=line)
    if not lines and not text.startswith("models:/"):
        return None
    what = f"alias {wanted!r}" if by_alias else f"version {wanted}"
    known = ", ".join(f"{line.version}" for line in lines[-5:])
    raise UsageError(f"{model} has no {what}", hint=f"Its latest: {known}." if lines else None)


def find(text: str, whole: Ancestry, commit: Callable[[str], CommitSha | None]) -> Recorded:
    """The commit, path or digest that `text` names; a path that is recorded comes before a ref of its name.

    Args:
        text: as the user typed it.
        whole: all that is recorded.
        commit: the commit that a revision names, or None.

    Raises:
        UsageError: it names nothing, or more than one thing.
    """
    plain = text.removeprefix("./").rstrip("/")
    if nodes := [node.id for node in whole.nodes.values() if plain in _paths(node)]:
        return NodesSubject(nodes=tuple(nodes))
    if (sha := commit(text)) is not None:
        return CommitSubject(sha=sha)
    digits = text.removeprefix("sha256:").lower()
    if _HEX.fullmatch(digits) and (subject := _by_digits(digits, whole.nodes)):
        return subject
    raise _nothing(text, whole)


def _paths(node: Node) -> tuple[object, ...]:
    """The paths by which a user may mean a node: its own, its manifest, what that stands for, files of parameters."""
    manifest, files = node.facts.get("manifest"), node.facts.get("files")
    whole = stands_for(RepoPath(manifest)) if isinstance(manifest, str) else None
    return (node.facts.get("path"), manifest, whole, *(files if isinstance(files, Sequence) else ()))


def _by_digits(digits: str, nodes: Mapping[str, Node]) -> Recorded | None:
    """What is recorded under a commit id, a content digest or a Git object id that starts so."""
    commits = {str(node.facts["sha"]) for node in nodes.values() if node.kind is Kind.COMMIT}
    names = {
        str(value) for node in nodes.values() for fact in ("digest", "oid", "key") if (value := node.facts.get(fact))
    }
    found = sorted(name for name in commits | names if name.startswith(digits))
    if len(found) > 1:
        raise UsageError(
            f"{digits} is ambiguous: {', '.join(name[:12] for name in found[:4])}", hint="Give more digits."
        )
    if not found:
        return None
    if found[0] in commits:
        return CommitSubject(sha=CommitSha(found[0]))
    facts = ("digest", "oid", "key")
    return NodesSubject(
        nodes=tuple(node.id for node in nodes.values() if found[0] in [node.facts.get(fact) for fact in facts])
    )


def _nothing(text: str, whole: Ancestry) -> UsageError:
    from difflib import get_close_matches

    known = {str(path) for node in whole.nodes.values() for path in _paths(node) if path}
    if above := next((path for path in folders(text) if path in known), None):
        hint = f"It lies in {above}, which is known as a whole: ciml lineage {above}"
    else:
        near = get_close_matches(text, sorted(known), n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"A subject is {FORMS}."
    return UsageError(f"no lineage of {text!r}: no run here or in the registry has used or made it", hint=hint)
