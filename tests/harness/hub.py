"""GitHub for tests: a repository, its API, its Git server, and runners that execute its workflows.

with Hub(tmp_path, language=language) as hub:
    hub.work.commit({".github/workflows/ciml.yml": …, "train.py": …})
    [run] = hub.push("main")
    assert run.conclusion == "success", run.explain()
    [run] = hub.pull_request("better", fork="mallory/churn")
    assert hub.api.comments(1) == []
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.githubbase import Token
from tests.githubserver import GitHubServer
from tests.harness.caches import Caches
from tests.harness.filters import fits
from tests.harness.gitserver import GitServer
from tests.harness.happening import Happening
from tests.harness.job import Job, StepRun
from tests.harness.language import Language
from tests.harness.payloads import ZERO, Payloads
from tests.harness.run import Run
from tests.repobuilder import RepoBuilder

JSON = dict[str, Any]
_DEEPEST = 3
"""How far runs may start one another by `workflow_run`."""


class Service(GitHubServer):
    """The API, which also shows what the runners do."""

    def show_job(self, sha: str, run: int, name: str, conclusion: str) -> None:
        """A job is a check run of the commit, made when it begins."""
        with self._guard:
            known = [made for made in self._checks if made["name"] == name and made["external_id"] == f"job-{run}"]
            state: JSON = {"status": "completed", "conclusion": conclusion} if conclusion else {"status": "in_progress"}
            if known:
                known[-1] |= {"conclusion": None, **state}
                return
            told = {"name": name, "head_sha": sha, "external_id": f"job-{run}", **state}
            self.create_check({}, {}, told, Token("github-actions[bot]", {}, "github-actions"))

    def finish(self, run: int, conclusion: str, attempt: int) -> None:
        """A run has ended."""
        with self._guard:
            made = next(made for made in self._runs if made["id"] == run)
            made |= {"status": "completed", "conclusion": conclusion, "run_attempt": attempt}


class Hub:
    """One repository on GitHub.

    Args:
        folder: for all that is made; it must not exist, or be empty.
        language: GitHub's parser.
        repository: `owner/name`.
        action: folder of the action's own checkout.
        action_repository: `owner/name` under which workflows use it.
        caches: that runs may read and add to; own ones when None.
    """

    default_branch = "main"

    def __init__(
        self,
        folder: Path,
        *,
        language: Language,
        repository: str = "acme/churn",
        action: Path | None = None,
        action_repository: str = "acme/ciml",
        caches: Caches | None = None,
    ) -> None:
        self.folder = folder
        self.language = language
        self.repository = repository
        self.action = action or folder / "no-action"
        self.action_repository = action_repository
        self.bare = RepoBuilder(folder / "bare.git", bare=True)
        self.work = RepoBuilder(folder / "developer")
        self.caches = caches or Caches(folder / "caches")
        self.secrets: dict[str, str] = {}
        self.variables: dict[str, str] = {}
        self.environments: dict[str, dict[str, str]] = {}
        """Environment -> its secrets."""
        self.environment_variables: dict[str, dict[str, str]] = {}
        self.policies: dict[str, list[str]] = {}
        """Environment -> patterns of the branches and tags whose jobs may be in it; all where it has none."""
        self.reviewers: dict[str, str] = {}
        """Environment -> who approves each job that is to be in it; nobody is asked where there is none."""
        self.debug = False
        """Whether runs are debugged, as somebody may ask who runs them again."""
        self.parallel = 2
        """Jobs at once."""
        self.late: set[str] = set()
        """Ids of jobs that find a runner only when no other job of their workflow can run."""
        self.before_step: Callable[[Job, StepRun], bool] | None = None
        """Called before a step that is to run; True where the step is done already."""
        self.grace = (7.5, 2.5)
        """Seconds that a step has when it is cancelled, by SIGINT and by SIGTERM."""
        self.cancel_when = ""
        """A run is cancelled when a step prints this."""
        self.runs: list[Run] = []
        self._pulls: dict[int, JSON] = {}
        self._numbers: dict[str, int] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self.api = self._open.enter_context(Service(self.repository, git_dir=self.bare.path))
        self.git = self._open.enter_context(GitServer(self.api.tokens))
        self.payloads = Payloads(self.repository, self.default_branch, self.git.url, self.api.url)
        for setting in ("uploadpack.allowAnySHA1InWant", "uploadpack.allowFilter", "http.receivepack"):
            self.bare.git("config", setting, "true")
        self.bare.git("config", "receive.hideRefs", "refs/pull")
        self.git.repositories[self.repository] = self.bare.path
        self.work.git("remote", "add", "origin", str(self.bare.path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, traceback)

    # What people do.

    def push(self, branch: str = "main", *, force: bool = False) -> list[Run]:
        """The runs of a push of the developer's branch."""
        ref = f"refs/heads/{branch}"
        before = self.tip(ref) or ZERO
        self.work.git("push", "-q", *(["--force"] if force else []), "origin", f"{ref}:{ref}")
        return self._pushed(ref, before)

    def tag(self, name: str, target: str = "HEAD", *, message: str | None = None) -> list[Run]:
        """The runs of a push of a tag, an annotated one where it has a message."""
        ref = f"refs/tags/{name}"
        before = self.tip(ref) or ZERO
        self.work.tag(name, target, message=message)
        self.work.git("push", "-q", "--force", "origin", f"{ref}:{ref}")
        return self._pushed(ref, before)

    def pull_request(self, branch: str, *, fork: str | None = None, base: str = "main") -> list[Run]:
        """The runs of a pull request that is opened, or gets what was added to its branch.

        Args:
            branch: of the developer's clone.
            fork: `owner/name` of the repository that it is of; this one when None.
            base: branch that it is to be merged into.
        """
        known = [number for number, told in self._pulls.items() if told["key"] == (fork, branch)]
        number = known[-1] if known else len(self._pulls) + 1
        started = [] if fork else self.push(branch)
        head = self.work.git("rev-parse", f"refs/heads/{branch}")
        self.work.git("push", "-q", "--force", "origin", f"{head}:refs/heads/for-pull-{number}")
        self.bare.git("update-ref", f"refs/pull/{number}/head", head)
        self.bare.git("update-ref", "-d", f"refs/heads/for-pull-{number}")
        self._pulls[number] = {"key": (fork, branch), "head": head, "branch": branch, "fork": fork, "base": base}
        self.api.pull_request(number, head=head, branch=branch, base=base, fork=fork)
        return started + self._pull_event("synchronize" if known else "opened", number)

    def merge(self, number: int) -> list[Run]:
        """The runs of the push that merging a pull request is; the developer's clone follows."""
        told = self._pulls[number]
        ref = f"refs/heads/{told['base']}"
        before = self.tip(ref)
        merged = self._merge_commit(number)
        self.bare.git("update-ref", ref, merged)
        self.work.git("fetch", "-q", "origin")
        self.work.switch(told["base"])
        self.work.git("reset", "-q", "--hard", f"origin/{told['base']}")
        self.api.pull_request(
            number, head=told["head"], branch=told["branch"], base=told["base"], fork=told["fork"], merged_as=merged
        )
        return self._pushed(ref, before) + self._pull_event("closed", number, merge=merged)

    def dispatch(self, kind: str, data: JSON | None = None) -> list[Run]:
        """The runs of a `repository_dispatch`."""
        return self._on_default("repository_dispatch", self.payloads.repository_dispatch(kind, data or {}), action=kind)

    def schedule(self, cron: str = "0 3 * * 1") -> list[Run]:
        """The runs of an hour that has come."""
        return self._on_default("schedule", self.payloads.schedule(cron))

    def manual(self, workflow: str, *, branch: str = "main", inputs: dict[str, str] | None = None) -> list[Run]:
        """The runs of a workflow that somebody starts by hand."""
        ref = f"refs/heads/{branch}"
        payload = self.payloads.workflow_dispatch(f".github/workflows/{workflow}", ref, inputs)
        return self._on_default("workflow_dispatch", payload, ref=ref, workflow=workflow)

    def rerun(self, run: Run, *jobs: str) -> Run:
        """The run after its failed jobs were run again, or those that are named; and all that comes after them."""
        run.again(jobs)
        self.api.finish(run.id, run.conclusion, run.attempt)
        return run

    # What GitHub does.

    def tip(self, ref: str) -> str:
        """What a ref of the server names; "" where there is none."""
        return self.bare.git("for-each-ref", "--format=%(objectname)", ref)

    def refs(self) -> set[str]:
        """All branches and tags of the server."""
        return set(self.bare.git("for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags").splitlines())

    def called(self, path: str, sha: str) -> str:
        """The text of a workflow that another one calls."""
        if path.startswith("./"):
            return self.bare.git("show", f"{sha}:{path[2:]}")
        repository, _, _ = path.partition("@")
        owner_and_name, inside = "/".join(repository.split("/")[:2]), "/".join(repository.split("/")[2:])
        assert owner_and_name.casefold() == self.action_repository.casefold(), f"no such workflow here: {path}"
        return (self.action / inside).read_text(encoding="utf-8")

    def is_closed(self, environment: str, ref: str) -> bool:
        """Whether the rules of an environment keep a ref's jobs out."""
        policy = self.policies.get(environment)
        return policy is not None and not fits(policy, ref.split("/", 2)[2])

    def _pushed(self, ref: str, before: str) -> list[Run]:
        after = self.tip(ref)
        sha = self.bare.git("rev-parse", f"{after}^{{commit}}")
        message = self.bare.git("log", "-1", "--format=%B", sha)
        commit = self.payloads.commit(sha, self.bare.git("rev-parse", f"{sha}^{{tree}}"), message)
        forced = before not in ("", ZERO) and not self._follows(before, after)
        happening = Happening(
            name="push",
            payload=self.payloads.push(ref, before or ZERO, after, commit, forced=forced),
            ref=ref,
            sha=sha,
            head_sha=sha,
            branch=ref.split("/", 2)[2],
            paths=self._changed(before, sha),
        )
        return self._happened(happening, sha)

    def _pull_event(self, action: str, number: int, merge: str = "") -> list[Run]:
        told = self._pulls[number]
        merged = merge or self._merge_commit(number)
        base = self.tip(f"refs/heads/{told['base']}")
        payload = self.payloads.pull_request(
            action,
            number,
            head={"ref": told["branch"], "sha": told["head"], "repository": told["fork"]},
            base={"ref": told["base"], "sha": base},
            merge=merged,
            merged=bool(merge),
        )
        happening = Happening(
            name="pull_request",
            payload=payload,
            action=action,
            ref=f"refs/pull/{number}/merge" if not merge else f"refs/heads/{told['base']}",
            sha=merged,
            head_sha=told["head"],
            branch=told["branch"],
            head_ref=told["branch"],
            base_ref=told["base"],
            fork=told["fork"] is not None,
            head_repository=told["fork"] or self.repository,
            paths=self._changed(base, merged),
        )
        return self._happened(happening, merged)

    def _merge_commit(self, number: int) -> str:
        told = self._pulls[number]
        base = self.tip(f"refs/heads/{told['base']}")
        tree = self.bare.git("merge-tree", "--write-tree", base, told["head"])
        message = f"Merge pull request #{number} from {told['branch']}"
        made = self.bare.git("commit-tree", tree, "-p", base, "-p", told["head"], "-m", message)
        self.bare.git("update-ref", f"refs/pull/{number}/merge", made)
        return made

    def _on_default(
        self, name: str, payload: JSON, *, action: str = "", ref: str = "", workflow: str = "", **more: Any
    ) -> list[Run]:
        ref = ref or f"refs/heads/{self.default_branch}"
        sha = self.tip(ref)
        known = {"head_sha": sha, "branch": ref.split("/", 2)[2], "action": action, "workflow": workflow, **more}
        return self._happened(Happening(name=name, payload=payload, ref=ref, sha=sha, **known), sha)

    def _happened(self, happening: Happening, commit: str, depth: int = 0) -> list[Run]:
        """The runs that it starts, and those that they start."""
        message = self.bare.git("log", "-1", "--format=%B", happening.head_sha)
        if happening.name in ("push", "pull_request") and ("[skip ci]" in message or "[ci skip]" in message):
            return []
        started: list[Run] = []
        for path in self._workflows(commit):
            parsed = self.language.workflow(path, self.bare.git("show", f"{commit}:{path}"))
            if happening.starts(path, parsed["events"]):
                started.append(self._start(path, parsed["root"], commit, happening))
        if depth < _DEEPEST:
            started += [after for run in list(started) for after in self._followed(run, depth)]
        return started

    def _start(self, path: str, root: JSON, commit: str, happening: Happening) -> Run:
        number = self._numbers[path] = self._numbers.get(path, 0) + 1
        id_ = self.api.run(
            head=happening.head_sha,
            branch=happening.branch,
            workflow=Path(path).name,
            event=happening.name,
            status="in_progress",
            number=number,
            actor=happening.actor,
        )
        run = Run(self, path, root, commit, happening, id_, number)
        self.runs.append(run)
        run.execute()
        self.api.finish(id_, run.conclusion, run.attempt)
        return run

    def _followed(self, run: Run, depth: int) -> list[Run]:
        """The runs that `workflow_run` starts on the default branch when a run has ended."""
        told = {
            "id": run.id,
            "name": run.name,
            "path": run.path,
            "head_sha": run.happening.head_sha,
            "head_branch": run.happening.branch,
            "event": run.happening.name,
            "run_number": run.number,
            "run_attempt": run.attempt,
            "conclusion": run.conclusion,
        }
        repository = run.happening.head_repository or self.repository
        ref = f"refs/heads/{self.default_branch}"
        sha = self.tip(ref)
        happening = Happening(
            name="workflow_run",
            payload=self.payloads.workflow_run(told, head_repository=repository),
            action="completed",
            ref=ref,
            sha=sha,
            head_sha=sha,
            branch=run.happening.branch,
            workflow=run.name,
        )
        return self._happened(happening, sha, depth + 1)

    def _workflows(self, commit: str) -> list[str]:
        listed = self.bare.git("ls-tree", "--name-only", commit, ".github/workflows/").splitlines()
        return [path for path in listed if path.endswith((".yml", ".yaml"))]

    def _changed(self, before: str, after: str) -> tuple[str, ...]:
        if before in ("", ZERO):
            return tuple(self.bare.git("ls-tree", "-r", "--name-only", after).splitlines())
        return tuple(self.bare.git("diff", "--name-only", before, after).splitlines())

    def _follows(self, before: str, after: str) -> bool:
        return self.bare.git("merge-base", before, after) == self.bare.git("rev-parse", f"{before}^{{commit}}")
