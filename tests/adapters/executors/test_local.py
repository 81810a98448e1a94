"""The local executor, with real processes."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec import structs

from ciml.core.errors import IntegrityError, ServiceError
from ciml.core.forgotten import Known
from ciml.core.ids import RepoPath
from ciml.core.order import OrderEnvironment, OrderInput
from ciml.core.pipeline import Resources, Retry
from ciml.core.results import Failed, Miss, Ran, Restored, StageResult
from tests.adapters.executors.conftest import Workshop


def ran(result: StageResult) -> Ran:
    assert isinstance(result, Ran), result
    return result


def failed(result: StageResult) -> Failed:
    assert isinstance(result, Failed), result
    return result


def made(workshop: Workshop, result: StageResult, index: int = 0) -> str:
    return workshop.store.read(ran(result).record.outputs[index].digest).decode()


def processes_with(text: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if text.encode() in (entry / "cmdline").read_bytes():
                    found.append(entry.name)
            except OSError:
                continue
    return found


def gone(text: str) -> bool:
    """Whether the processes with that command line end within the time that is promised."""
    deadline = time.monotonic() + 7
    while processes_with(text):
        if time.monotonic() > deadline:
            return False
        os.sched_yield()
    return True


def test_outputs_and_record_are_in_the_store(workshop: Workshop) -> None:
    """A stage's outputs are stored under the paths of the graph, and its record under its key."""
    order = workshop.order(
        "tr a-z A-Z < in.txt > build/out.txt", inputs=(workshop.given("in.txt", "hello"),), outputs=("build/out.txt",)
    )

    result = workshop.one(order)

    assert made(workshop, result) == "HELLO"
    assert workshop.store.record(order.key) == ran(result).record
    assert workshop.left_behind() == []


def test_only_declared_inputs_are_there(workshop: Workshop) -> None:
    """A stage finds its inputs and the parents of its outputs, and nothing else of the repository."""
    (workshop.work_tree / "other.txt").write_text("x")
    order = workshop.order(
        'found=$(find . -mindepth 1 | sort); echo "$found" > build/list',
        inputs=(workshop.given("a/in.txt", "1"),),
        outputs=("build/list",),
    )

    assert made(workshop, workshop.one(order)).split() == ["./a", "./a/in.txt", "./build"]


def test_record_there_already_is_the_result(workshop: Workshop) -> None:
    """An order whose record is in the store is restored; a fresh one runs."""
    order = workshop.order("date +%N > out", outputs=("out",))
    first = ran(workshop.one(order))

    assert workshop.one(order) == Restored(record=first.record)
    assert isinstance(workshop.one(workshop.order("date +%N > out", outputs=("out",), fresh=True)), Ran)


def test_same_key_twice_runs_once(workshop: Workshop) -> None:
    """Two orders of one key at the same time: the second waits and takes the first one's record."""
    canary = workshop.work_tree / "canary"
    script = f"echo x >> {canary}; echo y > out"
    results = workshop.run(*(workshop.order(script, stage=name, key="same", outputs=("out",)) for name in ("a", "b")))

    assert sorted(type(result).__name__ for result in results.values()) == ["Ran", "Restored"]
    assert canary.read_text() == "x\n"


def test_nondeterministic_stage_keeps_the_first_bytes(workshop: Workshop) -> None:
    """c120: the first record stands, the second run says so and uses its bytes."""
    order = workshop.order("date +%N > out", outputs=("out",))
    first = ran(workshop.one(order))
    second = ran(workshop.one(workshop.order("date +%N > out", outputs=("out",), fresh=True)))

    assert second.record == first.record
    assert second.note is not None and "not deterministic" in second.note


def test_exit_code_is_reported_with_the_end_of_the_log(workshop: Workshop) -> None:
    """A failed stage tells its exit code, the end of its log and where the whole log is."""
    result = failed(workshop.one(workshop.order("echo before; echo why >&2; exit 3; echo after")))

    assert (result.reason, result.exit_code, result.tail) == ("exit code 3", 3, "before\nwhy\n")
    assert Path(result.log).read_text() == "before\nwhy\n"
    assert workshop.left_behind() == []


