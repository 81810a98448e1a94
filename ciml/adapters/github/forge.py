"""GitHub as the place where runs, pull requests and deployments are known, and where people read reports."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import msgspec

from ciml.adapters.github import deployments, pulls, runs
from ciml.adapters.github.api import PUBLIC, Api, DeniedError, Limits, OutageError
from ciml.adapters.github.checks import ANNOTATIONS, CHECKS, STATUSES, check_run, status
from ciml.adapters.github.comment import PERMISSION as COMMENTS
from ciml.adapters.github.comment import StickyComment
from ciml.core import sticky
from ciml.core.annotations import annotated
from ciml.core.approval import Reviews
from ciml.core.errors import CimlError, ConfigurationError, ServiceError
from ciml.core.event import Kind
from ciml.core.ids import CommitSha, is_commit_id, is_no_commit
from ciml.core.markdown import pages
from ciml.core.markdown.text import plain
from ciml.core.report import Report, masked

SERVER = "https://github.com"
"""Where GitHub's pages are, unless GITHUB_SERVER_URL says otherwise."""


def _as_it_is(text: str) -> str:
    return text


class GitHub:
    """Fits `Forge`.

    Args:
        repository: `owner/name`.
        token: a job's (`github.token`), an App's, or a person's.
        url: address of the API: GITHUB_API_URL.
        server: address of GitHub's pages: GITHUB_SERVER_URL. Runs that lie elsewhere are not linked to.
        comment: whether pull requests get a comment.
        mask: replaces the values of secrets in all text that is sent.
        limits: how long GitHub may take.
        sleep: waits so many seconds.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        repository: str,
        token: str,
        *,
        url: str = PUBLIC,
        server: str = SERVER,
        comment: bool = True,
        mask: Callable[[str], str] = _as_it_is,
        limits: Limits | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = Api(repository, token, url=url, limits=limits, sleep=sleep, clock=clock)
        self._server = server.rstrip("/")
        self._comment = comment
        self._mask = mask

    def last_success(self, workflow: str, branch: str) -> CommitSha | None:
        """The commit of the last push to a branch whose run succeeded."""
        return runs.last_success(self._api, workflow, branch)

    def run_state(
        self, commit: CommitSha, workflow: str, branch: str
    ) -> Literal["none", "running", "success", "failure"]:
        """What became of a commit's own runs on a branch."""
        return runs.run_state(self._api, commit, workflow, branch)

    def merged_pull_requests(self, commit: CommitSha) -> tuple[int, ...]:
        """The pull requests of own branches that brought a commit in."""
        return runs.merged_pull_requests(self._api, commit)

    def head_of(self, number: int) -> CommitSha | None:
        """The commit at the head of a pull request now."""
        return runs.head_of(self._api, number)

    def reviews(self, run: str) -> Reviews:
        """What people said of the deployments of a run, and who began it."""
        return runs.reviews(self._api, run)

    def open_deployment(self, *, ref: str, environment: str, description: str, key: str) -> int:
        """The id of the deployment with this key."""
        return deployments.open_deployment(
            self._api, ref=ref, environment=environment, description=self._mask(description), key=key
        )

    def deployment_status(
        self,
        deployment: int,
        state: Literal["in_progress", "success", "failure", "inactive"],
        *,
        description: str = "",
        url: str = "",
    ) -> None:
        """Say how a deployment stands."""
        deployments.deployment_status(self._api, deployment, state, description=self._mask(description), url=url)

    def create_pull_request(self, *, branch: str, base: str, title: str, body: str) -> str:
        """The page of the open pull request from one of our branches."""
        return pulls.create_pull_request(
            self._api, branch=branch, base=base, title=self._mask(title), body=self._mask(body)
        )

    def publish(self, report: Report) -> tuple[str, ...]:
        """Tell of a run, as far as it is possible; what could not be told, one sentence each. Never raises for it."""
        told = self._linked(masked(report, self._mask))
        return _Publication(self._api, told, comment=self._comment).notices()

    def _linked(self, report: Report) -> Report:
        """The report, without the address of its run where somebody may have made that up."""
        run = report.event.run
        if not run.url or run.url.startswith(f"{self._server}/"):
            return report
        event = msgspec.structs.replace(report.event, run=msgspec.structs.replace(run, url=""))
        return msgspec.structs.replace(report, event=event)


class _Publication:
    """One report on its way: check run, commit status, comment."""

    def __init__(self, api: Api, report: Report, *, comment: bool) -> None:
        self._api = api
        self._report = report
        self._comment = comment
        self._login: str | None = None
        self._denied: list[tuple[str, str]] = []
        self._notices: list[str] = []

    def notices(self) -> tuple[str, ...]:
        event, sha = self._report.event, self._commit()
        tasks: list[tuple[str, str, Callable[[], None]]] = []
        # What a fork's job wrote down must not set a status that a branch rule may require.
        if sha is not None and not event.fork:
            tasks.append(("commit status", STATUSES, lambda: self._write_status(sha)))
        if sha is not None:
            tasks.append(("check run", CHECKS, lambda: self._write_check(sha)))
        if self._comment and event.number is not None:
            tasks.append(("comment", COMMENTS, self._write_comment))
        for what, permission, task in tasks:
            if not self._done(what, permission, task):
                break
        return (*self._permissions(), *self._notices)

    def _commit(self) -> CommitSha | None:
        """The commit that is told of, None where the event has none."""
        event = self._report.event
        sha = event.head_sha or event.head
        if sha is None or event.kind is Kind.LOCAL or not is_commit_id(sha) or is_no_commit(sha):
            return None
        return sha

    def _done(self, what: str, permission: str, task: Callable[[], None]) -> bool:
        """Whether it makes sense to go on."""
        try:
            task()
        except DeniedError as error:
            if not error.permission:
                return self._give_up(error)
            self._denied.append((what, permission))
        except (OutageError, ConfigurationError) as error:
            return self._give_up(error)
        except ServiceError as error:
            self._notices.append(error.message)
        return True

    def _give_up(self, error: CimlError) -> bool:
        self._notices.append(f"GitHub was not told everything: {error.message}. {error.hint}")
        return False

    def _permissions(self) -> list[str]:
        if not self._denied:
            return []
        whats = ", ".join(what for what, _ in self._denied)
        permissions = ", ".join(f"`{permission}`" for _, permission in self._denied)
        fork = ", which a pull request from a fork cannot have" if self._report.event.fork else ""
        told = f"GitHub was not told ({whats}): the token lacks {permissions}"
        return [f"{told}. Add it to the job's `permissions`{fork}."]

    def _write_status(self, sha: CommitSha) -> None:
        description = plain(self._report.title, 140)
        self._login = status(self._api, self._report, sha, description=description) or self._login

    def _write_check(self, sha: CommitSha) -> None:
        told = annotated(self._report)
        text = pages.check_text(self._report, unshown=max(len(told) - ANNOTATIONS, 0))
        login = check_run(self._api, self._report, sha, text=text, annotations=told)
        self._login = login or self._login

    def _write_comment(self) -> None:
        number = self._report.event.number
        if number is None:
            return
        writer = StickyComment(
            self._api, number, login=self._login, head_of=lambda number: runs.head_of(self._api, number)
        )
        writer.write(pages.comment(self._report), sticky.marker(self._report))
