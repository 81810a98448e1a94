"""CI jobs as GitHub would start them: each in a clone and a home of its own, with the event's environment."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cli.calls import Answer, environment, process
from tests.repobuilder import RepoBuilder

REPOSITORY = "acme/churn"


class Jobs:
    """The jobs of one workflow run.

    Args:
        origin: the repository that they clone.
        folder: where they work; it must not exist.
        run: the run's id.
        extra: variables that every job has, such as MLFLOW_TRACKING_URI.
    """

    def __init__(self, origin: RepoBuilder, folder: Path, *, run: str = "1", **extra: str) -> None:
        self.origin = origin
        self.folder = folder
        self.run = run
        self.extra = extra
        self._event: dict[str, str] = {}
        self._ref = ""
        self._checkout = ""
        self.outputs: dict[str, str] = {}
        self.summary = ""

    def push(self, branch: str, *, before: str = "0" * 40) -> Jobs:
        """A push of a branch's tip."""
        after = self.origin.git("rev-parse", f"refs/heads/{branch}")
        payload = {"ref": f"refs/heads/{branch}", "before": before, "after": after, "deleted": False}
        return self._happened("push", f"refs/heads/{branch}", after, payload)

    def pull_request(self, branch: str, number: int, *, base: str = "main", fork: bool = False) -> Jobs:
        """A pull request of a branch, at the merge commit that GitHub would make."""
        head = self.origin.git("rev-parse", f"refs/heads/{branch}")
        tip = self.origin.git("rev-parse", f"refs/heads/{base}")
        tree = self.origin.git("merge-tree", "--write-tree", tip, head)
        merge = self.origin.git("commit-tree", tree, "-p", tip, "-p", head, "-m", f"Merge {head} into {tip}")
        self.origin.git("update-ref", f"refs/pull/{number}/merge", merge)
        payload = {
            "action": "synchronize",
            "number": number,
            "pull_request": {
                "number": number,
                "head": {"ref": branch, "sha": head, "repo": {"full_name": "mallory/churn" if fork else REPOSITORY}},
                "base": {"ref": base, "sha": tip, "repo": {"full_name": REPOSITORY}},
            },
        }
        return self._happened("pull_request", f"refs/pull/{number}/merge", merge, payload)

    def schedule(self) -> Jobs:
        """The hour of a schedule, on the default branch."""
        tip = self.origin.git("rev-parse", "refs/heads/main")
        return self._happened("schedule", "refs/heads/main", tip, {"schedule": "0 3 * * 1"})

    def manual(self, branch: str, **inputs: str) -> Jobs:
        """A workflow that somebody starts by hand, on a branch's tip."""
        tip, ref = self.origin.git("rev-parse", f"refs/heads/{branch}"), f"refs/heads/{branch}"
        return self._happened("workflow_dispatch", ref, tip, {"workflow": "ciml.yml", "ref": ref, "inputs": inputs})

    def tag(self, name: str) -> Jobs:
        """A push of a tag."""
        commit = self.origin.git("rev-parse", f"refs/tags/{name}^{{commit}}")
        payload = {"ref": f"refs/tags/{name}", "before": "0" * 40, "after": commit, "deleted": False}
        return self._happened("push", f"refs/tags/{name}", commit, payload)

    def _happened(self, name: str, ref: str, sha: str, payload: dict[str, Any]) -> Jobs:
        self.folder.mkdir(parents=True)
        whole = {
            **payload,
            "repository": {"full_name": REPOSITORY, "default_branch": "main"},
            "sender": {"login": "ada"},
        }
        (self.folder / "event.json").write_text(json.dumps(whole))
        self._ref, self._checkout = ref, sha
        self._event = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": name,
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_REF": ref,
            "GITHUB_SHA": sha,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_RUN_ID": self.run,
            "GITHUB_RUN_NUMBER": self.run,
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_WORKFLOW": "ciml",
            "GITHUB_ACTOR": "ada",
        }
        return self

    @property
    def event(self) -> dict[str, str]:
        """The variables that say what has happened."""
        return self._event

    @property
    def commit(self) -> str:
        """What is checked out."""
        return self._checkout

    def job(
        self,
        name: str,
        *words: str,
        takes: tuple[str, ...] = (),
        artifacts: Mapping[str, str] | None = None,
        options: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
    ) -> Answer:
        """What one job came to.

        Args:
            name: of the job.
            words: after `ciml ci`.
            takes: jobs whose artifacts it downloads, into one folder.
            artifacts: the same by name of the artifact, each into a folder of its own.
            options: before `ci`.
            env: variables of its own.
        """
        place = self.folder / name
        taken, handed = place / "in", place / "out"
        clone = RepoBuilder(place / "work")
        clone.git("remote", "add", "origin", str(self.origin.path))
        clone.git("fetch", "-q", "--depth=1", "origin", f"+{self._checkout}:refs/remotes/job")
        clone.git("checkout", "-q", "--detach", self._checkout)
        taken.mkdir()
        for other, target in [*((other, taken) for other in takes), *self._apart(taken, artifacts or {})]:
            handed_on = self.folder / other / "out"
            if handed_on.exists():
                shutil.copytree(handed_on, target, dirs_exist_ok=True)
        files = {f"GITHUB_{kind}": place / kind.lower() for kind in ("OUTPUT", "STEP_SUMMARY", "ENV")}
        for file in files.values():
            file.touch()
        variables = {**self._event, **{name: str(file) for name, file in files.items()}, **self.extra, **(env or {})}
        seen = environment(**{**variables, "HOME": str(place)})
        answer = process(clone.path, *options, "ci", *words, "--from", str(taken), "--to", str(handed), env=seen)
        self.outputs = _outputs(files["GITHUB_OUTPUT"].read_text())
        self.summary = files["GITHUB_STEP_SUMMARY"].read_text()
        return answer

    @staticmethod
    def _apart(taken: Path, artifacts: Mapping[str, str]) -> list[tuple[str, Path]]:
        return [(job, taken / name) for name, job in artifacts.items()]


def _outputs(text: str) -> dict[str, str]:
    """The outputs of a step, each between its mark and the mark again."""
    found: dict[str, str] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        name, between, mark = line.partition("<<")
        if between:
            value = []
            while (line := next(lines)) != mark:
                value.append(line)
            found[name] = "\n".join(value)
    return found
