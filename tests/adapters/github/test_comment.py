from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import msgspec
import pytest

from ciml.adapters.github.forge import GitHub
from ciml.core.ids import CommitSha, RepoPath, StageName
from ciml.core.markdown import pages
from ciml.core.report import StageLine
from tests.githubserver import GitHubServer
from tests.reports import FAILED, HEAD, REJECTED, event, report

Make = Callable[..., GitHub]

OTHER = CommitSha("b" * 40)
JOB = "github-actions[bot]"
COMMENTS = r"/issues/7/comments$"


def ours(server: GitHubServer, number: int = 7) -> list[str]:
    return [str(made["body"]) for made in server.comments(number) if made["user"]["login"] == JOB]


def test_the_first_report_writes_a_comment_and_later_ones_edit_it(server: GitHubServer, github: Make) -> None:
    """One comment, edited in place, on a page with others; what others wrote stays."""
    server.comment(7, "first!")
    assert github().publish(report()) == ()
    server.comment(7, "and again")
    assert github().publish(report(event=event(run=13), models=(REJECTED,), title="churn rejected")) == ()

    assert [made["user"]["login"] for made in server.comments(7)] == ["ann", JOB, "ann"]
    assert "churn rejected" in ours(server)[0]


def test_the_same_report_again_changes_nothing(server: GitHubServer, github: Make) -> None:
    """Nobody gets a message about an edit that is none."""
    github().publish(report())
    github().publish(report())

    assert not server.requests("PATCH")
    assert len(ours(server)) == 1


def test_an_older_run_never_replaces_a_newer_one(server: GitHubServer, github: Make) -> None:
    """Runs are ordered by number, then attempt: a re-run of an old run tells nothing over a newer one."""
    newer = report(event=event(run=13), title="newer")
    github().publish(newer)
    github().publish(report(event=event(run=12, attempt=5), title="older"))

    assert ours(server) == [pages.comment(newer)]

    later = report(event=event(run=13, attempt=2), title="second attempt")
    github().publish(later)
    assert ours(server) == [pages.comment(later)]


def test_numbers_that_begin_anew_do_not_silence_the_run_that_knows_the_head(server: GitHubServer, github: Make) -> None:
    """A renamed workflow counts from 1: its run at the pull request's head stands, that of another commit does not."""
    github().publish(report(event=event(run=500, head_sha=OTHER)))
    github().publish(report(event=event(run=1, head_sha=CommitSha("c" * 40)), title="about another commit"))
    assert "about another commit" not in ours(server)[0]

    github().publish(report(event=event(run=1), title="about the head"))
    assert "about the head" in ours(server)[0]
    assert len(ours(server)) == 1


def test_c024_a_report_of_megabytes_is_one_comment_within_the_limit(server: GitHubServer, github: Make) -> None:
    """Comment of 5 MB: at most 65,536 after cutting whole rows, with a pointer to the rest; one comment."""
    stages = tuple(
        StageLine(name=StageName(f"train@{number}"), action="run", reason="😀" * 199, result="ran", seconds=1.0)
        for number in range(10_000)
    )
    assert github().publish(report(stages=stages, edges=())) == ()

    assert len(ours(server)) == 1
    assert len(ours(server)[0].encode("utf-16-le")) // 2 <= 65_536
    assert "summary of the run" in ours(server)[0]


@pytest.mark.parametrize("fault", ["502", "lost"])
def test_c030_a_lost_answer_to_the_first_comment_leaves_one_comment(
    server: GitHubServer, github: Make, fault: str
) -> None:
    """POST comment answered 502, or not at all, after GitHub created it: it is found by its marker; exactly one."""
    server.fault(fault, method="POST", path=COMMENTS)
    assert github().publish(report()) == ()

    assert len(ours(server)) == 1
    assert len([entry for entry in server.requests("POST") if entry.path.endswith("/comments")]) == 1


@pytest.mark.parametrize("fault", ["500", "drop"])
def test_a_comment_that_was_not_written_is_tried_again(server: GitHubServer, github: Make, fault: str) -> None:
    """A failure before anything was done: after a look the comment is written."""
    for _ in range(150):
        server.comment(7, "talk")
    server.fault(fault, method="POST", path=COMMENTS, times=2)
    assert github().publish(report()) == ()

    assert len(ours(server)) == 1


