"""The harness is GitHub around the jobs: events and filters, what a fork gets, Git, artifacts, caches."""

from __future__ import annotations

import base64
import subprocess

import pytest

from tests.harness.caches import Caches
from tests.harness.filters import fits, starts
from tests.harness.fixtures import NewHub, pushed
from tests.harness.fixtures import hub as hub  # noqa: PLC0414 -- fixtures
from tests.harness.fixtures import language as language  # noqa: PLC0414
from tests.harness.fixtures import new_hub as new_hub  # noqa: PLC0414
from tests.harness.hub import Hub

ECHO = "jobs:\n  a: {runs-on: x, steps: [{run: 'echo \"$GITHUB_EVENT_NAME $GITHUB_REF $GITHUB_SHA\"'}]}\n"


@pytest.mark.parametrize(
    ("pattern", "name", "fitting"),
    [
        ("main", "main", True),
        ("main", "mainly", False),
        ("v*", "v1.2", True),
        ("v*", "v1/x", False),
        ("release/**", "release/a/b", True),
        ("**", "a/b", True),
        ("v[12].[0-9]+", "v2.10", True),
        ("*.jsx?", "page.js", True),
        ("docs/**/*.md", "docs/a.md", True),
        ("a.b", "axb", False),
        ("!main", "main", False),
    ],
)
def test_patterns(pattern: str, name: str, fitting: bool) -> None:
    """The signs of GitHub's cheat sheet."""
    assert fits([pattern], name) is fitting


@pytest.mark.parametrize(
    ("told", "ref", "paths", "started"),
    [
        ({}, "refs/tags/v1", [], True),
        ({"branches": ["main"]}, "refs/tags/v1", [], False),
        ({"tags": ["v*"]}, "refs/heads/main", [], False),
        ({"branches": ["main"], "tags": ["v*"]}, "refs/tags/v1", [], True),
        ({"branches": ["**", "!main"]}, "refs/heads/main", [], False),
        ({"branches-ignore": ["main"]}, "refs/heads/other", [], True),
        ({"paths": ["src/**"]}, "refs/heads/main", ["docs/a.md"], False),
        ({"paths": ["src/**"]}, "refs/heads/main", ["docs/a.md", "src/a.py"], True),
        ({"paths-ignore": ["docs/**"]}, "refs/heads/main", ["docs/a.md"], False),
        ({"paths": ["src/**"]}, "refs/tags/v1", [], True),
    ],
)
def test_what_a_push_starts(told: dict[str, list[str]], ref: str, paths: list[str], started: bool) -> None:
    """Branches, tags and paths, each with what it does not say."""
    assert starts({"push": told}, "push", action="", ref=ref, base="", paths=paths) is started


def test_a_push_a_tag_and_a_pull_request(hub: Hub) -> None:
    """Ref and commit of each: a pull request is at the merge commit, a tag at the commit that it names."""
    run = pushed(hub, "on: [push, pull_request]\n" + ECHO)
    main = run.happening.sha
    assert run["a"].log.split() == ["push", "refs/heads/main", main]
    [tag] = hub.tag("v1.0.0", message="the first")
    assert tag["a"].log.split() == ["push", "refs/tags/v1.0.0", main]
    assert tag.happening.payload["after"] != main == tag.happening.payload["head_commit"]["id"]
    hub.work.branch("better")
    head = hub.work.commit({"x": "1"})
    [on_branch, opened] = hub.pull_request("better")
    assert on_branch["a"].log.split()[1] == "refs/heads/better"
    merge = hub.tip("refs/pull/1/merge")
    assert opened["a"].log.split() == ["pull_request", "refs/pull/1/merge", merge]
    assert hub.bare.git("rev-parse", f"{merge}^1", f"{merge}^2").split() == [main, head]
    assert (opened.happening.payload["action"], hub.api.pulls[1]["state"]) == ("opened", "open")
    hub.work.commit({"x": "2"})
    [_, again] = hub.pull_request("better")
    assert (again.happening.payload["action"], again.happening.payload["number"]) == ("synchronize", 1)
    [merged] = hub.merge(1)
    assert merged.happening.payload["before"] == main
    assert hub.work.head() == merged.happening.sha == hub.api.pulls[1]["merge_commit_sha"]
    assert [made["status"] for made in hub.api._runs] == ["completed"] * 7


