"""`ciml ci` on a schedule: new data becomes a commit, and the run works on that commit."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.calls import environment, process
from tests.cli.jobs import Jobs
from tests.repobuilder import RepoBuilder
from tests.s3server import Service

CIML_YAML = """\
version: 1
stages:
  train: {run: "cat data/raw/*.csv | wc -l > model.txt", inputs: [data/raw], outputs: [model.txt]}
"""


def sourced(place: Path, service: Service) -> tuple[RepoBuilder, str]:
    """A repository whose data comes from S3, and the bucket."""
    bucket, client = service.bucket(), service.client()
    client.put_object(Bucket=bucket, Key="raw/a.csv", Body=b"1\n", ChecksumAlgorithm="SHA256")
    origin = RepoBuilder(place / "origin")
    origin.git("config", "receive.denyCurrentBranch", "ignore")
    origin.git("config", "uploadpack.allowAnySHA1InWant", "true")
    origin.commit({"ciml.yaml": CIML_YAML})
    env = environment(**service.environ)
    added = process(origin.path, "data", "add", f"s3://{bucket}/raw/", "--to", "data/raw", env=env)
    assert added.code == 0, added
    origin.git("add", "--all")
    origin.git("commit", "-q", "-m", "raw data")
    return origin, bucket


def test_a_schedule_runs_on_the_data_that_arrived(tmp_path: Path, service: Service) -> None:
    """What is new in S3 is committed; plan names that commit, and its stage sees the data. Again: nothing."""
    origin, bucket = sourced(tmp_path, service)
    before = origin.git("rev-parse", "main")
    service.client().put_object(Bucket=bucket, Key="raw/b.csv", Body=b"2\n3\n", ChecksumAlgorithm="SHA256")

    jobs = Jobs(origin, tmp_path / "run", run="1", **service.environ).schedule()
    planned = jobs.job("plan", "plan")
    assert planned.code == 0, planned
    arrived = origin.git("rev-parse", "main")
    assert (origin.git("rev-parse", "main^"), jobs.outputs["head"]) == (before, arrived)
    assert json.loads(jobs.outputs["stages"]) == {"train": ["train"]}

    again = Jobs(origin, tmp_path / "again", run="2", **service.environ).schedule()
    whole = again.job("all")
    assert whole.code == 0, whole
    assert origin.git("rev-parse", "main") == arrived
    assert (tmp_path / "again/all/work/model.txt").read_text().strip() == "3"


def test_a_source_that_is_gone_stops_no_other(tmp_path: Path, service: Service) -> None:
    """What arrived elsewhere is committed and trained on; the call ends with the fault's exit code."""
    origin, bucket = sourced(tmp_path, service)
    client = service.client()
    client.put_object(Bucket=bucket, Key="gone/a.csv", Body=b"1\n", ChecksumAlgorithm="SHA256")
    env = environment(**service.environ)
    added = process(origin.path, "data", "add", f"s3://{bucket}/gone/", "--to", "data/gone", env=env)
    assert added.code == 0, added
    origin.git("add", "--all")
    origin.git("commit", "-q", "-m", "more data")
    client.delete_object(Bucket=bucket, Key="gone/a.csv")
    client.put_object(Bucket=bucket, Key="raw/b.csv", Body=b"2\n3\n", ChecksumAlgorithm="SHA256")

    whole = Jobs(origin, tmp_path / "run", run="1", **service.environ).schedule().job("all")
    assert whole.code == 3, whole
    assert f"there is nothing at s3://{bucket}/gone/ any more" in whole.err
    assert origin.git("show", "--format=", "--name-only", "main") == "data/raw.manifest.yaml"
    assert (tmp_path / "run/all/work/model.txt").read_text().strip() == "3"