@pytest.mark.parametrize("script", ["false | true", "echo $UNSET", "false; true"])
def test_scripts_are_strict(workshop: Workshop, script: str) -> None:
    """A failing part of a pipe, an unset variable and a failing line each fail the stage."""
    assert failed(workshop.one(workshop.order(script))).exit_code == 1 or script == "echo $UNSET"


def test_retry_until_it_works(workshop: Workshop) -> None:
    """A stage is tried again as often as it says, in a fresh directory each time."""
    counter = workshop.work_tree / "counter"
    script = f"test ! -e out; echo x >> {counter}; echo partial > out; test $(wc -l < {counter}) = 3"
    result = ran(workshop.one(workshop.order(script, outputs=("out",), retry=Retry(attempts=3))))

    assert result.attempts == 3


def test_retry_only_for_the_named_codes(workshop: Workshop) -> None:
    """`when: [7]` retries exit code 7 and no other."""
    retry = Retry(attempts=3, when=(7,))

    assert failed(workshop.one(workshop.order("exit 7", retry=retry))).attempts == 3
    assert failed(workshop.one(workshop.order("exit 8", retry=retry))).attempts == 1


def test_timeout_ends_the_stage_and_can_be_retried(workshop: Workshop) -> None:
    """A stage that takes too long is ended; `when: [timeout]` tries it again."""
    order = workshop.order("sleep 1000", timeout_s=0.05, retry=Retry(attempts=2, when=("timeout",)))
    result = failed(workshop.one(order))

    assert (result.reason, result.attempts) == ("timed out after 0.05 s", 2)


def test_checkpoint_survives_attempts_and_is_no_part_of_the_result(workshop: Workshop) -> None:
    """What a failed attempt left in its checkpoint is there for the next; success forgets it."""
    script = "mkdir -p build/ck; echo x >> build/ck/n; test $(wc -l < build/ck/n) = 3; cp build/ck/n out"
    order = workshop.order(script, outputs=("out",), checkpoint="build/ck", retry=Retry(attempts=2))

    assert failed(workshop.one(order)).attempts == 2
    assert made(workshop, workshop.one(order)) == "x\nx\nx\n"
    assert list((workshop.state / "checkpoints").iterdir()) == []


def test_no_more_at_once_than_the_machine_has(workshop: Workshop) -> None:
    """Orders run beside each other only while their cpus, memory and gpus are free; alone, any does."""
    executor = workshop.executor(jobs=8, capacity=Resources(cpus=4, memory=100, gpus=1))
    small = workshop.order("sleep 1000", resources=Resources(cpus=2, memory=60))
    try:
        assert executor.has_room(workshop.order("x", resources=Resources(cpus=64)))
        executor.start(small)
        assert executor.has_room(workshop.order("x", resources=Resources(cpus=2, memory=40)))
        assert not executor.has_room(workshop.order("x", resources=Resources(cpus=3)))
        assert not executor.has_room(workshop.order("x", resources=Resources(memory=41)))
        assert not executor.has_room(workshop.order("x", resources=Resources(gpus=2)))
    finally:
        executor.stop()


def test_gpus_are_assigned(workshop: Workshop) -> None:
    """Stages that ask for a GPU at the same time see different ones."""
    orders = [
        workshop.order("echo $CUDA_VISIBLE_DEVICES > out", stage=name, outputs=("out",), resources=Resources(gpus=1))
        for name in ("a", "b")
    ]
    capacity = Resources(cpus=2, gpus=2)
    results = workshop.run(*orders, executor=lambda: workshop.executor(capacity=capacity))

    assert sorted(made(workshop, result) for result in results.values()) == ["0\n", "1\n"]


def test_more_gpus_than_there_are_is_a_configuration_error(workshop: Workshop) -> None:
    """A stage that can never run here fails at once and says what is missing."""
    result = failed(workshop.one(workshop.order("true", resources=Resources(gpus=1))))

    assert result.configuration and "asks for 1 GPU" in result.reason


