"""Secrets of stages: masked where they are printed whole, and in no record of a run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.calls import Answer, Calls, environment, process
from tests.cli.conftest import FILES as PROJECT
from tests.repobuilder import RepoBuilder
from tests.s3server import Service, moto

FIRST, SECOND = "q7Xv-0first-Ab3K9", "Lz52second-0pQ8w"
FILES = {
    "ciml.yaml": """\
version: 1
stages:
  train:
    run: |
      printf '%s\\n' "$TOKEN"
      printf '%.17s\\n%s\\n' "$TOKEN" "$(printf '%s' "$TOKEN" | cut -c18-)"
      echo 0.9 > model.txt && echo '{"auc": 0.9}' > m.json
    outputs: [model.txt]
    metrics: [m.json]
    secrets: [TOKEN]
models:
  churn: {path: model.txt, gate: [auc > 0.5]}
"""
}


def test_c035_a_secret_in_two_halves_is_in_the_log_alone(ciml: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole it is masked; halves are as the stage printed them, in its log. No record, lineage or ledger has either."""
    monkeypatch.setenv("TOKEN", FIRST + SECOND)
    ciml.repo.commit(FILES)
    printed = ciml.ok("run")
    assert FIRST + SECOND not in printed.out + printed.err
    ciml.ok("register")
    lineage = ciml.ok("--json", "lineage", "churn/1")
    for half in (FIRST, SECOND):
        assert half not in lineage.out
        files = [path for path in ciml.path.rglob("*") if path.is_file() and half.encode() in path.read_bytes()]
        assert [path.suffix for path in files] == [".log"], files


TOKEN, KEY = "CANARY-session-token", "CANARY-secret-key"
LOUD = "import logging\nlogging.basicConfig(level=logging.DEBUG)\n"
"""A `sitecustomize` that logs whatever any library has to say."""


class Loud:
    """Calls in processes of their own, as verbose as can be, with an account whose secrets are canaries."""

    def __init__(self, service: Service, repo: RepoBuilder, folder: Path) -> None:
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(LOUD)
        base = environment()
        self._path = repo.path
        self.env = {
            **base,
            **service.environ,
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_SESSION_TOKEN": TOKEN,
            "PYTHONPATH": f"{folder}:{base['PYTHONPATH']}",
            "USER": "ada",
            **dict.fromkeys(("RUNNER_DEBUG", "ACTIONS_STEP_DEBUG", "MLFLOW_LOGGING_LEVEL"), "1"),
        }

    def __call__(self, *words: str) -> Answer:
        return process(self._path, "-vvv", *words, env=self.env)


@pytest.fixture
def loud(repo: RepoBuilder, tmp_path: Path) -> Iterator[Loud]:
    """A project whose store, ledger and data are in S3."""
    with moto(tmp_path) as service:
        bucket = service.bucket()
        service.client().put_object(Bucket=bucket, Key="raw/a.csv", Body=b"id\n1\n")
        shared = f"version: 1\nstore: s3://{bucket}/ciml\nledger: s3://{bucket}/ledger\n"
        repo.commit({**PROJECT, "ciml.yaml": PROJECT["ciml.yaml"].replace("version: 1\n", shared)})
        calls = Loud(service, repo, tmp_path / "site")
        calls.env["SOURCE"] = f"s3://{bucket}/raw/"
        yield calls


def test_c103_what_signs_requests_is_printed_and_kept_nowhere(loud: Loud, repo: RepoBuilder) -> None:
    """Everything verbose, root logging at DEBUG: no signature, token or key in what calls print, or in any file."""
    asked = f"import boto3; boto3.client('s3').list_objects_v2(Bucket={loud.env['SOURCE'].split('/')[2]!r})"
    plain = subprocess.run([sys.executable, "-c", asked], env=loud.env, capture_output=True, text=True, check=True)
    assert TOKEN in plain.stderr and "Signature=" in plain.stderr, "boto's own log would show them"

    called = [
        loud("data", "add", loud.env["SOURCE"], "--to", "data"),
        loud("data", "pull"),
        loud("data", "push"),
        loud("run"),
        loud("store", "stats", "--shared"),
        loud("--json", "lineage", "model.txt"),
    ]
    assert [answer.code for answer in called[:5]] == [0] * 5, called
    loud.env |= {"AWS_ENDPOINT_URL": f"http://me:{KEY}@127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}
    called.append(loud("data", "push"))
    assert called[-1].code == 5, called[-1]

    told = "".join(answer.out + answer.err for answer in called).encode()
    kept = {str(path): path.read_bytes() for path in repo.path.rglob("*") if path.is_file()}
    for where, data in {"output": told, **kept}.items():
        for canary in (TOKEN, KEY, "Signature=", "X-Amz-Signature"):
            assert canary.encode() not in data, f"{canary} in {where}: {data.decode(errors='replace')[:500]}"
