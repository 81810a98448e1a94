"""The harness runs jobs as GitHub does: order, conditions, matrices, outputs, rights, artifacts, called workflows."""

from __future__ import annotations

import pytest

from tests.harness.fixtures import hub as hub  # noqa: PLC0414 -- fixtures
from tests.harness.fixtures import language as language  # noqa: PLC0414
from tests.harness.fixtures import new_hub as new_hub  # noqa: PLC0414
from tests.harness.fixtures import pushed
from tests.harness.hub import Hub
from tests.harness.language import WorkflowError
from tests.harness.matrix import combinations
from tests.harness.permissions import excess, granted

JOBS = """\
jobs:
  first:
    runs-on: x
    outputs: {list: "${{ steps.told.outputs.list }}", nothing: "${{ steps.told.outputs.absent }}"}
    steps:
      - {id: told, run: 'echo "list=[1, 2]" >> "$GITHUB_OUTPUT"'}
  many:
    needs: first
    name: number ${{ matrix.n }}
    runs-on: x
    strategy: {matrix: {n: "${{ fromJSON(needs.first.outputs.list) }}"}}
    outputs: {last: "${{ matrix.n }}"}
    steps: [{run: 'echo "$N of $TOTAL"', env: {N: "${{ matrix.n }}", TOTAL: "${{ strategy.job-total }}"}}]
  last:
    needs: [first, many]
    runs-on: x
    steps: [{run: 'echo "$ALL"', env: {ALL: "${{ toJSON(needs) }}"}}]
"""


def test_jobs_run_in_order_and_hand_on_outputs(hub: Hub) -> None:
    """A matrix made of another job's output; what a job needs it knows; an output that was never set is empty."""
    run = pushed(hub, JOBS)
    assert run.results == {"first": "success", "many": "success", "last": "success"}, run.explain()
    assert [job.name for job in run.jobs] == ["first", "number 1", "number 2", "last"]
    assert run["number 2"].log.strip() == "2 of 2"
    assert run["first"].outputs == {"list": "[1, 2]", "nothing": ""}
    assert '"last": "2"' in run["last"].log
    checks = {made["name"]: made["conclusion"] for made in hub.api.check_runs(run.happening.sha)}
    assert checks == {"first": "success", "number 1": "success", "number 2": "success", "last": "success"}


CHAIN = """\
jobs:
  a: {runs-on: x, if: "IF", steps: [{run: "RUN"}]}
  b: {needs: a, if: always(), runs-on: x, steps: [{run: "true"}]}
  plain: {needs: b, runs-on: x, steps: [{run: "true"}]}
  careful: {needs: b, if: "!cancelled() && needs.b.result == 'success'", runs-on: x, steps: [{run: "true"}]}
  worried: {needs: b, if: failure(), runs-on: x, steps: [{run: "true"}]}
"""


@pytest.mark.parametrize(
    ("condition", "script", "results"),
    [
        ("true", "true", "success success success success skipped"),
        ("false", "true", "skipped success skipped success skipped"),
        ("true", "exit 1", "failure success skipped success success"),
    ],
)
def test_success_asks_for_all_that_came_before(hub: Hub, condition: str, script: str, results: str) -> None:
    """A job without a condition of its own is skipped where any job before it was skipped, however far."""
    run = pushed(hub, CHAIN.replace("IF", condition).replace("RUN", script))
    assert " ".join(run.results.values()) == results, run.explain()
    assert run.conclusion == ("failure" if "exit" in script else "success")


def test_a_failure_that_is_allowed(hub: Hub) -> None:
    """`continue-on-error` of a step and of a job; what a step came to stays known."""
    run = pushed(
        hub,
        """\
jobs:
  step:
    runs-on: x
    steps:
      - {id: bad, run: exit 3, continue-on-error: true}
      - {run: 'echo "${{ steps.bad.outcome }} ${{ steps.bad.conclusion }}"'}
      - {if: failure(), run: echo never}
  job: {runs-on: x, continue-on-error: true, steps: [{run: exit 3}]}
  after: {needs: [step, job], runs-on: x, steps: [{run: "true"}]}
""",
    )
    assert (run.conclusion, run.results["after"]) == ("success", "success"), run.explain()
    assert "failure success" in run["step"].log
    assert [step.outcome for step in run["step"].steps] == ["failure", "success", "skipped"]
    assert run.checks["job"] == "failure"


def test_a_failed_step_leaves_the_rest_to_conditions(hub: Hub) -> None:
    """After a failure only `always()` and `failure()` run, and the job has failed."""
    run = pushed(
        hub,
        """\
jobs:
  a:
    runs-on: x
    steps:
      - {run: exit 1}
      - {id: plain, run: "true"}
      - {id: asked, if: "1 == 1", run: "true"}
      - {id: always, if: always(), run: "true"}
      - {id: failure, if: "${{ failure() }}", run: "true"}
""",
    )
    assert run.conclusion == "failure"
    assert [step.conclusion for step in run["a"].steps] == ["failure", "skipped", "skipped", "success", "success"]