def test_corrupt_input_is_no_failure_of_the_stage(workshop: Workshop) -> None:
    """Input bytes that are not what their digest says are an integrity error; other orders go on."""
    given = workshop.given("in", "good")
    workshop.object(given.digest).chmod(0o644)
    workshop.object(given.digest).write_bytes(b"evil")
    executor = workshop.executor()
    executor.start(workshop.order("cat in", inputs=(given,)))
    executor.start(workshop.order("true", stage="other"))
    outcomes: list[type] = []
    for _ in range(2):
        try:
            outcomes.append(type(executor.wait()[1]))
        except IntegrityError as error:
            outcomes.append(type(error))
    executor.stop()

    assert set(outcomes) == {IntegrityError, Ran}
    assert workshop.left_behind() == []


def test_store_that_fails_is_no_failure_of_the_stage(workshop: Workshop) -> None:
    """A store that cannot take the result is the machine's error; the next order can still be carried out."""
    order = workshop.order("rm -rf $BLOCKED; touch $BLOCKED; echo new > out", outputs=("out",))
    executor = workshop.executor()
    workshop.store.put_bytes(b"begin")
    digest = hashlib.sha256(b"new\n").hexdigest()
    blocked = workshop.object(digest).parent
    executor.start(structs.replace(order, env={"BLOCKED": str(blocked)}))

    with pytest.raises(ServiceError):
        executor.wait()
    executor.start(workshop.order("true", stage="next"))
    assert isinstance(executor.wait()[1], Ran)
    executor.stop()
    assert workshop.left_behind() == []


def test_forgotten_input_is_named(workshop: Workshop) -> None:
    """A stage that fails for a file of the repository that it did not declare fails with that sentence."""
    workshop.known = Known(paths={RepoPath("src/features.py")})

    result = failed(workshop.one(workshop.order("cat src/features.py")))

    assert result.reason == "exit code 1; src/features.py is in the repository but is not an input of stage train"


def test_without_isolation_it_runs_in_the_work_tree(workshop: Workshop) -> None:
    """`isolation: none` runs where the user works, and its record serves this run alone."""
    order = workshop.order("cat here.txt > out", outputs=("out",), isolated=False)
    (workshop.work_tree / "here.txt").write_text("mine")

    assert made(workshop, workshop.one(order)) == "mine"
    assert isinstance(workshop.store.record(order.key), Miss)
    assert (workshop.work_tree / "out").read_text() == "mine"


def test_c093_output_of_an_earlier_run_does_not_count(workshop: Workshop) -> None:
    """A metrics file left from a previous run, or a symbolic link → the stage did not write it in this run."""
    (workshop.work_tree / "m.json").write_text('{"a": 1}')
    stale = failed(workshop.one(workshop.order("true", metrics=("m.json",), isolated=False)))
    linked = failed(workshop.one(workshop.order("ln -s /etc/hostname m.json", metrics=("m.json",))))

    assert stale.reason == "stage train did not write m.json in this run"
    assert linked.reason.startswith("stage train did not write m.json in this run")
    assert (stale.exit_code, stale.configuration, stale.untrusted) == (0, False, False)


