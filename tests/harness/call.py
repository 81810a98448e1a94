"""A step that uses an action of GitHub's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.harness.job import Job, StepError, StepRun


@dataclass(frozen=True)
class Call:
    """What such an action is given."""

    job: Job
    inputs: dict[str, str]
    env: dict[str, str]
    step: StepRun

    def required(self, name: str) -> str:
        """An input that must be there."""
        value = self.inputs.get(name, "")
        if not value:
            raise StepError(f"Input required and not supplied: {name}")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """An input that is true or false.

        Raises:
            StepError: it is neither.
        """
        value = self.inputs.get(name, "")
        if value.lower() not in ("", "true", "false"):
            raise StepError(f'Input does not meet YAML 1.2 "Core Schema" specification: {name}')
        return value.lower() == "true" if value else default

    def path(self, written: str) -> Path:
        """A path as it is written: from the workspace, or the home."""
        if written == "~" or written.startswith("~/"):
            return self.job.machine.home / written[2:]
        return self.job.machine.workspace / written

    def say(self, line: str) -> None:
        """One line of the step's log."""
        self.step.log += f"{line}\n"
