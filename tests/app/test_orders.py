"""Work orders: all that a worker needs, and the store holds what they name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec
import pytest

from ciml.app.orders import Orders
from ciml.app.plan import prepare
from ciml.app.project import Project
from ciml.core.ids import Digest, RepoPath, StageName
from ciml.core.order import WorkOrder
from ciml.core.pipeline import Resources, Retry
from ciml.core.plan import Known, State
from ciml.core.results import Output, Record
from tests.repobuilder import LINK, RepoBuilder
from tests.workspace import Workspace

CIML = """\
version: 1
params-files: [params.yaml, more.json]
stages:
  prepare: {run: make, outputs: [tree, table.csv]}
  train:
    run: train --lr ${{ params.train.lr }}
    inputs: [src/train.py, script.sh, current, d, table.csv, tree/part]
    params: [train.depth, net]
    outputs: [build/model]
    metrics: [build/m.json]
    env: {SEED: "1"}
    pass-env: [TOKEN]
    secrets: [PASSWORD]
    workdir: src
    timeout: 1m
    retry: {attempts: 2, when: [137]}
    resources: {cpus: 2, memory: 1GiB}
    checkpoint: build/checkpoint
"""
FILES: dict[str, str | bytes | None] = {
    "ciml.yaml": CIML,
    "params.yaml": "train: {lr: 0.1, depth: 3}\nother: 1\n",
    "more.json": '{"net": {"z": 1, "a": [{"q": 1, "b": 2}]}}',
    "src/train.py": "import tools\n",
    "src/tools.py": "x = 1\n",
    "script.sh": "echo\n",
    "v1": "one",
    "current": "v1",
    "d/deep/1": "1",
    "d/2": "2",
}
TRAIN, PREPARE = StageName("train"), StageName("prepare")


@pytest.fixture
def space(repo: RepoBuilder) -> Workspace:
    repo.commit(FILES, modes={"current": LINK, "script.sh": 0o755})
    return Workspace(repo)


@contextmanager
def orders(space: Workspace) -> Iterator[tuple[Project, Orders, Mapping[StageName, State]]]:
    """The project, its orders, and what `prepare` is known to have made."""
    with space.project() as (place, project):
        (space.path / "made/part").mkdir(parents=True, exist_ok=True)
        (space.path / "made/part/x").write_text("part")
        tree = place.store.put_path(str(space.path / "made"), name=RepoPath("tree"))
        table = Output(path=RepoPath("table.csv"), digest=place.store.put_bytes(b"1,2"), size=3)
        record = Record(key=Digest("k"), recipe=Digest("r"), stage=PREPARE, outputs=(tree, table), platform="any")
        prepared = prepare(project)
        made = Orders(project, prepared.graph, prepared.evidence)
        yield project, made, {PREPARE: Known(key=Digest("k"), record=record)}


def order(space: Workspace) -> WorkOrder:
    with orders(space) as (_, made, states):
        return made.order(TRAIN, Digest("a" * 64), states)


def test_everything_that_is_read_is_there(space: Workspace) -> None:
    """Code, modules, links and their targets, folders file by file, outputs of other stages and parts of them."""
    with orders(space) as (project, made, states):
        found = {item.inside: item for item in made.order(TRAIN, Digest("a" * 64), states).inputs}
        assert sorted(found) == [
            "current",
            "d/2",
            "d/deep/1",
            "script.sh",
            "src/tools.py",
            "src/train.py",
            "table.csv",
            "tree/part",
            "v1",
        ]
        for item in found.values():
            assert project.store.holds(item.digest)
        assert project.store.read(found[RepoPath("src/tools.py")].digest) == b"x = 1\n"
    assert found[RepoPath("current")].link == "v1"
    assert found[RepoPath("script.sh")].executable
    assert not found[RepoPath("src/train.py")].executable
    assert found[RepoPath("tree/part")].directory
    copied = {path for path, item in found.items() if item.copy}
    assert copied == found.keys() - {"table.csv", "tree/part"}


def test_it_says_all_that_the_stage_declares(space: Workspace) -> None:
    """Command, environment, limits: nothing has to be looked up in ciml.yaml."""
    found = order(space)
    assert (found.stage, found.workdir, found.timeout_s, found.checkpoint) == ("train", "src", 60.0, "build/checkpoint")
    assert found.script is not None
    assert "${{" not in found.script
    assert "0.1" in found.env.values()
    assert found.env["SEED"] == "1"
    assert (found.pass_env, found.secrets) == (("TOKEN",), ("PASSWORD",))
    assert found.retry == Retry(attempts=2, when=(137,))
    assert found.resources == Resources(cpus=2.0, memory=1 << 30)
    assert [place.path for place in found.outputs] == ["build/model", "build/m.json"]
    assert found.metrics == ("build/m.json",)
    assert (found.cache, found.fresh, found.isolated) == (True, False, True)


def test_parameters_are_nested_sorted_and_those_that_were_named(space: Workspace) -> None:
    """The same bytes for the same key, however the files are arranged."""
    found = order(space)
    assert json.dumps(found.params) == ('{"net": {"a": [{"b": 2, "q": 1}], "z": 1}, "train": {"depth": 3, "lr": 0.1}}')
    assert json.loads(found.params_files[RepoPath("more.json")]) == {"net": {"a": [{"b": 2, "q": 1}], "z": 1}}
    assert "other" not in found.params_files[RepoPath("params.yaml")]
    space.repo.write({"params.yaml": "# words\nother: 1\ntrain: {depth: 3, lr: 0.1}\n"})
    assert order(space).params_files == found.params_files


def test_an_order_is_json_and_comes_back(space: Workspace) -> None:
    """What `ciml exec` reads is what was made."""
    found = order(space)
    assert msgspec.json.decode(msgspec.json.encode(found), type=WorkOrder) == found


def test_what_was_stored_is_not_stored_again(space: Workspace) -> None:
    """A tracked file is read once in its life; what a collection took is put back."""
    with orders(space) as (project, made, states):
        first = made.order(TRAIN, Digest("a" * 64), states)
        [code] = [item for item in first.inputs if item.inside == "src/train.py"]
        (space.path / "src/train.py").unlink()
        assert made.order(TRAIN, Digest("a" * 64), states) == first
        (space.path / "src/train.py").write_text("import tools\n")
        kept = space.path / f".git/ciml/store/objects/{code.digest[:2]}/{code.digest[2:]}"
        kept.unlink()
        assert made.order(TRAIN, Digest("a" * 64), states) == first
        assert project.store.read(code.digest) == b"import tools\n"


def test_a_large_file_is_stored_without_being_read_into_memory(space: Workspace) -> None:
    """It is located and hashed on the disk; the order names the same bytes."""
    data = bytes(range(256)) * (40 << 10)
    space.repo.commit({"d/2": data})
    with orders(space) as (project, made, states):
        [large] = [item for item in made.order(TRAIN, Digest("a" * 64), states).inputs if item.inside == "d/2"]
        assert large.size == len(data)
        assert project.store.read(large.digest) == data


def test_what_runs_every_time_is_not_answered_from_the_store(space: Workspace) -> None:
    """`cache: false`, `finally` and `isolation: none` are orders that no record answers."""
    for setting in ("cache: false", "finally: true", "isolation: none"):
        space.repo.write({"ciml.yaml": CIML.replace("workdir: src", f"workdir: src\n    {setting}")})
        assert not order(space).cache


def test_the_environment_comes_with_the_order(space: Workspace) -> None:
    """The requirements file's bytes are in the store."""
    text = CIML + 'environment: {python: "3.11", requirements: requirements.txt}\n'
    space.repo.write({"ciml.yaml": text, "requirements.txt": "a==1\n"})
    with orders(space) as (project, made, states):
        found = made.order(TRAIN, Digest("a" * 64), states)
        assert found.environment is not None
        assert found.environment.requirements is not None
        assert project.store.read(found.environment.requirements) == b"a==1\n"
    assert found.platform.endswith(" python-3.11")