def test_c097_output_behind_a_link_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    """An output through a symlinked parent made by the stage → refused, class untrusted; target unchanged."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "x").write_text("theirs")
    result = failed(workshop.one(workshop.order(f"rmdir data; ln -s {target} data", outputs=("data/x",))))

    assert result.untrusted and "lies behind" in result.reason
    assert (target / "x").read_text() == "theirs"


@pytest.mark.parametrize(
    ("script", "kind"),
    [("mkfifo out", "a named pipe"), ("mkdir out", "an empty directory"), ("truncate -s 1T out", "sparse")],
)
def test_c100_output_of_another_kind_is_refused(workshop: Workshop, script: str, kind: str) -> None:
    """An output that is a FIFO, an empty directory or a hollow terabyte → failed with its kind; no hang."""
    assert kind in failed(workshop.one(workshop.order(script, outputs=("out",)))).reason


def test_c104_environment_is_an_allow_list(workshop: Workshop) -> None:
    """AWS_SECRET_ACCESS_KEY is absent from a stage's environment unless declared, and from the record."""
    workshop.environ |= {"AWS_SECRET_ACCESS_KEY": "canary-key", "PYTHONPATH": "/x", "GITHUB_TOKEN": "t", "LC_ALL": "C"}
    result = ran(
        workshop.one(
            workshop.order("env -0 > out; tr '\\0' '\\n' < out | cut -d= -f1 | sort > names", outputs=("names",))
        )
    )

    names = set(workshop.store.read(result.record.outputs[0].digest).decode().split())
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {
        "CIML_PARAMS", "CIML_STAGE_ID", "GIT_CEILING_DIRECTORIES", "HOME", "LC_ALL", "PATH", "TMPDIR",
    }  # fmt: skip
    declared = workshop.order('test "$AWS_SECRET_ACCESS_KEY" = canary-key', secrets=("AWS_SECRET_ACCESS_KEY",))
    assert isinstance(workshop.one(declared), Ran)
    assert not any(b"canary-key" in path.read_bytes() for path in workshop.state.rglob("*") if path.is_file())


def test_c105_secret_is_masked_in_the_log_and_refused_in_outputs(workshop: Workshop) -> None:
    """A secret's value in an output → class untrusted; in the log, in any of its encodings → masked."""
    workshop.environ["TOKEN"] = "hunter2-canary"
    script = 'echo "a $TOKEN b"; printf %s "user:$TOKEN" | base64; printf %s "$TOKEN" > out'
    result = failed(workshop.one(workshop.order(script, outputs=("out",), secrets=("TOKEN",))))

    assert result.untrusted and "TOKEN" in result.reason
    assert result.tail.startswith("a *** b\n") and "aHVudGVy" not in result.tail and "h1bnRlcj" not in result.tail
    assert all("hunter2" not in line for _, line in workshop.lines)
    assert not any(b"hunter2-canary" in path.read_bytes() for path in workshop.state.rglob("*") if path.is_file())


def test_missing_secret_is_a_configuration_error(workshop: Workshop) -> None:
    """A declared secret that is not set fails the stage before it starts."""
    result = failed(workshop.one(workshop.order("true", secrets=("TOKEN",))))

    assert result.configuration and result.reason == "stage train needs the secret TOKEN, which is not set"


def test_c161_double_forked_process_is_killed(workshop: Workshop) -> None:
    """A stage that ignores SIGTERM and double-forks → all of it killed within 7 s, nothing left."""
    name = f"31{os.getpid()}"
    hidden = f"(setsid setsid sleep {name} >/dev/null 2>&1 &)"
    script = f"trap '' TERM; {hidden}; setsid sleep {name} & echo up; while :; do sleep {name}; done"
    executor = workshop.executor()
    executor.start(workshop.order(script))
    while not processes_with(f"sleep\0{name}"):
        os.sched_yield()
    start = time.monotonic()
    executor.stop()

    assert time.monotonic() - start < 7
    assert gone(f"sleep\0{name}")
    assert workshop.left_behind() == []


def test_c162_killed_stage_says_so(workshop: Workshop) -> None:
    """OOM-kill of a stage (137) → "stage killed by signal 9 (out of memory?)"; nothing stored."""
    result = failed(workshop.one(workshop.order("echo x > out; kill -9 $$", outputs=("out",))))

    assert (result.reason, result.exit_code) == ("stage killed by signal 9 (out of memory?)", 137)


def test_c163_missing_output_fails_the_stage(workshop: Workshop) -> None:
    """A stage that exits 0 without an output → failed, not in the store."""
    order = workshop.order("echo x > a", outputs=("a", "b"))
    result = failed(workshop.one(order))

    assert (result.reason, result.exit_code) == ("stage train did not write b in this run", 0)
    assert isinstance(workshop.store.record(order.key), Miss)


