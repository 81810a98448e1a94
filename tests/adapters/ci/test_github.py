"""Events of GitHub Actions: GitHub's own examples, forks, and forgeries."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciml.adapters.ci.github import LARGEST, event_from, payload_at
from ciml.core.errors import CimlError, ConfigurationError
from ciml.core.event import Event, Kind, Run, rights, stage_refusal
from ciml.core.ids import CommitSha, is_no_commit
from tests.nodejs import package

Payload = dict[str, Any]
MERGE = "c" * 40
"""The merge commit that GitHub makes of a pull request."""
EXAMPLES = {
    "push": 7,
    "pull_request": 29,
    "release": 13,
    "create": 5,
    "merge_group": 2,
    "repository_dispatch": 2,
    "workflow_dispatch": 2,
    "workflow_run": 5,
}


@cache
def _all_examples() -> dict[str, list[Payload]]:
    listed: list[Payload] = json.loads(
        (package("@octokit/webhooks-examples") / "api.github.com/index.json").read_text()
    )
    return {item["name"]: item["examples"] for item in listed}


def examples(name: str) -> list[Payload]:
    """GitHub's examples of an event, as copies."""
    return copy.deepcopy(_all_examples()[name])


def example(name: str, index: int = -1, **fields: object) -> Payload:
    """One of them, with some fields replaced."""
    return {**examples(name)[index], **fields}


@cache
def _schema() -> Payload:
    found: Payload = json.loads((package("@octokit/webhooks-schemas") / "schema.json").read_text())
    return found


def checked(payload: Payload, definition: str) -> Payload:
    """The payload, which is what GitHub's schema allows: a forgery that GitHub could send."""
    assert definition in _schema()["definitions"]
    validator = jsonschema.Draft7Validator(
        {"$ref": f"#/definitions/{definition}", "definitions": _schema()["definitions"]}
    )
    wrong = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(payload)]
    assert wrong == []
    return payload


def environ(name: str, payload: Payload, **more: str) -> dict[str, str]:
    """The environment in which GitHub would run a job for it."""
    refs: dict[str, Callable[[], tuple[str, str]]] = {
        "push": lambda: (payload["ref"], (payload["head_commit"] or {"id": payload["before"]})["id"]),
        "pull_request": lambda: (f"refs/pull/{payload['pull_request']['number']}/merge", MERGE),
        "merge_group": lambda: (payload["merge_group"]["head_ref"], payload["merge_group"]["head_sha"]),
        "release": lambda: (f"refs/tags/{payload['release']['tag_name']}", MERGE),
        "create": lambda: (f"refs/{'tags' if payload['ref_type'] == 'tag' else 'heads'}/{payload['ref']}", MERGE),
        "workflow_dispatch": lambda: (payload["ref"], MERGE),
    }
    default = f"refs/heads/{payload.get('repository', {}).get('default_branch', 'main')}"
    ref, sha = refs.get(name, lambda: (default, MERGE))()
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": name,
        "GITHUB_REF": ref,
        "GITHUB_SHA": sha,
        "GITHUB_REPOSITORY": "octo-org/octo-repo",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_RUN_ID": "1658821493",
        "GITHUB_RUN_NUMBER": "3",
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_WORKFLOW_REF": "octo-org/octo-repo/.github/workflows/ciml.yml@refs/heads/main",
        "GITHUB_ACTOR": "octocat",
        **more,
    }


def told(name: str, payload: Payload, **more: str) -> Event:
    return event_from(environ(name, payload, **more), payload)


def unreadable(name: str, payload: Payload, **more: str) -> str:
    """Why it is refused, exit 3."""
    with pytest.raises(ConfigurationError, match="event payload unreadable") as caught:
        told(name, payload, **more)
    return caught.value.message


def granted(event: Event) -> set[str]:
    found = rights(event)
    return {name for name in ("admits", "registers", "deploys") if getattr(found, name)}


# GitHub's own examples.


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_read(name: str) -> None:
    """All payloads that GitHub shows of an event, with the kind that its own fields say."""
    kinds: dict[str, Callable[[Payload], Kind]] = {
        "push": lambda payload: Kind.TAG if payload["ref"].startswith("refs/tags/") else Kind.PUSH,
        "pull_request": lambda payload: Kind.PULL_REQUEST,
        "release": lambda payload: (
            Kind.TAG if payload["action"] in ("published", "released", "prereleased") else Kind.OTHER
        ),
        "create": lambda payload: Kind.TAG,
        "merge_group": lambda payload: Kind.MERGE_GROUP,
        "repository_dispatch": lambda payload: Kind.DISPATCH,
        "workflow_dispatch": lambda payload: Kind.MANUAL,
        "workflow_run": lambda payload: Kind.REPORT,
    }
    payloads = examples(name)
    assert len(payloads) >= EXAMPLES[name]
    for payload in payloads:
        event = told(name, payload)
        assert event.kind is kinds[name](payload)
        assert event.default_branch == payload["repository"]["default_branch"]
        assert event.deleted == bool(payload.get("deleted"))
        assert not event.fork or name == "workflow_run"


