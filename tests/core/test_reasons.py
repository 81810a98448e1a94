"""Why a stage runs, in words."""

from __future__ import annotations

from typing import Any

import msgspec

from ciml.core.ids import Digest, GitOid, RepoPath, StageName
from ciml.core.inputs import DataInput, Input, TrackedInput
from ciml.core.key import Runtime
from ciml.core.pipeline import Command, Environment, Pipeline, Place, Stage
from ciml.core.plan import Graph
from ciml.core.producers import Producers
from ciml.core.reasons import Before, Reasons

TRAIN = StageName("train")
STAGE = Stage(
    name=TRAIN, template=TRAIN, command=Command(script="python train.py"), params={"train.lr": 0.05, "train.depth": 3}
)
DATA = DataInput(
    inside=RepoPath("data"),
    path=RepoPath("data"),
    manifest=RepoPath("data.manifest.yaml"),
    digest=Digest("d" * 64),
    size=1,
    directory=True,
)


def tracked(path: str, *, mode: int = 0o100644, because: str | None = None) -> TrackedInput:
    return TrackedInput(
        inside=RepoPath(path),
        path=RepoPath(path),
        mode=mode,
        oid=GitOid("a" * 40),
        because=RepoPath(because) if because else None,
    )


def why(
    *inputs: Input,
    changed: tuple[str, ...] = (),
    params: dict[str, str] | None = None,
    before: dict[StageName, Stage] | None = None,
    unknown: str | None = None,
    requirements: str | None = None,
) -> str:
    environment = Environment(python="3.11", requirements=RepoPath(requirements)) if requirements else None
    graph = Graph(
        pipeline=Pipeline(stages={TRAIN: STAGE}, environment=environment),
        order=(TRAIN,),
        inputs={TRAIN: inputs},
        conditions={},
        waits={TRAIN: ()},
        recipes={TRAIN: Digest("0" * 64)},
        runtime=Runtime(python=None, requirements=None, platform="any"),
        producers=Producers([STAGE]),
    )
    known = Before(unknown=unknown, changed=frozenset(map(RepoPath, changed)), params=params or {}, stages=before)
    return Reasons(graph, known).why(TRAIN)


def test_nothing_that_changed_concerns_it() -> None:
    """A file that the stage does not read, and a parameter that it does not name, are no reasons."""
    assert why(tracked("train.py"), changed=("README.md", "train.pyc"), params={"other.x": "params.yaml: …"}) == ""


def test_an_unknown_base_is_the_only_reason() -> None:
    """Everything counts as changed, and the reason says why."""
    assert why(tracked("train.py"), changed=("train.py",), unknown="no run here yet") == "no run here yet"


def test_inputs_imports_and_data() -> None:
    """Each clause names the path; a module also who imports it, data what it is and not its manifest."""
    inputs = (tracked("train.py"), tracked("src/net.py", because="train.py"), DATA)
    assert why(*inputs, changed=("train.py", "src/net.py", "data.manifest.yaml")) == (
        "train.py changed; src/net.py changed, which train.py imports; data data changed"
    )


def test_a_folder_changed_when_something_in_it_did() -> None:
    """An input folder is named as a whole; a longer name beside it is another folder."""
    assert why(tracked("src", mode=0o40000), changed=("src/deep/x.py",)) == "src changed"
    assert why(tracked("src", mode=0o40000), changed=("src2/x.py",)) == ""


def test_parameters_with_both_values() -> None:
    """The parameters that it names, with file and values."""
    clause = "params.yaml: train.lr 0.1 -> 0.05"
    assert why(params={"train.lr": clause, "other": "x"}) == clause


def test_the_requirements_file() -> None:
    """Every stage runs in the environment, so every stage has that reason."""
    assert why(changed=("requirements.txt",), requirements="requirements.txt") == "requirements.txt changed"


def test_another_environment() -> None:
    """Another Python, or a requirements file where there was none: the reason of every stage."""
    known = Before(changed=frozenset({RepoPath("ciml.yaml")}), environment=True, stages={TRAIN: STAGE})
    graph = Graph(
        pipeline=Pipeline(stages={TRAIN: STAGE}),
        order=(TRAIN,),
        inputs={TRAIN: ()},
        conditions={},
        waits={TRAIN: ()},
        recipes={TRAIN: Digest("0" * 64)},
        runtime=Runtime(python=None, requirements=None, platform="any"),
        producers=Producers([STAGE]),
    )
    assert Reasons(graph, known).why(TRAIN) == "the environment changed"


def test_many_clauses_are_counted() -> None:
    """Three are shown, the others counted."""
    inputs = [tracked(f"{name}.py") for name in "abcde"]
    assert why(*inputs, changed=tuple(f"{name}.py" for name in "abcde")) == (
        "a.py changed; b.py changed; c.py changed; and 2 more"
    )


def declared_before(**changed: Any) -> str:
    return why(before={TRAIN: msgspec.structs.replace(STAGE, **changed)})


def test_the_declaration() -> None:
    """What changed in ciml.yaml is named by its key; what is no part of the recipe is not."""
    assert why(before={}) == "the stage is new"
    assert declared_before() == ""
    assert declared_before(description="words", timeout_s=3.0) == ""
    assert declared_before(command=Command(script="other")) == "its command changed"
    place = (Place(path=RepoPath("x"), inside=RepoPath("x")),)
    assert declared_before(inputs=place, outputs=place) == "its inputs changed; its outputs changed"
    assert declared_before(env={"A": "1"}, image="x", workdir=RepoPath("w")) == (
        "its env changed; its image changed; its workdir changed"
    )
    assert declared_before(when="x > 1") == "its condition changed"
    assert declared_before(any_platform=True) == "its platform changed"


def test_a_parameter_that_is_named_now_and_was_not() -> None:
    """Naming one more parameter is a change of the declaration; another value of one is told by its value."""
    assert declared_before(params={"train.lr": 0.05}) == "its params changed"
    assert declared_before(params={"train.lr": 0.1, "train.depth": 3}) == "train.lr 0.1 -> 0.05"