@pytest.mark.parametrize("copy", [True, False])
def test_c164_stage_that_changes_its_input_fails(workshop: Workshop, copy: bool) -> None:
    """A stage that modifies its own input → failed; not in the store. A mere touch is none."""
    given = workshop.given("in", "1\n", copy=copy)
    changing = workshop.order("chmod u+w in; echo 2 >> in; echo x > out", inputs=(given,), outputs=("out",))
    touching = workshop.order("touch -d @1 in; echo x > out", inputs=(workshop.given("in", "3\n"),), outputs=("out",))

    assert failed(workshop.one(changing)).reason == "stage train changed its input in while it ran"
    assert isinstance(workshop.store.record(changing.key), Miss)
    assert isinstance(workshop.one(touching), Ran)


def test_c164_one_changed_file_of_a_directory(workshop: Workshop) -> None:
    """A changed file in an input directory fails the stage; a new one (a bytecode cache) or a touch does not."""
    given = workshop.given_directory("src", {"a.py": "1", "pkg/b.py": "2"})
    beside = workshop.order("mkdir src/__pycache__; echo x > src/__pycache__/a; touch src/pkg/b.py", inputs=(given,))
    within = workshop.order("echo 3 > src/pkg/b.py", inputs=(given,))
    removing = workshop.order("rm src/a.py", inputs=(given,))

    assert isinstance(workshop.one(beside), Ran)
    for order in (within, removing):
        assert failed(workshop.one(order)).reason == "stage train changed its input src while it ran"


def test_c099_damaged_link_goes_into_quarantine(workshop: Workshop) -> None:
    """Who writes through a link into the store → failed; the damaged object is never served again."""
    data = "x" * 3_000_000
    given = workshop.given("big", data, copy=False)
    order = workshop.order("chmod u+w big; printf y | dd of=big conv=notrunc status=none", inputs=(given,))

    assert "changed its input big" in failed(workshop.one(order)).reason
    assert not workshop.object(given.digest).exists() or workshop.object(given.digest).read_text() == data


def test_c165_log_without_bounds(workshop: Workshop) -> None:
    """Much log, invalid UTF-8, ANSI escapes, one endless line → whole on disk, lines split at 64 KiB."""
    script = "printf '\\377\\033[31mred\\n'; head -c 5000000 /dev/zero | tr '\\0' x; exit 1"
    result = failed(workshop.one(workshop.order(script)))

    assert Path(result.log).stat().st_size == 5_000_010
    assert workshop.lines[0] == ("train", "\ufffd\x1b[31mred")
    assert max(len(line) for _, line in workshop.lines) <= 1 << 16
    assert sum(len(line) for _, line in workshop.lines[1:]) == 5_000_000
    assert len(result.tail) <= 1 << 14


def test_umask_and_standard_input_are_fixed(workshop: Workshop) -> None:
    """c106: whatever umask ciml was started with, a stage's files can be read; its standard input is empty."""
    old = os.umask(0o777)
    try:
        executor = workshop.executor()
    finally:
        os.umask(old)
    result = workshop.run(workshop.order("cat; umask > out", outputs=("out",)), executor=lambda: executor)["train"]

    assert made(workshop, result) == "0022\n"


def test_leftovers_of_a_dead_run_are_removed(workshop: Workshop) -> None:
    """A stage directory that nobody holds is removed by the next executor, read-only folders too."""
    dead = workshop.state / "stages" / ("ab" * 8)
    (dead / "work" / "locked").mkdir(parents=True)
    (dead / "work" / "locked" / "file").write_text("x")
    (dead / "work" / "locked").chmod(stat.S_IRUSR)

    workshop.executor().stop()

    assert workshop.left_behind() == []


def test_link_input_that_leaves_the_repository_is_refused(workshop: Workshop) -> None:
    """A symbolic link that points out of the repository never reaches a stage's directory."""
    given = OrderInput(inside=RepoPath("in"), digest=workshop.given("x", "").digest, size=0, link="../../etc/passwd")
    result = failed(workshop.one(workshop.order("cat in", inputs=(given,))))

    assert result.untrusted and "leaves the repository" in result.reason