def test_what_the_examples_may_do() -> None:
    """Of all of them those about the default branch register, and those about a tag deploy."""
    found = Counter((name, *sorted(granted(told(name, payload)))) for name in EXAMPLES for payload in examples(name))
    full = ("admits", "deploys", "registers")
    assert {key: count for key, count in found.items() if len(key) > 1} == {
        ("push", *full): 2,
        ("push", "deploys"): 1,
        ("release", "deploys"): 6,
        ("create", "deploys"): 5,
        ("repository_dispatch", *full): 2,
        ("workflow_dispatch", *full): 2,
    }


def test_a_pull_request_has_its_parts() -> None:
    """What is worked on is the merge commit; what statuses are about is the head."""
    payload = example("pull_request")
    event = told("pull_request", payload)
    request = payload["pull_request"]
    assert (event.number, event.branch, event.base_branch) == (2, "changes", "master")
    assert (event.head, event.head_sha, event.base) == (MERGE, request["head"]["sha"], request["base"]["sha"])
    assert event.repository == "octo-org/octo-repo"
    assert event.actor == "octocat"
    assert event.run == Run(
        id="1658821493",
        attempt=1,
        number=3,
        workflow="ciml.yml",
        url="https://github.com/octo-org/octo-repo/actions/runs/1658821493/attempts/1",
    )


def test_c039_a_merge_group_has_its_base_and_number() -> None:
    """merge_group event (gh-readonly-queue/main/…) → detection base = merge_group.base_sha; R0."""
    event = told("merge_group", example("merge_group"))
    assert event.base == "380387fbc80638b734a49e1be1c4dfec1c01b33c"
    assert (event.number, event.base_branch, event.on_default) == (104, "main", False)
    assert granted(event) == set()


def test_a_workflow_run_tells_which_run_is_reported() -> None:
    """Of another repository's head nothing but that is believed."""
    payload = example("workflow_run")
    event = told("workflow_run", payload)
    assert event.reported == Run(id="289782451", number=163, attempt=1, workflow="test.yml")
    assert event.head_sha == payload["workflow_run"]["head_sha"]
    payload["repository"]["full_name"] = payload["workflow_run"]["head_repository"]["full_name"]
    assert not told("workflow_run", payload).fork
    payload["workflow_run"]["head_repository"]["full_name"] = "stranger/octo-repo"
    assert told("workflow_run", payload).fork


# What the examples have not: forks, schedules, zeros, force pushes.


def fork(payload: Payload, **fields: object) -> Payload:
    """The pull request, from another repository."""
    payload["pull_request"]["head"]["repo"].update({"full_name": "stranger/Hello-World", "id": 99, **fields})
    return payload


@pytest.mark.parametrize(
    "change",
    [
        lambda head: head["repo"].update(full_name="stranger/Hello-World", id=99),
        lambda head: head["repo"].update(id=99),
        lambda head: head["repo"].update(full_name="stranger/Hello-World"),
        lambda head: head.update(repo=None),
    ],
)
def test_a_fork_is_known_by_its_repository(change: Callable[[Payload], None]) -> None:
    """By name and by id, and also where it was deleted meanwhile; its branch may be called main."""
    payload = example("pull_request")
    payload["pull_request"]["head"]["ref"] = "master"
    change(payload["pull_request"]["head"])
    event = told("pull_request", payload)
    assert (event.kind, event.fork, event.on_default) == (Kind.PULL_REQUEST, True, False)
    assert rights(event).space is None
    assert not rights(event).reports
    assert granted(event) == set()


def test_a_fork_is_what_github_would_send() -> None:
    """The payload of a fork holds to GitHub's schema."""
    checked(fork(example("pull_request", 3)), "pull_request_event")


@pytest.mark.parametrize("name", ["pull_request_review", "pull_request_review_comment"])
def test_a_review_is_its_pull_request(name: str) -> None:
    """It runs on the merge commit, as the pull request does."""
    for payload in examples(name):
        payload["pull_request"]["head"]["repo"] = None
        event = event_from({**environ("pull_request", payload), "GITHUB_EVENT_NAME": name}, payload)
        assert (event.kind, event.number, event.fork) == (Kind.PULL_REQUEST, payload["pull_request"]["number"], True)


