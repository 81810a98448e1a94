"""What happens in a team's repository, and all that can be seen to have come of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ciml.core.entries import Deployment
from tests.cli.ledgers import entries
from tests.harness.job import SKIPPED, SUCCESS, Job, StepRun
from tests.harness.run import Run
from tests.harness.team import Team
from tests.repobuilder import Files

Facts = frozenset[str]
_STAGE = re.compile(r"^\| `([^`]+)` \| \S+ (\w+) \|", re.MULTILINE)
_VERDICT = re.compile(r"^### \S+ `[^`]+` ([\w ]*\w)", re.MULTILINE)

_MORE = "{path: model.txt, gate: [auc >= 0.5], deploy: {staging: {after: promotion, run: 'true'}}}"
"""A model that follows the same stages."""


class Occasions:
    """Makes things happen, each with files of its own in the repository, and says what could be seen then.

    Args:
        team: whose first push has succeeded.
        whole: the files that a mutant takes the place of.
        bring: brings new data to where it comes from.
    """

    def __init__(self, team: Team, whole: Files, bring: Callable[[], object] = lambda: None) -> None:
        self._team = team
        self._bring = bring
        self._whole = whole
        self._plain = (team.hub.work.path / "ciml.yaml").read_text()
        self._registered = {1: (team.hub.work.path / "src.txt").read_text()}
        self._number = 0

    def push(self, files: Files) -> Facts:
        """A better model is pushed."""
        team, text = self._team, self._team.better()
        before = team.versions()
        run = self._pushed({"src.txt": text, "notes.txt": text, **files})
        grown = len(team.versions()) - len(before)
        if grown:
            self._registered[len(before) + 1] = text
        promoted = team.champion() == len(before) + 1
        return seen(run) | {f"{grown} new version"} | ({"promoted"} if promoted else set())

    def pull_request(self, files: Files) -> Facts:
        """A better model is proposed."""
        work = self._team.hub.work
        name, text = self._name("proposal"), self._team.better()
        work.branch(name, "origin/main")
        work.commit({"src.txt": text, "notes.txt": text, **files}, name)
        run = self._team.of_ciml(self._team.hub.pull_request(name))
        work.switch("main")
        return seen(run)

    def fork(self, files: Files) -> Facts:
        """The same in a fork, whose report another workflow publishes, which the default branch has."""
        work = self._team.hub.work
        self._quietly(files)
        name = self._name("theirs")
        work.branch(name, "origin/main")
        work.commit({"src.txt": self._team.better()}, name)
        runs = self._team.hub.pull_request(name, fork="mallory/churn")
        work.switch("main")
        return frozenset().union(*(seen(run) for run in runs if run.name == "ciml report"))

    def release(self, files: Files) -> Facts:
        """A version that does not serve is released: it was registered before."""
        team = self._team
        recorded = self._released_so_far()
        serves = recorded[-1].version if recorded else None
        if set(self._registered) == {serves}:
            self.push(self._whole)
        text = next(text for version, text in reversed(self._registered.items()) if version != serves)
        self._quietly({"src.txt": text, **files})
        team.target.unlink(missing_ok=True)
        run = self._released()
        grown = len(self._released_so_far()) - len(recorded)
        return seen(run) | {f"{grown} deployment in the ledger"} | self._served(text)

    def early(self, files: Files) -> Facts:
        """A commit is released whose own run has not ended yet."""
        team = self._team
        self._quietly({"src.txt": team.better(), **files})
        head = team.hub.tip("refs/heads/main")
        going_on = team.hub.api.run(head=head, branch="main", status="in_progress")
        run = self._released()
        team.hub.api.finish(going_on, "cancelled", 1)
        return seen(run) | {"waited for" for job in run.jobs if "has not ended yet" in job.log}

    def words(self, files: Files) -> Facts:
        """Words are pushed after a run that was rejected: what that one changed was never run to its end."""
        team, text = self._team, self._team.better()
        last = next(run for run in reversed(team.hub.runs) if _is_push_of_main(run) and run.conclusion == SUCCESS)
        rejected = self._pushed({"src.txt": f"0.6{text[2:]}", "notes.txt": text, **self._whole})
        assert rejected.conclusion != SUCCESS, rejected.explain()
        run = self._pushed({"README.md": text, **files})
        since = any(f"`{last.happening.sha[:7]}`" in job.summary for job in run.jobs)
        return seen(run) | ({"compared with the last that succeeded"} if since else set())

    def arrival(self, files: Files) -> Facts:
        """The hour has come, and there is new data."""
        self._quietly(files)
        self._bring()
        return seen(self._scheduled())

    def protected(self, files: Files) -> Facts:
        """The same, where nobody may push to the default branch."""
        self._quietly(files)
        self._bring()
        hook = self._team.hub.bare.path / "hooks/update"
        hook.write_text('#!/bin/sh\n[ "$1" != refs/heads/main ]\n')
        hook.chmod(0o755)
        try:
            return seen(self._scheduled())
        finally:
            hook.unlink()

    def moved(self, files: Files) -> Facts:
        """The hour has come, and the branch moves on before the first job looks: to a better model, and one more.

        The other's alias is lost before the last job, which follows the ledger.
        """
        team, hub = self._team, self._team.hub
        self._quietly(files)
        self._bring()
        begins, before = hub.before_step, team.versions()
        text, other = team.better(), self._name(team.model)
        more = self._plain.replace("models:\n", f"models:\n  {other}: {_MORE}\n")

        def moves_on(job: Job, step: StepRun) -> bool:
            hub.before_step = loses_alias
            self._quietly({"src.txt": text, "ciml.yaml": more})
            return begins is not None and begins(job, step)

        def loses_alias(job: Job, step: StepRun) -> bool:
            if job.place.id == "record":
                hub.before_step = begins
                team.lose_aliases(other)
            return begins is not None and begins(job, step)

        hub.before_step = moves_on
        run = self._scheduled()
        hub.before_step = begins
        follows = {"the alias follows"} if team.aliases(other) else set()
        return seen(run) | {f"{len(team.versions()) - len(before)} new version"} | self._served(text) | follows

    def broken(self, files: Files) -> Facts:
        """A source is pushed that no model can be made of."""
        return seen(self._pushed({"src.txt": f"# {self._team.better()}", **files}))

    def _released_so_far(self) -> list[Deployment]:
        made = entries(self._team.hub.bare, Deployment, self._team.model)
        return [entry for entry in made if entry.environment == "production"]

    def _released(self) -> Run:
        hub = self._team.hub
        return next(run for run in hub.tag(f"v0.0.{len(hub.runs)}") if run.name in ("ciml", "release"))

    def _served(self, text: str) -> set[str]:
        target = self._team.target
        return {"serves"} if target.is_file() and target.read_text() == text else set()

    def _scheduled(self) -> Run:
        return next(run for run in self._team.hub.schedule() if run.name in ("ciml", "scheduled"))

    def _pushed(self, files: Files) -> Run:
        return self._team.of_ciml(self._team.commit(files))

    def _quietly(self, files: Files) -> None:
        """Bring files to the default branch, which starts nothing."""
        work = self._team.hub.work
        work.git("pull", "-q", "--rebase", "origin", "main")
        work.commit({"README.md": self._name("words"), **files}, "words")
        work.git("push", "-q", "origin", "main")

    def _name(self, what: str) -> str:
        self._number += 1
        return f"{what}-{self._number}"


def _is_push_of_main(run: Run) -> bool:
    return run.name == "ciml" and run.happening.name == "push" and run.happening.branch == "main"


def seen(run: Run) -> Facts:
    """What came of a run: its jobs, what they wrote where, and what they said of stages and models."""
    passed_over = {f"{name}: skipped" for name, conclusion in run.checks.items() if conclusion == SKIPPED}
    return frozenset(passed_over.union(*(_of_job(job) for job in run.jobs)))


def _of_job(job: Job) -> Iterator[str]:
    name, hub = job.place.id, job.run.hub
    yield f"{name}: {job.result}"
    if not job.notes and "warning:" not in job.log:
        yield f"{name}: nothing amiss"
    for asked in hub.api.log:
        if asked.token == job.token and asked.method != "GET" and 200 <= asked.status < 300:
            yield f"{name} wrote {asked.path.split('/')[4]}"
    if any(asked.token == job.token and asked.status == 200 for asked in hub.git.pushes()):
        yield f"{name} pushed"
    yield from (f"{stage} {result}" for stage, result in _STAGE.findall(job.summary))
    yield from _VERDICT.findall(job.summary)