def test_background_process_does_not_hold_the_stage(workshop: Workshop) -> None:
    """What a stage leaves in the background is ended with it; its result counts."""
    name = f"32{os.getpid()}"
    result = workshop.one(workshop.order(f"setsid sleep {name} & echo x > out", outputs=("out",)))

    assert isinstance(result, Ran)
    assert gone(f"sleep\0{name}")


def test_record_says_when_and_how_long(workshop: Workshop) -> None:
    """The record carries key, stage, platform, start and seconds of the attempt that succeeded."""
    record = ran(workshop.one(workshop.order("sleep 0.02; echo x > out", outputs=("out",)))).record

    assert record.seconds >= 0.02
    assert record.started.endswith("Z") and len(record.started) == 20


RUN_ONE = """
import os, sys
from pathlib import Path
from tests.adapters.executors.conftest import Workshop
workshop = Workshop(Path(sys.argv[1]))
order = workshop.order(sys.argv[2], key="same", outputs=("out",), checkpoint="ck")
print(type(workshop.one(order)).__name__)
"""


def another(workshop: Workshop, script: str) -> subprocess.Popen[str]:
    """Another ciml on the same state, carrying out an order."""
    argv = [sys.executable, "-c", RUN_ONE, str(workshop.state.parent), script]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=os.getcwd())


def test_single_flight_between_processes(workshop: Workshop) -> None:
    """The same key asked for by several processes at once runs once; the others take its record."""
    canary = workshop.work_tree / "canary"
    script = f"echo x >> {canary}; sleep 0.3; echo y > out"
    answers = [process.communicate()[0].strip() for process in [another(workshop, script) for _ in range(3)]]

    assert sorted(answers) == ["Ran", "Restored", "Restored"]
    assert canary.read_text() == "x\n"
    assert workshop.left_behind() == []


def test_killed_run_is_finished_by_the_next(workshop: Workshop) -> None:
    """SIGKILL of ciml in the middle of a stage, then the same order: the orphan is ended, the checkpoint is kept."""
    started = workshop.work_tree / "started"
    name = f"33{os.getpid()}"
    script = f"test -e ck && cp ck out && exit 0; echo epoch7 > ck; setsid sleep {name} & touch {started}; sleep {name}"
    victim = another(workshop, script)
    while not started.exists():
        os.sched_yield()
    victim.kill()
    victim.communicate()

    result = workshop.one(workshop.order(script, key="same", outputs=("out",), checkpoint="ck"))

    assert made(workshop, result) == "epoch7\n"
    assert gone(f"sleep\0{name}")
    assert workshop.left_behind() == []


def test_c161_parent_killed(workshop: Workshop) -> None:
    """ciml is killed with SIGKILL → the stage's processes end by themselves, in whatever session they hid."""
    name = f"35{os.getpid()}"
    started = workshop.work_tree / "started"
    victim = another(workshop, f"setsid sleep {name} & touch {started}; sleep {name}")
    while not started.exists():
        os.sched_yield()
    victim.kill()
    victim.communicate()

    assert gone(f"sleep\0{name}")


def test_stop_while_nothing_has_ended(workshop: Workshop) -> None:
    """Stopping ends what runs, frees what waits, and leaves no file behind; a second stop does nothing."""
    executor = workshop.executor(jobs=3)
    name = f"34{os.getpid()}"
    for stage in ("a", "b"):
        executor.start(workshop.order(f"sleep {name}", stage=stage))
    executor.start(workshop.order(f"sleep {name}", stage="a"))
    executor.stop()
    executor.stop()

    assert gone(f"sleep\0{name}")
    assert workshop.left_behind() == []