def test_c043_a_first_push() -> None:
    """Push `before`=40 zeros (first push): kept, for the base to say "no previous commit"."""
    payload = checked(example("push", 4), "push$event")
    event = told("push", payload)
    assert event.before is not None
    assert is_no_commit(event.before)
    assert event.head == payload["after"]


def test_c044_a_deleted_branch() -> None:
    """`after` = zeros (branch deleted) → nothing to do, whatever commit GitHub names beside it."""
    payload = checked(
        example("push", 4, before="d" * 40, after="0" * 40, deleted=True, created=False, head_commit=None), "push$event"
    )
    event = told("push", payload)
    assert (event.deleted, event.head, event.branch) == (True, None, "master")
    assert granted(event) == set()
    payload["deleted"] = False
    assert told("push", payload).deleted


def test_c047_a_force_push_is_a_push() -> None:
    """Its `before` is the commit that is gone: the base is looked for elsewhere."""
    payload = checked(example("push", 4, before="d" * 40, forced=True, created=False), "push$event")
    event = told("push", payload)
    assert (event.before, event.kind) == ("d" * 40, Kind.PUSH)


def test_c050_annotated_and_lightweight_tags_are_their_commit() -> None:
    """Annotated vs lightweight tag → both peeled to the commit."""
    payload = example("push", 4, ref="refs/tags/simple-tag")
    commit = payload["head_commit"]["id"]
    assert told("push", payload).head == commit
    annotated = checked({**payload, "after": "e" * 40}, "push$event")
    for sha in (commit, "e" * 40):
        event = told("push", annotated, GITHUB_SHA=sha)
        assert (event.kind, event.tag, event.head) == (Kind.TAG, "simple-tag", commit)
    assert "GITHUB_SHA" in unreadable("push", annotated, GITHUB_SHA="f" * 40)


def test_c036_a_second_attempt() -> None:
    """Re-run failed jobs (run_attempt=2, same SHA): the same event, in the next attempt."""
    payload = example("push", 4)
    first, second = told("push", payload), told("push", payload, GITHUB_RUN_ATTEMPT="2")
    assert (second.head, second.run.id, second.run.attempt) == (first.head, first.run.id, 2)
    assert rights(second).space == "run/1658821493-2"
    assert "run/1658821493-1" in rights(second).reads


def test_a_created_branch_is_a_push_and_another_ref_nothing() -> None:
    """`create` of a branch has no `before`."""
    payload = checked(example("create", ref="topic", ref_type="branch"), "create$event")
    event = told("create", payload)
    assert (event.kind, event.branch, event.before) == (Kind.PUSH, "topic", None)
    assert told("push", example("push", 4, ref="refs/notes/x")).kind is Kind.OTHER


@pytest.mark.parametrize("action", ["deleted", "unpublished", "edited", "created"])
def test_a_release_deploys_when_it_is_published_and_never_else(action: str) -> None:
    """Editing the notes of an old release must not bring it back."""
    assert granted(told("release", example("release", action=action))) == set()


def test_c040_a_schedule_and_a_dispatch_on_another_ref() -> None:
    """`schedule`/`workflow_dispatch` on a non-default ref → trust from ref, not from event."""
    repository = example("push")["repository"]
    schedule: Payload = {"schedule": "0 3 * * 1", "repository": repository}
    assert granted(told("schedule", schedule)) >= {"registers"}
    assert told("schedule", schedule).kind is Kind.SCHEDULE
    assert granted(told("schedule", schedule, GITHUB_REF="refs/heads/topic")) == set()
    by_hand = example("workflow_dispatch", ref="refs/heads/topic")
    assert granted(told("workflow_dispatch", by_hand)) == set()
    assert told("workflow_dispatch", by_hand).kind is Kind.MANUAL


def test_inputs_of_a_workflow_dispatch_are_text() -> None:
    """Numbers and booleans too; what was left empty is not given."""
    given = {"min-auc": 0.9, "full": True, "note": "x", "empty": "", "none": None}
    event = told("workflow_dispatch", example("workflow_dispatch", inputs=given))
    assert event.inputs == {"min-auc": "0.9", "full": "true", "note": "x"}
    for wrong in ({"a": ["list"]}, {"a": "x" * 70_000}, {f"i{number}": "1" for number in range(101)}):
        assert unreadable("workflow_dispatch", example("workflow_dispatch", inputs=wrong))


