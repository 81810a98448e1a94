"""Workflows without some of their parts: a `needs`, a step that moves an artifact, a permission."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

_JOB = re.compile(r"^  ([\w-]+):\n(?=    )", re.MULTILINE)
_NEEDS = re.compile(r"^    needs: \[(.*)\]\n", re.MULTILINE)
_STEP = re.compile(r"^      - (?:.+\n)(?:        .*\n)*", re.MULTILINE)
_MOVES = re.compile(r"uses: actions/(upload|download)-artifact")
_PERMISSIONS = re.compile(r"^    permissions:\n((?:      .*\n)+)", re.MULTILINE)


class Cut(NamedTuple):
    """One part that is taken away."""

    job: str
    kind: Literal["needs", "upload", "download", "permission"]
    what: str
    """The job that is needed, the name of the artifact, or the permission with its level."""

    @property
    def name(self) -> str:
        """As tests speak of it."""
        match self.kind:
            case "needs":
                return f"{self.job} does not need {self.what}"
            case "permission":
                return f"{self.job}: no {self.what}"
            case _:
                return f"{self.job}: no {self.kind} of {self.what}"


def cuts(text: str) -> list[Cut]:
    """Everything of these three kinds that a workflow has."""
    return [cut for job, block in _jobs(text) for cut in _cuts(job, block)]


def without(text: str, these: Iterable[Cut]) -> str:
    """The workflow without them."""
    for cut in these:
        block = dict(_jobs(text))[cut.job]
        shorter = _shorter(block, cut)
        assert shorter != block, cut.name
        text = text.replace(block, shorter)
    return text


def earlier(text: str, job: str) -> set[str]:
    """All jobs that a job comes after."""
    blocks = dict(_jobs(text))
    return {name for other in _needed(blocks[job]) for name in (other, *earlier(text, other))}


def _jobs(text: str) -> Iterator[tuple[str, str]]:
    """Each job: its id, and its lines."""
    found = [match for match in _JOB.finditer(text) if match.start() > text.index("\njobs:\n")]
    ends = [*(match.start() for match in found[1:]), len(text)]
    for match, end in zip(found, ends, strict=True):
        yield match[1], text[match.start() : end]


def _needed(block: str) -> list[str]:
    found = _NEEDS.search(block)
    return found[1].split(", ") if found else []


def _cuts(job: str, block: str) -> Iterator[Cut]:
    for name in _needed(block):
        yield Cut(job, "needs", name)
    for kind, name, _ in _artifacts(block):
        yield Cut(job, kind, name)
    whole = _PERMISSIONS.search(block)
    assert whole is not None, block
    for line in whole[1].splitlines():
        yield Cut(job, "permission", line.partition("#")[0].strip())


def _artifacts(block: str) -> Iterator[tuple[Literal["upload", "download"], str, str]]:
    """The steps that move artifacts: where to, which, and their lines."""
    for step in _STEP.finditer(block):
        kind = _MOVES.search(step[0])
        if kind is not None:
            about = re.search(r"(?:name|pattern): (.+)", step[0])
            assert about is not None, step[0]
            yield "upload" if kind[1] == "upload" else "download", about[1], step[0]


def _shorter(block: str, cut: Cut) -> str:
    if cut.kind == "needs":
        rest = ", ".join(name for name in _needed(block) if name != cut.what)
        return _NEEDS.sub(f"    needs: [{rest}]\n" if rest else "", block)
    if cut.kind != "permission":
        return next(
            block.replace(step, "") for kind, name, step in _artifacts(block) if (kind, name) == (cut.kind, cut.what)
        )
    whole = _PERMISSIONS.search(block)
    assert whole is not None, cut.name
    rest = "".join(line for line in whole[1].splitlines(keepends=True) if line.partition("#")[0].strip() != cut.what)
    return block.replace(whole[0], f"    permissions:\n{rest}" if rest else "    permissions: {}\n")
