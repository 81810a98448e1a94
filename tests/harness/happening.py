"""Something that has happened on the forge, as runs of workflows see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.harness.filters import starts

JSON = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Happening:
    """One event."""

    name: str
    payload: JSON
    ref: str
    sha: str
    """GITHUB_SHA."""
    head_sha: str
    """The commit that checks are shown at."""
    branch: str
    """Of the head, or the tag."""
    head_ref: str = ""
    base_ref: str = ""
    action: str = ""
    actor: str = "ada"
    fork: bool = False
    """Its token reads, and it gets no secrets."""
    head_repository: str = ""
    paths: tuple[str, ...] = ()
    workflow: str = ""
    """Name of the workflow that a `workflow_run` is about, or path of the one that is started by hand."""

    @property
    def workflow_ref(self) -> str:
        """The ref that the workflow files are of."""
        return self.ref

    def starts(self, path: str, events: JSON) -> bool:
        """Whether it starts the workflow in a file."""
        if self.name == "workflow_dispatch":
            return "workflow_dispatch" in events and path.endswith(self.workflow)
        base = self.branch if self.name == "workflow_run" else self.base_ref
        return starts(
            events, self.name, action=self.action, ref=self.ref, base=base, paths=self.paths, names=self.workflow
        )

    def inputs(self, root: JSON) -> JSON:
        """The inputs of a workflow that was started by hand, each of its type; of others there are none."""
        if self.name != "workflow_dispatch":
            return {}
        told = root["on"].get("workflow_dispatch") if isinstance(root["on"], dict) else None
        declared = (told or {}).get("inputs") or {}
        given = self.payload.get("inputs") or {}
        assert set(given) <= set(declared), f"Unexpected inputs provided: {sorted(set(given) - set(declared))}"
        found = {}
        for name, one in declared.items():
            value = given.get(name, (one or {}).get("default", ""))
            found[name] = _typed(value, (one or {}).get("type", "string"))
        return found


def _typed(value: Any, kind: str) -> Any:
    match kind:
        case "boolean":
            return value in (True, "true")
        case "number":
            return float(value) if value != "" else 0
        case _:
            return "" if value is None else str(value)
