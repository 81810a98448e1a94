"""Checks, statuses, deployments and workflow runs in the GitHub of the tests."""

from __future__ import annotations

from typing import Any

from tests.githubbase import JSON, REPO, Answer, Token, missing, refused
from tests.githubtalk import GitHubTalk


class GitHubWork(GitHubTalk):
    """What is told of commits, and the runs that tell it."""

    def __init__(self, repository: str, url: str, *, default_branch: str) -> None:
        super().__init__(repository, url, default_branch=default_branch)
        self._checks: list[JSON] = []
        self._annotations: dict[int, list[JSON]] = {}
        self._statuses: dict[str, list[JSON]] = {}
        self._deployments: list[JSON] = []
        self._deployment_statuses: dict[int, list[JSON]] = {}
        self._runs: list[JSON] = []
        self._artifacts: dict[int, list[JSON]] = {}
        self._reviews: dict[int, list[JSON]] = {}
        self.dispatched: list[JSON] = []
        """What was asked to start: `repository_dispatch` and `workflow_dispatch`, the oldest first."""

    def check_runs(self, sha: str) -> list[JSON]:
        """The check runs of a commit, the oldest first."""
        return [made for made in self._checks if made["head_sha"] == sha]

    def annotations(self, check: int) -> list[JSON]:
        """The annotations of a check run."""
        return list(self._annotations.get(check, ()))

    def statuses(self, sha: str) -> list[JSON]:
        """The statuses of a commit, the oldest first."""
        return list(self._statuses.get(sha, ()))

    def deployments(self) -> list[JSON]:
        """All deployments, the oldest first."""
        return list(self._deployments)

    def deployment_statuses(self, deployment: int) -> list[JSON]:
        """What was said of a deployment, the oldest first."""
        return list(self._deployment_statuses.get(deployment, ()))

    def run(
        self,
        *,
        head: str,
        branch: str,
        workflow: str = "ciml.yml",
        event: str = "push",
        status: str = "completed",
        conclusion: str | None = "success",
        number: int = 1,
        actor: str = "octocat",
        again: str | None = None,
    ) -> int:
        """The id of a workflow run, which an actor began and perhaps another ran again."""
        made: JSON = self.example(f"{REPO}/actions/workflows/{{workflow_id}}/runs", "get", 200)["workflow_runs"][0]
        place = self.next_id()
        made |= {
            "id": place,
            "name": "ciml",
            "path": f".github/workflows/{workflow}",
            "head_sha": head,
            "head_branch": branch,
            "event": event,
            "status": status,
            "conclusion": conclusion if status == "completed" else None,
            "run_number": number,
            "actor": self.user(actor),
            "triggering_actor": self.user(again or actor),
            "url": self.address(f"actions/runs/{place}"),
            "html_url": f"https://github.com/{self.repository}/actions/runs/{place}",
            "created_at": self.tick(),
        }
        self._runs.append(made)
        return place

    def review(self, run: int, *environments: str, by: str, state: str = "approved") -> None:
        """Let somebody review the deployments of a run."""
        made: JSON = self.example(f"{REPO}/actions/runs/{{run_id}}/approvals", "get", 200)[0]
        one = made["environments"][0]
        told = [{**one, "name": name} for name in environments]
        self._reviews.setdefault(run, []).append({**made, "environments": told, "state": state, "user": self.user(by)})

    def artifact(self, run: int, name: str, *, size: int = 0) -> int:
        """The id of an artifact of a run."""
        made: JSON = self.example(f"{REPO}/actions/runs/{{run_id}}/artifacts", "get", 200)["artifacts"][0]
        place = self.next_id()
        made |= {"id": place, "name": name, "size_in_bytes": size, "url": self.address(f"actions/artifacts/{place}")}
        self._artifacts.setdefault(run, []).append(made)
        return place

    def create_check(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        if token.app is None:
            return 403, {}, {"message": "You must authenticate via a GitHub App."}
        wrong = _incomplete(body)
        if wrong:
            return refused(wrong)
        made: JSON = self.example(f"{REPO}/check-runs", "post", 201)
        place = self.next_id()
        made |= {
            "id": place,
            "url": self.address(f"check-runs/{place}"),
            "head_sha": body["head_sha"],
            "name": body["name"],
            "external_id": body.get("external_id", ""),
            "details_url": body.get("details_url"),
            "status": body.get("status", "queued"),
            "conclusion": body.get("conclusion"),
            "started_at": self.tick(),
            "app": self.app(token.app),
            "pull_requests": [],
        }
        self._checks.append(made)
        self._write_output(made, body)
        return 201, {}, made

    def get_check(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        found = self._check(arguments)
        return (200, {}, found) if found else missing()

    def edit_check(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        found = self._check(arguments)
        if found is None:
            return missing()
        wrong = _incomplete(body)
        if wrong:
            return refused(wrong)
        found |= {name: body[name] for name in ("name", "status", "conclusion", "external_id") if name in body}
        self._write_output(found, body)
        return 200, {}, found

    def _check(self, arguments: JSON) -> JSON | None:
        return next((made for made in self._checks if made["id"] == int(arguments["check_run_id"])), None)

    def _write_output(self, made: JSON, body: JSON) -> None:
        """Annotations are added to those that are there; all else is replaced."""
        told = body.get("output", {})
        there = self._annotations.setdefault(made["id"], [])
        there += told.get("annotations", [])
        made["output"] = {
            **made["output"],
            **{name: told[name] for name in ("title", "summary", "text") if name in told},
            "annotations_count": len(there),
            "annotations_url": f"{made['url']}/annotations",
        }

    def list_checks(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        named = [
            made for made in self.check_runs(arguments["ref"]) if made["name"] == query.get("check_name", made["name"])
        ]
        headers, part = self.page(f"commits/{arguments['ref']}/check-runs", named[::-1], query)
        return 200, headers, {"total_count": len(named), "check_runs": part}

    def create_status(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        if len(body.get("description") or "") > 140:
            return refused("description is too long (maximum is 140 characters)")
        made: JSON = self.example(f"{REPO}/statuses/{{sha}}", "post", 201)
        made |= {"id": self.next_id(), "creator": self.user(token.login), "created_at": self.tick(), **body}
        self._statuses.setdefault(arguments["sha"], []).append(made)
        return 201, {}, made

    def list_deployments(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        found = [
            made
            for made in reversed(self._deployments)
            if all(made[name] == query[name] for name in ("sha", "ref", "task", "environment") if name in query)
        ]
        headers, part = self.page("deployments", found, query)
        return 200, headers, part

    def create_deployment(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        made: JSON = self.example(f"{REPO}/deployments", "post", 201)
        place = self.next_id()
        made |= {
            "id": place,
            "url": self.address(f"deployments/{place}"),
            "statuses_url": self.address(f"deployments/{place}/statuses"),
            "ref": body["ref"],
            "task": body.get("task", "deploy"),
            "payload": body.get("payload", {}),
            "environment": body.get("environment", "production"),
            "description": body.get("description"),
            "creator": self.user(token.login),
            "created_at": self.tick(),
        }
        self._deployments.append(made)
        return 201, {}, made

    def list_deployment_statuses(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        place = int(arguments["deployment_id"])
        headers, part = self.page(f"deployments/{place}/statuses", self.deployment_statuses(place)[::-1], query)
        return 200, headers, part

    def create_deployment_status(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        place = int(arguments["deployment_id"])
        if not any(made["id"] == place for made in self._deployments):
            return missing()
        made: JSON = self.example(f"{REPO}/deployments/{{deployment_id}}/statuses", "post", 201)
        told: JSON = {name: body[name] for name in ("state", "description", "target_url") if name in body}
        made |= {"id": self.next_id(), "creator": self.user(token.login), "created_at": self.tick(), **told}
        self._deployment_statuses.setdefault(place, []).append(made)
        return 201, {}, made

    def list_runs(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        of_workflow = [made for made in self._runs if made["path"].endswith(f"/{arguments['workflow_id']}")]
        if not of_workflow:
            return missing()
        found = [made for made in reversed(of_workflow) if _is_asked_for(made, query)]
        headers, part = self.page(f"actions/workflows/{arguments['workflow_id']}/runs", found, query)
        return 200, headers, {"total_count": len(found), "workflow_runs": part}

    def list_all_runs(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        found = [made for made in reversed(self._runs) if _is_asked_for(made, query)]
        headers, part = self.page("actions/runs", found, query)
        return 200, headers, {"total_count": len(found), "workflow_runs": part}

    def dispatch(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        self.dispatched.append({"event": "repository_dispatch", **body})
        return 204, {}, None

    def dispatch_workflow(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        self.dispatched.append({"event": "workflow_dispatch", "workflow": arguments["workflow_id"], **body})
        return 204, {}, None

    def get_run(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        found = next((made for made in self._runs if made["id"] == int(arguments["run_id"])), None)
        return (200, {}, found) if found else missing()

    def list_reviews(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        return 200, {}, self._reviews.get(int(arguments["run_id"]), [])

    def list_artifacts(self, arguments: JSON, query: JSON, body: JSON, token: Token) -> Answer:
        found = self._artifacts.get(int(arguments["run_id"]), [])
        named = [made for made in found if made["name"] == query.get("name", made["name"])]
        headers, part = self.page(f"actions/runs/{arguments['run_id']}/artifacts", named, query)
        return 200, headers, {"total_count": len(named), "artifacts": part}


def _incomplete(body: JSON) -> str | None:
    """What the description has lost: a completed check run has a conclusion."""
    if (body.get("status") == "completed" or "completed_at" in body) and not body.get("conclusion"):
        return "conclusion is required for a completed check run"
    return None


def _is_asked_for(made: JSON, query: dict[str, Any]) -> bool:
    wanted = {"branch": "head_branch", "event": "event", "head_sha": "head_sha"}
    if any(made[member] != query[name] for name, member in wanted.items() if name in query):
        return False
    return query.get("status") in (None, made["status"], made["conclusion"])
