"""The workflow that `ciml workflow` writes, executed as GitHub would: from an event to the model in the registry."""

from __future__ import annotations

from ciml.core.entries import Deployment, Registration
from tests.cli.ledgers import entries
from tests.harness.fixtures import language as language  # noqa: PLC0414 -- fixtures
from tests.harness.projects import installed as installed  # noqa: PLC0414
from tests.harness.projects import server as server  # noqa: PLC0414
from tests.harness.projects import team as team  # noqa: PLC0414
from tests.harness.team import Team, worked

MARKER = "<!-- ciml:report"


def test_from_a_push_to_a_deployment(team: Team) -> None:
    """Push, words, pull request, merge, release: one version for each better model, served by its tag."""
    _first_push(team)
    _words(team)
    _other_stage(team)
    _pull_request(team)
    _merge(team)
    _release(team)


def _first_push(team: Team) -> None:
    """Exactly one version, promoted; a ledger on the server; one check, one status; the runner heard no stage."""
    run = team.begin()
    worked(run, "plan train score words ciml")
    assert (team.versions(), team.champion(), team.alias()) == ([1], 1, 1)
    assert run["ciml"].outputs == {"deploy": "[]", "verdict": "accepted", "model-version": "1"}
    assert team.told(run.happening.sha) == (["success"], ["ciml success"])
    assert run.checks["ciml"] == "success"
    assert "accepted" in run["ciml"].summary
    assert {command.name for job in run.jobs for command in job.commands} <= {"add-mask"}, run.explain()
    assert "name=verdict" in run["train"].log
    pushers = {asked.token for asked in team.hub.git.pushes()}
    assert pushers == {run["ciml"].token}


def _words(team: Team) -> None:
    """Nothing to do: no stage has a job, the ledger stays as it is, and nothing of MLflow is installed."""
    ledger = team.ledger()
    run = team.of_ciml(team.commit({"README.md": "words\n"}))
    worked(run, "plan ciml")
    assert (team.versions(), team.ledger()) == ([1], ledger)
    assert {run[job]["Install more"].outcome for job in ("plan", "ciml")} == {"skipped"}


def _other_stage(team: Team) -> None:
    """What the model does not depend on has changed: that stage alone runs, and everybody is told once."""
    run = team.of_ciml(team.commit({"notes.txt": "three four\n"}))
    worked(run, "plan words ciml")
    assert team.told(run.happening.sha) == (["success"], ["ciml success"])
    assert team.versions() == [1]


def _pull_request(team: Team) -> None:
    """One comment, edited in place; nothing registered, no ledger written, no secret of the default branch."""
    ledger = team.ledger()
    team.hub.work.branch("better")
    team.hub.work.commit({"src.txt": team.better()}, "better")
    worked(team.of_ciml(team.hub.pull_request("better")), "plan train score rescore ciml")
    [first] = team.hub.api.comments(1)
    team.hub.work.commit({"src.txt": team.better()}, "better still")
    run = team.of_ciml(team.hub.pull_request("better"))
    worked(run, "plan train score rescore ciml")
    [comment] = team.hub.api.comments(1)
    assert comment["id"] == first["id"]
    assert comment["user"]["login"] == "github-actions[bot]"
    assert comment["body"].startswith(MARKER)
    assert "0.702" in comment["body"]
    assert "0.701" not in comment["body"]
    assert team.told(run.happening.head_sha) == (["success"], ["ciml success"])
    assert (team.versions(), team.ledger()) == ([1], ledger)
    assert run["ciml"].environment == "ciml-untrusted"


def _merge(team: Team) -> None:
    """The champion is scored again, by a job without any secret, and there is one version more."""
    run = team.of_ciml(team.hub.merge(1))
    worked(run, "plan train score rescore ciml")
    assert (team.versions(), team.champion(), team.alias()) == ([1, 2], 2, 2)
    for name in ("train", "score", "rescore"):
        assert run[name].permissions == {"metadata": "read", "contents": "read"}
        variables = {key for step in run[name].steps for key, value in step.environ.items() if value}
        assert not {"MLFLOW_TRACKING_URI", "CIML_ALERT_URLS", "CIML_SIGNING_KEY"} & variables


