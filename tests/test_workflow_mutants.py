"""Nothing in the workflows is idle: without one `needs`, one artifact step or one permission less comes of them.

By default some of the written workflow's parts, several of them in one run, and with every day others: CIML_TEST_SEED
says which. Where CIML_TEST_LONG is set all parts of all workflows, one by one: `make mutants`.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
import random
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import pytest

from tests.cli.calls import environment, process
from tests.harness.fixtures import language as language  # noqa: PLC0414 -- fixtures
from tests.harness.job import Job, StepRun
from tests.harness.language import WorkflowError
from tests.harness.mutants import Cut, cuts, earlier, without
from tests.harness.occasions import Facts, Occasions, seen
from tests.harness.projects import installed as installed  # noqa: PLC0414
from tests.harness.projects import server as server  # noqa: PLC0414
from tests.harness.projects import team as team  # noqa: PLC0414
from tests.harness.team import CIML_YAML, Team
from tests.repobuilder import Files
from tests.s3server import Service, moto
from tests.test_workflow_forms import template

_STAGING = """\
      staging: {after: promotion, run: 'cp "$CIML_MODEL_PATH" %(target)s'}
triggers: {push: {branches: [main]}, schedule: "0 3 * * 1"}
"""
FOLLOWED = CIML_YAML.replace("action: ", f"{_STAGING}action: ")
"""The team's project, where another environment follows the champion, and data comes by the hour."""
_HOURLY = """\
  schedule:
    - cron: "0 3 * * 1"
"""
LONG = bool(os.environ.get("CIML_TEST_LONG"))
SEED = int(os.environ.get("CIML_TEST_SEED") or dt.datetime.now(tz=dt.UTC).toordinal())
DRAWN = 1
"""Occasions of the short form, besides those where all rights to tell people are missed."""

_TOLD = {"checks": "check-runs", "statuses": "statuses", "pull-requests": "issues", "deployments": "deployments"}
"""Permission -> what is written by it."""
_LOST = {
    "plan: no actions: read": "words: success",
    "plan: no upload of ciml-plan": "accepted",
    "train: no upload of ciml-stage-train--0": "train ran",
    "score: no download of ciml-stage-train--*": "score ran",
    "score: no upload of ciml-stage-score--0": "score ran",
    "words: no upload of ciml-stage-words--0": "words ran",
    "rescore does not need train": "rescore the champion: skipped",
    "rescore does not need score": "score ran",
    "rescore: no download of ciml-{plan,stage-train--*,stage-score--*}": "accepted",
    "rescore: no upload of ciml-rescore": "accepted",
    "ciml does not need words": "words ran",
    "ciml does not need rescore": "accepted",
    "ciml: no actions: read": "compared with the last that succeeded",
    "ciml: no upload of ciml-settled": "serves",
    "deploy-production: no download of ciml-settled": "serves",
    "deploy-production: no upload of ciml-receipt-production": "1 deployment in the ledger",
    "record does not need deploy-production": "1 deployment in the ledger",
    "record: no download of ciml-{settled,receipt-*}": "1 deployment in the ledger",
}
"""What is lost without a part of the written workflow, where it is more than its job."""


def lost(cut: Cut) -> str:
    """What must be seen no more of the written workflow without this."""
    if cut.kind == "permission" and (written := _TOLD.get(cut.what.partition(":")[0])):
        return f"{cut.job} wrote {written}"
    return _LOST.get(cut.name, f"{cut.job}: success")


def occasion(cut: Cut) -> str:
    """What must happen for a part to be missed."""
    if cut.job.startswith(("deploy", "record", "release")) or "deployments" in cut.what or "settled" in cut.what:
        return "release"
    if cut.what in ("actions: read", "ciml-plan") and cut.kind != "upload":
        return "words"
    if cut.job == "rescore" and cut.what == "train":
        return "broken"
    pushed = cut.kind in ("upload", "download") or cut.what == "contents: write"
    return "push" if pushed else "pull_request"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """S3."""
    with moto(tmp_path_factory.mktemp("moto")) as service:
        yield service


class Form(NamedTuple):
    """One workflow file, and what its mutants are tried with."""

    text: str
    place: Callable[[str], Files]
    """Puts a text in the file's place: what is to be committed for it."""
    occasion: Callable[[Cut], str]
    occasions: Occasions
    of_it: Callable[[Cut], bool] = lambda cut: True
    """Which of its parts are tried."""

    def happens(self, name: str, these: Iterable[Cut] = ()) -> Facts:
        """What is seen of an occasion without these parts; nothing, where GitHub takes no such file."""
        happens: Callable[[Files], Facts] = getattr(self.occasions, name)
        try:
            return happens(self.place(without(self.text, these)))
        except WorkflowError:
            return frozenset()


def of_repository(team: Team, name: str, occasion: Callable[[Cut], str]) -> Form:
    """A workflow of the team's own repository."""
    path = f".github/workflows/{name}"
    text = (team.hub.work.path / path).read_text()
    return Form(text, lambda mutant: {path: mutant}, occasion, Occasions(team, {path: text}))


