"""What one job leaves for the next, and what the next one does not believe."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import zipfile
from pathlib import Path

import pytest

from ciml.adapters.handover import Handover, file_name
from ciml.adapters.stores.local import LocalStore
from ciml.core.errors import ConfigurationError, IntegrityError, ServiceError, TrustError
from ciml.core.handover import PLANNED, RESCORED, SETTLED, StageOutcome
from ciml.core.ids import Digest, RepoPath, StageName
from ciml.core.results import Failed, Output, Ran, Record


def store(folder: Path) -> LocalStore:
    return LocalStore(str(folder))


def outcome(name: str, *outputs: Output) -> StageOutcome:
    key = Digest(hashlib.sha256(name.encode()).hexdigest())
    record = Record(key=key, recipe=key, stage=StageName(name), outputs=outputs, platform="any")
    return StageOutcome(stage=StageName(name), key=key, result=Ran(record=record))


def test_bytes_and_results_reach_another_store(tmp_path: Path) -> None:
    """A directory and a file arrive byte for byte, with the outcome that names them."""
    made = tmp_path / "made"
    (made / "deep").mkdir(parents=True)
    (made / "model.bin").write_bytes(b"weights")
    (made / "deep" / "empty").mkdir()
    (made / "deep" / "script.sh").write_text("echo")
    (made / "deep" / "script.sh").chmod(0o755)
    here, there = store(tmp_path / "here"), store(tmp_path / "there")
    model = here.put_path(str(made), name=RepoPath("build/model"))
    handed = Handover(str(tmp_path / "artifact"))
    handed.write("results", "train", outcome("train", model))
    handed.export([model], here)

    taken = Handover(str(tmp_path / "artifact"))
    assert taken.take_in(there) == 3
    (found,) = taken.each("results", StageOutcome)
    assert found == ("", outcome("train", model))
    there.materialise(model, str(tmp_path / "back"))
    assert (tmp_path / "back/deep/script.sh").stat().st_mode & 0o111
    assert (tmp_path / "back/deep/empty").is_dir()
    assert (tmp_path / "back/model.bin").read_bytes() == b"weights"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """What the system refuses is exit 5 and names the file."""
    (tmp_path / "file").touch()
    handed = Handover(str(tmp_path / "file"))
    with pytest.raises(ServiceError, match=r"cannot write .*/file/results/train\.json"):
        handed.write("results", "train", outcome("train"))
    with pytest.raises(ServiceError, match=r"cannot write .*/file/objects"):
        handed.export([], store(tmp_path / "here"))


def test_a_failure_is_handed_on_too(tmp_path: Path) -> None:
    """Why a stage failed is known to the job that reports."""
    handed = Handover(str(tmp_path))
    failed = StageOutcome(stage=StageName("train"), result=Failed(reason="exit code 3", exit_code=3, tail="boom"))
    handed.write("results", "train", failed)
    assert list(handed.each("results", StageOutcome)) == [("", failed)]
    assert list(handed.each("rescored", StageOutcome)) == []


def test_artifacts_that_are_kept_apart(tmp_path: Path) -> None:
    """It is known which of them says what, each kind is read from its own, and all of them bring bytes."""
    here, there = store(tmp_path / "here"), store(tmp_path / "there")
    for artifact, key in (("ciml-stage-train--0", "poison"), ("ciml-rescore", "key")):
        handed = Handover(str(tmp_path / "in" / artifact))
        handed.write("rescored", key, outcome(artifact))
        handed.export([here.put_path(str(handed.write("", "plan", outcome(artifact))), name=RepoPath("x"))], here)
    taken = Handover(str(tmp_path / "in"))
    assert [told.stage for told in taken.all("rescored", StageOutcome, of=RESCORED)] == ["ciml-rescore"]
    assert [artifact for artifact, _ in taken.each("rescored", StageOutcome)] == ["ciml-rescore", "ciml-stage-train--0"]
    assert taken.read("plan", StageOutcome, of=PLANNED) is None
    assert taken.read("plan", StageOutcome, of=RESCORED) == outcome("ciml-rescore")
    assert taken.take_in(there) == 2
    (tmp_path / "in/ciml-settled").symlink_to(tmp_path / "in/ciml-rescore")
    with pytest.raises(TrustError, match="and no artifact"):
        taken.read("report", StageOutcome, of=SETTLED)


def test_an_object_under_a_wrong_name_is_refused(tmp_path: Path) -> None:
    """Bytes are known by their digest, whatever the job that ran somebody's code wrote."""
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / ("0" * 64)).write_bytes(b"poison")
    with pytest.raises(IntegrityError, match="under a wrong name"):
        Handover(str(tmp_path)).take_in(store(tmp_path / "store"))


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "pipe", "socket", "name", "archive"])
def test_c128_nothing_but_regular_files_is_read(tmp_path: Path, kind: str) -> None:
    """128. Links, pipes, sockets, odd names, archives: none is unpacked or followed; exit 6, and no byte is stored."""
    objects = tmp_path / "objects"
    objects.mkdir()
    path = objects / ("a" * 64)
    match kind:
        case "link":
            path.symlink_to("/etc/passwd")
        case "dangling":
            path.symlink_to("../../outside")
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with contextlib.chdir(objects), socket.socket(socket.AF_UNIX) as listening:
                listening.bind(path.name)
        case "name":
            (objects / "..%2fpasswd").write_bytes(b"x")
        case "archive":
            with zipfile.ZipFile(objects / "more.zip", "w") as archive:
                archive.writestr("../../outside", b"x")
    into = store(tmp_path / "store")
    with pytest.raises(TrustError):
        Handover(str(tmp_path)).take_in(into)
    assert into.stats().objects == 0
    assert not (tmp_path.parent / "outside").exists()


def test_a_link_in_the_place_of_a_result_is_refused(tmp_path: Path) -> None:
    """JSON is read from regular files alone."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results/train.json").symlink_to("/etc/hostname")
    with pytest.raises(TrustError, match="symbolic link"):
        list(Handover(str(tmp_path)).each("results", StageOutcome))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stage": 1}', '{"stage": "a", "result": {"type": "eaten"}}', "\xff"])
def test_what_is_no_result_is_an_error_with_the_file(tmp_path: Path, text: str) -> None:
    """The error names the file."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results/train.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"results/train\.json"):
        list(Handover(str(tmp_path)).each("results", StageOutcome))


def test_names_of_files_are_safe_and_distinct() -> None:
    """Whatever a stage is called, its file lies in the folder, and no two share one."""
    names = ["train", "train@0.1-1", "train@../x", "..", "a/b", "a%2fb", "ä", ".", "", "x" * 300, "x" * 301, "a."]
    made = [file_name(name) for name in names]
    assert len(set(made)) == len(names)
    assert all("/" not in name and len(name) <= 200 and not name.startswith(".") for name in made if name)
