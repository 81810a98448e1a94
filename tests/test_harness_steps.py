"""The harness runs steps as GitHub's runner does: shells, variables, files, commands, masks, actions, limits."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.harness.commands import Command, FileError, Listener, lines, pairs
from tests.harness.fixtures import NewHub, pushed
from tests.harness.fixtures import hub as hub  # noqa: PLC0414 -- fixtures
from tests.harness.fixtures import language as language  # noqa: PLC0414
from tests.harness.fixtures import new_hub as new_hub  # noqa: PLC0414
from tests.harness.hub import Hub
from tests.harness.job import Job, StepRun
from tests.harness.language import Language, WorkflowError, text, truthy


def heard(output: bytes) -> list[Command]:
    """The commands in a step's output."""
    listener = Listener()
    return [found for line in lines(output) if (found := listener.heard(line)) is not None]


@pytest.mark.parametrize(
    ("output", "names"),
    [
        (b"::set-output name=a::v\n", ["set-output"]),
        (b"  \t::Warning file=a,line=1::v", ["warning"]),
        ("\u00a0\u2003::notice::v".encode(), ["notice"]),
        (b"progress 10%\r::debug::v\n", ["debug"]),
        (b"text ::debug::v\n", []),
        (b"text ##[set-output name=a;]v\n", ["set-output"]),
        (b"::no-such::v\n##[no-such]v\n", []),
        (b"::stop-commands::enough7\n::debug::a\n::enough7::\n::debug::b", ["stop-commands", "debug"]),
    ],
)
def test_commands_are_heard_as_a_runner_hears_them(output: bytes, names: list[str]) -> None:
    """First in a line after any white space, or in brackets anywhere; a carriage return begins a line."""
    assert [command.name for command in heard(output)] == names


def test_a_command_has_properties() -> None:
    """They are between the name and the second pair of colons, with signs by their codes."""
    [found] = heard(b"::error file=a%2Cb,line=1,title=x%3Ay::one%0Atwo %25")
    assert found == Command("error", {"file": "a,b", "line": "1", "title": "x:y"}, "one\ntwo %")
    assert heard(b"##[error file=a;line=1;]one%5D") == [Command("error", {"file": "a", "line": "1"}, "one]")]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("a=1\nb=x=y\n", {"a": "1", "b": "x=y"}),
        ("a<<E\none\ntwo\nE\nb=1", {"a": "one\ntwo", "b": "1"}),
        ("a<<E\nE\n", {"a": ""}),
        ("a<<E\none\r\nE\n", {"a": "one\r"}),
        ("a=<<E\n", {"a": "<<E"}),
    ],
)
def test_files_of_a_step(content: str, found: dict[str, str]) -> None:
    """`name=value` or a heredoc, whichever sign comes first."""
    assert pairs(content) == found


@pytest.mark.parametrize("content", ["a\n", "a<<E\none\n", "a<<E\none", "=1\n", "<<E\nE\n"])
def test_a_file_that_a_runner_does_not_understand(content: str) -> None:
    """It is an error, and the step fails."""
    with pytest.raises(FileError):
        pairs(content)


EXPRESSIONS = {
    "1 == '1' && 'A' == 'a'": True,
    "contains(fromJSON('[1, 2]'), 2)": True,
    "format('{0}-{1}', 'a', true)": "a-true",
    "github.nothing.at.all == ''": True,
    "join(needs.*.result, ' ')": "success failure",
    "contains(needs.*.result, 'failure')": True,
    "fromJSON('{\"a\": [\"x\"]}')['b'] || 'none'": "none",
    "toJSON(github.event)": '{\n  "number": 7\n}',
    "startsWith('refs/tags/v1', 'refs/tags/') && !cancelled()": True,
}


def test_expressions(language: Language) -> None:
    """GitHub's own evaluator: comparisons without case, filters over objects, JSON in and out."""
    contexts = {"github": {"event": {"number": 7}}, "needs": {"a": {"result": "success"}, "b": {"result": "failure"}}}
    asked = {name: {"${{": name} for name in EXPRESSIONS}
    assert language.resolve(asked, contexts, status={}) == EXPRESSIONS
    with pytest.raises(WorkflowError):
        language.resolve({"${{": "fromJSON('')"}, contexts, status={})
    values: list[Any] = [None, True, 3.0, 2.5, [], "x"]
    assert [text(value) for value in values] == ["", "true", "3", "2.5", "Array", "x"]
    values = [None, False, 0, "", "false", {}, []]
    assert [truthy(value) for value in values] == [False] * 4 + [True] * 3


