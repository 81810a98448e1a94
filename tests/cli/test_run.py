"""`ciml run` from the command line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.calls import Calls, environment, process

HEX = re.compile(r"[0-9a-f]{64}")
MODEL = """\
version: 1
params-files: [params.yaml]
stages:
  train:
    run: |
      V=${{ params.score }}
      echo "model $V" > model
      echo "{\\"score\\": $V}" > metrics.json
    outputs: [model]
    metrics: [metrics.json]
models:
  m: {path: model, gate: [score >= 0.5, score > champion.score]}
"""


def model(ciml: Calls, score: float) -> None:
    ciml.repo.commit({"ciml.yaml": MODEL, "params.yaml": f"score: {score}\n"})


def stages(*declared: str, head: str = "") -> str:
    return f"version: 1\n{head}stages:\n" + "".join(f"  {stage}\n" for stage in declared)


# Documents and codes.


def test_the_document(ciml: Calls) -> None:
    """The plan's fields, with each stage's result, and the models: exactly the contract's, and `reason`."""
    model(ciml, 0.7)
    head = ciml.repo.head()
    found = ciml.json("run")
    assert set(found) == {"base", "head", "dirty", "changes", "stages", "models"}
    assert (found["head"], found["dirty"]) == (head, False)
    [stage] = found["stages"]
    assert set(stage) == {"name", "action", "reason", "recipe", "key", "result", "seconds", "exit_code"}
    assert (stage["action"], stage["result"], stage["exit_code"]) == ("run", "ran", 0)
    assert HEX.fullmatch(stage["key"])
    [judged] = found["models"]
    assert set(judged) == {"name", "metrics", "champion", "verdict", "reason", "checks", "recipe", "version"}
    assert (judged["name"], judged["verdict"], judged["champion"]) == ("m", "accepted", None)
    assert judged["metrics"] == {"score": 0.7}
    for check in judged["checks"]:
        assert set(check) == {"check", "passed", "left", "right", "detail"}


def test_the_end_of_the_log_follows_where_others_ran_beside(ciml: Calls) -> None:
    """Output of several stages is mixed, so a failure's own last lines are shown together."""
    mark = ciml.path / "b-runs"
    a = {"run": f"while [ ! -e '{mark}' ]; do sleep 0.01; done; echo oh no; exit 3"}
    b = {"run": f"echo beside; touch '{mark}'"}
    ciml.repo.commit({"ciml.yaml": stages(f"a: {json.dumps(a)}", f"b: {json.dumps(b)}")})
    assert "--- the end of a's log ---\n| oh no\n---\n" in failed(ciml, "--jobs", "2")


def test_an_environment_in_the_making_is_told(ciml: Calls) -> None:
    """It may take minutes: one line says so before it begins, and none once it is there."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stages = 'stages:\n  a: {run: "true"}\n  b: {run: "true", needs: [a]}\n'
    ciml.repo.commit({"ciml.yaml": f'version: 1\nenvironment: {{python: "{version}"}}\n{stages}'})
    told = "a: making its environment, which is kept for the next time"
    out = ciml.ok("run").out
    assert told in out and "b: making" not in out
    assert told not in ciml.ok("run", "--force").out


def test_a_rejection_is_exit_10(ciml: Calls) -> None:
    """Whatever else went well."""
    model(ciml, 0.3)
    answer = ciml("run")
    assert answer.code == 10
    assert "m: rejected" in answer.out
    assert "score >= 0.5" in answer.out


def test_what_stands_behind_a_check_is_told_once(ciml: Calls) -> None:
    """Below the check, and not in the verdict's line as well; in the document the reason has it."""
    ciml.repo.commit({"ciml.yaml": MODEL.replace("score >= 0.5", "scor >= 0.5"), "params.yaml": "score: 1\n"})
    assert ciml("run").out.count("no stage writes a metric scor") == 1
    assert "no stage writes a metric scor" in json.loads(ciml("--json", "run").out)["models"][0]["reason"]


def test_a_failure_is_exit_11_with_the_end_of_its_log(ciml: Calls) -> None:
    """The reason, the log's end, where the whole log is; not judged, nothing placed."""
    text = MODEL.replace("V=${{ params.score }}", "echo oh no; exit 3; V=${{ params.score }}")
    ciml.repo.commit({"ciml.yaml": text, "params.yaml": "score: 1\n"})
    answer = ciml("run")
    assert answer.code == 11
    assert "train: failed: exit code 3" in answer.out or "train: failed:" in answer.out
    assert answer.out.count("oh no") == 1, "its output stands right above"
    log = answer.out.partition("the whole log: ")[2].split("\n")[0]
    assert "oh no" in Path(log).read_text()
    assert "m: not-judged" in answer.out
    assert not (ciml.path / "model").exists()
    document = ciml("--json", "run")
    assert document.code == 11
    assert (document.json["stages"][0]["result"], document.json["stages"][0]["exit_code"]) == ("failed", 3)
    assert document.json["models"][0]["verdict"] == "not-judged"


