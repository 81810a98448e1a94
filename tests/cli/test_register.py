"""`ciml register`."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from ciml.adapters.signing import unseal
from ciml.core import provenance
from ciml.core.entries import Adoption, Judgement, Override, Registration
from ciml.core.errors import IntegrityError
from ciml.core.lineage import RunTrace, decode
from ciml.core.signers import Signer
from tests.cli.calls import Calls
from tests.cli.conftest import CIML_YAML
from tests.cli.ledgers import entries, mlflow, runs, state, versions
from tests.repobuilder import RepoBuilder


def test_the_first_version(ran: Calls) -> None:
    """Registered and promoted; again it answers with its version and created: false, and nothing is written."""
    first = {"name": "m", "version": 1, "created": True, "promoted": True, "uri": "models:/m/1"}
    assert ran.json("register") == {"models": [first]}
    head = state(ran.repo).head

    assert ran.json("register", "m") == {"models": [{**first, "created": False, "promoted": False}]}
    assert (state(ran.repo).head, versions(ran.path)) == (head, [1])
    assert mlflow(ran.path).get_model_version_by_alias("m", "champion").version in (1, "1")


def test_words_alone_make_no_version(registered: Calls) -> None:
    """A docs-only commit on top of a trained one is the same version, exit 0; nothing is run or written."""
    head = state(registered.repo).head
    registered.repo.commit({"README.md": "words"})

    assert registered.json("register")["models"][0]["version"] == 1
    assert registered.results() == {"train": "skipped", "score": "skipped"}
    [model] = registered.json("register")["models"]
    assert (model["version"], model["created"], model["promoted"]) == (1, False, False)
    assert (state(registered.repo).head, versions(registered.path)) == (head, [1])


def test_a_rejection_registers_nothing(registered: Calls) -> None:
    """Exit 10 from `run` and `register`; on top of it a docs-only commit is exit 0, and stays unregistered."""
    registered.repo.commit({"src.txt": "0.6\n"})
    assert registered("run").code == 10
    answer = registered("register")
    assert answer.code == 10
    assert "error: m is not registered: 1 of 2 checks did not hold: auc > champion.auc" in answer.err
    assert "--override" in answer.err
    head, tracked = state(registered.repo).head, runs(registered.path)

    registered.repo.commit({"README.md": "words"})
    assert "recorded: nothing was judged again" in registered.ok("run").out
    answer = registered("--json", "register")
    assert (answer.code, answer.json) == (10, {"models": []})
    assert (state(registered.repo).head, runs(registered.path)) == (head, tracked)
    assert versions(registered.path) == [1]
    assert registered("-q", "register").err.startswith("error: m is not registered")


def test_equal_bytes_are_adopted(registered: Calls) -> None:
    """A refactoring that makes the same bytes is adopted by their version, says so, and promotes nothing."""
    registered.repo.commit({"src.txt": "# why\n0.7\n"})
    registered.ok("run")

    answer = registered.ok("register")
    assert "is already version 1" in answer.out and "note: the bytes are those of version 1" in answer.out
    assert [entry.version for entry in entries(registered.repo, Adoption)] == [1]
    assert registered.json("register")["models"][0] == {
        "name": "m",
        "version": 1,
        "created": False,
        "promoted": False,
        "uri": "models:/m/1",
    }
    assert (len(entries(registered.repo, Adoption)), versions(registered.path)) == (1, [1])


def test_a_better_model_is_the_next_version(registered: Calls) -> None:
    """The gate lets it through: version 2 is created, and the champion's alias goes to it."""
    registered.repo.commit({"src.txt": "0.8\n"})
    registered.ok("run")

    assert registered.json("register")["models"][0]["version"] == 2
    assert versions(registered.path) == [1, 2]
    assert registered.json("status")["models"][0]["champion"]["version"] == 2


def test_without_results_nothing_is_registered(registered: Calls) -> None:
    """A commit that was not run: exit 4, with the command that runs it; `register` runs no stage itself."""
    registered.repo.commit({"src.txt": "0.8\n"})

    answer = registered("register")
    assert answer.code == 4
    assert "results of stage" in answer.err and "hint: ciml run" in answer.err
    assert not (registered.path / "model.txt").read_text().startswith("0.8")


