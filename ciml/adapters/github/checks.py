"""A check run with annotations, and a commit status."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ciml.adapters.github.api import Api
from ciml.core.annotations import Annotation
from ciml.core.ids import CommitSha
from ciml.core.markdown.pages import CheckText
from ciml.core.report import Report
from ciml.core.value import Value

if TYPE_CHECKING:
    from github.CheckRun import CheckRun
    from github.GithubApp import GithubApp
    from github.NamedUser import NamedUser
    from github.Organization import Organization

CHECKS = "checks: write"
STATUSES = "statuses: write"

CHECK = "ciml report"
"""The check run's name; `ciml` is the last job's own."""
CONTEXT = "ciml"
"""The commit status."""

BATCH = 50
"""Annotations in one request; GitHub takes no more."""
ANNOTATIONS = 100
"""Annotations of one report. The rest is counted in the check's text."""


def check_run(
    api: Api, report: Report, sha: CommitSha, *, text: CheckText, annotations: Sequence[Annotation]
) -> str | None:
    """Write a completed check run; the login of the App that did, which is who our token is.

    Args:
        api: the repository.
        report: for the conclusion and the run.
        sha: the commit that it is about.
        text: title, summary and details, within GitHub's limits.
        annotations: no more than ANNOTATIONS of them, which is two requests.

    Raises:
        ServiceError: GitHub refuses or fails.
    """
    from github.GithubObject import NotSet

    external = f"{report.event.run.id}.{report.event.run.attempt}"
    told = [_as_json(annotation) for annotation in annotations[:ANNOTATIONS]]
    output = {"title": text.title, "summary": text.summary, **({"text": text.text} if text.text.strip() else {})}

    def post() -> _Written:
        return _written(
            api.repo.create_check_run(
                CHECK,
                sha,
                details_url=report.event.run.url or NotSet,
                external_id=external,
                status="completed",
                conclusion=report.conclusion.replace("-", "_"),
                output={**output, "annotations": told[:BATCH]},
            )
        )

    made = api.create("write the check run", CHECKS, post, landed=lambda: _landed(api, sha, external))
    for end in range(BATCH, len(told), BATCH):
        batch = told[end : end + BATCH]
        more = partial(_append, api, made.id, {**output, "annotations": batch})
        api.create("annotate the check run", CHECKS, more, landed=partial(_appended, api, made.id, end + len(batch)))
    return made.login


class _Written(Value, frozen=True, kw_only=True):
    """A check run that is there, and who wrote it."""

    id: int
    login: str | None


def _written(run: CheckRun) -> _Written:
    app: GithubApp | None = run.app
    return _Written(id=run.id, login=f"{app.slug}[bot]" if app is not None and app.slug else None)


def _landed(api: Api, sha: CommitSha, external: str) -> _Written | None:
    """The check run of this very attempt, where it was written although the answer was lost."""

    def get() -> _Written | None:
        runs = api.repo.get_commit(sha).get_check_runs(check_name=CHECK, filter="all").get_page(0)
        return next((_written(run) for run in runs if run.external_id == external), None)

    return api.call("read the check runs", CHECKS, get)


def _append(api: Api, run: int, output: dict[str, Any]) -> bool:
    """True once the annotations are written, behind those that are there."""
    api.repo.get_check_run(run).edit(output=output)
    return True


def _appended(api: Api, run: int, total: int) -> bool | None:
    """True where so many annotations are there although the answer was lost, else None."""
    count = api.call("read the check run", CHECKS, lambda: api.repo.get_check_run(run).output.annotations_count)
    return True if count >= total else None


def _as_json(annotation: Annotation) -> dict[str, str | int]:
    return {
        "path": annotation.path,
        "start_line": annotation.line,
        "end_line": annotation.line,
        "annotation_level": annotation.level,
        "title": annotation.title,
        "message": annotation.message,
    }


def status(api: Api, report: Report, sha: CommitSha, *, description: str) -> str | None:
    """Write the commit status; the login of who did, which is who our token is.

    Two of the same are one: GitHub shows the last of a context.

    Raises:
        ServiceError: GitHub refuses or fails.
    """
    from github.Commit import Commit
    from github.GithubObject import NotSet

    # Of a commit that is known by its id alone PyGithub would read everything else first.
    repo = api.repo
    commit = Commit(repo.requester, {}, {"sha": sha, "url": f"{repo.url}/commits/{sha}"}, completed=True)
    state = "success" if report.conclusion == "success" else "failure"

    def post() -> str | None:
        link = report.event.run.url or NotSet
        creator: NamedUser | Organization | None = commit.create_status(state, link, description, CONTEXT).creator
        return creator.login if creator is not None else None

    return api.call("write the commit status", STATUSES, post)
