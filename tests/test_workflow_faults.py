"""Generated workflows where something goes wrong: cancelled runs, stages that meddle, debugging, closed doors."""

from __future__ import annotations

import base64
import json
import urllib.parse
from pathlib import Path

import pytest

from ciml.core.entries import Deployment, FailedDeployment, Registration
from tests.cli.ledgers import entries
from tests.harness.fixtures import language as language  # noqa: PLC0414 -- fixtures
from tests.harness.projects import installed as installed  # noqa: PLC0414
from tests.harness.projects import server as server  # noqa: PLC0414
from tests.harness.projects import team as team  # noqa: PLC0414
from tests.harness.team import CIML_YAML, Team, worked
from tests.mlflowserver import proxy

SMALL = (
    CIML_YAML.replace("      %(hostile)s\n", "      MORE\n")
    .replace("  words: {run: wc notes.txt > words.txt, inputs: [notes.txt], outputs: [words.txt]}\n", "")
    .replace("MORE", "%(hostile)s")
)


@pytest.mark.parametrize(
    ("asked", "when"),
    [
        ("PUT", "mlflow-artifacts/artifacts"),
        ("POST", "model-versions/create"),
        ("POST", "registered-models/alias"),
    ],
)
def test_c037_a_run_that_is_cancelled_in_between(team: Team, asked: str, when: str) -> None:
    """cancel-in-progress during upload, registration and promotion: after a re-run all is as if nobody had."""
    cancelled: list[str] = []

    def fault(method: str, path: str) -> None:
        if when in path and method == asked and not cancelled:
            cancelled.append(path)
            team.hub.runs[-1].cancelled.set()

    team.hub.grace = (0.0, 0.0)
    with proxy(team.server, fault) as address:
        team.hub.environment_variables["ciml"] = {"MLFLOW_TRACKING_URI": address}
        run = team.begin(SMALL)
        assert (run.conclusion, run["ciml"].result, len(cancelled)) == ("cancelled", "cancelled", 1), run.explain()
        assert team.hub.rerun(run).conclusion == "success", run.explain()
    [registration] = entries(team.hub.bare, Registration, team.model)
    assert (team.champion(), team.alias()) == (registration.version, registration.version)
    assert team.told(run.happening.sha)[0][-1] == "success"


MEDDLE = r"""
        for pid in $(ls /proc | grep -E '^[0-9]+$'); do
          file=$(tr '\0' '\n' < /proc/$pid/environ 2>/dev/null | grep -E "^GITHUB_ENV=$PLACE" | cut -d= -f2) || true
          if [ -n "$file" ]; then echo LD_PRELOAD=/evil.so >> "$file"; fi
        done"""


def test_c019_a_stage_that_finds_the_runners_files(team: Team) -> None:
    """A process of the same user can find GITHUB_ENV: what it wrote there is taken back, and the job is red, exit 6."""
    told = SMALL.replace("%(hostile)s", MEDDLE.replace("$PLACE", str(team.hub.folder)).replace("%", "%%"))
    run = team.begin(told)
    assert run.results["train"] == "failure", run.explain()
    assert "exit code 6" in run["train"].log
    assert "behind ciml's back" in run["train"].log
    assert all("LD_PRELOAD" not in job.env for job in run.jobs)
    assert (run.results["ciml"], team.versions()) == ("failure", [])