def test_c064_what_is_not_committed_registers_nothing(ran: Calls) -> None:
    """Dirty/untracked dep at registration → exit 4 "uncommitted input; lineage would lie"; R0."""
    ran.repo.commit({"ciml.yaml": CIML_YAML.replace("[src.txt]", "[src.txt, more]"), "more/a.txt": "a"})
    ran.repo.write({"more/b.txt": "new"})
    ran.ok("run")
    untracked = ran("register")
    ran.repo.write({"more/b.txt": None, "src.txt": "0.9\n"})
    ran.ok("run")
    changed = ran("register")

    assert (untracked.code, changed.code) == (4, 4)
    assert "more/b.txt" in untracked.err and "src.txt" in changed.err
    assert "names the commit that it was made from" in changed.err
    assert versions(ran.path) == []


def test_a_person_overrides_the_gate(registered: Calls) -> None:
    """`--override` needs a reason (exit 2); with one it is registered, and the ledger says who and why."""
    registered.repo.commit({"src.txt": "0.6\n"})
    registered("run")
    assert registered("register", "--override").code == 2

    [model] = registered.json("register", "--override", "--reason", "the new region needs it")["models"]
    assert (model["version"], model["created"], model["promoted"]) == (2, True, True)
    [override] = entries(registered.repo, Override)
    assert (override.actor, override.reason) == ("Ada <ada@example.com>", "the new region needs it")
    assert override.outcome == "rejected"


def test_params_are_part_of_the_policy(ran: Calls) -> None:
    """`-P` sets a threshold for this call: what it rejects is rejected, and the ledger's verdict has the value."""
    assert ran("register", "-P", "min-auc=0.75").code == 10
    assert versions(ran.path) == []

    [judgement] = [entry for entry in entries(ran.repo, Judgement) if entry.verdict.status == "rejected"]
    [failed] = [finding for finding in judgement.verdict.findings if not finding.passed]
    assert (failed.check, failed.right) == ("auc >= 0.75", 0.75)
    ran.ok("register")


def test_models_are_registered_independently(ran: Calls) -> None:
    """Of two models one is rejected and the other registered: exit 10, and the document has the one."""
    two = CIML_YAML + "  strict: {path: model.txt, gate: [auc >= 0.9]}\n"
    ran.repo.commit({"ciml.yaml": two})
    assert ran("run").code == 10

    answer = ran("--json", "register")
    assert answer.code == 10
    assert [model["name"] for model in answer.json["models"]] == ["m"]
    assert "strict is not registered" in answer.err
    assert (versions(ran.path, "m"), versions(ran.path, "strict")) == ([1], [])
    assert ran("register", "m").code == 0
    assert ran("register", "other").code == 2


def test_a_model_that_is_left_out(registered: Calls) -> None:
    """Its maker's `when` is false: nothing is judged or registered, and that is exit 0."""
    off = CIML_YAML.replace("  train: {", "  train: {when: params.min-auc > 0.5, ")
    registered.repo.commit({"ciml.yaml": off, "src.txt": "0.9\n"})
    registered.ok("run")

    assert registered.json("register") == {"models": []}
    assert "not-judged" in registered.ok("register").out
    assert versions(registered.path) == [1]


def shared(ciml: Calls, monkeypatch: pytest.MonkeyPatch) -> RepoBuilder:
    """An origin; the registry is one that others use too. What the embedded one knew stays in the clone."""
    origin = ciml.repo.bare_origin()
    origin.git("update-ref", "-d", "refs/heads/ciml/ledger/m")
    database = ciml.path / ".git/ciml/registry/mlflow.db"
    # The database is there already, so that MLflow need not make one.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    monkeypatch.chdir(ciml.path)
    return origin


