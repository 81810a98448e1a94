"""The script itself: errors, bugs, streams that are closed, a folder that is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ciml import __version__
from ciml.cli import group
from tests.cli.calls import ROOT, Calls, environment, process
from tests.repobuilder import RepoBuilder

CIML = "version: 1\nstages:\n  a: {run: echo hello > x, outputs: [x]}\n"


@pytest.fixture
def project(repo: RepoBuilder) -> Path:
    repo.commit({"ciml.yaml": CIML})
    return repo.path


def shell(path: Path, script: str) -> tuple[int, str, str]:
    """A script for bash in which `ciml` is the command."""
    command = f'ciml() {{ "{sys.executable}" -m ciml "$@"; }}\n{script}'
    done = subprocess.run(
        ["bash", "-c", command], cwd=path, env=environment(), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_version_and_help(ciml: Calls) -> None:
    """Without a repository, without a project."""
    assert ciml.ok("--version").out == f"ciml {__version__}\n"
    text = ciml.ok("--help").out
    for name, words in group.COMMANDS.items():
        assert name in text
        assert words.split(",")[0].split(";")[0][:30] in " ".join(text.split())


@pytest.mark.parametrize("words", [[], ["data"], ["store"], ["trigger"]])
def test_a_group_alone_shows_its_help(ciml: Calls, words: list[str]) -> None:
    """Exit 2, since nothing was done; the page begins as with --help, and is called no error."""
    answer = ciml(*words)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == ciml.ok(*words, "--help").out


@pytest.mark.parametrize("name", ["data", "store", "trigger"])
def test_a_group_lists_its_commands_whole(ciml: Calls, name: str) -> None:
    """No line of help is cut off with dots; a misspelt command comes with the one that was meant."""
    listed = ciml.ok(name, "--help").out.partition("Commands:\n")[2]
    assert "..." not in listed
    first = listed.split()[0]
    answer = ciml(name, first[:-1])
    assert (answer.code, f"Did you mean {first!r}?" in answer.err) == (2, True), answer


def test_help_of_every_command(ciml: Calls) -> None:
    """Each command that is listed can be called."""
    for name in group.COMMANDS:
        assert ciml.ok(name, "--help").out.startswith("Usage: ciml " + name)


@pytest.mark.parametrize(("option", "words"), [("-v", ("plan",)), ("--json", ("status",)), ("-q", ("data", "status"))])
def test_an_option_of_ciml_after_a_command(ciml: Calls, option: str, words: tuple[str, ...]) -> None:
    """Exit 2, and the message has the line as it is to be typed."""
    answer = ciml(*words, option)
    assert answer.code == 2
    assert f"(it stands before the command: ciml {option} {' '.join(words)})" in answer.err


def test_an_error_is_a_document_too(ciml: Calls) -> None:
    """With --json an error is one document on stdout, with its exit code; the message stays on stderr."""
    ciml.repo.commit({"ciml.yaml": "version: 1\nstages: {a: {run: x, inputs: [nope]}}\nstore: nowhere\n"})
    answer = ciml("--json", "plan")
    assert answer.code == 3
    error = answer.json["error"]
    assert (error["exit_code"], error["hint"]) == (3, None)
    assert "the store 'nowhere'" in error["message"] and error["message"] in answer.err
    [problem] = error["problems"]
    assert (problem["file"], problem["line"], problem["column"], problem["key"]) == ("ciml.yaml", 3, 1, "store")

    assert ciml("--json", "promote").json["error"]["exit_code"] == 2
    assert ciml("plan").out == ""


def test_a_document_is_followed_by_no_other(registered: Calls) -> None:
    """A call that has printed its document and fails afterwards prints that one alone."""
    registered.repo.commit({"src.txt": "0.1\n"})
    for words in (("run",), ("register",)):
        answer = registered("--json", *words)
        assert (answer.code, "models" in answer.json) == (10, True), answer


def test_words_are_completed(ciml: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that asks for it gets the script that completes commands."""
    monkeypatch.setenv("_CIML_COMPLETE", "bash_source")
    assert "_CIML_COMPLETE=bash_complete" in ciml.ok().out


def test_a_command_that_is_none(ciml: Calls) -> None:
    """Exit 2, with the nearest name."""
    answer = ciml("rnu")
    assert answer.code == 2
    assert "Did you mean 'run'?" in answer.err