def test_a_model_whose_maker_was_left_out_is_not_judged(ciml: Calls) -> None:
    """`when` is false: exit 0."""
    text = MODEL.replace("    outputs: [model]", "    when: params.score > 1\n    outputs: [model]")
    ciml.repo.commit({"ciml.yaml": text, "params.yaml": "score: 0.9\n"})
    found = ciml.json("run")
    assert [stage["result"] for stage in found["stages"]] == ["skipped"]
    assert found["models"][0]["verdict"] == "not-judged"


def test_keep_going_and_targets(ciml: Calls) -> None:
    """`-k` goes on with what does not depend on the failure; a target leaves the rest alone."""
    text = stages("bad: {run: exit 3}", "late: {run: sleep 0.1; touch x, outputs: [x]}", "z: {run: cat x, inputs: [x]}")
    ciml.repo.commit({"ciml.yaml": text})
    assert ciml("run", "-k").code == 11
    assert ciml.results("z") == {"late": "skipped", "z": "skipped"}
    assert ciml("run", "nothing").code == 2


def test_force_and_parameters(ciml: Calls) -> None:
    """`--force` runs again; `-P` and a profile are other recipes."""
    model(ciml, 0.7)
    assert ciml.results() == {"train": "ran"}
    assert ciml.results() == {"train": "skipped"}
    assert ciml.results("--force") == {"train": "ran"}
    assert ciml.results("-P", "score=0.8") == {"train": "ran"}
    assert (ciml.path / "model").read_text() == "model 0.8\n"
    assert ciml.results() == {"train": "restored"}
    ciml.repo.write({"ciml.yaml": MODEL + "profiles: {prod: {params: {score: 0.8}}}\n"})
    assert ciml.json("--profile", "prod", "run")["stages"][0]["result"] == "restored"


def test_what_a_person_sees(ciml: Calls) -> None:
    """A line when a stage starts, its output behind its name, a line when it ends; then what came of it all."""
    ciml.repo.commit({"ciml.yaml": stages("a: {run: echo hello, outputs: []}")})
    lines = ciml.ok("run").out.splitlines()
    assert lines[:2] == ["a: running: no run here yet", "a | hello"]
    assert re.fullmatch(r"a: ran in \d+\.\d s", lines[2])
    assert re.fullmatch(r"1 ran in \d+\.\d s\.", lines[3])
    assert ciml.ok("run").out == "Nothing to do: 1 up to date.\n"


def test_a_change_of_files_during_the_run_is_not_run(ciml: Calls) -> None:
    """The run takes its inputs as they were; the next one sees the change."""
    text = stages('a: {run: echo 2 > "$TREE/in"; cat in > x, inputs: [in], outputs: [x], pass-env: [TREE]}')
    ciml.repo.commit({"ciml.yaml": text, "in": "1\n"})
    os.environ["TREE"] = str(ciml.path)
    try:
        ciml.ok("run")
    finally:
        del os.environ["TREE"]
    assert (ciml.path / "x").read_text() == "1\n"
    assert ciml.actions() == {"a": "run"}


# The sentence for what a stage forgot.


def failed(ciml: Calls, *arguments: str) -> str:
    answer = ciml("run", *arguments)
    assert answer.code == 11
    return answer.out


def test_a_forgotten_file(ciml: Calls) -> None:
    """A file that is tracked and not declared is named."""
    text = stages("train: {run: cat conf/labels.txt > model, inputs: [a], outputs: [model]}")
    ciml.repo.commit({"ciml.yaml": text, "a": "", "conf/labels.txt": "x"})
    assert "conf/labels.txt is in the repository but is not an input of stage train" in failed(ciml)


def test_a_forgotten_module(ciml: Calls) -> None:
    """A module that nothing imports statically is named by its file."""
    script = "name = 'feat' + 'ures'\nimport importlib\nimportlib.import_module(name)\n"
    text = stages("train: {run: python src/train.py, inputs: [src/train.py], outputs: [model]}")
    ciml.repo.commit({"ciml.yaml": text, "src/train.py": script, "src/features.py": ""})
    assert "src/features.py is in the repository but is not an input of stage train" in failed(ciml)


def test_a_forgotten_parameter(ciml: Calls) -> None:
    """A parameter that the stage reads and does not name is named with its file."""
    script = "import json\nlr = json.load(open('params.json'))['train']['rate']\n"
    text = stages(
        "train: {run: python train.py, inputs: [train.py], params: [train.depth], outputs: [model]}",
        head="params-files: [params.json]\n",
    )
    ciml.repo.commit({"ciml.yaml": text, "train.py": script, "params.json": '{"train": {"rate": 1, "depth": 2}}'})
    assert "params.json: train.rate is a parameter but stage train does not name it" in failed(ciml)


# What a stage prints.


