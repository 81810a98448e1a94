"""A real project to plan and run: a repository, the local store, the local executor."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from msgspec import structs

from ciml.adapters.executors.local import LocalExecutor
from ciml.app.perform import Means, Performance, perform
from ciml.app.plan import Prepared, plan, prepare
from ciml.app.project import Project
from ciml.app.run import Options
from ciml.cli.invocation import Invocation
from ciml.cli.wiring import Place, open_place, project_at
from ciml.core.entries import Registration
from ciml.core.ids import ModelName, StageName
from ciml.core.ledger import LedgerState
from ciml.core.pipeline import Resources
from ciml.core.plan import Decision, Plan
from ciml.core.policy import with_base_policy
from ciml.core.results import Cancelled, Failed, Ran, Restored, Skipped, StageResult
from tests.repobuilder import RepoBuilder

_WORDS = {Ran: "ran", Restored: "restored", Skipped: "skipped", Failed: "failed", Cancelled: "cancelled"}


class Events:
    """An observer that keeps what it was told, in order."""

    def __init__(self) -> None:
        self.decisions: list[tuple[str, str]] = []
        self.ends: list[str] = []
        self.warnings: list[str] = []
        self.output: list[tuple[str, str]] = []

    def decided(self, name: StageName, decision: Decision) -> None:
        self.decisions.append((name, decision.action))

    def ended(self, name: StageName, result: StageResult) -> None:
        self.ends.append(name)


class AnyLedgers(Protocol):
    """Histories of models, and their files."""

    def read(self, model: ModelName) -> LedgerState: ...

    def fetch(self, model: ModelName, registration: Registration) -> None: ...


class NoLedgers:
    """No model was ever judged."""

    def read(self, model: ModelName) -> LedgerState:
        return LedgerState(model=model)

    def fetch(self, model: ModelName, registration: Registration) -> None:
        raise AssertionError(f"{model} {registration} is fetched, and there is no champion")


class Workspace:
    """One clone and what is done in it.

    Args:
        repo: the clone.
        environ: of the calls; the tests' own PATH when None.
    """

    def __init__(self, repo: RepoBuilder, *, environ: Mapping[str, str] | None = None) -> None:
        self.repo = repo
        self.path: Path = repo.path
        self.environ = dict(environ or {"PATH": os.environ["PATH"], "HOME": str(repo.path.parent)})
        self.events = Events()

    def invocation(self, profile: str | None = None) -> Invocation:
        return Invocation(directory=str(self.path), profile=profile, environ=self.environ)

    @contextmanager
    def project(
        self, *, head: str | None = None, params: Mapping[str, str] | None = None, profile: str | None = None
    ) -> Iterator[tuple[Place, Project]]:
        invocation = self.invocation(profile)
        with open_place(invocation) as place:
            yield place, project_at(place, invocation, params or {}, head=head)

    def prepared(
        self, *, head: str | None = None, base: str | None = None, params: Mapping[str, str] | None = None
    ) -> Prepared:
        with self.project(head=head, params=params) as (_, project):
            return prepare(project, base=base)

    def plan(
        self,
        *targets: str,
        head: str | None = None,
        base: str | None = None,
        params: Mapping[str, str] | None = None,
        profile: str | None = None,
        force: bool = False,
    ) -> Plan:
        with self.project(head=head, params=params, profile=profile) as (_, project):
            return plan(project, prepare(project, base=base), targets=_names(targets), force=force)

    def actions(self, *targets: str, **how: str) -> dict[str, str]:
        """Stage -> what is planned for it."""
        return {stage.name: stage.action.value for stage in self.plan(*targets, **how).stages}  # type: ignore[arg-type]

    def reasons(self, *, base: str | None = None) -> dict[str, str]:
        return {stage.name: stage.reason for stage in self.plan(base=base).stages}

    def recipes(self, *, head: str | None = None, params: Mapping[str, str] | None = None) -> dict[str, str]:
        """Stage -> recipe."""
        return {str(name): recipe for name, recipe in self.prepared(head=head, params=params).graph.recipes.items()}

    def run(
        self,
        *targets: str,
        force: bool = False,
        keep_going: bool = False,
        params: Mapping[str, str] | None = None,
        jobs: int = 2,
        ledgers: AnyLedgers | None = None,
        policy: str | None = None,
    ) -> Performance:
        """What came of a run; `policy` is a revision whose policy counts instead of the head's."""
        self.events = Events()
        with self.project(params=params) as (place, project):
            if policy is not None:
                base = project.documents.pipeline(project.history.commit_tree(project.history.resolve(policy)))
                project = structs.replace(project, pipeline=with_base_policy(project.pipeline, base)[0])
            means = Means(
                executor=lambda: self._executor(place, jobs),
                ledgers=ledgers or NoLedgers(),
                fetch=(ledgers or NoLedgers()).fetch,
                observer=self.events,
                rescoring=self.events,
                warn=self.events.warnings.append,
            )
            options = Options(targets=_names(targets), force=force, keep_going=keep_going)
            return perform(project, prepare(project), means, options)

    def _executor(self, place: Place, jobs: int) -> LocalExecutor:
        return LocalExecutor(
            place.store,
            place.state,
            run="run-1",
            work_tree=str(self.path),
            capacity=Resources(cpus=4.0),
            jobs=jobs,
            environ=self.environ,
            on_output=lambda stage, line: self.events.output.append((stage, line)),
        )

    def results(self, *targets: str, **how: bool) -> dict[str, str]:
        """Stage -> what became of it in a new run."""
        return words(self.run(*targets, **how))  # type: ignore[arg-type]

    def read(self, path: str) -> str:
        return (self.path / path).read_text()


def words(made: Performance) -> dict[str, str]:
    """Stage -> ran, restored, skipped, failed or cancelled."""
    return {name: _WORDS[type(result)] for name, result in made.results.items()}


def _names(targets: Sequence[str]) -> tuple[StageName, ...]:
    return tuple(map(StageName, targets))
