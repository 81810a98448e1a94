"""Pull requests that ciml opens itself: new data on a protected branch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciml.adapters.github.api import Api
from ciml.core.errors import ServiceError

if TYPE_CHECKING:
    from github.PullRequest import PullRequest

PERMISSION = "pull-requests: write"


def create_pull_request(api: Api, *, branch: str, base: str, title: str, body: str) -> str:
    """The page of the open pull request from one of our branches: it is opened, or brought up to date.

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
            edit = there.edit
            api.read(f"edit pull request #{there.number}", PERMISSION, lambda: edit(title=title, body=body))
        return there.html_url

    def post() -> PullRequest:
        return api.repo.create_pull(base, branch, title=title, body=body)

    what = f"open a pull request from {branch}"
    try:
        return api.create(what, PERMISSION, post, landed=lambda: _find(api, branch, base)).html_url
    except ServiceError as error:
        if "not permitted to create" in error.message:
            error.hint = 'Allow it under Settings, Actions, General: "Allow GitHub Actions to create … pull requests".'
        raise


def _find(api: Api, branch: str, base: str) -> PullRequest | None:
    owner = api.name.partition("/")[0]
    found = api.read(
        "read the open pull requests",
        PERMISSION,
        lambda: api.repo.get_pulls(state="open", head=f"{owner}:{branch}", base=base).get_page(0),
    )
    return found[0] if found else None