def test_term_is_enough_for_a_stage_that_listens(workshop: Workshop) -> None:
    """A stage that is timed out gets SIGTERM first and can save what it has."""
    script = "trap 'echo saved > ck; exit 0' TERM; touch $CIML_PARAMS.up; while :; do sleep 0.01; done"
    order = workshop.order(script, timeout_s=0.3, checkpoint="ck")

    assert failed(workshop.one(order)).reason == "timed out after 0.3 s"
    assert [path.read_text() for path in (workshop.state / "checkpoints").iterdir()] == ["saved\n"]


def test_argv_runs_without_a_shell(workshop: Workshop) -> None:
    """A list is an argument vector: nothing in it is interpreted; a missing program is named."""
    order = workshop.order("", outputs=("$(x) `y`;",))
    argv = structs.replace(order, script=None, argv=("touch", "$(x) `y`;"))
    missing = structs.replace(order, script=None, argv=("./run.sh",), fresh=True)
    workshop.known = Known(paths={RepoPath("run.sh")})

    assert isinstance(workshop.one(argv), Ran)
    result = failed(workshop.one(missing))
    assert result.exit_code == 127
    assert result.reason.endswith("run.sh is in the repository but is not an input of stage train")


def test_parameters_are_there(workshop: Workshop) -> None:
    """Params files hold the text of the order, CIML_PARAMS names a JSON file with all parameters."""
    order = structs.replace(
        workshop.order('cat conf/params.yaml "$CIML_PARAMS" > out', outputs=("out",)),
        params={"train": {"lr": 0.1}},
        params_files={RepoPath("conf/params.yaml"): "train:\n  lr: 0.1\n"},
    )

    assert made(workshop, workshop.one(order)) == 'train:\n  lr: 0.1\n{"train":{"lr":0.1}}'


def test_a_stage_does_not_find_the_enclosing_repository(workshop: Workshop) -> None:
    """The stage's directory lies under a Git ceiling."""
    subprocess.run(["git", "init", "-q", str(workshop.state)], check=True)

    assert "not a git repository" in failed(workshop.one(workshop.order("git rev-parse --git-dir"))).tail


def test_metrics_are_read(workshop: Workshop) -> None:
    """The numbers of a metrics file are in the record, nested keys joined; NaN is a problem, not a number."""
    order = workshop.order("""echo '{"val": {"auc": 0.9}, "loss": NaN}' > m.json""", metrics=("m.json",))
    metrics = ran(workshop.one(order)).record.metrics[RepoPath("m.json")]

    assert metrics.values == {"val.auc": 0.9}
    assert set(metrics.problems) == {"loss"}


def test_large_outputs_do_not_stop_the_loop(workshop: Workshop) -> None:
    """Storing much goes beside the loop, and comes to the same."""
    order = workshop.order("head -c 20000000 /dev/zero > out", outputs=("out",))
    size = ran(workshop.one(order)).record.outputs[0].size
    reader = workshop.order("wc -c < big > n", outputs=("n",), inputs=(workshop.given("big", b"\0" * 20_000_000),))

    assert size == 20_000_000
    assert made(workshop, workshop.one(reader)).strip() == "20000000"


def test_stage_runs_in_its_environment(workshop: Workshop) -> None:
    """With `environment:` the stage's Python is the one that was made for it, and what is installed is recorded."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    order = structs.replace(
        workshop.order("python -c 'import sys; print(sys.prefix)' > out; echo $VIRTUAL_ENV >> out", outputs=("out",)),
        environment=OrderEnvironment(python=version, requirements=None),
    )
    prefix, variable = made(workshop, workshop.one(order)).split()

    assert prefix == variable and Path(prefix).parent == workshop.state / "environments"


def test_environment_that_cannot_be_made_is_a_configuration_error(workshop: Workshop) -> None:
    """A requirements file that is refused fails the stage with its reason; the stage never starts."""
    requirements = workshop.store.put_bytes(b"-e .\n")
    order = structs.replace(
        workshop.order("true"), environment=OrderEnvironment(python="3.11", requirements=requirements)
    )
    result = failed(workshop.one(order))

    assert result.configuration and "editable" in result.reason
    assert (result.exit_code, result.attempts) == (None, 0)
