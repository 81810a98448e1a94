"""Stage directories: made, found again, removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec import structs

from ciml.adapters.isolation import StageDirectory
from ciml.adapters.stages import Stages
from ciml.core.errors import TrustError
from ciml.core.ids import RepoPath
from tests.adapters.executors.conftest import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A workshop of the test's own."""
    return Workshop(tmp_path)


def directory(workshop: Workshop, stages: Stages, order_key: str = "k", *, tmp: str = "") -> StageDirectory:
    order = workshop.order("", key=order_key, outputs=("out/x",), checkpoint="ck")
    return StageDirectory(stages, order, work_tree=str(workshop.work_tree), tmp=tmp or str(workshop.state))


def test_same_key_same_path(workshop: Workshop) -> None:
    """A stage finds itself at the same path each time, so a path that it writes down stays the same."""
    stages = Stages(str(workshop.state))
    first = directory(workshop, stages)
    first.fill(workshop.store)
    first.remove()
    second = directory(workshop, Stages(str(workshop.state)))
    second.fill(workshop.store)

    assert first.root == second.root and os.listdir(second.root) == ["out"]


def test_temporary_files_have_room_for_a_socket(tmp_path: Path) -> None:
    """TMPDIR is short enough for the sockets that multiprocessing makes there, wherever the state is; it is removed."""
    workshop = Workshop(tmp_path / ("long" * 30))
    stages = Stages(str(workshop.state))
    made = directory(workshop, stages, tmp="/tmp")
    made.fill(workshop.store)
    tmp = made.env()["TMPDIR"]
    assert len(tmp) <= 75 and os.path.isdir(tmp)
    Path(tmp, "file").touch()

    stages.sweep()

    assert not os.path.exists(tmp) and workshop.left_behind() == []


def test_sweep_leaves_the_living_alone(workshop: Workshop) -> None:
    """A directory whose lock is held stays; a dead one goes, its checkpoint is put aside."""
    stages = Stages(str(workshop.state))
    alive, dead = directory(workshop, stages, "alive"), directory(workshop, stages, "dead")
    lock = stages.lock(workshop.order("", key="alive").key)
    assert lock is not None
    alive.fill(workshop.store)
    dead.fill(workshop.store)
    Path(dead.root, "ck").write_text("epoch 3")

    assert Stages(str(workshop.state)).sweep() == 1

    assert os.path.isdir(alive.root) and not os.path.exists(dead.root)
    assert [path.read_text() for path in (workshop.state / "checkpoints").iterdir()] == ["epoch 3"]
    lock.release()


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x"])
def test_no_path_leaves_the_directory(workshop: Workshop, path: str) -> None:
    """An order that names a path outside, whoever wrote it, is refused before anything is written there."""
    given = structs.replace(workshop.given("in", "x"), inside=RepoPath(path))
    order = workshop.order("", inputs=(given,))
    made = StageDirectory(
        Stages(str(workshop.state)), order, work_tree=str(workshop.work_tree), tmp=str(workshop.state)
    )

    with pytest.raises(TrustError, match="leaves the stage's directory"):
        made.fill(workshop.store)


def test_folder_of_another_stage_is_as_new(workshop: Workshop) -> None:
    """A folder that is used again is empty and has its mode, whatever the stage before did to it."""
    stages = Stages(str(workshop.state))
    first = directory(workshop, stages, "a")
    first.fill(workshop.store)
    Path(first.root, "left").touch()
    Path(first.root, "out", "deep").mkdir()
    Path(first.root, "out", "deep", "left").touch()
    os.chmod(Path(first.root, "out"), 0o500)
    os.chmod(first.root, 0o700)
    os.chmod(first.env()["TMPDIR"], 0o500)
    first.remove()
    second = directory(workshop, stages, "b")
    second.fill(workshop.store)

    assert os.listdir(second.root) == ["out"] and os.listdir(second.env()["TMPDIR"]) == []
    assert os.listdir(Path(second.root, "out")) == []
    assert os.stat(second.root).st_mode & 0o777 == os.stat(Path(second.root, "out")).st_mode & 0o777 == 0o755
    assert os.stat(second.env()["TMPDIR"]).st_mode & 0o700 == 0o700
