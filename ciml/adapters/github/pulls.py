"""Pull requests that ciml opens itself: new data on a protected branch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciml.adapters.github.api import Api
from ciml.core.errors import ServiceError
from ciml.core.value import Value

if TYPE_CHECKING:
    from github.PullRequest import PullRequest

PERMISSION = "pull-requests: write"


def create_pull_request(api: Api, *, branch: str, base: str, title: str, body: str) -> str:
    """The page of the open pull request from one of our branches: it is opened, or brought up to date.

    GitHub starts no workflow for one that a job's own token opens; that of an App or a person does.

    Args:
        api: the repository.
        branch: head; pushed already.
        base: where it is to be merged.
        title: one line.
        body: Markdown, of at most 65,536 characters.

    Raises:
        ServiceError: GitHub refuses or fails.
    """
    there = _find(api, branch, base)
    if there is not None:
        if (there.title, there.body) != (title, body):
            there_now = api.repo.get_pull(there.number)
            api.call(f"edit pull request #{there.number}", PERMISSION, lambda: there_now.edit(title=title, body=body))
        return there.page

    def post() -> _Pull:
        return _read(api.repo.create_pull(base, branch, title=title, body=body))

    what = f"open a pull request from {branch}"
    try:
        return api.create(what, PERMISSION, post, landed=lambda: _find(api, branch, base)).page
    except ServiceError as error:
        if "not permitted to create" in error.message:
            error.hint = 'Allow it under Settings, Actions, General: "Allow GitHub Actions to create … pull requests".'
        raise


class _Pull(Value, frozen=True, kw_only=True):
    """A pull request, as far as it matters here."""

    number: int
    title: str
    body: str
    page: str


def _read(pull: PullRequest) -> _Pull:
    return _Pull(number=pull.number, title=pull.title, body=pull.body or "", page=pull.html_url)


def _find(api: Api, branch: str, base: str) -> _Pull | None:
    owner = api.name.partition("/")[0]

    def get() -> _Pull | None:
        found = api.repo.get_pulls(state="open", head=f"{owner}:{branch}", base=base).get_page(0)
        return _read(found[0]) if found else None

    return api.call("read the open pull requests", PERMISSION, get)