@pytest.mark.parametrize(
    ("needs", "error"), [("nobody", "depends on unknown job"), ("b", "creates a cycle|no dependencies")]
)
def test_what_github_does_not_take_is_no_run(hub: Hub, needs: str, error: str) -> None:
    """Errors that GitHub's own parser finds fail the test that pushes them."""
    text = f"jobs:\n  a: {{needs: {needs}, runs-on: x, steps: [{{run: x}}]}}\n"
    text += "  b: {needs: a, runs-on: x, steps: [{run: x}]}\n  c: {runs-on: x, steps: [{run: x}]}\n"
    with pytest.raises(WorkflowError, match=error):
        pushed(hub, text)


def test_a_context_that_is_not_there_is_an_error(hub: Hub) -> None:
    """Secrets cannot stand in an `if`, and there is no context `nonsense`."""
    with pytest.raises(WorkflowError, match="secrets"):
        pushed(hub, "jobs:\n  a: {runs-on: x, if: \"secrets.A != ''\", steps: [{run: x}]}\n")


def test_matrix_combinations() -> None:
    """Products in order; exclude before include; an include that changes nothing of its own is added to all."""
    made = combinations({"os": ["a", "b"], "n": [1, 2], "exclude": [{"os": "b", "n": 1}], "include": [{"x": 1}]})
    assert made == [{"os": "a", "n": 1, "x": 1}, {"os": "a", "n": 2, "x": 1}, {"os": "b", "n": 2, "x": 1}]
    assert combinations({"include": [{"a": 1}, {"b": 2}]}) == [{"a": 1}, {"b": 2}]
    assert combinations({"n": [1], "include": [{"n": 2, "y": 1}]}) == [{"n": 1}, {"n": 2, "y": 1}]
    assert len(combinations({"n": list(range(256))})) == 256
    for vector in (list(range(257)), [], "text"):
        with pytest.raises(WorkflowError):
            combinations({"n": vector})


def test_an_empty_matrix_is_a_failure(hub: Hub) -> None:
    """A job whose matrix is made of an empty list fails; where its condition is false nobody looks at the matrix."""
    run = pushed(
        hub,
        """\
jobs:
  a: {runs-on: x, strategy: {matrix: {n: "${{ fromJSON('[]') }}"}}, steps: [{run: "true"}]}
  b: {runs-on: x, if: "false", strategy: {matrix: {n: "${{ fromJSON('[]') }}"}}, steps: [{run: "true"}]}
""",
    )
    assert run.results == {"a": "failure", "b": "skipped"}
    assert "does not contain any values" in run.errors[0]


def test_permissions_of_jobs() -> None:
    """The job's in the place of the workflow's; a fork reads; a called workflow has no more than its caller."""
    assert granted(None, None, None, fork=False) == {"metadata": "read", "contents": "read", "packages": "read"}
    assert granted({}, None, None, fork=False) == {"metadata": "read"}
    assert granted({"contents": "write"}, {"checks": "write"}, None, fork=False) == {
        "metadata": "read",
        "checks": "write",
    }
    told = {"contents": "write", "id-token": "write"}
    assert granted({}, told, None, fork=True) == {"metadata": "read", "contents": "read"}
    assert granted(None, told, {"contents": "read"}, fork=False) == {"metadata": "read", "contents": "read"}
    assert excess(None, told, {"contents": "read"}) == ["contents: write", "id-token: write"]
    assert granted("read-all", None, None, fork=False)["pull-requests"] == "read"


PUSHING = """\
on: [push, pull_request]
permissions: {}
jobs:
  none: {runs-on: x, steps: [{uses: actions/checkout@v6}]}
  read:
    runs-on: x
    permissions: {contents: read}
    steps: [{uses: actions/checkout@v6}, {run: "git push -q origin HEAD:refs/heads/made-by-read"}]
  write:
    runs-on: x
    permissions: {contents: write}
    steps: [{uses: actions/checkout@v6}, {run: "git push -q origin HEAD:refs/heads/made-by-write"}]
  forgetful:
    runs-on: x
    permissions: {contents: write}
    steps:
      - {uses: actions/checkout@v6, with: {persist-credentials: false}}
      - {run: "git push -q origin HEAD:refs/heads/made-by-nobody"}
"""


