"""actions/checkout v6: a fetch of one commit with the job's token, which stays only where it is told to.

Source: github.com/actions/checkout v6, ref-helper.ts, git-auth-helper.ts.
"""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

from tests.harness.call import Call
from tests.harness.job import StepError


def checkout(call: Call) -> None:
    """Check the event's commit out, or the one that is asked for."""
    job = call.job
    repository = call.inputs.get("repository") or job.run.repository
    own = repository == job.run.repository
    ref = call.inputs.get("ref") or (job.run.github["ref"] if own else "")
    commit = job.run.github["sha"] if own and not call.inputs.get("ref") else ""
    if len(ref) in (40, 64) and all(sign in "0123456789abcdef" for sign in ref):
        ref, commit = "", ref
    folder = job.machine.workspace / call.inputs.get("path", "")
    folder.mkdir(parents=True, exist_ok=True)
    git = _Git(call, folder)
    git("init", "--quiet", "--initial-branch=main", ".")
    git("remote", "add", "origin", f"{job.run.hub.git.url}/{repository}")
    git("config", "--local", "gc.auto", "0")
    git.sign_in(call.inputs.get("token", job.token))
    if not ref and not commit:
        ref = f"refs/heads/{job.run.hub.default_branch}"
    git(
        "fetch",
        "--quiet",
        *_depth(call),
        "origin",
        *_refs(ref, commit, everything=call.inputs.get("fetch-depth") == "0"),
    )
    git("checkout", "--quiet", "--force", *_target(git, ref, commit))
    call.step.outputs |= {"commit": git("rev-parse", "HEAD"), "ref": ref}
    if not call.flag("persist-credentials", default=True):
        git.sign_out()
    job.post.append(git.sign_out)


def _depth(call: Call) -> list[str]:
    depth = call.inputs.get("fetch-depth", "1")
    found = [] if depth == "0" else [f"--depth={depth}"]
    if not call.flag("fetch-tags"):
        found.append("--no-tags")
    filters = call.inputs.get("filter")
    return [*found, f"--filter={filters}"] if filters else found


def _refs(ref: str, commit: str, *, everything: bool) -> list[str]:
    """What is fetched: of a tag the commit, under the tag's name."""
    found = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"] if everything else []
    if ref.startswith("refs/heads/") and not everything:
        return [f"+{commit or ref}:refs/remotes/origin/{ref.removeprefix('refs/heads/')}"]
    if ref.startswith("refs/pull/"):
        return [*found, f"+{commit or ref}:refs/remotes/pull/{ref.removeprefix('refs/pull/')}"]
    if ref.startswith("refs/tags/") and not everything:
        return [f"+{commit or ref}:{ref}"]
    if ref and not ref.startswith("refs/") and not everything:
        return [f"+refs/heads/{ref}*:refs/remotes/origin/{ref}*", f"+refs/tags/{ref}*:refs/tags/{ref}*"]
    return found if everything else [commit]


def _target(git: _Git, ref: str, commit: str) -> list[str]:
    if ref.startswith("refs/heads/"):
        branch = ref.removeprefix("refs/heads/")
        # A branch may have moved on since the event: it is the event's commit that counts.
        return ["-B", branch, commit or f"refs/remotes/origin/{branch}"]
    if ref.startswith("refs/pull/"):
        return [f"refs/remotes/pull/{ref.removeprefix('refs/pull/')}"]
    if ref.startswith("refs/tags/") or not ref:
        return [ref or commit]
    if git.has(f"refs/remotes/origin/{ref}"):
        return ["-B", ref, f"refs/remotes/origin/{ref}"]
    if git.has(f"refs/tags/{ref}"):
        return [f"refs/tags/{ref}"]
    raise StepError(f"A branch or tag with the name '{ref}' could not be found")


class _Git:
    """Git in the folder of a checkout."""

    def __init__(self, call: Call, folder: Path) -> None:
        self._call = call
        self._folder = folder
        self._environ = {**call.job.machine.environment(), "GIT_TERMINAL_PROMPT": "0"}
        self._credentials = call.job.machine.temp / f"git-credentials-{os.urandom(8).hex()}.config"

    def __call__(self, *words: str) -> str:
        """What Git says. Raises StepError where it fails."""
        done = subprocess.run(
            ["git", *words], cwd=self._folder, env=self._environ, capture_output=True, text=True, check=False
        )
        self._call.say(f"git {' '.join(words)}\n{done.stderr}")
        if done.returncode:
            raise StepError(f"The process '/usr/bin/git' failed with exit code {done.returncode}: {done.stderr}")
        return done.stdout.strip()

    def has(self, ref: str) -> bool:
        """Whether there is such a ref."""
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", ref],
            cwd=self._folder,
            env=self._environ,
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def sign_in(self, token: str) -> None:
        """Git shows the token to the server from now on: it stands in a file outside of the repository."""
        shown = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        self._call.job.masks.add(shown)
        self._credentials.write_text(
            f'[http "{self._call.job.run.hub.git.url}/"]\n\textraheader = AUTHORIZATION: basic {shown}\n'
        )
        self("config", "--local", f"includeIf.gitdir:{self._folder}/.git.path", str(self._credentials))

    def sign_out(self) -> None:
        """Git forgets it."""
        if self._credentials.exists():
            self._credentials.unlink()
            self("config", "--local", "--unset-all", f"includeIf.gitdir:{self._folder}/.git.path")