def begin_written(team: Team) -> Form:
    """What `ciml workflow` writes, after a first push of which everything is seen that is to be seen."""
    facts = seen(team.begin())
    told = {f"{stage} ran" for stage in ("train", "score", "words")}
    worked = {f"{job}: {what}" for job in ("plan", "train", "score", "words", "ciml") for what in _WELL}
    assert {"ciml wrote check-runs", "ciml wrote statuses", "ciml pushed", "accepted", *told, *worked} <= facts
    return of_repository(team, "ciml.yml", occasion)


_WELL = ("success", "nothing amiss")


class Group(NamedTuple):
    """Parts that can be missed in one run, since each is missed elsewhere."""

    occasion: str
    cuts: list[Cut]

    @property
    def tells(self) -> bool:
        """Whether it is about rights to tell people."""
        return " wrote " in lost(self.cuts[0])


def groups(made: list[Cut], text: str) -> list[Group]:
    """All parts: the rights to tell people together, for each tells of something else; others where no job waits."""
    found: list[Group] = []
    for cut in made:
        for group in found:
            if group.occasion == occasion(cut) and all(_apart(cut, other, text) for other in group.cuts):
                group.cuts.append(cut)
                break
        else:
            found.append(Group(occasion(cut), [cut]))
    return found


def _apart(one: Cut, other: Cut, text: str) -> bool:
    """Whether what is lost without one does not depend on the other."""
    if " wrote " in lost(one) or " wrote " in lost(other):
        return " wrote " in lost(one) and " wrote " in lost(other)
    return one.job not in {other.job, *earlier(text, other.job)} and other.job not in earlier(text, one.job)


@pytest.mark.timeout(600)
@pytest.mark.skipif(LONG, reason="the long form tries each by itself")
def test_parts_of_the_workflow_are_needed(team: Team) -> None:
    """Without them just what they are for is missed: a job fails or is passed over, or somebody is not told."""
    form = begin_written(team)
    made = cuts(form.text)
    found = groups(made, form.text)
    assert len(made) > 35
    assert {cut.name for group in found for cut in group.cuts} == {cut.name for cut in made}
    telling = [group for group in found if group.tells]
    drawn = random.Random(SEED).sample([group for group in found if not group.tells], DRAWN)
    for group in (*telling, *drawn):
        facts = _late(team, form, group.occasion, group.cuts)
        idle = [cut.name for cut in group.cuts if lost(cut) in facts]
        assert idle == [], f"CIML_TEST_SEED={SEED}: {[cut.name for cut in group.cuts]}: {sorted(facts)}"


def _late(team: Team, form: Form, name: str, group: list[Cut]) -> Facts:
    """What is seen of an occasion, where a job that nobody waits for any more comes last."""
    team.hub.late = {cut.what for cut in group if cut.kind == "needs"}
    facts = form.happens(name, group)
    team.hub.late = set()
    return facts


def begin_called(team: Team) -> Form:
    """The workflow that is called."""
    team.begin(workflows={"ciml.yml": template("fork-safe.yml")})
    return _called(team, occasion, lambda cut: not _asks_for_head(cut))


def begin_called_by_the_hour(team: Team, service: Service) -> Form:
    """The same on a schedule, of it the parts by which all jobs work on one commit."""
    scheduled = template("fork-safe.yml").replace("  merge_group:\n", f"  merge_group:\n{_HOURLY}")
    team.begin(FOLLOWED, workflows={"ciml.yml": scheduled})
    return _called(team, lambda cut: "moved", _asks_for_head)


def _called(team: Team, occasion: Callable[[Cut], str], of_it: Callable[[Cut], bool]) -> Form:
    path = team.hub.action / ".github/workflows/pipeline.yml"

    def place(mutant: str) -> Files:
        path.write_text(mutant)
        return {}

    return Form(path.read_text(), place, occasion, Occasions(team, {}), of_it)


def _asks_for_head(cut: Cut) -> bool:
    """Whether it is how one of the last jobs knows the commit that the first one works on."""
    last = cut.job in ("ciml", "record") or cut.job.startswith("deploy")
    return cut.kind == "needs" and cut.what == "plan" and last


def begin_caller(team: Team) -> Form:
    """The one that calls it."""
    team.begin(workflows={"ciml.yml": template("fork-safe.yml")})
    return of_repository(team, "ciml.yml", lambda cut: "push")


def begin_report(team: Team) -> Form:
    """The one that publishes what a fork's may not."""
    team.begin(workflows={"ciml.yml": template("fork-safe.yml"), "ciml-report.yml": template("fork-report.yml")})
    return of_repository(team, "ciml-report.yml", lambda cut: "fork")


def begin_one_job(team: Team) -> Form:
    """Everything in one job."""
    team.begin(workflows={"ciml.yml": template("one-job.yml")})
    return of_repository(team, "ciml.yml", lambda cut: occasion(cut).replace("pull_request", "push"))


