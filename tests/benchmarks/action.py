"""What the Action costs besides the stages: its installation, and its jobs on a change that concerns no stage."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.measure import Command, Measure, Measurement
from tests.benchmarks.table import Row
from tests.repobuilder import RepoBuilder

_ROOT = Path(__file__).parent.parent.parent
_YAML = """\
version: 1
stages:
  train: {run: cat src.txt > model.txt, inputs: [src.txt], outputs: [model.txt]}
  words: {run: wc src.txt > words.txt, inputs: [src.txt], outputs: [words.txt]}
"""


def action(scratch: Path, measure: Measure) -> Iterator[Row]:
    """The Action: installed from a warm cache, and its jobs for a pull request that changes nothing relevant."""
    env = _environment(scratch)
    install = str(_ROOT / ".github/action/install")
    packages = {name: (install, name) for name in ("action", "action-all")}
    for name, argv in packages.items():
        # Once with what the registry has, so that the cache is warm.
        subprocess.run(argv, env=env, cwd=scratch, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(scratch / "ciml/venv", ignore_errors=True)
        command = Command(f"install {name}", argv, scratch, env, prepare=_without(scratch / "ciml/venv"))
        [found] = measure([command])
        yield Row("action", "installed from a warm cache", _told(found), "", None, None, found.problem)
    work = _pull_request(scratch, env)
    python = str(scratch / "ciml/venv/bin/python")
    run = (python, "-I", "-m", "ciml.cli.action")
    for phase in ("plan", "settle"):
        inputs = {**env, "CIML_INPUTS": json.dumps({"command": phase, "to": str(scratch / "out")})}
        [found] = measure([Command(phase, run, work, inputs)])
        yield Row("action", "a pull request that changes nothing relevant", _told(found), "", None, None, found.problem)


def _told(found: Measurement) -> str:
    return f"{found.label} {found.seconds:.3f} s ({len(found.samples)})"


def _without(folder: Path) -> Callable[[], None]:
    return lambda: shutil.rmtree(folder, ignore_errors=True)


def _environment(scratch: Path) -> dict[str, str]:
    kept = {"HOME": os.environ["HOME"]} if "HOME" in os.environ else {}
    # A runner's own Python, which has pip; that of the benchmarks may have none.
    path = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder != os.path.dirname(sys.executable)]
    return {
        **kept,
        "PATH": os.pathsep.join(path),
        "RUNNER_TEMP": str(scratch),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }


def _pull_request(scratch: Path, env: dict[str, str]) -> Path:
    """A shallow checkout of a pull request that changes words, with the event's environment in `env`."""
    origin = RepoBuilder(scratch / "origin")
    origin.git("config", "uploadpack.allowAnySHA1InWant", "true")
    base = origin.commit({"ciml.yaml": _YAML, "src.txt": "1\n"})
    origin.git("checkout", "-q", "-b", "words")
    head = origin.commit({"README.md": "words"})
    merge = origin.git("commit-tree", f"{head}^{{tree}}", "-p", base, "-p", head, "-m", "merge")
    origin.git("update-ref", "refs/pull/1/merge", merge)
    clone = RepoBuilder(scratch / "work")
    clone.git("remote", "add", "origin", str(origin.path))
    clone.git("fetch", "-q", "--depth=1", "origin", f"+{merge}:refs/remotes/pull")
    clone.git("checkout", "-q", "--detach", merge)
    repository = {"full_name": "acme/churn", "default_branch": "main"}
    payload = {
        "action": "opened",
        "number": 1,
        "pull_request": {
            "number": 1,
            "head": {"ref": "words", "sha": head, "repo": {"full_name": "acme/churn"}},
            "base": {"ref": "main", "sha": base, "repo": {"full_name": "acme/churn"}},
        },
        "repository": repository,
        "sender": {"login": "ada"},
    }
    (scratch / "event.json").write_text(json.dumps(payload))
    env |= {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(scratch / "event.json"),
        "GITHUB_REF": "refs/pull/1/merge",
        "GITHUB_SHA": merge,
        "GITHUB_REPOSITORY": "acme/churn",
        "GITHUB_RUN_ID": "1",
        "GITHUB_RUN_NUMBER": "1",
        "GITHUB_RUN_ATTEMPT": "1",
    }
    return clone.path
