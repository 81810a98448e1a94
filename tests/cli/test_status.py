"""`ciml status`, and the repair of what it finds."""

from __future__ import annotations

import pytest

from tests.cli.calls import Calls
from tests.cli.ledgers import mlflow, state


def drift(ciml: Calls) -> list[str]:
    found: list[str] = ciml.json("status")["models"][0]["drift"]
    return found


def test_before_anything(ciml: Calls) -> None:
    """No run, no ledger, no registry: no champion yet, and no registry is made by asking."""
    ciml.repo.commit({"ciml.yaml": "version: 1\nstages: {a: {run: 'true', outputs: [x]}}\nmodels: {m: {path: x}}\n"})

    [model] = ciml.json("status")["models"]
    assert (model["champion"], model["versions"], model["drift"]) == (None, 0, [])
    assert "m: no champion yet" in ciml.ok("status").out
    assert not (ciml.path / ".git/ciml/registry").exists()


def test_the_champion(registered: Calls) -> None:
    """Version, commit, recipe, metrics, since when and by whom; nothing drifts."""
    [model] = registered.json("status")["models"]
    champion = model["champion"]

    assert (champion["version"], champion["commit"]) == (1, registered.repo.head())
    assert (champion["metrics"], champion["by"]) == ({"auc": 0.7}, "Ada <ada@example.com>")
    assert champion["since"].endswith("Z") and len(champion["recipe"]) == 64
    assert (model["versions"], model["waiting"], model["environments"], model["drift"]) == (1, [], {}, [])


@pytest.mark.parametrize("words", [("register",), ("promote", "m", "2")])
def test_an_alias_moved_by_hand(registered: Calls, words: tuple[str, ...]) -> None:
    """`status` warns and repairs nothing; the next writing command, even with nothing to write, repairs it."""
    registered.repo.commit({"src.txt": "0.8\n"})
    registered.ok("run")
    registered.ok("register")
    mlflow(registered.path).set_registered_model_alias("m", "champion", "1")
    told = "the alias champion names version 1, the ledger's champion is version 2"
    assert drift(registered) == [told]
    assert f"warning: m: {told}" in registered.ok("status").err

    head = state(registered.repo).head
    registered.ok(*words)
    assert drift(registered) == []
    assert state(registered.repo).head == head


def test_the_alias_is_repaired_without_the_bytes(registered: Calls) -> None:
    """Also by a `register` of a version whose bytes are only in the registry."""
    mlflow(registered.path).delete_registered_model_alias("m", "champion")
    registered.ok("store", "disown")

    assert registered.json("register")["models"][0]["version"] == 1
    assert drift(registered) == []


def test_a_version_that_is_gone(registered: Calls) -> None:
    """A registered version that somebody deleted in MLflow is drift; promoting it again is exit 7."""
    mlflow(registered.path).delete_model_version("m", "1")

    assert any("version 1" in sentence for sentence in drift(registered))
    assert registered("promote", "m", "1", "--reason", "x").code == 7


def test_c159_a_rewritten_ledger(registered: Calls) -> None:
    """Ledger ref rewritten → `ciml status` exit 7: chain broken; the local pin prevents silent rollback."""
    branch = "refs/heads/ciml/ledger/m"
    registered.repo.git("update-ref", branch, f"{branch}~1")

    answer = registered("status")
    assert answer.code == 7
    assert "chain broken" in answer.err
    assert registered("register").code == 7


def test_a_model_that_is_no_longer_in_the_configuration(registered: Calls) -> None:
    """One that was renamed or removed, and has a ledger, is named; nothing is asked for it."""
    assert registered.json("status")["gone"] == []
    configuration = (registered.path / "ciml.yaml").read_text()
    registered.repo.commit({"ciml.yaml": configuration.replace("  m:\n", "  n:\n")})

    document = registered.json("status")
    assert (document["gone"], [model["name"] for model in document["models"]]) == (["m"], ["n"])
    assert "m: no longer in ciml.yaml; its ledger" in registered.ok("status").out