def test_a_called_workflow_is_its_callers_event() -> None:
    """GitHub names the caller's event; `workflow_call` itself means nothing."""
    assert told("workflow_call", {"inputs": {}}).kind is Kind.OTHER


# Privileged events.


def test_c005_pull_request_target_with_the_heads_code() -> None:
    """Event pull_request_target with checked-out HEAD ≠ base default-branch commit → exit 6, before any stage."""
    payload = fork(example("pull_request"))
    env = {**environ("push", example("push", 4)), "GITHUB_EVENT_NAME": "pull_request_target", "GITHUB_SHA": MERGE}
    event = event_from(env, payload)
    assert (event.kind, event.head) == (Kind.PRIVILEGED, MERGE)
    head = CommitSha(payload["pull_request"]["head"]["sha"])
    refusal = rights(event, checked_out=head).refusal
    assert refusal is not None
    assert refusal.code == 6
    assert rights(event, checked_out=CommitSha(MERGE)).refusal is None
    assert not rights(event, checked_out=CommitSha(MERGE)).runs


def test_c006_comments_and_other_workflows_run_no_stage() -> None:
    """workflow_run / issue_comment that would run a stage → exit 6; reporting is allowed."""
    comment = told("issue_comment", example("issue_comment"))
    assert (comment.kind, comment.fork) == (Kind.PRIVILEGED, True)
    assert rights(comment, checked_out=CommitSha("d" * 40)).refusal is not None
    report = told("workflow_run", example("workflow_run"))
    assert rights(report).reports
    for event in (comment, report):
        assert stage_refusal(event) is not None


# Names.


def test_c001_a_branch_is_bytes() -> None:
    """Branch `a$(touch${IFS}x)` (legal ref) in head_ref → treated as bytes."""
    payload = example("pull_request")
    payload["pull_request"]["head"]["ref"] = "a$(touch${IFS}x)"
    assert told("pull_request", payload).branch == "a$(touch${IFS}x)"


def test_c003_titles_bodies_and_labels_are_not_read() -> None:
    """PR title `a"; ls $GITHUB_WORKSPACE"` / label "`id`" → they reach nobody: an event has no place for them."""
    payload = example("pull_request")
    request = payload["pull_request"]
    request.update(title='a"; ls $GITHUB_WORKSPACE"', body="<canary>", labels=[{"name": "`id`"}])
    shown = repr(told("pull_request", payload))
    assert not any(text in shown for text in ("GITHUB_WORKSPACE", "canary", "`id`"))


@pytest.mark.parametrize("name", ["a\nb", "a b", "", "a\x00b", "a\ud800b", "x" * 1025, 7, None, ["a"]])
def test_a_name_that_git_forbids_is_refused(name: object) -> None:
    """A line end in a branch would be a line of somebody's file."""
    payload = example("pull_request")
    payload["pull_request"]["head"]["ref"] = name
    unreadable("pull_request", payload)


def test_a_strange_actor_or_address_is_left_out() -> None:
    """They are shown and linked to, and nothing depends on them."""
    event = told("push", example("push", 4), GITHUB_ACTOR="a\n::error::b", GITHUB_SERVER_URL="javascript:alert(1)//")
    assert (event.actor, event.run.url) == ("", "")
    with_password = told("push", example("push", 4), GITHUB_SERVER_URL="https://u:secret@ghe.example")
    assert with_password.run.url.startswith("https://ghe.example/")


# Contradictions.


@pytest.mark.parametrize("name", EXAMPLES)
def test_c011_an_event_name_that_contradicts_its_payload(name: str) -> None:
    """Event name contradicting payload → exit 3 "event payload unreadable"; R0."""
    for other in EXAMPLES:
        payload = example(other)
        if other != name:
            env = {**environ(other, payload), "GITHUB_EVENT_NAME": name}
            with pytest.raises(ConfigurationError, match="event payload unreadable"):
                event_from(env, payload)


