"""`ciml exec` from the command line: a worker with a store and an order, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from ciml.adapters.stores.local import LocalStore
from ciml.cli.main import main
from ciml.core.ids import Digest, RepoPath, StageName
from ciml.core.order import OrderInput, WorkOrder
from ciml.core.pipeline import Place
from tests.cli.calls import Answer, process


class Worker:
    """A machine that has a state directory."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.state = root / "state"
        self._capsys = capsys

    def order(self, script: str, *, key: str = "a", **settings: object) -> Path:
        """The file of an order, whose one input is in the store."""
        store = LocalStore(str(self.state / "store"))
        given = OrderInput(inside=RepoPath("in"), digest=store.put_bytes(b"hello"), size=5)
        store.close()
        place = Place(path=RepoPath("out"), inside=RepoPath("out"))
        order = WorkOrder(
            stage=StageName("train"),
            recipe=Digest("0" * 64),
            key=Digest(key * 64),
            script=script,
            inputs=(given,),
            outputs=(place,),
            platform="any",
        )
        path = self.root / "order.json"
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(order, **settings)))
        return path

    def __call__(self, *words: str) -> Answer:
        self._capsys.readouterr()
        code = main(["exec", "--state", str(self.state), *words])
        return Answer(code, *self._capsys.readouterr())


@pytest.fixture
def worker(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.chdir(tmp_path)
    return Worker(tmp_path, capsys)


def test_an_order_is_carried_out(worker: Worker) -> None:
    """Outside any repository: outputs and record are in the store."""
    answer = worker(str(worker.order("echo working; tr a-z A-Z < in > out")))
    assert answer.code == 0
    assert "train | working" in answer.out
    store = LocalStore(str(worker.state / "store"))
    record = store.record(Digest("a" * 64))
    assert store.read(record.outputs[0].digest) == b"HELLO"  # type: ignore[union-attr]
    store.close()


def test_a_second_time_nothing_runs(worker: Worker) -> None:
    """The record is the result."""
    order = worker.order("date +%N > out")
    worker(str(order))
    answer = worker(str(order))
    assert (answer.code, answer.out) == (0, "train: restored\n")


def test_the_document(worker: Worker) -> None:
    """The result as a value, tagged by what it is."""
    order = str(worker.order("exit 3"))
    done = process(worker.root, "--json", "exec", "--state", str(worker.state), order)
    assert done.code == 11
    assert (done.json["type"], done.json["exit_code"]) == ("failed", 3)


def test_from_standard_input(worker: Worker) -> None:
    """`-` reads the order from there."""
    data = worker.order("cp in out").read_bytes()
    assert process(worker.root, "exec", "--state", str(worker.state), "-", input=data).code == 0


def test_a_failure(worker: Worker) -> None:
    """Exit 11, and nothing is recorded."""
    answer = worker(str(worker.order("echo oh no; exit 3")))
    assert answer.code == 11
    assert "| oh no" in answer.out
    assert not list((worker.state / "store/actions").rglob("a" * 62))


def test_a_secret_that_is_not_set(worker: Worker) -> None:
    """Exit 3: the fault is in what surrounds the stage."""
    answer = worker(str(worker.order("cp in out", secrets=("NO_SUCH_SECRET",))))
    assert answer.code == 3
    assert "needs the secret NO_SUCH_SECRET, which is not set" in answer.out


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"format": "ciml/order/9"}', b"null"])
def test_what_is_no_order(worker: Worker, data: bytes) -> None:
    """Exit 3 with the file's name; no traceback."""
    path = worker.root / "bad.json"
    path.write_bytes(data)
    answer = worker(str(path))
    assert answer.code == 3
    assert "bad.json is no work order" in answer.err


def test_an_order_of_another_format(worker: Worker) -> None:
    """A later ciml's order is refused and not guessed at."""
    path = worker.order("cp in out", format="ciml/order/9")
    answer = worker(str(path))
    assert answer.code == 3
    assert "of the format 'ciml/order/9'" in answer.err


def test_an_order_whose_input_is_not_in_the_store(worker: Worker) -> None:
    """Exit 7 names the digest."""
    path = worker.order("cp in out")
    order = json.loads(path.read_text())
    order["inputs"][0]["digest"] = "b" * 64
    path.write_text(json.dumps(order))
    answer = worker(str(path))
    assert answer.code == 7
    assert "b" * 64 in answer.err


def test_usage(worker: Worker) -> None:
    """No order, no such file, no state: exit 2."""
    assert worker().code == 2
    assert worker(str(worker.root / "none.json")).code == 2
    assert main(["exec", str(worker.order("x"))]) == 2