@pytest.mark.parametrize(
    "text",
    [
        "::set-output name=a::b",
        "10%\\r::set-output name=x::v",
        "a ##[set-output name=x;]v",
        "\\u00a0::error::x",
        "\\x1b[2K::x",
    ],
)
def test_what_a_stage_prints_is_text(ciml: Calls, text: str) -> None:
    """No line of ours is a command for a runner, whatever a stage prints: live, and at the end of a failure's log."""
    run = f"printf '{text}\\n'; exit 3"
    ciml.repo.commit({"ciml.yaml": stages(f"a: {{run: {json.dumps(run)}}}")})
    shown = failed(ciml)
    assert "\x1b" not in shown.replace("\x1b[0m", "")
    assert "##[" not in shown
    for line in re.split(r"[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", shown):
        assert not line.lstrip().startswith("::")
    assert "a | " in shown


# Interrupted.


def gone(marker: str) -> bool:
    """Whether no process runs any more whose command line holds the marker."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if marker.encode() in Path(f"/proc/{name}/cmdline").read_bytes():
                    return False
            except OSError:
                continue
    return True


def until(holds: object, what: str) -> None:
    deadline = time.monotonic() + 30
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ([signal.SIGINT], 130),
        ([signal.SIGTERM], 143),
        ([signal.SIGHUP], 143),
        ([signal.SIGINT, signal.SIGINT, signal.SIGTERM], 130),
    ],
    ids=["INT", "TERM", "HUP", "INT-INT-TERM"],
)
def test_c161_an_interrupted_run(ciml: Calls, tmp_path: Path, sent: list[signal.Signals], code: int) -> None:
    """SIGINT/SIGTERM/SIGHUP, once and again: exit 130/143, nothing half-made, no process left; the next run works."""
    started, marker = tmp_path / "started", f"61{os.getpid() % 1000:03d}.{len(sent)}{int(sent[0])}"
    background = f'(sleep {marker} & sleep {marker}) & touch "{started}"'
    run = f'echo half > x; {background}; if [ -e "$GO" ]; then exit 0; fi; sleep {marker}'
    text = stages(
        "first: {run: echo 1 > f, outputs: [f]}",
        f"a: {{run: {json.dumps(run)}, inputs: [f], outputs: [x], pass-env: [GO]}}",
    )
    ciml.repo.commit({"ciml.yaml": text})
    call = subprocess.Popen(
        [sys.executable, "-m", "ciml", "run"],
        cwd=ciml.path,
        env=environment(GO="/nowhere"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(started.exists, "the stage has not started")
    for number in sent:
        call.send_signal(number)
    out, err = call.communicate(timeout=60)
    assert call.returncode == code, (out, err)
    assert "Traceback" not in err
    assert "interrupted by SIG" in err
    assert not (ciml.path / "x").exists()
    until(lambda: gone(marker), "a process of the stage is left")
    assert (ciml.path / "f").read_text() == "1\n"
    done = process(ciml.path, "--json", "run", env=environment(GO=str(ciml.path)))
    assert done.code == 0, done
    assert [stage["result"] for stage in done.json["stages"]] == ["skipped", "ran"]
    assert (ciml.path / "x").read_text() == "half\n"
    until(lambda: gone(marker), "a process of the second run is left")


def test_c063_a_checkout_that_turned_line_ends_is_told(ciml: Calls) -> None:
    """autocrlf changes the work tree's bytes → the stage gets those of Git, which the recipe names, and a warning."""
    ciml.repo.commit({"ciml.yaml": stages("a: {run: cp in x, inputs: [in], outputs: [x]}"), "in": "1\n"})
    ciml.repo.git("config", "core.autocrlf", "true")
    ciml.repo.write({"in": None})
    ciml.repo.git("checkout", "--", "in")
    os.utime(ciml.path / "in", (1, 1))
    assert (ciml.path / "in").read_bytes() == b"1\r\n"

    answer = ciml.ok("run")
    assert (ciml.path / "x").read_bytes() == b"1\n"
    assert "warning: in differs from the commit by its line ends or a filter" in answer.err
    assert "warning" not in ciml.ok("run").err


def test_c165_a_stage_that_prints_without_end_costs_no_memory(ciml: Calls) -> None:
    """100 MB in one line → bounded memory, lines split at 64 KiB, the log saved whole."""
    script = "head -c 100000000 /dev/zero | tr '\\0' x; echo; echo 1 > o"
    ciml.repo.commit({"ciml.yaml": stages(f"a: {{run: {json.dumps(script)}, outputs: [o]}}")})
    # The most that this process ever held: ru_maxrss would count its parent's from before it began as well.
    measured = "import re, sys; from ciml.cli.main import main; code = main(['run']); "
    measured += "status = open('/proc/self/status').read(); "
    measured += "print(re.search(r'VmHWM:\\s+(\\d+) kB', status)[1], file=sys.stderr); sys.exit(code)"
    with open(ciml.path.parent / "printed", "w+b") as printed:
        done = subprocess.run(
            [sys.executable, "-c", measured],
            cwd=ciml.path,
            env=environment(),
            stdout=printed,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
        printed.seek(0)
        assert max(len(line) for line in printed) < (1 << 16) + 100
    assert int(done.stderr.split()[-1]) < 90_000  # KiB
    [log] = ciml.path.glob(".git/ciml/runs/*/a.log")
    assert log.stat().st_size == 100_000_001