def test_c031_of_two_jobs_that_comment_at_once_the_lower_id_stays(server: GitHubServer, github: Make) -> None:
    """Two jobs of one run comment at once: one comment stays, the other job deletes its own and edits that one."""
    early = pages.comment(report(title="by the other job"))
    server.before("POST", COMMENTS, partial(server.comment, 7, early, login=JOB))
    assert github().publish(report()) == ()

    assert ours(server) == [pages.comment(report())]
    assert len(server.requests("DELETE")) == 1


def test_of_two_jobs_at_once_the_later_comment_is_left_to_its_own_job(server: GitHubServer, github: Make) -> None:
    """The job whose comment has the lower id deletes nothing: the other one does."""
    late = pages.comment(report(title="by the other job"))
    server.after("POST", COMMENTS, partial(server.comment, 7, late, login=JOB))
    assert github().publish(report()) == ()

    assert ours(server) == [pages.comment(report()), late]


def test_many_jobs_at_once_leave_one_comment(server: GitHubServer) -> None:
    """Eight jobs report at the same moment, each as it comes: one comment stays, and none fails."""
    notices: list[tuple[str, ...]] = []
    gate = threading.Barrier(8)

    def job(number: int) -> None:
        gate.wait()
        notices.append(GitHub("acme/churn", "ghs_job", url=server.url).publish(report(event=event(run=number))))

    jobs = [threading.Thread(target=job, args=(number,)) for number in range(12, 20)]
    for one in jobs:
        one.start()
    for one in jobs:
        one.join()

    assert notices == [()] * 8
    assert len(ours(server)) == 1


def test_a_comment_that_was_doubled_once_is_single_again(server: GitHubServer, github: Make) -> None:
    """Where a job was killed between writing and deleting, the next report removes what is too much."""
    for title in ("one", "two", "three"):
        server.comment(7, pages.comment(report(title=title)), login=JOB)
    assert github().publish(report(event=event(run=13))) == ()

    assert ours(server) == [pages.comment(report(event=event(run=13)))]


def test_c032_a_comment_of_somebody_else_with_our_marker_is_not_ours(server: GitHubServer, github: Make) -> None:
    """A user posts text with our hidden marker, of a run in the far future: only our own comment is edited."""
    spoof = pages.comment(report(event=event(run=999_999)))
    server.comment(7, spoof, login="mallory")
    server.comment(7, spoof, login="github-actions")
    assert github().publish(report()) == ()

    assert [made["body"] for made in server.comments(7)] == [spoof, spoof, pages.comment(report())]


def test_another_workflow_s_comment_that_quotes_our_marker_is_not_ours(server: GitHubServer, github: Make) -> None:
    """The identity of jobs is shared by all workflows: the marker counts only where a comment begins with it."""
    quoting = f"> {pages.comment(report(event=event(run=99)))}"
    server.comment(7, quoting, login=JOB)
    assert github().publish(report()) == ()

    assert ours(server) == [quoting, pages.comment(report())]


def test_each_pipeline_of_a_repository_has_a_comment_of_its_own(server: GitHubServer, github: Make) -> None:
    """Two folders with a ciml.yaml each: two comments."""
    for folder in ("services/churn", "services/fraud", "services/churn"):
        assert github().publish(report(folder=RepoPath(folder))) == ()

    assert len(ours(server)) == 2


@pytest.mark.parametrize(
    ("login", "app"), [("ann", None), ("ml-bot[bot]", "ml-bot")], ids=["a person's token", "an App's token"]
)
def test_whoever_the_token_is_its_comment_is_found_again(
    server: GitHubServer, github: Make, login: str, app: str | None
) -> None:
    """What the first answers tell of the token is who our comments are by; nothing is asked for it."""
    permissions = {"pull-requests": "write", "statuses": "write", "checks": "write"}
    server.token("other", permissions=permissions, login=login, app=app)
    for run in (12, 13):
        github("other").publish(report(event=event(run=run)))

    assert [made["user"]["login"] for made in server.comments(7)] == [login]


