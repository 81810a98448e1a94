"""`ciml ci`: jobs as GitHub starts them, each in a clone of its own, down to the model in a real registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking.client import MlflowClient

from tests.cli.calls import environment, process
from tests.cli.jobs import Jobs
from tests.cli.ledgers import state
from tests.mlflowserver import mlflow_server
from tests.repobuilder import RepoBuilder

CIML_YAML = """\
version: 1
stages:
  train: {run: "grep -v '^#' src.txt > model.txt", inputs: [src.txt], outputs: [model.txt]}
  score:
    run: |
      printf '{"auc": %s}' "$(cat model.txt)" > m.json
    inputs: [model.txt]
    metrics: [m.json]
  words: {run: wc notes.txt > words.txt, inputs: [notes.txt], outputs: [words.txt]}
models:
  MODEL:
    path: model.txt
    gate: [auc >= 0.5, auc > champion.auc]
    champion: {rescore: score}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that all jobs share."""
    with mlflow_server(tmp_path_factory.mktemp("server")) as address:
        yield address


class Team:
    """A repository on a forge, and the registry."""

    def __init__(self, folder: Path, server: str, model: str) -> None:
        self.folder = folder
        self.server = server
        self.model = model
        self.origin = RepoBuilder(folder / "origin")
        self.origin.git("config", "receive.denyCurrentBranch", "ignore")
        self.origin.git("config", "uploadpack.allowAnySHA1InWant", "true")
        files = {
            "ciml.yaml": CIML_YAML.replace("  MODEL:", f"  {model}:"),
            "src.txt": "0.7\n",
            "notes.txt": "one two\n",
        }
        self.first = self.origin.commit(files, "a first model")
        self._runs = 0

    def jobs(self, **extra: str) -> Jobs:
        """The jobs of a new run."""
        self._runs += 1
        run = str(self._runs)
        return Jobs(self.origin, self.folder / f"run-{run}", run=run, MLFLOW_TRACKING_URI=self.server, **extra)

    def versions(self) -> list[int]:
        """What the registry has."""
        client = MlflowClient(tracking_uri=self.server, registry_uri=self.server)
        return sorted(int(row.version) for row in client.search_model_versions(f"name='{self.model}'"))

    def champion(self) -> int | None:
        """What the ledger says."""
        found = state(self.origin, self.model).champion
        return found.version if found else None


@pytest.fixture
def team(tmp_path: Path, server: str, request: pytest.FixtureRequest) -> Team:
    """A repository with one commit, and nothing registered."""
    return Team(tmp_path, server, request.node.name.replace("_", "-")[:60])


def test_one_job_does_everything(team: Team) -> None:
    """A push to main: the stages run, the model is judged, registered once and promoted; again nothing is done."""
    jobs = team.jobs().push("main")
    answer = jobs.job("all")
    assert answer.code == 0, answer
    assert (team.versions(), team.champion()) == ([1], 1)
    assert jobs.outputs["verdict"] == "accepted"
    assert (jobs.outputs["model-version"], jobs.outputs["model-uri"]) == ("1", f"models:/{team.model}/1")
    assert "accepted" in jobs.summary
    assert f"{team.model}: Registered as version 1, and promoted." in answer.out

    again = team.jobs().push("main").job("all")
    assert again.code == 0, again
    assert "recorded" in again.out
    assert team.versions() == [1]


def test_where_no_registry_is_named(team: Team) -> None:
    """The model is judged and reported, nothing is registered, and both log and summary say why; exit 0."""
    jobs = team.jobs().push("main")
    answer = jobs.job("all", env={"MLFLOW_TRACKING_URI": ""})
    assert (answer.code, jobs.outputs["verdict"], team.versions()) == (0, "accepted", []), answer
    for told in (answer.out, jobs.summary):
        assert "Nothing is registered: no registry is named." in told
    assert team.champion() is None


def test_many_jobs_lead_to_one_version(team: Team) -> None:
    """Plan, a job a stage, rescore, settle: nothing but artifacts between them, and the champion scored again."""
    assert team.jobs().push("main").job("all").code == 0
    before = team.first
    team.origin.commit({"src.txt": "0.8\n"}, "better")
    jobs = team.jobs().push("main", before=before)
    assert jobs.job("plan", "plan").code == 0
    assert json.loads(jobs.outputs["stages"]) == {"train": ["train"], "score": ["score"]}
    assert json.loads(jobs.outputs["rescore"]) == [team.model]
    no_registry = {"MLFLOW_TRACKING_URI": ""}
    for name, takes in (("train", ("plan",)), ("score", ("plan", "train"))):
        done = jobs.job(name, "stage", name, takes=takes, env=no_registry)
        assert done.code == 0, done
    done = jobs.job("rescore", "rescore", team.model, takes=("plan", "train", "score"), env=no_registry)
    assert done.code == 0, done
    settled = jobs.job("settle", "settle", takes=("plan", "train", "score", "rescore"))
    assert settled.code == 0, settled
    assert (team.versions(), team.champion()) == ([1, 2], 2)
    assert "train | " not in settled.out


def test_a_champion_whose_files_were_lost_on_the_way(team: Team) -> None:
    """The job that scores it again is red and says what it lacks; the model is rejected, and judged anew later."""
    assert team.jobs().push("main").job("all").code == 0
    team.origin.commit({"src.txt": "0.8\n"}, "better")
    jobs, no_registry = team.jobs().push("main", before=team.first), {"MLFLOW_TRACKING_URI": ""}
    assert jobs.job("plan", "plan").code == 0
    assert jobs.job("stages", "stage", takes=("plan",), env=no_registry).code == 0
    lost = jobs.job("lost", "rescore", takes=("stages",), env=no_registry)
    assert (lost.code, "version 1 is to be scored again, and no job handed its files on" in lost.err) == (5, True), lost
    settled = jobs.job("early", "settle", takes=("plan", "stages", "lost"))
    assert settled.code == 10, settled
    assert "stage score failed on version 1's files: the job that runs it handed no result on" in settled.out
    assert "hint: look at what it printed, and run it again" in settled.out
    assert jobs.job("rescore", "rescore", takes=("plan", "stages"), env=no_registry).code == 0
    assert jobs.job("settle", "settle", takes=("plan", "stages", "rescore")).code == 0
    assert (team.versions(), team.champion()) == ([1, 2], 2)


def test_a_worse_model_is_red_and_registers_nothing(team: Team) -> None:
    """Exit 10 on the commit that made it, again when its jobs run again, and 0 for words on top of it."""
    assert team.jobs().push("main").job("all").code == 0
    worse = team.origin.commit({"src.txt": "0.6\n"}, "worse")
    assert team.jobs().push("main").job("all").code == 10
    assert team.jobs().push("main").job("all").code == 10
    team.origin.commit({"README.md": "words"}, "words")
    words = team.jobs().push("main", before=worse)
    assert words.job("all").code == 0
    assert words.outputs["changed"] == "false"
    assert (team.versions(), team.champion()) == ([1], 1)


def test_a_run_that_somebody_starts_with_values(team: Team) -> None:
    """workflow_dispatch: its inputs are parameters in every job; the branch decides what is registered."""
    told = "version: 1\nparams: {level: {type: float, default: 0.7, max: 0.95}}\n"
    pipeline = CIML_YAML.replace("  MODEL:", f"  {team.model}:").replace("version: 1\n", told)
    team.origin.commit(
        {"ciml.yaml": pipeline.replace("grep -v '^#' src.txt >", "echo ${{ params.level }} >")}, "a level"
    )
    for branch, level, versions in (("main", "0.8", [1]), ("main", "0.9", [1, 2]), ("topic", "0.95", [1, 2])):
        team.origin.git("branch", "-f", "topic", "main")
        jobs = team.jobs().manual(branch, level=level)
        assert jobs.job("plan", "plan").code == 0
        assert jobs.job("stages", "stage", takes=("plan",), env={"MLFLOW_TRACKING_URI": ""}).code == 0
        assert jobs.job("rescore", "rescore", takes=("plan", "stages"), env={"MLFLOW_TRACKING_URI": ""}).code == 0
        settled = jobs.job("settle", "settle", takes=("plan", "stages", "rescore"))
        assert (settled.code, f"{level}  against 0.5" in settled.out) == (0, True), settled
        assert team.versions() == versions
    wrong = team.jobs().manual("main", level="1.9").job("plan", "plan")
    assert (wrong.code, "ciml.yaml:2:" in wrong.err, "1.9 is above the maximum 0.95" in wrong.err) == (3, True, True)


def test_a_pull_request_registers_nothing(team: Team) -> None:
    """It is judged by the base's gate, says what would be registered, and leaves registry and ledger alone."""
    assert team.jobs().push("main").job("all").code == 0
    head = state(team.origin, team.model).head
    team.origin.git("checkout", "-q", "-b", "better")
    easier = CIML_YAML.replace("  MODEL:", f"  {team.model}:").replace("auc >= 0.5, auc > champion.auc", "auc >= 0")
    team.origin.commit({"src.txt": "0.6\n", "ciml.yaml": easier}, "easier")
    jobs = team.jobs().pull_request("better", 7)
    answer = jobs.job("all")
    assert answer.code == 0, answer
    assert jobs.outputs["verdict"] == "rejected"
    assert "`gate` differs from the base's" in jobs.summary.replace("\\", "")
    assert (team.versions(), state(team.origin, team.model).head) == ([1], head)