def test_shells_folders_and_variables(hub: Hub) -> None:
    """`bash` ends at any failure of a pipe, no shell at the last one's; the nearest `env` counts; steps add to it."""
    run = pushed(
        hub,
        """\
env: {A: workflow, B: workflow, C: workflow, GITHUB_SHA: forged}
defaults: {run: {working-directory: sub}}
jobs:
  a:
    runs-on: x
    env: {B: job, C: job}
    steps:
      - {run: "mkdir sub", working-directory: .}
      - {id: plain, run: "false | true"}
      - {id: strict, shell: bash, run: "false | true", continue-on-error: true}
      - run: |
          echo "D=one" >> "$GITHUB_ENV"
          printf 'B<<END\\nfrom\\nfile\\nEND\\n' >> "$GITHUB_ENV"
          mkdir bin; printf '#!/bin/sh\\necho found' > bin/tool; chmod +x bin/tool; echo "$PWD/bin" >> "$GITHUB_PATH"
          echo "# summary" >> "$GITHUB_STEP_SUMMARY"
      - {id: last, env: {C: "${{ env.D }} step"}, run: 'echo "$A|$B|$C|$D|$(tool)|${PWD##*/}"; env'}
""",
    )
    assert run.conclusion == "success", run.explain()
    job = run["a"]
    assert (job["plain"].outcome, job["strict"].outcome) == ("success", "failure")
    assert "workflow|from\nfile|one step|one|found|sub" in job["last"].log
    assert (job["last"].environ["GITHUB_SHA"], job.summary) == (run.happening.sha, "# summary\n")
    assert job["last"].environ["HOME"].startswith(str(hub.folder))
    told = [name for name in job["last"].environ if name.startswith(("GITHUB_", "RUNNER_"))]
    assert len(told) >= 36
    assert not {"VIRTUAL_ENV", "PYTEST_CURRENT_TEST", "PYTHONPATH"} & set(job["last"].environ)


def test_masks(hub: Hub) -> None:
    """A secret, and what a step asks to have masked, stands in no log, and in no output of a job."""
    hub.secrets["KEY"] = "line one\nline two"
    run = pushed(
        hub,
        """\
jobs:
  a:
    runs-on: x
    outputs: {one: "${{ steps.a.outputs.one }}", two: "${{ steps.a.outputs.two }}"}
    steps:
      - id: a
        env: {KEY: "${{ secrets.KEY }}"}
        run: |
          echo "$KEY"; echo "::add-mask::hidden"; echo "this is hidden"
          echo "one=so hidden" >> "$GITHUB_OUTPUT"; echo "two=seen" >> "$GITHUB_OUTPUT"
""",
    )
    job = run["a"]
    assert job["a"].log.split("\n")[:2] == ["***", "***"]
    assert "this is ***" in job.log
    assert job.outputs == {"two": "seen"}
    assert [command.name for command in job.commands] == ["add-mask"]


@pytest.mark.parametrize(
    "script",
    [
        "echo nonsense >> $GITHUB_OUTPUT",
        "echo '::set-env name=A::b'",
        "echo NODE_OPTIONS=x >> $GITHUB_ENV",
        "printf 'A<<E\\nE' >> $GITHUB_ENV; printf 'A<<E\\nx' >> $GITHUB_OUTPUT",
    ],
)
def test_what_a_runner_refuses(hub: Hub, script: str) -> None:
    """Files that it does not understand, commands that are disabled, variables that are blocked."""
    run = pushed(hub, f'jobs:\n  a: {{runs-on: x, steps: [{{run: "{script}"}}]}}\n'.replace("\\n", "\\\\n"))
    assert run.conclusion == "failure", run.explain()


ACTION = """\
name: an action
description: of the tests
inputs: {Word: {default: none}, token: {default: "${{ github.token }}"}}
outputs: {said: {value: "${{ steps.say.outputs.said }}"}, failed: {value: "${{ steps.bad.outcome }}"}}
runs:
  using: composite
  steps:
    - {id: say, shell: bash, env: {W: "${{ inputs.word }}"}, run: 'echo "said=$W $OUTER" >> "$GITHUB_OUTPUT"'}
    - {id: bad, shell: bash, run: exit 1, continue-on-error: true}
    - {if: "inputs.word == 'stop'", shell: bash, run: exit 7}
    - {id: then, if: "success() && steps.bad.outcome == 'failure'", shell: bash, run: '"$GITHUB_ACTION_PATH/tool"'}
    - {if: "inputs.token != ''", shell: bash, run: 'test "$GITHUB_ACTION_REPOSITORY" = "WHOSE"'}
"""


