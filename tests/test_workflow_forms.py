"""The workflows that ciml ships, executed: the one that is called, those of templates/workflows, and the install."""

from __future__ import annotations

from pathlib import Path

from ciml.core.entries import Deployment
from tests.cli.ledgers import entries
from tests.harness.fixtures import NewHub, pushed
from tests.harness.fixtures import language as language  # noqa: PLC0414 -- fixtures
from tests.harness.fixtures import new_hub as new_hub  # noqa: PLC0414
from tests.harness.installed import checkout
from tests.harness.projects import installed as installed  # noqa: PLC0414
from tests.harness.projects import server as server  # noqa: PLC0414
from tests.harness.projects import team as team  # noqa: PLC0414
from tests.harness.team import ACTION, Team, worked

TEMPLATES = Path(__file__).parents[1] / "templates/workflows"


def template(name: str) -> str:
    """A ready workflow with the team's Action in it."""
    return (TEMPLATES / name).read_text().replace(f"acme/ciml@{'0123456789abcdef' * 2}01234567", ACTION)


def test_the_workflow_that_is_called(team: Team) -> None:
    """fork-safe.yml, which calls pipeline.yml: push, pull request, merge and release as with a job for each stage."""
    run = team.begin(workflows={"ciml.yml": template("fork-safe.yml"), "fork-report.yml": template("fork-report.yml")})
    worked(run, "ciml")
    ended = {job.name: job.result for job in run.jobs}
    assert ended == dict.fromkeys(("ciml / plan", "ciml / stages", "ciml / ciml"), "success")
    assert (team.versions(), team.champion()) == ([1], 1)
    assert run["ciml / stages"].permissions == {"metadata": "read", "contents": "read"}

    team.hub.work.branch("better")
    team.hub.work.commit({"src.txt": team.better()})
    worked(team.of_ciml(team.hub.pull_request("better")), "ciml")
    assert len(team.hub.api.comments(1)) == 1
    worked(team.of_ciml(team.hub.merge(1)), "ciml")
    assert (team.versions(), team.champion()) == ([1, 2], 2)
    worked(team.of_ciml(team.hub.tag("v1.0.0")), "ciml")
    assert team.target.read_text() == "0.701\n"
    assert len(entries(team.hub.bare, Deployment, team.model)) == 1


def test_a_fork_in_the_workflow_that_is_called(team: Team) -> None:
    """A fork computes and writes nothing, and is reported; words on top of a rejection are green."""
    team.begin(workflows={"ciml.yml": template("fork-safe.yml"), "fork-report.yml": template("fork-report.yml")})
    team.hub.work.branch("theirs")
    team.hub.work.commit({"src.txt": team.better()})
    before = len(team.hub.git.pushes())
    forked, reported = team.hub.pull_request("theirs", fork="mallory/churn")
    assert forked.conclusion == "success", forked.explain()
    worked(reported, "report")
    assert len(team.hub.api.comments(1)) == 1
    assert (team.versions(), len(team.hub.git.pushes())) == ([1], before)

    team.hub.work.switch("main")
    assert team.of_ciml(team.commit({"src.txt": "0.6\n", "notes.txt": "three\n"})).conclusion == "failure"
    words = team.of_ciml(team.commit({"README.md": "words\n"}))
    assert words.conclusion == "success", words.explain()


def test_everything_in_one_job(team: Team) -> None:
    """one-job.yml: a version for a push, told once; nothing of the stages' output is heard."""
    run = team.begin(workflows={"ciml.yml": template("one-job.yml")})
    worked(run, "ciml")
    assert (team.versions(), team.champion()) == ([1], 1)
    assert team.told(run.happening.sha) == (["success"], ["ciml success"])
    assert {command.name for command in run["ciml"].commands} <= {"add-mask"}


def test_a_release_in_one_job(team: Team) -> None:
    """release.yml: what the tag names is deployed and recorded, nothing is trained."""
    team.hub.environment_variables["production"] = team.hub.environment_variables["ciml"]
    workflows = {"ciml.yml": template("one-job.yml").replace('    tags: ["v*"]\n', "")}
    worked(team.begin(workflows={**workflows, "release.yml": template("release.yml")}), "ciml")
    [run] = team.hub.tag("v1.0.0")
    assert run.conclusion == "success", run.explain()
    assert team.target.read_text() == "0.7\n"
    assert len(entries(team.hub.bare, Deployment, team.model)) == 1


def test_a_release_in_one_job_that_nobody_approved(team: Team) -> None:
    """Exit 6, the summary says why, and GitHub's deployment is not left in progress."""
    team.hub.environment_variables["production"] = team.hub.environment_variables["ciml"]
    team.hub.reviewers = {}
    workflows = {"ciml.yml": template("one-job.yml").replace('    tags: ["v*"]\n', "")}
    worked(team.begin(workflows={**workflows, "release.yml": template("release.yml")}), "ciml")
    [run] = team.hub.tag("v1.0.0")
    assert run.conclusion == "failure", run.explain()
    assert "exit code 6" in run["release"].log
    assert "nobody has approved it" in run["release"].summary
    [deployment] = team.hub.api.deployments()
    assert team.hub.api.deployment_statuses(deployment["id"])[-1]["state"] == "failure"
    assert (team.target.exists(), entries(team.hub.bare, Deployment, team.model)) == (False, [])


def test_the_action_installs_itself(new_hub: NewHub, tmp_path: Path) -> None:
    """On a machine that has nothing: by hash, from its own checkout; only jobs that run stages ask the cache."""
    hub = new_hub(action=checkout(tmp_path / "action"))
    workflow = f"""\
permissions: {{contents: read}}
jobs:
  a:
    runs-on: x
    steps:
      - {{uses: actions/checkout@v6}}
      - {{uses: {ACTION}, with: {{command: plan}}}}
  b:
    runs-on: x
    needs: a
    steps:
      - {{uses: actions/checkout@v6}}
      - {{uses: {ACTION}, with: {{command: stage}}}}
"""
    ciml_yaml = "version: 1\nstages:\n  a: {run: touch x, outputs: [x]}\n"
    first = pushed(hub, workflow, {"ciml.yaml": ciml_yaml})
    assert first.conclusion == "success", first.explain()
    assert (len(hub.caches.misses), len(hub.caches.saved)) == (1, 1)
    hub.work.commit({"x.txt": "1"})
    [second] = hub.push()
    assert second.conclusion == "success", second.explain()
    assert (len(hub.caches.hits), len(hub.caches.saved)) == (1, 1)
