"""A stage's keys, taken apart and compared."""

from __future__ import annotations

from typing import Any

import msgspec

from ciml.core.explanation import Part, compared, parts
from ciml.core.ids import Digest, GitOid, RepoPath, StageName
from ciml.core.inputs import DataInput, ProducedInput, TrackedInput
from ciml.core.key import Runtime
from ciml.core.pipeline import Command, PickRule, Place, Stage

TRAIN = StageName("train")
STAGE = Stage(
    name=TRAIN,
    template=TRAIN,
    command=Command(script="python train.py\n"),
    outputs=(Place(path=RepoPath("model@1"), inside=RepoPath("model")),),
    env={"SEED": "1"},
)
HERE = Runtime(python="3.11", requirements="c" * 40, platform="linux-x86_64 python-3.11")


def tracked(path: str, because: str | None = None) -> TrackedInput:
    return TrackedInput(
        inside=RepoPath(path),
        path=RepoPath(path),
        mode=0o100644,
        oid=GitOid("a" * 40),
        because=RepoPath(because) if because else None,
    )


INPUTS = (
    tracked("net.py", "train.py"),
    tracked("train.py"),
    ProducedInput(inside=RepoPath("table"), stage=StageName("prepare"), output=RepoPath("table")),
    DataInput(
        inside=RepoPath("data"),
        path=RepoPath("data"),
        manifest=RepoPath("data.dvc"),
        digest=Digest("d" * 64),
        size=1,
        directory=False,
    ),
)


def of(**changed: Any) -> list[tuple[str, str, str]]:
    stage = msgspec.structs.replace(STAGE, **changed)
    return [(part.kind, part.name, part.value) for part in parts(stage, INPUTS, {"lr": 0.1}, HERE)]


def test_every_part_of_a_key() -> None:
    """Command, parameters, inputs and then the modules they import, outputs as the stage sees them, environment."""
    assert of() == [
        ("command", "", "python train.py"),
        ("param", "lr", "0.1"),
        ("input", "data", "data dddddddddddd"),
        ("input", "table", "made by prepare"),
        ("input", "train.py", "git 100644 aaaaaaaaaaaa"),
        ("import", "net.py", "git 100644 aaaaaaaaaaaa, imported by train.py"),
        ("output", "model", ""),
        ("env", "SEED", "1"),
        ("python", "", "3.11"),
        ("requirements", "", "c" * 40),
        ("platform", "", "linux-x86_64 python-3.11"),
    ]


def test_parts_that_only_some_stages_have() -> None:
    """Image, folder, condition, pick and `platform: any` are there where they are declared."""
    rule = PickRule(metric="auc", goal="max", candidates=((TRAIN, TRAIN),))
    found = {
        (kind, value)
        for kind, _, value in of(image="x:1", workdir=RepoPath("w"), when="a > 1", pick=rule, any_platform=True)
    }
    assert found >= {
        ("image", "x:1"),
        ("workdir", "w"),
        ("when", "a > 1"),
        ("pick", "max auc of 1 instances"),
        ("platform", "any"),
    }


def test_a_command_without_a_shell_is_a_list() -> None:
    """What is one argument is seen to be one."""
    assert of(command=Command(argv=("cp", "a b", "c")))[0][2] == '["cp","a b","c"]'


def part(name: str, value: str) -> Part:
    return Part(kind="input", name=name, value=value)


def test_what_differs_has_its_value_of_before() -> None:
    """Equal parts are left as they are; others carry the old value; new ones and lost ones say so."""
    found = compared(
        [part("same", "1"), part("other", "2"), part("new", "3")],
        [part("same", "1"), part("other", "1"), part("gone", "4")],
    )
    assert [(item.name, item.value, item.before, item.differs) for item in found] == [
        ("same", "1", None, False),
        ("other", "2", "1", True),
        ("new", "3", "not there", True),
        ("gone", "not there", "4", True),
    ]