def test_a_shared_registry_takes_what_was_pushed(ran: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """HEAD that is not the default branch's pushed head: exit 6, nothing registered; once pushed, it is."""
    origin = shared(ran, monkeypatch)
    ran.repo.commit({"src.txt": "0.8\n"})
    ran.ok("run")
    refused = ran("register")
    assert refused.code == 6
    assert "is not the pushed head of main" in refused.err
    assert origin.git("for-each-ref", "refs/heads/ciml") == ""
    ran.repo.git("push", "-q", "origin", "main")

    assert ran.json("register")["models"][0]["created"] is True
    assert origin.git("for-each-ref", "--format=%(refname)", "refs/heads/ciml") == "refs/heads/ciml/ledger/m"
    assert len(entries(ran.repo, Registration)) == 0, "the clone's own ledger is another one"
    ran.repo.branch("feature")
    ran.repo.commit({"README.md": "words"})
    assert ran("register").code == 6


def test_c012_the_environment_proves_nothing(ran: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """GITHUB_REF spoofed to refs/heads/main in local env, not CI → trust needs credential proof; exit 6; R0."""
    origin = shared(ran, monkeypatch)
    ran.repo.branch("feature")
    ran.repo.commit({"src.txt": "0.8\n"})
    ran.ok("run")
    for name, value in {"GITHUB_REF": "refs/heads/main", "GITHUB_EVENT_NAME": "push", "CI": "true"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GITHUB_SHA", ran.repo.head())

    assert ran("register").code == 6
    assert origin.git("for-each-ref", "refs/heads/ciml") == ""
    assert versions(ran.path) == []


def test_the_provenance_verifies(registered: Calls) -> None:
    """`ciml/provenance.json` is an in-toto statement with a SLSA predicate, and says what ledger and Git say."""
    [registration] = entries(registered.repo, Registration)
    text = file(registered, registration.run, "ciml/provenance.json")

    parsed = Statement.copy_from_pb(json_format.Parse(text, statement_pb2.Statement()))
    parsed.validate()
    predicate = json_format.ParseDict(json.loads(text)["predicate"], Provenance())
    assert predicate.build_definition.build_type == provenance.BUILD_TYPE
    expected = claimed(registered, registration)
    found = provenance.verify(text, expected, builders=[provenance.LOCAL_BUILDER], digest=registration.provenance)
    assert found.ciml
    tags = mlflow(registered.path).get_model_version("m", "1").tags
    assert tags["ciml.provenance"] == registration.provenance


def file(ciml: Calls, run: str, path: str) -> bytes:
    """A file of an MLflow run."""
    folder = mlflow(ciml.path).get_run(run).info.artifact_uri.split("/")[-3:]
    return (ciml.path / ".git/ciml/registry/artifacts").joinpath(*folder, path).read_bytes()


def claimed(ciml: Calls, registration: Registration) -> provenance.Claim:
    """The claim by the ledger, the files and `ciml/lineage.json`."""
    trace = decode(file(ciml, registration.run, "ciml/lineage.json"), RunTrace, where="lineage")
    return provenance.claim(trace, trace.models[0], {"model.txt": registration.artifact.digest})


def test_the_provenance_is_signed(ran: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With CIML_SIGNING_KEY it is a DSSE envelope of that key; a key that cannot be read is exit 3, nothing done."""
    key = tmp_path / "key"
    monkeypatch.setenv("CIML_SIGNING_KEY", str(key))
    assert ran("register").code == 3
    assert versions(ran.path) == []
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    ran.ok("register")

    [registration] = entries(ran.repo, Registration)
    envelope = file(ran, registration.run, "ciml/provenance.json")
    signer = Signer(principals=("ada",), key=key.with_suffix(".pub").read_text().strip())
    text = unseal(envelope, [signer], at=datetime.now(UTC))
    provenance.verify(
        text, claimed(ran, registration), builders=[provenance.LOCAL_BUILDER], digest=registration.provenance
    )
    with pytest.raises(IntegrityError):
        unseal(envelope.replace(b'"sig":"', b'"sig":"AAAA'), [signer], at=datetime.now(UTC))


def test_a_rejection_begins_with_its_line(registered: Calls) -> None:
    """A rejected model is the first line of an answer; after the stages of a run an empty line comes before it."""
    registered.repo.commit({"src.txt": "0.1\n"})
    assert "\n\nm: rejected" in registered("run").out
    for command in ("register", "gate"):
        assert registered(command).out.startswith("m: rejected"), command