def test_a_token_does_what_its_job_may(hub: Hub) -> None:
    """Reading and pushing take `contents`; a checkout that keeps nothing leaves nothing; a fork cannot push."""
    run = pushed(hub, PUSHING)
    assert run.results == {"none": "failure", "read": "failure", "write": "success", "forgetful": "failure"}
    assert hub.refs() == {"refs/heads/main", "refs/heads/made-by-write"}
    assert "403" in run["read"].log
    assert all(token.expired for token in hub.api.tokens.values())

    hub.work.branch("theirs")
    hub.work.commit({"x": "1"})
    [forked] = hub.pull_request("theirs", fork="mallory/churn")
    assert forked.results == {"none": "failure", "read": "failure", "write": "failure", "forgetful": "failure"}
    assert hub.refs() == {"refs/heads/main", "refs/heads/made-by-write"}


CALLED = """\
on:
  workflow_call:
    inputs: {count: {type: number, default: 2}, word: {type: string, required: true}}
    outputs: {said: {value: "${{ jobs.inner.outputs.said }}"}}
    secrets: {KEY: {required: true}}
permissions: {}
jobs:
  inner:
    runs-on: x
    permissions: {contents: read}
    outputs: {said: "${{ steps.a.outputs.said }}"}
    steps:
      - {id: a, run: 'echo "said=${W}${{ inputs.count }}" >> "$GITHUB_OUTPUT"; echo "key: $K"',
         env: {W: "${{ inputs.word }}", K: "${{ secrets.KEY }}"}}
"""

CALLING = """\
permissions: {}
jobs:
  outer:
    permissions: {contents: LEVEL}
    uses: ./.github/workflows/called.yml
    with: {word: hello}
    secrets: {KEY: "${{ secrets.OURS }}"}
  after:
    needs: outer
    runs-on: x
    steps: [{run: 'echo "${{ needs.outer.outputs.said }}"'}]
"""


def test_a_called_workflow(hub: Hub) -> None:
    """Inputs, outputs, secrets and permissions of a workflow in the place of a job."""
    hub.secrets["OURS"] = "topsecret"
    run = pushed(hub, CALLING.replace("LEVEL", "read"), {".github/workflows/called.yml": CALLED})
    assert run.conclusion == "success", run.explain()
    assert run["outer / inner"].permissions == {"metadata": "read", "contents": "read"}
    assert run["after"].log.strip() == "hello2"
    assert "key: ***" in run["outer / inner"].log

    hub.work.commit({".github/workflows/test.yml": "on: push\n" + CALLING.replace("LEVEL", "none")})
    [refused] = hub.push()
    assert refused.conclusion == "failure"
    assert "requesting contents: read" in refused.errors[0]


def test_failed_jobs_run_again(hub: Hub) -> None:
    """Another attempt keeps what went well, with its outputs and artifacts, and runs the rest and what comes after."""
    run = pushed(
        hub,
        """\
jobs:
  good:
    runs-on: x
    outputs: {attempt: "${{ github.run_attempt }}"}
    steps:
      - {run: "echo ${{ github.run_attempt }} > a"}
      - {uses: actions/upload-artifact@v5, with: {name: a, path: a}}
  flaky: {runs-on: x, steps: [{run: 'test "$GITHUB_RUN_ATTEMPT" = 2'}]}
  last:
    needs: [good, flaky]
    runs-on: x
    steps:
      - {uses: actions/download-artifact@v6, with: {name: a, path: got}}
      - {run: 'cat got/a; echo "${{ needs.good.outputs.attempt }}"'}
""",
    )
    assert run.results == {"good": "success", "flaky": "failure", "last": "skipped"}
    assert hub.rerun(run).conclusion == "success", run.explain()
    assert (run.id, run.attempt, run["last"]["__1"].log.split()) == (run.id, 2, ["1", "1"])


def test_environments_guard_their_secrets(hub: Hub) -> None:
    """A job in an environment has its secrets and variables; a branch that its rules keep out has a failed job."""
    hub.secrets["A"], hub.environments["prod"] = "of-all-jobs", {"A": "of-prod-alone"}
    hub.environment_variables["prod"], hub.policies["prod"] = {"V": "where"}, ["main"]
    workflow = """\
on: {push: {branches: ["**"]}}
jobs:
  out: {runs-on: x, steps: [{run: 'test "$A" = of-all-jobs', env: {A: "${{ secrets.A }}"}}]}
  in:
    runs-on: x
    environment: prod
    outputs: {v: "${{ vars.V }}", leak: "say ${{ steps.a.outputs.a }}"}
    steps: [{id: a, run: 'test "$A" = of-prod-alone; echo "a=$A" >> "$GITHUB_OUTPUT"', env: {A: "${{ secrets.A }}"}}]
"""
    run = pushed(hub, workflow)
    assert run.conclusion == "success", run.explain()
    assert run["in"].outputs == {"v": "where"}
    assert run["in"].notes == ["Skip output 'leak' since it may contain secret."]
    hub.work.branch("other")
    hub.work.commit({"x": "1"})
    [other] = hub.push("other")
    assert other.results == {"out": "success", "in": "failure"}
    assert run["in"].environment == "prod"
