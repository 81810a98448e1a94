"""`ciml lineage`."""

from __future__ import annotations

import json

import pytest
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from tests.cli.calls import Calls


def ids(document: dict[str, list[dict[str, str]]], kind: str) -> list[str]:
    return [node["label"] for node in document["nodes"] if node["kind"] == kind]


@pytest.mark.parametrize("subject", ["m/1", "models:/m/1", "m@champion", "HEAD", "src.txt"])
def test_whatever_is_asked_leads_to_the_version(registered: Calls, subject: str) -> None:
    """A version, an alias, a commit or a file: its graph has the version, its commit, code and stages."""
    document = registered.json("lineage", subject)

    assert ids(document, "version") == ["m/1"]
    assert ids(document, "commit") == [registered.repo.head()[:7]]
    assert "src.txt" in ids(document, "code") and "train" in ids(document, "stage")
    known = {node["id"] for node in document["nodes"]}
    assert document["edges"] and all({edge["from"], edge["to"]} <= known for edge in document["edges"])
    assert registered.ok("lineage", subject, "--format", "json").json == document


def test_one_versions_lineage_has_nothing_of_another(registered: Calls) -> None:
    """Two versions from two states of one file: each leads to its own."""
    registered.repo.commit({"src.txt": "0.8\n"})
    registered.ok("run")
    registered.ok("register")

    assert ids(registered.json("lineage", "m/1"), "version") == ["m/1"]
    assert ids(registered.json("lineage", "m@champion"), "version") == ["m/2"]
    assert sorted(ids(registered.json("lineage", "src.txt"), "version")) == ["m/1", "m/2"]


def test_a_broken_score_is_not_where_a_version_comes_from(registered: Calls) -> None:
    """The champion's own bytes scored by a broken evaluation, and rejected: no edge leads from there to the version."""
    configuration = (registered.path / "ciml.yaml").read_text()
    assert configuration.count("> m.json") == 1
    registered.repo.commit({"ciml.yaml": configuration.replace("> m.json", "> m.json; echo broken >> m.json")})
    assert registered("run").code == 10
    document = registered.json("lineage", "src.txt")
    judges = {edge["from"] for edge in document["edges"] if edge["how"] == "judged by"}
    scored = [node for node in document["nodes"] if node["kind"] == "stage" and node["label"] == "score"]

    assert len(scored) == 2
    assert [node.get("metrics") is not None for node in scored if node["id"] in judges] == [True]


def test_as_text(registered: Calls) -> None:
    """Up and down as a tree, with commit and metric."""
    text = registered.ok("lineage", "m/1").out

    assert text.startswith("m/1")
    assert all(word in text for word in ("a first model", "train", "score", "src.txt", "auc 0.7"))


def test_as_mermaid(registered: Calls) -> None:
    """A flowchart that GitHub draws."""
    assert registered.ok("lineage", "m/1", "--format", "mermaid").out.startswith("flowchart ")


def test_as_in_toto(registered: Calls) -> None:
    """The statement that the registry keeps; it is about versions only (exit 2 else)."""
    text = registered.ok("lineage", "m@champion", "--format", "in-toto").out

    Statement.copy_from_pb(json_format.Parse(text, statement_pb2.Statement())).validate()
    assert json.loads(text)["subject"][0]["name"] == "m"
    assert registered("lineage", "src.txt", "--format", "in-toto").code == 2


def test_as_openlineage(registered: Calls) -> None:
    """One event a line, each with its run, its job, its inputs and outputs."""
    lines = registered.ok("lineage", "m/1", "--format", "openlineage").out.splitlines()
    events = [json.loads(line) for line in lines]

    assert {event["job"]["name"].rpartition(".")[2] for event in events} >= {"train", "score"}
    assert all(event["run"]["runId"] and event["schemaURL"] and event["eventTime"] for event in events)
    assert any(event["outputs"] for event in events)


@pytest.mark.parametrize("subject", ["m/9", "m@staging", "nothing.txt", "x" * 300])
def test_what_is_not_recorded(registered: Calls, subject: str) -> None:
    """Exit 2, and no graph."""
    answer = registered("lineage", subject)

    assert (answer.code, answer.out) == (2, "")


def test_another_clone_reads_it_from_the_registry(registered: Calls) -> None:
    """Without the runs of this clone and without its store, a version's lineage is whole."""
    before = registered.json("lineage", "m/1")
    for folder in ("runs", "store"):
        (registered.path / ".git/ciml" / folder).rename(registered.path / f".git/{folder}")

    after = registered.json("lineage", "m/1")
    assert {node["id"] for node in after["nodes"]} == {node["id"] for node in before["nodes"]}


def test_a_params_file_leads_to_the_versions_that_its_parameters_made(ciml: Calls) -> None:
    """`ciml lineage params.yaml` names what stages took from it, and the models of that; not those of other files."""
    run = "echo {} > model; cp params.yaml seen; echo '{\"score\": 1}' > metrics.json"
    text = (
        "version: 1\nparams-files: [params.yaml, other.yaml]\nstages:\n"
        f"  train: {{run: {json.dumps(run)}, params: [lr], outputs: [model, seen], metrics: [metrics.json]}}\n"
        "models: {m: {path: model, gate: [score > 0]}}\n"
    )
    ciml.repo.commit({"ciml.yaml": text, "params.yaml": "lr: 0.1\n", "other.yaml": "depth: 3\n"})
    ciml.ok("run")
    ciml.ok("register")

    document = ciml.json("lineage", "params.yaml")
    assert (ids(document, "params"), ids(document, "version")) == (["lr = 0.1"], ["m/1"])
    assert "lr = 0.1" in ciml.ok("lineage", "params.yaml").out
    assert ciml("lineage", "other.yaml").code == 2
