"""`ciml register`, killed with SIGKILL at every step, against a bare origin and MLflow over HTTP."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from mlflow.tracking.client import MlflowClient

from ciml.adapters.git.command import Git
from ciml.adapters.ledgers.git import GitLedger
from ciml.core.entries import Promotion, Registration
from ciml.core.ids import ModelName
from tests.app.victims import Order
from tests.mlflowserver import mlflow_server
from tests.repobuilder import RepoBuilder

HITS = int(os.environ.get("CIML_TEST_KILLS", "2"))
"""Victims that die in each step."""

STEPS = ("1 read the ledger", "2 search the rows", "3 create a row", "4 append the record", "5 sweep", "6 alias")

STAGES = """
version: 1
stages:
  train: {run: "echo 1 > model.txt; echo '{\\"auc\\": 0.9}' > m.json", inputs: [a.txt], outputs: [model.txt],
          metrics: [m.json]}
"""

Report = dict[str, object]


class Trials:
    """An origin, a server, two clones that have the commit's results, and a nursery of victims."""

    def __init__(self, folder: Path, address: str) -> None:
        repo = RepoBuilder(folder / "repo")
        repo.commit({"a.txt": "a", ".gitignore": "model.txt\nm.json\n", "ciml.yaml": STAGES})
        self.origin = repo.bare_origin()
        self.clones = [self._clone(address)]
        copy = folder / "writer-2"
        shutil.copytree(self.clones[0].path, copy, symlinks=True)
        self.clones.append(RepoBuilder(copy, create=False))
        self._server = MlflowClient(tracking_uri=address, registry_uri=address)
        self._folder = folder
        self._number = 0
        self._nursery = subprocess.Popen(
            [sys.executable, "-m", "tests.app.victims"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env=self._env(),
            text=True,
        )

    def _env(self) -> dict[str, str]:
        return {**self.origin.env, "PYTHONPATH": str(Path(__file__).parents[2])}

    def _clone(self, address: str) -> RepoBuilder:
        """A clone at the pushed head, with the results in its store and a model for each trial."""
        clone = self.origin.clone("writer-1")
        done = subprocess.run(
            [sys.executable, "-m", "ciml", "run"], cwd=clone.path, env=self._env(), capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        models = [f"  m{number}: {{path: model.txt, gate: [auc > 0.5]}}" for number in range(1, 28 * HITS + 16)]
        clone.commit({"ciml.yaml": "\n".join([f"{STAGES}\nregistry: {address}\nmodels:", *models, ""])})
        clone.git("push", "-q", "origin", "main")
        return clone

    def close(self) -> None:
        assert self._nursery.stdin is not None
        self._nursery.stdin.close()
        self._nursery.wait()

    def model(self) -> ModelName:
        """A model of its own for each trial."""
        self._number += 1
        return ModelName(f"m{self._number}")

    def run(self, model: ModelName, orders: Sequence[dict[str, object]]) -> list[Report]:
        """How writers of one model ended that were born together, in clones of their own."""
        assert self._nursery.stdin is not None and self._nursery.stdout is not None
        filled = [
            msgspec.convert({"clone": str(self.clones[number % 2].path), "model": model, **order}, Order)
            for number, order in enumerate(orders)
        ]
        self._nursery.stdin.write(msgspec.json.encode(filled).decode() + "\n")
        self._nursery.stdin.flush()
        reports: list[Report] = json.loads(self._nursery.stdout.readline())
        return reports

    def wrong(self, model: ModelName, reports: Sequence[Report]) -> str | None:
        """What is wrong after all writers ended and the last ones were not killed, if anything."""
        ended = [report for report in reports if not report["killed"]]
        if failed := [report for report in ended if report.get("code") != 0]:
            return f"not killed, and failed: {failed}"
        versions = {report["version"] for report in ended}
        if len(versions) != 1:
            return f"different versions were reported: {versions}"
        if sum(bool(report["created"]) for report in ended) > 1:
            return "two writers report to have created the version"
        clone = self.clones[0]
        git = Git(str(clone.path), clone.env)
        state = GitLedger(model, git, remote="origin", memory=str(self._folder / "memory")).read()
        registrations = [entry for entry in state.entries if isinstance(entry, Registration)]
        if [entry.version for entry in registrations] != list(versions):
            return f"reported {versions}, recorded {[entry.version for entry in registrations]}"
        if sum(isinstance(entry, Promotion) for entry in state.entries) != 1:
            return "not promoted exactly once"
        rows = {int(row.version) for row in self._server.search_model_versions(f"name='{model}'")}
        if rows != versions:
            return f"rows {rows} are left"
        aliases = self._server.get_registered_model(model).aliases
        if {alias: int(version) for alias, version in aliases.items()} != {"champion": registrations[0].version}:
            return f"the aliases are {aliases}"
        return None

    def boundaries(self) -> list[str]:
        """The step of each boundary that an undisturbed registration passes."""
        trace = self._folder / "trace"
        [report] = self.run(self.model(), [{"trace": str(trace)}])
        assert report.get("created"), report
        return trace.read_text().split("\n")[:-1]


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    with mlflow_server(tmp_path_factory.mktemp("server")) as address:
        made = Trials(tmp_path_factory.mktemp("trials"), address)
        yield made
        made.close()


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_c133_killed_at_every_step_the_same_command_again_converges(trials: Trials) -> None:
    """Kill −9 at every step → rerun converges, same version: one record, one row, one promotion, alias == ledger."""
    boundaries = trials.boundaries()
    assert set(STEPS) <= set(boundaries), "every step was passed"
    dice = random.Random(133)
    died: Counter[str] = Counter()
    for step in STEPS:
        places = [number for number, name in enumerate(boundaries) if name == step]
        for hit in range(4 * HITS):
            if died[step] == HITS:
                break
            kill_at = places[hit % len(places)] if hit < len(places) else dice.choice(places)
            model = trials.model()
            # The second writer may win a step, so that the victim lives: then it was no hit.
            racing: list[dict[str, object]] = [{"kill_at": kill_at}] if hit % 2 == 0 else [{"kill_at": kill_at}, {}]
            reports = trials.run(model, racing)
            died[step] += bool(reports[0]["killed"])
            reports += trials.run(model, [{}, {}])
            assert (wrong := trials.wrong(model, reports)) is None, f"killed at {kill_at} ({step}): {wrong}"
    print("\n" + "\n".join(f"{step:22} {died[step]:5} killed" for step in STEPS))

    assert died == dict.fromkeys(STEPS, HITS)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_c134_killed_while_a_push_is_under_way(trials: Trials) -> None:
    """A push whose process died with it, or outlived it, leads to one version all the same."""
    killed = 0
    for hit in range(2 * HITS):
        model = trials.model()
        reports = trials.run(model, [{"mid_push_ms": 3.0 * hit % 40}, {}])
        killed += bool(reports[0]["killed"])
        reports += trials.run(model, [{}])
        assert (wrong := trials.wrong(model, reports)) is None, wrong
    print(f"\n{killed} of {2 * HITS} killed in a push")


@pytest.mark.timeout(600)
def test_c131_eight_processes_on_one_key_make_one_version(trials: Trials) -> None:
    """8 workers × same key check-then-create → one record per key; all 8 report the same version."""
    model = trials.model()

    assert trials.wrong(model, trials.run(model, [{}] * 8)) is None


def lose_answers(trials: Trials, *, lost: bool) -> None:
    """Let the origin die right after it has moved a ref: the push fails although it arrived."""
    hook = trials.origin.path / "hooks" / "post-receive"
    if lost:
        hook.write_text("#!/bin/sh\nkill -9 $PPID\n")
        hook.chmod(0o755)
    else:
        hook.unlink()


def outcome(trials: Trials, mutant: str) -> str | None:
    """What is wrong after two writers raced, answers were lost, and both ran again."""
    model = trials.model()
    lose_answers(trials, lost=True)
    try:
        reports = trials.run(model, [{"mutant": mutant}, {"mutant": mutant}])
        reports += trials.run(model, [{"mutant": mutant}, {"mutant": mutant}])
    finally:
        lose_answers(trials, lost=False)
    return trials.wrong(model, reports)


@pytest.mark.timeout(600)
def test_lost_answers_of_real_pushes_change_nothing(trials: Trials) -> None:
    """Every push's answer is lost after it arrived; the shipped protocol notices nothing but that."""
    assert outcome(trials, "") is None


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", ["nonce", "record", "answer"])
def test_the_same_trial_is_red_without_a_part_of_the_protocol(trials: Trials, mutant: str) -> None:
    """Nonce removed, record removed, or the push's answer believed: the checker reports a violation."""
    wrong = outcome(trials, mutant)
    print(f"\n{mutant}: {wrong}")

    assert wrong is not None