def test_a_pull_request_that_changes_words_downloads_no_data(team: Team) -> None:
    """A stage reads data whose bytes no job could have: nobody asks for them where its recipe is the base's."""
    assert team.jobs().push("main").job("all").code == 0
    pipeline = CIML_YAML.replace("  MODEL:", f"  {team.model}:").replace("[notes.txt]", "[notes.txt, raw]")
    (team.origin.path / "raw").write_text("rows")
    assert process(team.origin.path, "data", "add", "raw", env=environment()).code == 0
    team.origin.stage("raw.manifest.yaml", ".gitignore")
    team.origin.commit({"ciml.yaml": pipeline}, "data")
    team.origin.git("checkout", "-q", "-b", "words")
    team.origin.commit({"README.md": "words\n"}, "words")
    jobs = team.jobs().pull_request("words", 9)
    assert jobs.job("plan", "plan").code == 0
    assert (jobs.outputs["changed"], jobs.outputs["stages"]) == ("false", "{}")
    assert jobs.job("settle", "settle", takes=("plan",)).code == 0
    assert jobs.job("all").code == 0


def test_a_fork_without_a_registry_is_not_judged(team: Team) -> None:
    """No secret reaches it, so the champion cannot be scored again: not judged, exit 0, nothing written."""
    assert team.jobs().push("main").job("all").code == 0
    team.origin.git("checkout", "-q", "-b", "theirs")
    team.origin.commit({"src.txt": "0.9\n"}, "theirs")
    jobs = team.jobs().pull_request("theirs", 8, fork=True)
    answer = jobs.job("all", env={"MLFLOW_TRACKING_URI": ""})
    assert answer.code == 0, answer
    assert jobs.outputs["verdict"] == "not-judged"
    assert "the champion cannot be read here" in answer.out
    assert ": gate could not be evaluated" in jobs.summary.splitlines()[0]
    assert team.versions() == [1]
    assert jobs.job("plan", "plan", env={"MLFLOW_TRACKING_URI": ""}).code == 0
    assert json.loads(jobs.outputs["rescore"]) == []
    nothing = jobs.job("rescore", "rescore", takes=("plan",), env={"MLFLOW_TRACKING_URI": ""})
    assert (nothing.code, "No champion is to be scored again." in nothing.out) == (0, True), nothing