@pytest.mark.parametrize(
    ("name", "variable", "value"),
    [
        ("push", "GITHUB_REF", "refs/heads/main"),
        ("push", "GITHUB_SHA", "f" * 40),
        ("push", "GITHUB_SHA", "main"),
        ("pull_request", "GITHUB_REF", "refs/pull/3/merge"),
        ("merge_group", "GITHUB_REF", "refs/heads/main"),
        ("merge_group", "GITHUB_SHA", "f" * 40),
        ("release", "GITHUB_REF", "refs/tags/v2"),
        ("create", "GITHUB_REF", "refs/heads/main"),
        ("workflow_dispatch", "GITHUB_REF", "refs/heads/topic"),
        ("push", "GITHUB_EVENT_NAME", "no event; rm -rf"),
        ("push", "GITHUB_EVENT_NAME", ""),
    ],
)
def test_c011_an_environment_that_contradicts_the_payload(name: str, variable: str, value: str) -> None:
    """GITHUB_REF and GITHUB_SHA of another event are exit 3."""
    payload = example(name, 4) if name == "push" else example(name, 0)
    told(name, payload)
    unreadable(name, payload, **{variable: value})


@pytest.mark.parametrize("name", [*EXAMPLES, "schedule"])
def test_c011_an_empty_payload(name: str) -> None:
    """A payload without the fields of its event is exit 3."""
    with pytest.raises(ConfigurationError, match="event payload unreadable"):
        event_from({"GITHUB_EVENT_NAME": name}, {})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"ref": "refs/he',
        b"[]",
        b"null",
        b"\xff\xfe{}",
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b'{"n": 1e999}',
        b" " * (LARGEST + 1),
    ],
    ids=range(10),
)
def test_c011_a_truncated_payload(tmp_path: Path, data: bytes) -> None:
    """GITHUB_EVENT_PATH truncated → exit 3 "event payload unreadable"."""
    path = tmp_path / "event.json"
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match="event payload unreadable"):
        payload_at(str(path))


def test_c011_a_missing_payload(tmp_path: Path) -> None:
    """GITHUB_EVENT_PATH missing → exit 3 "event payload unreadable"."""
    for path in (None, "", str(tmp_path / "none.json"), str(tmp_path), "a\0b"):
        with pytest.raises(ConfigurationError, match="event payload unreadable"):
            payload_at(path)
    good = tmp_path / "event.json"
    good.write_text(json.dumps(example("push")))
    assert payload_at(str(good)) == example("push")


# Anything at all.

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["refs/heads/master", "refs/heads/main", "0" * 40, "a" * 40, "master", "tag", "published"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where something stands in a payload, the parts that are read first."""
    found = [path] if path else []
    if isinstance(value, dict) and len(path) < 4:
        for key, inner in value.items():
            found += places(inner, (*path, key))
    return found


def forged(payload: Payload, path: tuple[str | int, ...], value: object) -> Payload:
    at: Any = payload
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    return payload


READ = ("repository", "pull_request", "merge_group", "release", "workflow_run")


@given(st.data())
def test_no_forgery_grants_anything_unless_the_default_branch_or_a_tag_is_meant(data: st.DataObject) -> None:
    """Whatever stands in payload and environment: an error of ours, or an event whose rights are its ref's."""
    source = data.draw(st.sampled_from(sorted(EXAMPLES)))
    payload = example(source, data.draw(st.integers(0, EXAMPLES[source] - 1)))
    reached = [path for path in places(payload) if len(path) == 1 or path[0] in READ]
    for path in data.draw(st.lists(st.sampled_from(reached), max_size=3)):
        try:
            forged(payload, path, data.draw(JSON))
        except (KeyError, TypeError):
            continue  # what held it was replaced before
    try:
        env = {name: str(value) for name, value in environ(source, payload).items()}
    except (KeyError, TypeError, AttributeError):
        env = environ("schedule", {})
    names = [*EXAMPLES, "schedule", "pull_request_target", "issue_comment", "workflow_call", "issues"]
    env["GITHUB_EVENT_NAME"] = data.draw(st.sampled_from([source, source, *names]) | st.text(max_size=4))
    for name in data.draw(st.lists(st.sampled_from(sorted(env.keys() - {"GITHUB_EVENT_NAME"})), max_size=2)):
        env[name] = data.draw(st.sampled_from(["", "refs/heads/master", "refs/tags/v1", "1", "a" * 40]) | st.text())
    try:
        event = event_from(env, payload)
    except CimlError as error:
        assert error.code == 3
        return
    found = granted(event)
    if found - {"deploys"}:
        assert env["GITHUB_REF"] == f"refs/heads/{event.default_branch}" or event.branch == event.default_branch
        assert payload["repository"]["default_branch"] == event.default_branch
        assert env["GITHUB_EVENT_NAME"] in {"push", "create", "schedule", "repository_dispatch", "workflow_dispatch"}
        assert "pull_request" not in payload
    elif found:
        assert event.tag is not None
        assert env["GITHUB_EVENT_NAME"] in {"push", "create", "release", "workflow_dispatch"}