def _release(team: Team) -> None:
    """What the tag names is served, by a job with that target's secrets alone; again, and it is deployed already."""
    worked(team.of_ciml(team.commit({"README.md": "words of the release\n"})), "plan ciml")
    run = team.of_ciml(team.hub.tag("v1.0.0", message="the first release"))
    worked(run, "plan ciml deploy-production record")
    assert team.target.read_text() == "0.702\n"
    [deployed] = entries(team.hub.bare, Deployment, team.model)
    assert (deployed.version, deployed.environment) == (2, "production")
    [deployment] = team.hub.api.deployments()
    assert deployment["environment"] == "production"
    assert team.hub.api.deployment_statuses(deployment["id"])[-1]["state"] == "success"
    assert run["deploy-production"].permissions == {"metadata": "read", "contents": "read", "actions": "read"}
    assert run["deploy-production"].place.secrets == {"TARGET_KEY": "the key of production"}
    assert team.versions() == [1, 2]

    again = team.of_ciml(team.hub.tag("v1.0.1"))
    assert again.conclusion == "success", again.explain()
    assert len(entries(team.hub.bare, Deployment, team.model)) == 1


def test_a_fork_and_a_rejection(team: Team) -> None:
    """A fork computes without a secret and writes nothing; a worse model is red, alerted, and changes nothing."""
    team.begin()
    ledger, before = team.ledger(), len(team.hub.git.pushes())
    team.hub.work.branch("theirs")
    team.hub.work.commit({"src.txt": team.better(), "notes.txt": "three\n"}, "theirs")
    runs = team.hub.pull_request("theirs", fork="mallory/churn")
    forked, reported = runs
    assert forked.conclusion == "success", forked.explain()
    assert {forked.results[name] for name in ("plan", "train", "score", "words", "ciml")} == {"success"}
    tokens = {job.token for job in forked.jobs}
    written = [asked for asked in team.hub.api.log if asked.token in tokens and asked.method != "GET"]
    assert written == []
    assert all(not job.place.secrets for job in forked.jobs)
    assert all("write" not in job.permissions.values() for job in forked.jobs)
    assert len(team.hub.git.pushes()) == before
    worked(reported, "report")
    [comment] = team.hub.api.comments(1)
    assert comment["body"].startswith(MARKER)
    assert "gate could not be evaluated" in comment["body"]
    # A status that a rule of the branch may require is not a fork's to set.
    assert team.told(forked.happening.head_sha) == (["success"], [])
    assert (team.versions(), team.ledger()) == ([1], ledger)

    team.hub.work.switch("main")
    rejected = team.of_ciml(team.commit({"src.txt": "0.6\n"}))
    assert (rejected.conclusion, rejected.results["ciml"]) == ("failure", "failure"), rejected.explain()
    assert rejected.results["score"] == "success"
    assert team.told(rejected.happening.sha) == (["failure"], ["ciml failure"])
    assert (team.versions(), team.champion()) == ([1], 1)
    assert len(team.pager.heard) == 1
    assert "rejected" in str(team.pager.heard[0])


def test_c036_failed_jobs_are_run_again(team: Team) -> None:
    """Re-run of failed jobs at the same commit: what was made is taken, what was registered is recognised."""
    team.hub.environment_variables["ciml"] = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    run = team.begin()
    assert (run.results["score"], run.results["ciml"]) == ("success", "failure"), run.explain()
    assert team.ledger() == ""
    trained = run["train"].token
    team.hub.environment_variables["ciml"] = {"MLFLOW_TRACKING_URI": team.server}
    assert team.hub.rerun(run).conclusion == "success", run.explain()
    assert (run.attempt, run["train"].token) == (2, trained)
    assert (team.versions(), team.champion()) == ([1], 1)
    assert team.hub.rerun(run, "ciml").conclusion == "success", run.explain()
    assert (team.versions(), len(entries(team.hub.bare, Registration, team.model))) == ([1], 1)


def test_c036_what_a_cancelled_job_left_of_the_registry_is_mended_by_the_next_attempt(team: Team) -> None:
    """Cut short after the ledger was written: run again, the registry's alias is where the ledger has it."""
    run = team.begin()
    worked(run, "plan train score words ciml")
    team.lose_aliases(team.model)
    assert team.hub.rerun(run, "ciml").conclusion == "success", run.explain()
    assert (team.alias(), len(entries(team.hub.bare, Registration, team.model))) == (1, 1)