def test_c034_debugging_shows_no_secret(team: Team) -> None:
    """RUNNER_DEBUG=1: no secret of a job stands in what its steps print, hand on or report, however spelt."""
    canary = 'c4n4ry/+ "s\\cret'
    team.hub.debug = True
    team.hub.environments["ciml"] |= {"MLFLOW_TRACKING_PASSWORD": canary, "MLFLOW_TRACKING_USERNAME": "somebody"}
    run = team.begin(SMALL)
    assert run.conclusion == "success", run.explain()
    assert run["ciml"]["Run"].environ["RUNNER_DEBUG"] == "1"
    forms = _forms(canary) | _forms(run["ciml"].token)
    printed = b"".join(
        line
        for job in run.jobs
        for step in job.steps
        for line in step.output.splitlines()
        if b"::add-mask::" not in line
    )
    told = json.dumps([request.body for request in team.hub.api.requests()]).encode()
    kept = b"".join(path.read_bytes() for folder in run.artifacts().values() for path in _files(folder))
    ledger = team.hub.bare.git("log", "-p", f"ciml/ledger/{team.model}").encode()
    for form in forms:
        for where, durable in (("log", printed), ("API", told), ("artifacts", kept), ("ledger", ledger)):
            assert form.encode() not in durable, f"{form} stands in the {where}"


def _forms(secret: str) -> set[str]:
    data = secret.encode()
    shifted = {base64.b64encode(b"x" * shift + data)[4:-4].decode() for shift in range(3)}
    return {secret, data.hex(), urllib.parse.quote(secret, safe=""), json.dumps(secret)[1:-1], *shifted}


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("reviewer", "says"),
    [("", "nobody has approved it"), ("ada", "ada began this run and approved it too")],
)
def test_c013_an_environment_without_a_reviewer(team: Team, reviewer: str, says: str) -> None:
    """Self-approved environment, reviewer missing: the deploy step exits 6, and the ledger is as it was.

    Once somebody else approves, the same run goes on where it was.
    """
    worked(team.begin(SMALL), "plan train score ciml")
    before = team.ledger()
    team.hub.reviewers = {"production": reviewer} if reviewer else {}
    run = team.of_ciml(team.hub.tag("v1.0.0"))
    assert (run.conclusion, run.results["deploy-production"]) == ("failure", "failure"), run.explain()
    assert "exit code 6" in run["deploy-production"].log
    assert says in run["deploy-production"].log
    assert (team.target.exists(), team.ledger()) == (False, before)
    assert [heard["title"].partition(" at ")[0] for heard in team.pager.heard] == [
        f"{team.model}/1 was not deployed to production"
    ]

    team.hub.reviewers = {"production": "grace"}
    assert team.hub.rerun(run).conclusion == "success", run.explain()
    [deployment] = entries(team.hub.bare, Deployment, team.model)
    assert (deployment.version, team.target.read_text()) == (1, "0.7\n")


def test_c013_a_run_that_deploys_again_is_approved_again(team: Team) -> None:
    """What somebody else approved once lets whoever runs it again deploy no second time."""
    worked(team.begin(SMALL), "plan train score ciml")
    team.target.symlink_to("nowhere/at/all")
    run = team.of_ciml(team.hub.tag("v1.0.0"))
    assert (run.conclusion, run.results["deploy-production"]) == ("failure", "failure"), run.explain()
    assert [entry.run for entry in entries(team.hub.bare, FailedDeployment, team.model)] == [str(run.id)]
    team.target.unlink()
    team.hub.reviewers = {"production": "ada"}
    assert team.hub.rerun(run).conclusion == "failure", run.explain()
    assert "grace approved what this run deployed before" in run["deploy-production"].log
    assert not team.target.exists()
    team.hub.reviewers = {"production": "grace"}
    assert team.hub.rerun(run).conclusion == "success", run.explain()
    assert team.target.read_text() == "0.7\n"


def test_c013_an_environment_that_nobody_opens(team: Team) -> None:
    """A deployment that an environment's rules keep out: nothing is deployed, and the run is red."""
    worked(team.begin(SMALL), "plan train score ciml")
    team.hub.policies["production"] = ["release/*"]
    run = team.of_ciml(team.hub.tag("v1.0.0"))
    assert (run.conclusion, run.results["deploy-production"]) == ("failure", "failure"), run.explain()
    assert not team.target.exists()
    assert entries(team.hub.bare, Deployment, team.model) == []
    assert team.versions() == [1]