DEPLOYED = CIML_YAML.replace(
    "    champion: {rescore: score}\n",
    """\
    champion: {rescore: score}
    deploy:
      staging: {after: promotion, run: 'cp "$CIML_MODEL_PATH" "$TARGET/staging-$CIML_VERSION"'}
      production:
        after: release
        run: 'cp "$CIML_MODEL_PATH" "$TARGET/production-$CIML_VERSION"'
        smoke: 'grep -q . "$TARGET/production-$CIML_VERSION"'
""",
)


JOBS = ("settle", "deploy")


def test_a_promotion_and_a_release_reach_their_environments(team: Team, tmp_path: Path) -> None:
    """One job orders, one has the target's credential, one writes the ledger; again it is there already."""
    target = tmp_path / "target"
    target.mkdir()
    here = {"TARGET": str(target)}
    team.origin.commit({"ciml.yaml": DEPLOYED.replace("  MODEL:", f"  {team.model}:")}, "deployed")
    push = team.jobs().push("main")
    assert push.job("stages", "stage").code == 0
    done = push.job("settle", "settle", takes=("stages",))
    assert (done.code, json.loads(push.outputs["deploy"])) == (0, ["staging"]), done
    no_registry = {"MLFLOW_TRACKING_URI": ""}
    assert push.job("deploy", "deploy", "staging", takes=("settle",), env={**here, **no_registry}).code == 0
    assert (target / "staging-1").read_text() == "0.7\n"
    for artifact, code, served in (("ciml-receipt-production", 13, []), ("ciml-receipt-staging", 0, ["staging"])):
        # What production's job says of staging is not heard.
        told = push.job(artifact, "record", artifacts={"ciml-settled": "settle", artifact: "deploy"})
        assert (told.code, list(state(team.origin, team.model).deployments)) == (code, served), told
    assert state(team.origin, team.model).deployments["staging"].version == 1
    ledger, earlier = state(team.origin, team.model).head, tuple(f"../{push.folder.name}/{job}" for job in JOBS)
    asked = team.jobs().pull_request("main", 7).job("record", "record", takes=earlier)
    assert (asked.code, "nothing is deployed for the event pull_request" in asked.err) == (6, True), asked

    team.origin.git("tag", "v1.0.0")
    tag = team.jobs().tag("v1.0.0")
    other = tag.job("other", "record", takes=earlier)
    assert (other.code, "is for a promotion, and not for this event" in other.err) == (7, True), other
    assert state(team.origin, team.model).head == ledger
    ordered = tag.job("settle", "settle")
    assert (ordered.code, json.loads(tag.outputs["deploy"])) == (0, ["production"]), ordered
    assert tag.job("deploy", "deploy", "production", takes=("settle",), env={**here, **no_registry}).code == 0
    recorded = tag.job("record", "record", takes=("settle", "deploy"))
    assert recorded.code == 0, recorded
    entry = state(team.origin, team.model).deployments["production"]
    assert (entry.version, entry.ref, (target / "production-1").read_text()) == (1, "v1.0.0", "0.7\n")

    again = team.jobs().tag("v1.0.0").job("all", env=here)
    assert again.code == 0
    assert "already" in again.out