def test_outside_a_repository(tmp_path: Path) -> None:
    """Exit 4, what is wrong and what to do."""
    answer = process(tmp_path, "plan")
    assert (answer.code, answer.out) == (4, "")
    assert answer.err == f"error: {tmp_path} is in no Git repository\nhint: Run `git init`, or go to one.\n"


_BUG = """
import sys
from ciml.cli import group
sys.modules["ciml.cli.commands.doctor"] = type(sys)("doctor")
from ciml.cli.main import main
sys.exit(main(["doctor"]))
"""


def test_a_bug_prints_one_line_and_saves_the_traceback(project: Path, tmp_path: Path) -> None:
    """No traceback is ever shown: exit 1, one line, and where the rest is."""
    done = subprocess.run(
        [sys.executable, "-c", _BUG],
        cwd=project,
        env=environment(TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("ciml has a bug: AttributeError: ")
    saved = line.rpartition("the traceback is in ")[2].rstrip(")")
    assert "Traceback (most recent call last)" in Path(saved).read_text()


def test_c106_closed_streams(project: Path) -> None:
    """stdin closed, stdout closed -> the work is done, no traceback, and no file takes the closed one's number."""
    code, out, err = shell(project, "ciml run <&- >&- 2>&-")
    assert (code, out, err) == (0, "", "")
    assert (project / "x").read_text() == "hello\n"
    assert shell(project, "ciml plan <&-") == (0, "Nothing to do: 1 up to date.\n", "")
    assert shell(project, "ciml plan >&-") == (0, "", "")
    assert shell(project, "ciml plan 2>&-") == (0, "Nothing to do: 1 up to date.\n", "")
    assert shell(project, "ciml no-such-command 2>&-")[0] == 2
    assert subprocess.run(["git", "fsck"], cwd=project, capture_output=True, check=False).returncode == 0


def test_c106_a_reader_that_has_gone(project: Path) -> None:
    """EPIPE -> exit 0 or 141, without a traceback."""
    for words in ("schema", "plan", "--json plan", "--help", "no-such-command 2>&1"):
        _, out, err = shell(project, f"ciml {words} | true; echo ${{PIPESTATUS[0]}}")
        assert out.strip() in ("0", "141", "2"), (words, out)
        assert "Traceback" not in err
        assert "BrokenPipe" not in err


def test_c106_a_folder_that_is_gone(project: Path, tmp_path: Path) -> None:
    """cwd deleted -> exit 4 with clear text; with -C it does not matter."""
    gone = tmp_path / "gone"
    script = f'mkdir "{gone}" && cd "{gone}" && rmdir "{gone}" && ciml %s 2>&1'
    code, out, _ = shell(tmp_path, script % "plan")
    assert code == 4
    assert out.endswith(
        "error: the working directory does not exist any more\nhint: Go to one that does, or name one with -C.\n"
    )
    assert shell(tmp_path, script % f'-C "{project}" plan')[0] == 0
    assert shell(tmp_path, script % "--version")[0] == 0


def test_c106_the_same_answer_in_any_surroundings(project: Path) -> None:
    """HOME unset, LANG=tr_TR, TZ, PYTHONHASHSEED, an ASCII terminal -> same plan, byte for byte."""
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "GIT_CONFIG_NOSYSTEM": "1"}
    extra = {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "Pacific/Chatham", "PYTHONHASHSEED": "4711"}
    answers = {
        process(project, "--json", "plan", env={**bare, **more})
        for more in ({"HOME": "/root"}, {}, extra, {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    }
    assert len(answers) == 1


def test_errors_hold_no_command_for_a_runner(ciml: Calls) -> None:
    """What a path says is text: no line of an error begins with `::`, none has an escape sequence."""
    ciml.repo.commit({"ciml.yaml": CIML})
    answer = ciml("plan", "x\n::set-output name=a::b\n\x1b]0;title\x07##[error]z")
    assert answer.code == 2
    assert "\x1b" not in answer.err
    assert "##[" not in answer.err
    assert not [line for line in answer.err.splitlines() if line.lstrip().startswith("::")]


def test_state_that_cannot_be_written_is_no_bug(ciml: Calls, project: Path) -> None:
    """A file where ciml's state should be is exit 5 and named; no traceback is saved."""
    (project / ".git/ciml").write_text("")
    answer = ciml("run")
    assert answer.code == 5
    assert ".git/ciml" in answer.err
    assert "bug" not in answer.err
