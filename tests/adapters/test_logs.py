"""A stage's log, fed piece by piece."""

from __future__ import annotations

from pathlib import Path

from ciml.adapters.logs import LINE, TAIL, StageLog
from ciml.core.redaction import Redactor


def test_silent_stage_has_no_log(tmp_path: Path) -> None:
    """Nothing printed: no file, no path, no tail."""
    log = StageLog(str(tmp_path / "runs" / "a.log"), Redactor({}), None)
    log.close()

    assert (log.path, log.tail, list(tmp_path.iterdir())) == ("", "", [])


def test_c105_secret_cut_in_two_is_masked(tmp_path: Path) -> None:
    """A secret that arrives in two pieces, with or without line ends around it, is masked everywhere."""
    seen: list[str] = []
    log = StageLog(str(tmp_path / "a.log"), Redactor({"T": "hunter2-canary"}), seen.append)
    filler = b"x" * (LINE - 5)
    for piece in (b"a hunt", b"er2-canary b\n", filler, b"hunter2", b"-canary", b"y" * 100):
        log.feed(piece)
    log.close()

    expected = b"a *** b\n" + filler + b"***" + b"y" * 100
    assert (tmp_path / "a.log").read_bytes() == expected
    assert seen[0] == "a *** b" and "".join(seen[1:]).encode() == expected[8:]


def test_tail_is_the_end_in_whole_lines(tmp_path: Path) -> None:
    """The tail is bounded and starts with a whole line; the file has everything."""
    log = StageLog(str(tmp_path / "a.log"), Redactor({}), None)
    for number in range(5000):
        log.feed(b"line %d\n" % number)
    log.close()

    assert len(log.tail) <= TAIL and log.tail.startswith("line ") and log.tail.endswith("line 4999\n")
    assert (tmp_path / "a.log").read_bytes().count(b"\n") == 5000


def test_log_that_cannot_be_written(tmp_path: Path) -> None:
    """A log that cannot be written is told, and the stage's output is still shown."""
    (tmp_path / "runs").write_text("in the way")
    seen: list[str] = []
    log = StageLog(str(tmp_path / "runs" / "a.log"), Redactor({}), seen.append)
    log.feed(b"hello\n")
    log.close()

    assert seen == ["hello"] and log.lost is not None and log.tail == "hello\n"
