"""The project as a whole: locks, version, start-up, workflow."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import ciml

ROOT = Path(__file__).parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))

REQUIREMENT = re.compile(r"^[a-z0-9][a-z0-9._-]*==[A-Za-z0-9.!+_-]+( ; [^\\]+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")

HEAVY = frozenset(
    ["apprise", "asyncio", "boto3", "cryptography", "dataclasses", "git", "github", "mlflow", "numpy", "rich", "yaml"]
)


def test_there_are_locks() -> None:
    """Development, benchmarks and the Action have theirs."""
    names = [lock.name for lock in LOCKS]
    assert names == ["action-all.lock", "action-store.lock", "action.lock", "bench.lock", "dev.lock"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_is_versions_and_hashes_and_nothing_else(lock: Path) -> None:
    """Each line is an exact version or a SHA-256: no address, no path, no option, and no version without a hash."""
    lines = lock.read_text().splitlines()
    strange = [line for line in lines if not REQUIREMENT.match(line) and not HASH.match(line)]
    bare = [
        line
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
        if REQUIREMENT.match(line) and not HASH.match(following)
    ]

    assert strange == []
    assert bare == []


def test_the_lock_has_what_the_project_asks_for() -> None:
    """Every direct dependency, of the package, its extras and the development groups, is in the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    asked = [
        *project["project"]["dependencies"],
        *(item for extra in project["project"]["optional-dependencies"].values() for item in extra),
        *(item for name in ("test", "check", "build") for item in groups[name]),
    ]
    names = {re.split(r"[\[<>=~! ]", item)[0].lower() for item in asked} - {"ciml"}
    locked = {line.split("==")[0] for line in (ROOT / "requirements/dev.lock").read_text().splitlines() if "==" in line}

    assert names - locked == set()


def test_the_version_is_the_package_s_own() -> None:
    """The installed distribution and the package say the same version."""
    try:
        installed = importlib.metadata.version("ciml")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("ciml runs from the source tree here")
    assert installed == ciml.__version__


def test_the_changelog_has_an_unreleased_part() -> None:
    """What is new since the last release has a place, and it comes first."""
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert headings[0] == "## [Unreleased]"


def test_starting_imports_nothing_heavy() -> None:
    """The command line comes up without what only some commands need."""
    code = "import sys, ciml.cli.main; print('\\n'.join(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert HEAVY & set(found.stdout.split()) == set()


def test_the_workflow_grants_nothing_by_default_and_pins_its_actions() -> None:
    """`permissions: {}` at the top, every action by a commit, no credentials left in the clone."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    actions = [step for step in steps if "uses" in step]

    assert workflow["permissions"] == {}
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"]) for step in actions)
    checkouts = [step for step in actions if step["uses"].startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]


def test_ci_runs_the_readme_s_test_command() -> None:
    """What the README says to type is what CI types."""
    assert "$ make test" in (ROOT / "README.md").read_text()
    assert re.search(r"^make test\b", (ROOT / ".ci/run").read_text(), re.MULTILINE)


def test_make_help_lists_every_target() -> None:
    """A target that a person may call has its line in `make help`."""
    shown = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = {line.split()[1] for line in shown.splitlines()}
    assert {"demo", "test", "check", "format", "bench", "soak", "lock", "venv", "clean"} <= listed
