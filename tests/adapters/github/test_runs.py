from __future__ import annotations

from collections.abc import Callable

import pytest

from ciml.adapters.github.forge import GitHub
from ciml.core.approval import Review, Reviews
from ciml.core.errors import ServiceError
from ciml.core.ids import CommitSha
from tests.githubserver import GitHubServer
from tests.reports import HEAD

Make = Callable[..., GitHub]

A, B, C = (CommitSha(letter * 40) for letter in "abc")


def test_the_last_successful_push_is_found(server: GitHubServer, github: Make) -> None:
    """Not a failed one, not another branch's, not another workflow's, and not a pull request's from a fork's `main`."""
    server.run(head=A, branch="main")
    server.run(head=B, branch="main", conclusion="failure")
    server.run(head=C, branch="other")
    server.run(head=C, branch="main", workflow="docs.yml")
    server.run(head=C, branch="main", event="pull_request")

    assert github().last_success("ciml.yml", "main") == A
    assert len(server.log) == 1


@pytest.mark.parametrize(
    "name", [".github/workflows/ciml.yml", "acme/churn/.github/workflows/ciml.yml@refs/heads/main"]
)
def test_a_workflow_is_named_by_its_file_however_it_is_written(server: GitHubServer, github: Make, name: str) -> None:
    """As a path, and as GITHUB_WORKFLOW_REF has it."""
    server.run(head=A, branch="main")

    assert github().last_success(name, "main") == A


def test_where_nothing_ran_there_is_none(server: GitHubServer, github: Make) -> None:
    """Neither in a new workflow nor on a new branch."""
    assert github().last_success("ciml.yml", "main") is None
    assert github().run_state(A, "ciml.yml", "main") == "none"

    server.run(head=A, branch="main")
    assert github().last_success("ciml.yml", "new") is None
    assert github().run_state(B, "ciml.yml", "main") == "none"


@pytest.mark.parametrize(
    ("runs", "state"),
    [
        ([("queued", None)], "running"),
        ([("completed", "failure")], "failure"),
        ([("completed", "cancelled"), ("in_progress", None)], "running"),
        ([("completed", "failure"), ("completed", "success")], "success"),
        ([("completed", "success"), ("in_progress", None)], "success"),
    ],
)
def test_what_became_of_a_commit_s_runs(
    server: GitHubServer, github: Make, runs: list[tuple[str, str | None]], state: str
) -> None:
    """A success outweighs what came before and after it; what still runs outweighs a failure."""
    for status, conclusion in runs:
        server.run(head=A, branch="main", status=status, conclusion=conclusion)

    assert github().run_state(A, "ciml.yml", "main") == state


@pytest.mark.parametrize(("status", "state"), [("in_progress", "running"), ("completed", "none")])
def test_a_workflow_that_releases_alone_waits_for_another_s_run(
    server: GitHubServer, github: Make, status: str, state: str
) -> None:
    """Where its own file never runs on the branch, any run of the commit that still goes on is waited for."""
    server.run(head=A, branch="v1.2.0", workflow="release.yml", status="in_progress")
    server.run(head=A, branch="main", workflow="ciml.yml", status=status)

    assert github().run_state(A, "release.yml", "main") == state


def test_the_tag_s_own_run_is_not_the_commit_s(server: GitHubServer, github: Make) -> None:
    """A tag's run is a push of the same commit in the same workflow: it must not wait for itself."""
    server.run(head=A, branch="v1.2.0", status="in_progress")
    server.run(head=A, branch="main", status="in_progress", event="pull_request")

    assert github().run_state(A, "ciml.yml", "main") == "none"


def test_the_pull_request_that_brought_a_commit_in(server: GitHubServer, github: Make) -> None:
    """Merged ones of the repository's own branches; not open ones, not a fork's, not one whose fork is gone."""
    server.pull_request(8, head=B, branch="own", merged_as=A)
    server.pull_request(9, head=A, branch="open")
    server.pull_request(10, head=B, branch="x", merged_as=A, fork="mallory/churn")
    server.pull_request(11, head=B, branch="x", merged_as=A, fork="")

    assert github().merged_pull_requests(A) == (8,)
    assert github().merged_pull_requests(C) == ()


def test_the_head_of_a_pull_request(server: GitHubServer, github: Make) -> None:
    """None where there is none, in one request."""
    assert github().head_of(7) == HEAD
    assert github().head_of(99) is None
    assert len(server.log) == 2


def test_the_permission_that_lacks_is_named(server: GitHubServer, github: Make) -> None:
    """`actions: read`, which a workflow without it does not have by default."""
    server.token("less", permissions={"contents": "read"})
    server.run(head=A, branch="main")

    with pytest.raises(ServiceError, match="`actions: read`"):
        github("less").last_success("ciml.yml", "main")


def test_who_began_a_run_and_who_approved_it(server: GitHubServer, github: Make) -> None:
    """Both whose push it was and who ran it again; of each review its person, its environments and its word."""
    run = server.run(head=A, branch="v1", status="in_progress", actor="ada", again="bob")
    server.review(run, "staging", "production", by="grace")
    server.review(run, "edge", by="bob", state="rejected")

    assert github().reviews(str(run)) == Reviews(
        began=("ada", "bob"),
        said=(
            Review(by="grace", environments=("staging", "production"), approved=True),
            Review(by="bob", environments=("edge",), approved=False),
        ),
    )


def test_a_program_is_nobody(server: GitHubServer, github: Make) -> None:
    """An app that lets every deployment through approves none: its author may be who began the run."""
    run = server.run(head=A, branch="v1", actor="ada")
    server.review(run, "production", by="gatekeeper[bot]")
    assert github().reviews(str(run)).said == ()


def test_a_run_without_reviews(server: GitHubServer, github: Make) -> None:
    """Nothing was said of it."""
    run = server.run(head=A, branch="v1", actor="ada")
    assert github().reviews(str(run)) == Reviews(began=("ada", "ada"), said=())


def test_reviews_that_may_not_be_read(server: GitHubServer, github: Make) -> None:
    """The permission that lacks is named."""
    run = server.run(head=A, branch="v1")
    server.token("weak", permissions={"contents": "read"})
    with pytest.raises(ServiceError, match="who approved the run") as caught:
        github(token="weak").reviews(str(run))
    assert "actions: read" in (caught.value.hint or "") + caught.value.message
