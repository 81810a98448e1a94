"""`ciml trigger`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from ciml.cli.main import main
from tests.awsserver import Aws, aws_server
from tests.cli.calls import Calls
from tests.core.concurrency import Concurrency
from tests.harness.language import Language
from tests.repobuilder import RepoBuilder

ACTION = "acme/ciml@0123456789abcdef0123456789abcdef01234567"
TOKEN = "github_pat_0123456789abcdef"
CIML_YAML = """\
version: 1
environment: {python: "3.11", requirements: requirements.txt}
stages:
  train: {run: cp data.csv model, inputs: [data.csv], outputs: [model]}
triggers: {data: [s3://acme-churn/raw/], schedule: "0 3 * * 1"}
store: s3://acme-ml/ciml
"""
FILES = {"ciml.yaml": CIML_YAML, "data.csv": "1\n", "requirements.txt": ""}


@pytest.fixture
def project(ciml: Calls, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Calls in a repository of acme/churn."""
    ciml.repo.commit(FILES)
    ciml.repo.git("remote", "add", "origin", "https://github.com/acme/churn.git")
    monkeypatch.setenv("CIML_STORE", "local")
    return ciml


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with aws_server() as running:
        running.forget()
        running.client("s3").create_bucket(Bucket="acme-churn")
        for name, value in running.environ.items():
            monkeypatch.setenv(name, value)
        yield running


def test_from_nothing_to_a_trigger_and_back(project: Calls, service: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install, again, status, remove, again: each says what it did and what there was not to do; no token in any."""
    monkeypatch.setenv("CIML_TRIGGER_TOKEN", TOKEN)
    answers = [project.ok("trigger", *words.split()) for words in ("install", "install", "status", "remove", "remove")]

    assert "made" in answers[0].out and "s3://acme-churn/raw/ starts the workflow of acme/churn" in answers[0].out
    assert "Nothing to do: all is as it should be." in answers[1].out and "made" not in answers[1].out
    assert "missing" not in answers[2].out and "hint" not in answers[2].out
    assert "S3 goes on telling EventBridge of acme-churn" in answers[3].out
    assert "there is no trigger of acme/churn in us-east-1" in answers[4].out
    assert not [answer for answer in answers if TOKEN in answer.out + answer.err]


def test_removed_after_it_was_taken_out(project: Calls, service: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ciml.yaml has no `triggers` any more, `remove` still removes all, and the other two say so."""
    monkeypatch.setenv("CIML_TRIGGER_TOKEN", TOKEN)
    project.ok("trigger", "install")
    project.repo.commit({"ciml.yaml": "".join(line for line in CIML_YAML.splitlines(True) if "triggers" not in line)})

    for word in ("install", "status"):
        answer = project("trigger", word)
        assert (answer.code, "`ciml trigger remove` removes what is installed" in answer.err) == (3, True)
    assert "removed" in project.ok("trigger", "remove").out
    assert service.client("events").list_rules()["Rules"] == []


def test_schedules_stay_where_they_were_put(project: Calls, service: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once EventBridge keeps them, status and install know it without being told; `workflow` gives them back."""
    monkeypatch.setenv("CIML_TRIGGER_TOKEN", TOKEN)
    project.ok("trigger", "install", "--schedule", "eventbridge")
    assert "Nothing to do" in project.ok("trigger", "install").out
    states = {item["kind"]: item["state"] for item in project.json("trigger", "status")["resources"]}
    assert states["AWS::Scheduler::Schedule"] == "ok" and set(states.values()) == {"ok"}

    did = [item["did"] for item in project.json("trigger", "install", "--schedule", "workflow")["resources"]]
    assert did.count("removed") == 4
    assert "AWS::Scheduler::Schedule" not in str(project.json("trigger", "status"))


def test_print_needs_no_account(project: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """The template comes from ciml.yaml alone; schedules are in it where EventBridge is to keep them."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    text = project.ok("trigger", "install", "--print").out
    more = project.json("trigger", "install", "--print", "--schedule", "eventbridge")["template"]

    assert "AWS::Events::ApiDestination" in text and "AWS::Scheduler::Schedule" not in text
    assert "AWS::Scheduler::Schedule" in more


@pytest.mark.parametrize(
    ("change", "words", "code", "told"),
    [
        ({"ciml.yaml": CIML_YAML.replace("data: [s3://acme-churn/raw/], ", "")}, ["status"], 3, "triggers: {data:"),
        ({"ciml.yaml": CIML_YAML.replace("acme-ml/ciml", "acme-churn/raw/ciml")}, ["install"], 3, "start the next"),
        ({}, ["install", "--repository", "churn"], 3, "OWNER/NAME"),
        ({}, ["install"], 3, "CIML_TRIGGER_TOKEN"),
        ({}, ["install", "--schedule", "cron"], 2, "eventbridge"),
    ],
)
def test_what_is_refused(
    project: Calls, service: Aws, change: dict[str, str], words: list[str], code: int, told: str
) -> None:
    """With what to do about it, and before anything is made."""
    project.repo.commit({**change, "other": "1"})
    answer = project("trigger", *words)

    assert (answer.code, told in answer.err) == (code, True), answer
    assert service.client("events").list_rules()["Rules"] == []


def test_no_remote(ciml: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody says which repository this is, the option is named."""
    monkeypatch.setenv("CIML_STORE", "local")
    ciml.repo.commit(FILES)
    answer = ciml("trigger", "install", "--print")
    assert answer.code == 3 and "--repository" in answer.err
    assert "acme/other" in ciml.ok("trigger", "install", "--print", "--repository", "acme/other").out


def test_no_credentials(project: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any, exit 6 and how to give them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("HOME", str(tmp_path))
    answer = project("trigger", "status")
    assert answer.code == 6 and "AWS_PROFILE" in answer.err


# Bursts, under the concurrency group of the workflow that `ciml workflow` writes.


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Concurrency:
    """What the written workflow's group makes of dispatches."""
    monkeypatch.setenv("CIML_STORE", "local")
    repo = RepoBuilder(tmp_path / "repo")
    repo.commit(FILES)
    assert main(["-C", str(repo.path), "-q", "workflow", "--action", ACTION]) == 0
    with Language() as language:
        written = language.workflow("ciml.yml", (repo.path / ".github/workflows/ciml.yml").read_text())["root"]
        assert written["on"]["repository_dispatch"] == {"types": ["ciml-data"]}
        return Concurrency(written["concurrency"], language)


def test_a_burst_is_two_runs_at_the_most(group: Concurrency) -> None:
    """A thousand objects in a minute: one run goes on, one waits, and the last begins after the last object."""
    runs = group.runs([number * 0.06 for number in range(1000)], seconds=600)

    assert [run.began for run in runs] == [0, 600]
    assert runs[-1].began >= 999 * 0.06


@pytest.mark.parametrize("seconds", [1, 20, 60, 300, 1200])
def test_a_slow_burst_is_as_many_runs_as_fit(group: Concurrency, seconds: float) -> None:
    """A thousand dispatches, one a second: runs follow each other, never two at once, and the last sees all."""
    arrivals = [float(number) for number in range(1000)]
    runs = group.runs(arrivals, seconds=seconds)

    assert all(after.began >= before.began + seconds for before, after in pairwise(runs))
    assert len(runs) <= 1000 / seconds + 2
    assert runs[-1].began >= arrivals[-1]