def test_an_identity_that_nothing_tells_is_learnt_from_the_comment_itself(server: GitHubServer, github: Make) -> None:
    """An App that may comment and nothing else still has one comment."""
    server.token("other", permissions={"pull-requests": "write"}, login="ml-bot[bot]", app="ml-bot")
    for run in (12, 13):
        github("other").publish(report(event=event(run=run), title=f"run {run}"))
        server.now += timedelta(hours=1)

    assert len(server.comments(7)) == 1
    assert "run 13" in server.comments(7)[0]["body"]


@pytest.mark.parametrize("others", [0, 1, 99, 100, 499, 500, 5000])
def test_a_report_takes_at_most_12_requests_whatever_was_said_before(
    server: GitHubServer, github: Make, others: int
) -> None:
    """With 1,000 failed stages, with 500 comments or 5,000 before ours: the first report and the next one."""
    for number in range(others):
        server.comment(7, f"comment {number}")
    failed = tuple(
        StageLine(name=StageName(f"s{number}"), action="run", reason="x", result="failed", line=number + 1)
        for number in range(1000)
    )
    for run in (12, 13):
        server.log.clear()
        assert github().publish(report(event=event(run=run), stages=failed, edges=())) == ()
        assert len(server.log) <= 12

    assert len(ours(server)) == 1


def test_a_comment_before_5000_others_is_found(server: GitHubServer, github: Make) -> None:
    """The comment is written when a pull request is opened: however long the talk gets, it is on the first page."""
    github().publish(report())
    for number in range(5000):
        server.comment(7, f"comment {number}")
    server.log.clear()
    github().publish(report(event=event(run=13)))

    assert len(ours(server)) == 1
    assert len(server.log) == 4


def test_c036_a_comment_that_failed_is_written_by_the_next_attempt(server: GitHubServer, github: Make) -> None:
    """Re-run of failed jobs (attempt 2, same commit) after the comment failed: the comment is done, once."""
    server.fault("500", path="/comments", times=3)
    notices = github().publish(report())
    assert len(notices) == 1
    assert not ours(server)

    assert github().publish(report(event=event(attempt=2))) == ()
    assert ours(server) == [pages.comment(report(event=event(attempt=2)))]


def test_a_comment_of_an_account_that_is_gone_is_nobody_s(server: GitHubServer, github: Make) -> None:
    """GitHub answers `user: null` for some: no further request is made for it."""
    server.comment(7, pages.comment(report()))
    server.comments(7)[0]["user"] = None
    server.log.clear()
    assert github().publish(report()) == ()

    assert len(server.comments(7)) == 2
    assert len(server.log) == 5


def test_a_comment_that_is_deleted_meanwhile_is_written_anew(server: GitHubServer, github: Make) -> None:
    """Somebody deletes the comment after it was found and before it is edited."""
    github().publish(report())
    place = server.comments(7)[0]["id"]
    server.before("PATCH", "/comments/", server.clear_comments)
    assert github().publish(report(event=event(run=13))) == ()

    assert len(ours(server)) == 1
    assert server.comments(7)[0]["id"] != place


def test_secrets_in_a_report_are_masked_before_anything_is_made_of_it(server: GitHubServer, github: Make) -> None:
    """In every text, also where Markdown's escapes stand between its characters; the comment is found again."""
    secret = "hun_xqz*2@#1"
    stage = msgspec.structs.replace(FAILED, reason=f"printed {secret}", tail=secret)
    model = msgspec.structs.replace(REJECTED, notes=(secret,), hint=secret, outcome=secret)
    for run in (12, 13):
        made = report(event=event(run=run), title=secret, stages=(stage,), models=(model,), changed={"code": (secret,)})
        assert github(mask=lambda text: text.replace(secret, "***")).publish(made) == ()

    checks = server.check_runs(HEAD)
    told = str(ours(server)) + str(checks) + str(server.statuses(HEAD)) + str(server.annotations(checks[0]["id"]))
    assert len(ours(server)) == 1
    assert "xqz" not in told
    assert ours(server)[0].count("\\*\\*\\*") >= 4