def test_a_receipt_for_a_model_that_was_renamed_since(team: Team, tmp_path: Path) -> None:
    """What serves is recorded in the ledger of the model that serves, whatever the next commit's ciml.yaml calls it."""
    team.origin.commit({"ciml.yaml": DEPLOYED.replace("  MODEL:", f"  {team.model}:")}, "deployed")
    push = team.jobs().push("main")
    assert push.job("stages", "stage").code == 0
    assert push.job("settle", "settle", takes=("stages",)).code == 0
    assert push.job("deploy", "deploy", "staging", takes=("settle",), env={"TARGET": str(tmp_path)}).code == 0
    team.origin.commit({"ciml.yaml": DEPLOYED.replace("  MODEL:", "  renamed:")}, "renamed")
    earlier = tuple(f"../{push.folder.name}/{name}" for name in ("settle", "deploy"))
    recorded = team.jobs().push("main").job("record", "record", takes=earlier)
    assert recorded.code == 0, recorded
    assert f"staging: {team.model} version 1 deployed" in recorded.out
    assert state(team.origin, team.model).deployments["staging"].version == 1


def test_c151_a_deployment_without_a_receipt_has_failed(team: Team, tmp_path: Path) -> None:
    """151. Deploy command killed: receipt absent; nothing recorded as served; rerun idempotent; exit 13."""
    team.origin.commit({"ciml.yaml": DEPLOYED.replace("  MODEL:", f"  {team.model}:")}, "deployed")
    push = team.jobs().push("main")
    assert push.job("stages", "stage").code == 0
    assert push.job("settle", "settle", takes=("stages",)).code == 0
    lost = push.job("record", "record", takes=("settle",))
    assert lost.code == 13, lost
    assert "no receipt" in lost.out
    assert state(team.origin, team.model).deployments == {}


def test_data_that_does_not_hold_stops_the_run(team: Team) -> None:
    """No job runs a stage; the last one says so check by check, exits 10, and nothing is registered."""
    rules = "data:\n  rows.csv: {rows: {min: 3}}\n"
    pipeline = CIML_YAML.replace("  MODEL:", f"  {team.model}:").replace(
        "inputs: [src.txt]", "inputs: [src.txt, rows.csv]"
    )
    team.origin.commit({"ciml.yaml": pipeline + rules, "rows.csv": "a,b\n1,2\n"}, "too few rows")
    jobs = team.jobs().push("main")
    assert jobs.job("plan", "plan").code == 0
    assert json.loads(jobs.outputs["stages"]) == {}
    settled = jobs.job("settle", "settle", takes=("plan",))
    assert settled.code == 10, settled
    assert jobs.outputs["verdict"] == "rejected"
    assert "rows.csv" in jobs.summary and "No stage was run on it" in jobs.summary
    assert team.jobs().push("main").job("all").code == 10
    assert team.versions() == []