def begin_release(team: Team) -> Form:
    """A release in one job."""
    team.hub.environment_variables["production"] = team.hub.environment_variables["ciml"]
    workflows = {"ciml.yml": template("one-job.yml").replace('    tags: ["v*"]\n', "")}
    team.begin(workflows={**workflows, "release.yml": template("release.yml")})
    return of_repository(team, "release.yml", lambda cut: "early" if "actions" in cut.what else "release")


def begin_scheduled(team: Team, service: Service) -> Form:
    """New data in one job."""
    workflows = {"ciml.yml": template("one-job.yml"), "scheduled.yml": template("scheduled.yml")}
    return _with_data(team, service, workflows, "scheduled.yml")


def begin_written_with_data(team: Team, service: Service) -> Form:
    """What `ciml workflow` writes where new data becomes a commit, of it the parts that it has for that."""
    form = _with_data(team, service, None, "ciml.yml")
    commits = {Cut("plan", "permission", f"{name}: write") for name in ("contents", "pull-requests")}
    return form._replace(of_it=lambda cut: cut in commits or _asks_for_head(cut))


def _with_data(team: Team, service: Service, workflows: dict[str, str] | None, name: str) -> Form:
    bucket, client = service.bucket(), service.client()
    numbers = itertools.count()

    def bring() -> None:
        key = f"raw/{next(numbers)}.csv"
        client.put_object(Bucket=bucket, Key=key, Body=key.encode(), ChecksumAlgorithm="SHA256")

    _reaches(team, service.environ)
    team.begin(FOLLOWED, workflows=workflows)
    bring()
    work = team.hub.work
    added = process(work.path, "data", "add", f"s3://{bucket}/raw/", "--to", "raw", env=environment(**service.environ))
    assert added.code == 0, added
    work.git("add", "--all")
    work.commit({}, "data")
    form = of_repository(team, name, _of_data)
    return form._replace(occasions=Occasions(team, {}, bring))


def begin_written_in_s3(team: Team, service: Service) -> Form:
    """What `ciml workflow` writes where jobs share a store, of it the rights to sign in."""
    _reaches(team, {"AWS_ENDPOINT_URL": service.endpoint})
    team.hub.variables |= {"CIML_AWS_ROLE": "arn:aws:iam::123456789012:role/ciml", "AWS_REGION": "us-east-1"}
    run = team.begin(CIML_YAML.replace("action: ", f"store: s3://{service.bucket()}/ciml\naction: "))
    assert run.conclusion == "success", run.explain()
    signs_in = of_repository(team, "ciml.yml", lambda cut: occasion(cut._replace(what="contents: write")))
    return signs_in._replace(of_it=lambda cut: cut.what == "id-token: write")


def _reaches(team: Team, variables: dict[str, str]) -> None:
    """Let runners know where S3 is."""
    begins = team.hub.before_step

    def begins_there(job: Job, step: StepRun) -> bool:
        job.env |= variables
        return begins is not None and begins(job, step)

    team.hub.before_step = begins_there


def _of_data(cut: Cut) -> str:
    if cut.what == "pull-requests: write":
        return "protected"
    return "arrival" if cut.what == "contents: write" else "moved"


@pytest.mark.timeout(7200)
@pytest.mark.skipif(not LONG, reason="takes half an hour: make mutants")
@pytest.mark.parametrize(
    "begin", [begin_written, begin_called, begin_caller, begin_report, begin_one_job, begin_release]
)
def test_every_part_of_every_workflow_is_needed(team: Team, begin: Callable[[Team], Form]) -> None:
    """One by one: each time something else comes of it than of the whole workflow."""
    form = begin(team)
    assert _idle(team, form, exact=begin is begin_written) == []


@pytest.mark.timeout(7200)
@pytest.mark.skipif(not LONG, reason="takes half an hour: make mutants")
@pytest.mark.parametrize(
    "begin", [begin_scheduled, begin_written_with_data, begin_written_in_s3, begin_called_by_the_hour]
)
def test_every_part_is_needed_where_there_is_s3_or_a_schedule(
    team: Team, service: Service, begin: Callable[[Team, Service], Form]
) -> None:
    """The same of the parts for new data, which becomes a commit, and for a store that jobs share."""
    assert _idle(team, begin(team, service)) == []


def _idle(team: Team, form: Form, *, exact: bool = False) -> list[str]:
    """The parts without which nothing else is seen; with `exact` also those that do not lose what they should."""
    made = [cut for cut in cuts(form.text) if form.of_it(cut)]
    whole = {name: form.happens(name) for name in dict.fromkeys(map(form.occasion, made))}
    found = []
    for cut in made:
        facts, expected = _late(team, form, form.occasion(cut), [cut]), whole[form.occasion(cut)]
        missed = lost(cut) in expected - facts if exact else facts != expected
        found += [] if missed else [cut.name]
        print(f"{cut.name}: {form.occasion(cut)} without {sorted(expected - facts)}, with {sorted(facts - expected)}")
    return found
