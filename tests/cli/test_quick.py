"""Answers from receipts: equal to the slow way, and void as soon as anything that counts has changed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from ciml.cli import quick
from ciml.cli.main import main
from tests.cli.calls import ROOT, Answer, Calls

FILES = {
    "ciml.yaml": """\
version: 1
params-files: [params.yaml]
stages:
  a:
    run: cp src/a.py x; mkdir folder; touch folder/f
    inputs: [src/a.py, d, g/*.txt]
    params: [lr]
    outputs: [x, folder]
  b: {run: cp x y, inputs: [x], outputs: [y]}
""",
    "params.yaml": "lr: 1\n",
    "src/a.py": "import m\nimport pkg.deep\n",
    "src/m.py": "",
    "src/pkg/__init__.py": "",
    "d/1": "",
    "g/1.txt": "",
    "README.md": "",
    ".gitignore": "/x\n/y\n/folder\n",
}


def on_record(*words: str) -> bool:
    """Whether a receipt answers the call; what it prints is captured."""
    return quick.answer(list(words), os.environ) is not None


def settled(ciml: Calls, *words: str) -> Answer:
    """Call until the answer is on record: what changed a moment ago leaves none yet."""
    deadline = time.monotonic() + 20
    answer = ciml.ok(*words)
    while not on_record(*words):
        assert time.monotonic() < deadline, f"{words} leaves no receipt"
        answer = ciml.ok(*words)
    return answer


def in_python(ciml: Calls, code: str) -> tuple[str, str]:
    """What a Python of its own prints to stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ciml.path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, done.stderr


@pytest.fixture
def done(ciml: Calls) -> Calls:
    """A project in which everything is in place, and a run and a plan have left their receipts."""
    ciml.repo.commit(FILES)
    ciml.ok("run")
    settled(ciml, "run")
    settled(ciml, "plan")
    return ciml


def _write(path: str, text: str = "changed") -> Callable[[Calls], None]:
    return lambda ciml: ciml.repo.write({path: text})


def _again(path: str) -> Callable[[Calls], None]:
    """The same bytes, written once more."""
    return lambda ciml: ciml.repo.write({path: (ciml.path / path).read_text()})


CHANGES: dict[str, Callable[[Calls], object]] = {
    "an input": _write("src/a.py", "print(2)"),
    "an input written again": _again("src/a.py"),
    "a module": _write("src/m.py", "x = 1"),
    "a new module in the script's folder": _write("src/sys.py"),
    "a new module in a package": _write("src/pkg/deep.py"),
    "a file in an input folder": _write("d/1"),
    "a new file in an input folder": _write("d/2"),
    "a new file that a glob matches": _write("g/2.txt"),
    "the configuration": _write("ciml.yaml", FILES["ciml.yaml"] + "# words\n"),
    "a params file": _write("params.yaml", "lr: 2\n"),
    "an output": _write("x"),
    "an output that is gone": lambda ciml: (ciml.path / "y").unlink(),
    "a file in an output folder": _write("folder/f"),
    "a new file in an output folder": _write("folder/g"),
    "HEAD": lambda ciml: ciml.repo.commit({"README.md": "words"}),
    "another branch": lambda ciml: ciml.repo.branch("topic"),
    "the index": lambda ciml: ciml.repo.git("rm", "-q", "--cached", "README.md"),
    "the store": lambda ciml: (ciml.path / ".git/ciml/store").rename(ciml.path / ".git/ciml/gone"),
    "Git's configuration": lambda ciml: ciml.repo.git("config", "core.autocrlf", "false"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_what_voids_a_receipt(done: Calls, change: Callable[[Calls], object]) -> None:
    """Any change of an input, an output, the configuration, HEAD, or of a place where an input might turn up."""
    assert on_record("run")
    assert on_record("plan")
    change(done)
    assert not on_record("run")
    assert not on_record("plan")


def test_variables_and_words_are_part_of_the_call(done: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another word, another variable that ciml listens to: another call. Others do not matter."""
    monkeypatch.setenv("UNRELATED", "1")
    assert on_record("run")
    for words in (("run", "a"), ("run", "--force"), ("-v", "run"), ("run", "-P", "lr=2"), ("--profile", "x", "run")):
        assert not on_record(*words)
    for name in ("MLFLOW_TRACKING_URI", "CIML_X", "PATH", "GITHUB_EVENT_NAME"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "other")
            assert not on_record("run")
    assert on_record("run")


def test_words_that_look_alike_are_not_confused(ciml: Calls) -> None:
    """Two calls whose receipts would have one name have each its own answer."""
    ciml.repo.commit(FILES)
    ciml.ok("run", "-P", "lr=1")
    settled(ciml, "run", "-P", "lr=1")
    assert not on_record("run", "-P", "lr 1")
    assert not on_record("run", "-P lr=1")


def test_another_version_has_other_answers(done: Calls) -> None:
    """A receipt of another ciml is not believed."""
    ask = "from ciml.cli import quick; print(quick.answer(['plan'], os.environ))"
    assert in_python(done, f"import os, ciml; {ask}") == ("Nothing to do: 2 up to date.\n0\n", "")
    assert in_python(done, f"import os, ciml; ciml.__version__ = '9'; {ask}") == ("None\n", "")


@pytest.mark.parametrize(
    "words", [("run",), ("plan",), ("-v", "plan"), ("-q", "run"), ("run", "a"), ("plan", "-P", "lr=1")]
)
def test_the_answer_is_that_of_the_slow_way(done: Calls, words: tuple[str, ...]) -> None:
    """Byte for byte, on both streams, with the same code."""
    settled(done, *words)
    short = done(*words)
    receipts = done.path / ".git/ciml/index/receipts"
    for receipt in receipts.iterdir():
        receipt.unlink()
    assert not on_record(*words)
    assert done(*words) == short


@pytest.mark.parametrize(
    "words",
    [("--json", "plan"), ("plan", "--base", "HEAD"), ("plan", "--head=HEAD"), ("-C", ".", "plan"), ("-qC.", "plan")],
)
def test_calls_without_a_receipt(done: Calls, words: tuple[str, ...]) -> None:
    """What depends on more than is watched is always looked up."""
    for _ in range(3):
        done.ok(*words)
    assert not on_record(*words)


def test_warnings_are_repeated(ciml: Calls) -> None:
    """What was said on stderr is said again, and there."""
    text = 'version: 1\nenvironment: {python: "3.11", requirements: r.txt}\nstages:\n  a: {when: 1 > 2, run: "true"}\n'
    ciml.repo.commit({"ciml.yaml": text, "r.txt": "numpy\n"})
    ciml.ok("run")
    slow = settled(ciml, "plan")
    again = ciml.ok("plan")
    assert again == slow
    assert "no exact version for numpy" in again.err


def test_a_dirty_tree_that_becomes_clean_is_looked_at(done: Calls) -> None:
    """An edit of a file that no stage reads is part of what was answered: undoing it may make a verdict due."""
    done.repo.write({"README.md": "words"})
    (done.path / ".git/ciml/index/receipts/run").unlink()
    settled(done, "run")
    done.repo.write({"README.md": ""})
    assert not on_record("run")


def test_what_changed_since_the_call_began_leaves_no_receipt(done: Calls) -> None:
    """A file may have been changed after it was read: only what was settled before counts."""
    receipt = done.path / ".git/ciml/index/receipts/plan_z"

    def keep(begun_ns: int) -> bool:
        receipt.unlink(missing_ok=True)
        quick.keep(
            ("plan", "z"),
            {},
            str(done.path),
            watched=[str(done.path / "src/a.py")],
            known={},
            out="",
            error="",
            code=0,
            begun_ns=begun_ns,
        )
        return receipt.exists()

    changed = (done.path / "src/a.py").stat().st_ctime_ns
    assert keep(changed + 1_000_000_000)
    assert not keep(changed + 1_000_000)
    assert not keep(changed - 1_000_000_000)


def test_a_damaged_receipt_is_none(done: Calls) -> None:
    """Torn, empty, a folder, or somebody else's bytes: the call takes the ordinary way."""
    receipt = done.path / ".git/ciml/index/receipts/plan"
    whole = receipt.read_bytes()
    for damaged in (b"", whole[:-3], b"\x00" * 9, b"i\x01\x00\x00\x00", whole[:50]):
        receipt.write_bytes(damaged)
        assert main(["plan"]) == 0
    receipt.unlink()
    receipt.mkdir()
    assert main(["plan"]) == 0


def test_nothing_heavy_is_imported_for_it(done: Calls) -> None:
    """A call that has nothing to do imports no click, no msgspec, no subprocess."""
    code = "import sys; from ciml.cli.main import main; main(['plan']); print(*sys.modules, file=sys.stderr)"
    out, imported = in_python(done, code)
    assert out == "Nothing to do: 2 up to date.\n"
    heavy = {"click", "msgspec", "yaml", "subprocess", "rich", "re", "json", "inspect", "hashlib"}
    assert not heavy & set(imported.split())
    assert [name for name in imported.split() if name.startswith("ciml.")] == [
        "ciml.cli",
        "ciml.cli.quick",
        "ciml.cli.main",
    ]