def test_other_events(hub: Hub) -> None:
    """What somebody dispatches, what a clock starts, what nobody wants run; inputs have their types."""
    run = pushed(
        hub,
        """\
on:
  push:
  schedule: [{cron: "0 3 * * 1"}]
  repository_dispatch: {types: [data]}
  workflow_dispatch: {inputs: {sure: {type: boolean, default: false}, word: {type: string, default: none}}}
jobs:
  a: {runs-on: x, steps: [{run: 'echo "${{ github.event_name }} ${{ inputs.sure && 1 || 0 }} ${{ inputs.word }}"'}]}
""",
    )
    assert run["a"].log.split() == ["push", "0"]
    assert [made["a"].log.split() for made in hub.schedule()] == [["schedule", "0"]]
    assert [made["a"].log.split() for made in hub.dispatch("data", {"x": 1})] == [["repository_dispatch", "0"]]
    assert hub.dispatch("other") == []
    [manual] = hub.manual("test.yml", inputs={"sure": "true"})
    assert manual["a"].log.split() == ["workflow_dispatch", "1", "none"]
    hub.work.commit({"x": "1"}, "words\n\n[skip ci]")
    assert hub.push() == []


FOLLOWING = """\
name: follow
on: {workflow_run: {workflows: [compute], types: [completed]}}
permissions: {actions: read, contents: write}
jobs:
  follow:
    if: github.event.workflow_run.head_repository.full_name != github.repository
    runs-on: x
    steps:
      - uses: actions/download-artifact@v6
        with:
          {name: made, path: got, run-id: "${{ github.event.workflow_run.id }}", github-token: "${{ github.token }}"}
      - {run: 'echo "$(cat got/made) $KEY $GITHUB_REF"; test -n "$KEY"', env: {KEY: "${{ secrets.KEY }}"}}
"""


def test_a_fork_gets_nothing_and_what_follows_gets_all(hub: Hub) -> None:
    """No secret, no variable, a token that reads; what follows is the default branch's workflow, with its rights."""
    hub.secrets["KEY"], hub.variables["V"] = "hunter2", "seen"
    compute = """\
name: compute
on: [push, pull_request]
permissions: {contents: write}
jobs:
  a:
    runs-on: x
    steps:
      - {run: 'echo "<$KEY$V>" > made', env: {KEY: "${{ secrets.KEY }}", V: "${{ vars.V }}"}}
      - {uses: actions/upload-artifact@v5, with: {name: made, path: made}}
"""
    hub.work.commit({".github/workflows/follow.yml": FOLLOWING, ".github/workflows/compute.yml": compute})
    [own, skipped] = hub.push()
    assert (own.conclusion, skipped.results) == ("success", {"follow": "skipped"})
    hub.work.branch("theirs")
    hub.work.commit({".github/workflows/follow.yml": FOLLOWING.replace("KEY", "FORGED"), "x": "1"})
    [forked, followed] = hub.pull_request("theirs", fork="mallory/churn")
    assert forked["a"].permissions == {"metadata": "read", "contents": "read"}
    assert followed.happening.payload["workflow_run"]["head_repository"]["full_name"] == "mallory/churn"
    assert followed["follow"].log.split()[-3:] == ["<>", "***", "refs/heads/main"], followed.explain()


UPLOADS = """\
jobs:
  up:
    runs-on: x
    steps:
      - {run: "mkdir -p d/sub; echo 1 > d/a; echo 2 > d/sub/b; chmod +x d/a; echo 3 > d/.hidden; ln -s a d/link"}
      - {uses: actions/upload-artifact@v5, with: {name: one, path: d}}
      - {id: twice, uses: actions/upload-artifact@v5, continue-on-error: true, with: {name: one, path: d}}
      - {uses: actions/upload-artifact@v5, with: {name: two, path: "d/sub/b\\nd/a\\n!d/none"}}
      - {id: none, uses: actions/upload-artifact@v5, continue-on-error: true,
         with: {name: none, path: nothing, if-no-files-found: error}}
      - {uses: actions/upload-artifact@v5, with: {name: quiet, path: nothing, if-no-files-found: ignore}}
  down:
    needs: up
    runs-on: x
    steps:
      - {id: absent, uses: actions/download-artifact@v6, continue-on-error: true, with: {name: quiet}}
      - {uses: actions/download-artifact@v6, with: {name: one, path: one}}
      - {uses: actions/download-artifact@v6, with: {path: all}}
      - {uses: actions/download-artifact@v6, with: {pattern: "{one,tw*}", path: both, merge-multiple: true}}
      - {uses: actions/download-artifact@v6, with: {pattern: none-*, path: nothing}}
      - {run: "find one all both -type f | sort; test ! -x one/a && test ! -L one/link"}
"""


