"""Deployments as GitHub shows them: on the commit, and on the repository's page of environments."""

from __future__ import annotations

import json
from typing import Any, Literal

from ciml.adapters.github.api import Api
from ciml.core.markdown.text import cut

PERMISSION = "deployments: write"
TASK = "deploy"

State = Literal["in_progress", "success", "failure", "inactive"]

_LONGEST = 140
"""Characters of a description; GitHub takes no more."""


def open_deployment(api: Api, *, ref: str, environment: str, description: str, key: str) -> int:
    """The id of the deployment with this key: one that is there, else a new one.

    Args:
        api: the repository.
        ref: tag, branch or commit.
        environment: its name.
        description: cut to 140 characters.
        key: names the deployment; two with one key are one.

    Raises:
        ServiceError: GitHub refuses or fails.
    """
    there = _find(api, ref, environment, key)
    if there is not None:
        return there

    def post() -> int:
        # Neither a merge of the default branch nor other checks: what is deployed was verified already.
        return api.repo.create_deployment(
            ref,
            task=TASK,
            auto_merge=False,
            required_contexts=[],
            payload={"ciml": key},
            environment=environment,
            description=cut(description, _LONGEST),
        ).id

    what = f"open a deployment to {environment}"
    return api.create(what, PERMISSION, post, landed=lambda: _find(api, ref, environment, key))


def deployment_status(api: Api, deployment: int, state: State, *, description: str, url: str) -> None:
    """Say how a deployment stands; saying the same again changes nothing.

    Raises:
        ServiceError: GitHub refuses or fails.
    """
    from github.GithubObject import NotSet

    target = api.repo.get_deployment(deployment)
    api.call(
        f"write the status of deployment {deployment}",
        PERMISSION,
        lambda: target.create_status(
            state, description=cut(description, _LONGEST), target_url=url or NotSet, auto_inactive=True
        ),
    )


def _find(api: Api, ref: str, environment: str, key: str) -> int | None:
    def get() -> int | None:
        found = api.repo.get_deployments(ref=ref, task=TASK, environment=environment).get_page(0)
        return next((deployment.id for deployment in found if _key(deployment.payload) == key), None)

    return api.call(f"read the deployments to {environment}", PERMISSION, get)


def _key(payload: Any) -> str | None:
    """Our key in a payload, which GitHub gives back as it was sent or as JSON in a text."""
    if isinstance(payload, str):
        try:
            payload = json.loads(payload)
        except ValueError:
            return None
    key = payload.get("ciml") if isinstance(payload, dict) else None
    return key if isinstance(key, str) else None