@pytest.mark.parametrize("uses", ["./own", "$/own", "acme/ciml@main"])
def test_a_composite_action(new_hub: NewHub, uses: str) -> None:
    """Its inputs with defaults, its steps with conditions of their own, its outputs; of this repository or another."""
    hub = new_hub()
    text_ = ACTION.replace("WHOSE", {".": "", "$": "acme/churn"}.get(uses[0], "acme/ciml"))
    tool = "#!/bin/sh\necho tool of the action\n"
    hub.action.mkdir()
    (hub.action / "action.yml").write_text(text_)
    (hub.action / "tool").write_text(tool)
    (hub.action / "tool").chmod(0o755)
    hub.work.write({"own/tool": tool}, modes={"own/tool": 0o755})
    run = pushed(
        hub,
        f"""\
permissions: {{contents: read}}
jobs:
  a:
    runs-on: x
    env: {{OUTER: outer}}
    steps:
      - {{uses: actions/checkout@v6}}
      - {{id: a, uses: {uses}, with: {{WORD: hello, other: x}}}}
      - {{id: after, run: 'echo "${{{{ steps.a.outputs.said }}}}, ${{{{ steps.a.outputs.failed }}}}"'}}
      - {{id: b, uses: {uses}, with: {{word: stop}}}}
""",
        {"own/action.yml": text_, "own/tool": tool},
    )
    job = run["a"]
    assert "hello outer, failure" in job["after"].log, run.explain()
    assert "tool of the action" in job["then"].log
    assert job.notes == ["Unexpected input 'other'"]
    assert (job["a"].outcome, job["b"].outcome, run.conclusion) == ("success", "failure", "failure")


def test_limits_of_time(hub: Hub) -> None:
    """A step that takes too long fails; what a job leaves running is ended with it."""
    run = pushed(
        hub,
        """\
jobs:
  a:
    runs-on: x
    steps:
      - {id: slow, timeout-minutes: 0.003, run: exec sleep 60, continue-on-error: true}
      - id: left
        run: |
          setsid sleep 61 &
          echo "pid=$!" >> "$GITHUB_OUTPUT"
          # A process that is just being started shows no environment, and the harness knows its own by that.
          at=/proc/$!
          until [ "$(tr '\\0' ' ' < $at/cmdline)" = "sleep 61 " ] && grep -q RUNNER_TRACKING_ID $at/environ; do :; done
""",
    )
    assert run["a"]["slow"].outcome == "failure"
    assert "timed out" in run["a"]["slow"].log
    left = Path(f"/proc/{run['a']['left'].outputs['pid']}/cmdline")
    deadline = time.monotonic() + 30
    while left.exists() and left.read_bytes():
        assert time.monotonic() < deadline, "it still runs"


def test_a_run_that_is_cancelled(hub: Hub) -> None:
    """The step is asked by SIGINT; `always()` still runs, `!cancelled()` does not, nor what comes after."""
    hub.cancel_when = "working"
    run = pushed(
        hub,
        """\
jobs:
  a:
    runs-on: x
    steps:
      - {id: a, run: "trap 'echo asked; exit 130' INT; echo working; while true; do sleep 0.05; done"}
      - {id: b, if: "!cancelled()", run: "true"}
      - {id: c, if: always(), run: "true"}
  later: {needs: a, runs-on: x, if: "!cancelled()", steps: [{run: "true"}]}
""",
    )
    assert run.conclusion == "cancelled", run.explain()
    assert [step.outcome for step in run["a"].steps] == ["cancelled", "skipped", "success"]
    assert "asked" in run["a"]["a"].log
    assert run.results["later"] in ("skipped", "cancelled")


def test_a_step_may_be_passed_over(hub: Hub) -> None:
    """Whoever tests may say that a step is done already: its job sees success, and nothing is run."""
    seen: list[str] = []

    def before(job: Job, step: StepRun) -> bool:
        seen.append(f"{job.name}: {step.name}")
        return step.name == "fail"

    hub.before_step = before
    run = pushed(hub, "jobs:\n  a: {runs-on: x, steps: [{name: fail, run: exit 1}, {run: echo on}]}\n")
    assert (run.conclusion, seen) == ("success", ["a: fail", "a: echo on"])
