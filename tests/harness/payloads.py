"""What GitHub sends when something happens: its own examples, made to speak of the repository of the tests.

Each is held against GitHub's schema before anybody gets it.
"""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

import jsonschema

from tests.nodejs import package

JSON = dict[str, Any]
ZERO = "0" * 40
_DEFINITIONS = {
    "push": "push$event",
    "repository_dispatch": "repository_dispatch$event",
    "workflow_dispatch": "workflow_dispatch$event",
}


@cache
def _examples() -> dict[str, list[JSON]]:
    listed = json.loads((package("@octokit/webhooks-examples") / "api.github.com/index.json").read_bytes())
    return {item["name"]: item["examples"] for item in listed}


@cache
def _definitions() -> JSON:
    found: JSON = json.loads((package("@octokit/webhooks-schemas") / "schema.json").read_bytes())["definitions"]
    return found


@cache
def _validator(definition: str) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator({"$ref": f"#/definitions/{definition}", "definitions": _definitions()})


def checked(name: str, payload: JSON) -> JSON:
    """The payload, which GitHub's schema allows."""
    definition = _DEFINITIONS.get(name) or f"{name}${payload['action']}"
    wrong = [f"{error.json_path}: {error.message[:300]}" for error in _validator(definition).iter_errors(payload)]
    assert not wrong, f"GitHub would not send this {name}: {wrong}"
    return payload


class Payloads:
    """Payloads about one repository.

    Args:
        repository: `owner/name`.
        default_branch: its name.
        server: the address of the forge.
        api: the address of its API.
    """

    def __init__(self, repository: str, default_branch: str, server: str, api: str) -> None:
        self.repository = repository
        self.default_branch = default_branch
        self._addresses = (("https://api.github.com", api), ("https://github.com", server))

    def _example(self, name: str, action: str | None = None) -> JSON:
        """The newest example of an event, about this repository."""
        found = [item for item in _examples()[name] if item.get("action") == action or action is None][-1]
        written = json.dumps(found)
        for theirs, ours in ((found["repository"]["full_name"], self.repository), *self._addresses):
            written = written.replace(theirs, ours)
        made: JSON = json.loads(written)
        self._place(made["repository"])
        return made

    def _place(self, repository: JSON, name: str | None = None) -> None:
        owner, _, short = (name or self.repository).partition("/")
        repository |= {"name": short, "full_name": name or self.repository, "default_branch": self.default_branch}
        repository["owner"] |= {"login": owner}

    def push(self, ref: str, before: str, after: str, commit: JSON | None, *, forced: bool = False) -> JSON:
        """Of a branch or a tag; `commit` is the head commit as GitHub writes one, None where the ref was deleted."""
        made = self._example("push")
        made |= {
            "ref": ref,
            "before": before,
            "after": after,
            "created": before == ZERO,
            "deleted": after == ZERO,
            "forced": forced,
            "commits": [commit] if commit else [],
            "head_commit": commit,
        }
        return checked("push", made)

    def commit(self, sha: str, tree: str, message: str) -> JSON:
        """A commit as it stands in a push."""
        made = copy.deepcopy(next(item["head_commit"] for item in _examples()["push"] if item["head_commit"]))
        return {**made, "id": sha, "tree_id": tree, "message": message}

    def pull_request(
        self, action: str, number: int, *, head: JSON, base: JSON, merge: str | None, merged: bool
    ) -> JSON:
        """`opened`, `synchronize` or `closed`; head and base are `ref`, `sha` and, of a fork, `repository`."""
        made = self._example("pull_request", "closed" if action == "closed" else "synchronize")
        if action != "synchronize":
            made.pop("before", None), made.pop("after", None)
        request = made["pull_request"]
        made |= {"action": action, "number": number}
        request |= {
            "number": number,
            "state": "closed" if action == "closed" else "open",
            "merged": merged,
            "merge_commit_sha": merge,
        }
        for side, told in (("head", head), ("base", base)):
            home = copy.deepcopy(made["repository"])
            if told.get("repository"):
                self._place(home, told["repository"])
                home |= {"id": home["id"] + 1, "fork": True}
            owner = home["full_name"].partition("/")[0]
            request[side] |= {"ref": told["ref"], "sha": told["sha"], "label": f"{owner}:{told['ref']}", "repo": home}
        return checked("pull_request", made)

    def repository_dispatch(self, kind: str, data: JSON) -> JSON:
        """Of somebody's own making."""
        made = self._example("repository_dispatch")
        made |= {"action": kind, "branch": self.default_branch, "client_payload": data}
        return checked("repository_dispatch", made)

    def workflow_dispatch(self, workflow: str, ref: str, inputs: dict[str, str] | None) -> JSON:
        """A workflow started by hand."""
        made = self._example("workflow_dispatch")
        return checked("workflow_dispatch", {**made, "workflow": workflow, "ref": ref, "inputs": inputs})

    def schedule(self, cron: str) -> JSON:
        """No example and no schema are to be had: it is the repository and the line of cron."""
        made = self._example("repository_dispatch")
        return {"schedule": cron, "repository": made["repository"], "workflow": ".github/workflows/ciml.yml"}

    def workflow_run(self, told: JSON, *, head_repository: str) -> JSON:
        """A run that has ended; `told` are the members of the run that are known."""
        made = self._example("workflow_run", "completed")
        made["workflow_run"] |= {**told, "status": "completed", "pull_requests": []}
        made["workflow"] |= {"name": told["name"], "path": told["path"]}
        owner = head_repository.partition("/")[0]
        for repository, name in (("repository", self.repository), ("head_repository", head_repository)):
            made["workflow_run"][repository] |= {"full_name": name, "name": name.partition("/")[2]}
        made["workflow_run"]["head_repository"]["owner"] |= {"login": owner}
        return checked("workflow_run", made)