def test_artifacts(hub: Hub) -> None:
    """Immutable, without modes, links and hidden files; by name, by pattern with braces, together."""
    run = pushed(hub, UPLOADS)
    assert run.conclusion == "success", run.explain()
    assert [run["up"][name].outcome for name in ("twice", "none")] == ["failure", "failure"]
    assert run["down"]["absent"].outcome == "failure"
    listed = run["down"].log.split()
    assert [path for path in listed if path.startswith("one/")] == ["one/a", "one/link", "one/sub/b"]
    assert [path for path in listed if path.startswith("all/two/")] == ["all/two/a", "all/two/sub/b"]
    assert [path for path in listed if path.startswith("both/")] == ["both/a", "both/link", "both/sub/b"]


def test_caches(new_hub: NewHub, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Saved when a job ends well and the key is new; a pull request reads the base's, and nobody reads its own."""
    caches = Caches(tmp_path_factory.mktemp("caches"))
    hub = new_hub(caches=caches)
    workflow = """\
on: [push, pull_request]
jobs:
  a:
    runs-on: x
    steps:
      - {id: c, uses: actions/cache@v5, with: {path: ~/kept, key: "k-${{ github.event_name }}", restore-keys: k-}}
      - {run: 'mkdir -p ~/kept; echo "hit=${{ steps.c.outputs.cache-hit }}" >> ~/kept/log; cat ~/kept/log'}
"""
    assert pushed(hub, workflow)["a"].log.split() == ["hit="]
    hub.work.commit({"x": "1"})
    [second] = hub.push()
    assert second["a"].log.split() == ["hit=", "hit=true"]
    hub.work.branch("b")
    hub.work.commit({"x": "2"})
    opened = hub.pull_request("b")[-1]
    assert opened["a"].log.split()[-1] == "hit=false"
    assert caches.saved == ["k-push", "k-pull_request"]


def test_git_over_http(hub: Hub) -> None:
    """By token, in either form; a wrong one, two at once, and a pull request's ref to push to are refused."""
    hub.work.commit({"x": "1" * 3_000_000})
    hub.push()
    hub.api.token("reads", permissions={"contents": "read"})
    hub.api.token("writes", permissions={"contents": "write"})

    def git(*words: str, token: str = "", headers: int = 1) -> int:
        shown = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        header = ["-c", f"http.extraheader=AUTHORIZATION: basic {shown}"] * headers
        done = subprocess.run(
            ["git", *header, *words], cwd=hub.work.path, env=hub.work.env, capture_output=True, check=False
        )
        return done.returncode

    address = f"{hub.git.url}/acme/churn"
    with_token = address.replace("http://", "http://x-access-token:reads@")
    assert git("ls-remote", with_token, headers=0) == 0
    assert git("ls-remote", address, token="reads") == 0
    assert git("ls-remote", address, token="reads", headers=2) != 0
    assert git("ls-remote", address, token="forged") != 0
    assert git("ls-remote", f"{hub.git.url}/acme/other", token="reads") != 0
    hub.work.commit({"y": "é" * 2_000_000})
    assert git("push", address, "HEAD:refs/heads/a", token="reads") != 0
    assert git("push", address, "HEAD:refs/heads/a", token="writes") == 0
    assert git("push", address, "HEAD:refs/pull/1/head", token="writes") != 0
    assert hub.tip("refs/heads/a") == hub.work.head()
    assert {asked.status for asked in hub.git.pushes()} == {200, 403}
