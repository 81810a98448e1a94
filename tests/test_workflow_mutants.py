"""Nothing in the generated workflow is idle: without one `needs`, one artifact step or one permission it turns red.

A few of them always, all of them where CIML_TEST_LONG is set.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from ciml.core.entries import Deployment
from tests.cli.ledgers import entries
from tests.harness.fixtures import language as language  # noqa: PLC0414 -- fixtures
from tests.harness.projects import installed as installed  # noqa: PLC0414
from tests.harness.projects import server as server  # noqa: PLC0414
from tests.harness.projects import team as team  # noqa: PLC0414
from tests.harness.team import Team, worked

SAMPLE = (
    "score does not need train",
    "score: no download of ciml-stage-train--*",
    "ciml: no contents: write",
    "ciml: no statuses: write",
)


class Mutant(NamedTuple):
    """The workflow without one of its parts."""

    name: str
    job: str
    text: str


def jobs(text: str) -> Iterator[tuple[str, int, int]]:
    """Each job: its id, and where it begins and ends."""
    found = [(match[1], match.start()) for match in re.finditer(r"^  ([\w-]+):\n(?=    )", text, re.MULTILINE)]
    found = [(name, start) for name, start in found if start > text.index("\njobs:\n")]
    for (name, start), (_, end) in zip(found, [*found[1:], ("", len(text))], strict=True):
        yield name, start, end


def mutants(text: str) -> Iterator[Mutant]:
    """All of them, but those that are the same workflow in other words."""
    for job, start, end in jobs(text):
        block = text[start:end]
        for what, changed in (*_needs(job, block, text), *_steps(block), *_permissions(block)):
            yield Mutant(f"{job}{what}", job, text[:start] + changed + text[end:])


def _needs(job: str, block: str, text: str) -> Iterator[tuple[str, str]]:
    line = re.search(r"^    needs: \[(.*)\]\n", block, re.MULTILINE)
    names = line[1].split(", ") if line else []
    for name in names:
        assert line is not None
        rest = [other for other in names if other != name]
        # What is still waited for by another way, and is not asked for anything, is needed twice.
        if f"needs.{name}." not in block and any(name in _before(other, text) for other in rest):
            continue
        shorter = f"    needs: [{', '.join(rest)}]\n" if rest else ""
        yield f" does not need {name}", block.replace(line[0], shorter)


def _before(job: str, text: str) -> set[str]:
    block = next(text[start:end] for name, start, end in jobs(text) if name == job)
    line = re.search(r"^    needs: \[(.*)\]\n", block, re.MULTILINE)
    names = line[1].split(", ") if line else []
    return {name for other in names for name in (other, *_before(other, text))}


def _steps(block: str) -> Iterator[tuple[str, str]]:
    for step in re.finditer(r"^      - (?:.+\n)(?:        .*\n)*", block, re.MULTILINE):
        kind = re.search(r"uses: actions/(upload|download)-artifact", step[0])
        if kind is not None:
            about = re.search(r"(?:name|pattern): (\S+)", step[0])
            assert about is not None
            yield f": no {kind[1]} of {about[1]}", block.replace(step[0], "")


def _permissions(block: str) -> Iterator[tuple[str, str]]:
    whole = re.search(r"^    permissions:\n((?:      .*\n)+)", block, re.MULTILINE)
    assert whole is not None, block
    lines = whole[1].splitlines(keepends=True)
    for line in lines:
        rest = "".join(other for other in lines if other != line)
        made = f"    permissions:\n{rest}" if rest else "    permissions: {}\n"
        yield f": no {line.split('#')[0].strip()}", block.replace(whole[0], made)


def push(team: Team, workflow: str) -> None:
    """A better model is pushed: all jobs work, there is one version more, and everybody is told."""
    before = team.versions()
    text = team.better()
    run = team.of_ciml(team.commit({"src.txt": text, "notes.txt": text, ".github/workflows/ciml.yml": workflow}))
    worked(run, "plan train score words rescore ciml")
    assert team.versions() == [*before, len(before) + 1]
    assert team.champion() == len(before) + 1
    assert team.told(run.happening.sha) == (["success"], ["ciml success"])


def release(team: Team, workflow: str) -> None:
    """A better model is released: deployed, recorded, and told."""
    text = team.better()
    whole = team.workflow.read_text() if team.whole is None else team.whole
    made = team.of_ciml(team.commit({"src.txt": text, ".github/workflows/ciml.yml": whole}))
    assert made.conclusion == "success", made.explain()
    team.hub.work.commit({".github/workflows/ciml.yml": workflow}, "words")
    team.hub.work.git("push", "-q", "origin", "main")
    before = len(entries(team.hub.bare, Deployment, team.model))
    run = team.of_ciml(team.hub.tag(f"v0.0.{before + len(team.hub.runs)}"))
    worked(run, "plan ciml deploy-production record")
    assert team.target.read_text() == text
    assert len(entries(team.hub.bare, Deployment, team.model)) == before + 1
    deployment = team.hub.api.deployments()[-1]
    assert deployment["ref"] == run.happening.branch
    assert team.hub.api.deployment_statuses(deployment["id"])[-1]["state"] == "success"


def pull_request(team: Team, workflow: str) -> None:
    """A better model is proposed: a comment says so."""
    name = f"proposal-{len(team.hub.runs)}"
    team.hub.work.branch(name, "origin/main")
    text = team.better()
    team.hub.work.commit({"src.txt": text, ".github/workflows/ciml.yml": workflow}, name)
    run = team.of_ciml(team.hub.pull_request(name))
    team.hub.work.switch("main")
    worked(run, "plan train score rescore ciml")
    number = max(team.hub.api.pulls)
    assert len(team.hub.api.comments(number)) == 1


def shown_by(mutant: Mutant) -> str:
    """The event that shows what a mutant lacks."""
    if mutant.job in ("deploy-production", "record") or "deployments" in mutant.name:
        return "release"
    return "pull_request" if "pull-requests" in mutant.name else "push"


EVENTS = {"push": push, "release": release, "pull_request": pull_request}


@pytest.mark.timeout(3000)
@pytest.mark.soak
def test_every_part_of_the_workflow_is_needed(team: Team) -> None:
    """Without it a job fails, or is passed over, or somebody is not told: the whole workflow does all of it."""
    team.begin()
    whole = team.whole = team.workflow.read_text()
    made = list(mutants(whole))
    assert {*SAMPLE} <= {mutant.name for mutant in made}, [mutant.name for mutant in made]
    chosen = made if os.environ.get("CIML_TEST_LONG") else [mutant for mutant in made if mutant.name in SAMPLE]
    for event in dict.fromkeys(map(shown_by, chosen)):
        EVENTS[event](team, whole)
    survivors = [mutant.name for mutant in chosen if _survives(team, mutant)]
    assert survivors == []


def _survives(team: Team, mutant: Mutant) -> bool:
    try:
        EVENTS[shown_by(mutant)](team, mutant.text)
    except AssertionError:
        return False
    return True
