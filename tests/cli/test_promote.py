"""`ciml promote` and `ciml rollback`."""

from __future__ import annotations

import pytest

from ciml.core.entries import Promotion, Rollback
from tests.cli.calls import Calls
from tests.cli.conftest import CIML_YAML
from tests.cli.ledgers import entries, mlflow, state


@pytest.fixture
def second(registered: Calls) -> Calls:
    """Version 2 is champion, version 1 was before."""
    registered.repo.commit({"src.txt": "0.8\n"})
    registered.ok("run")
    registered.ok("register")
    return registered


def champion(ciml: Calls) -> int | None:
    """By the ledger, once the alias is seen to say the same."""
    found = state(ciml.repo).champion
    alias = mlflow(ciml.path).get_registered_model("m").aliases.get("champion")
    assert (int(alias) if alias else None) == (found.version if found else None)
    return found.version if found else None


def test_rollback_and_back(second: Calls) -> None:
    """The champion before is champion again; the ledger keeps who and why; a second time nothing moves."""
    moved = second.json("rollback", "m", "--reason", "it drifts")
    assert moved == {"name": "m", "version": 1, "previous": 2, "moved": True}
    assert champion(second) == 1
    [entry] = entries(second.repo, Rollback)
    assert (entry.actor, entry.reason, entry.version) == ("Ada <ada@example.com>", "it drifts", 1)

    assert second.json("rollback", "m", "--to", "1")["moved"] is False
    assert second.ok("rollback", "m", "--to", "2").out.startswith("m version 2 is now the champion, in the place of")
    assert champion(second) == 2


def test_words_alone_promote_nothing_after_a_rollback(second: Calls) -> None:
    """The rollback used the right up: neither the same commit nor a docs-only one brings version 2 back."""
    second.ok("rollback", "m")
    again = second.json("register")["models"][0]
    second.repo.commit({"README.md": "words"})
    second.ok("run")
    words = second.json("register")["models"][0]

    assert [(model["version"], model["promoted"]) for model in (again, words)] == [(2, False), (2, False)]
    assert champion(second) == 1


def test_a_used_right_needs_a_reason(second: Calls) -> None:
    """Any registered version can be promoted by hand; where the gate's word is used up, with --reason only."""
    second.ok("rollback", "m")
    refused = second("promote", "m", "2")
    assert refused.code == 2
    assert "--reason TEXT" in refused.err and champion(second) == 1

    moved = second.json("promote", "m", "2", "--reason", "it was the data")
    assert moved == {"name": "m", "version": 2, "previous": 1, "moved": True}
    assert entries(second.repo, Promotion)[-1].by_hand
    assert entries(second.repo, Promotion)[-1].reason == "it was the data"


def test_manual_promotion_is_an_approval(ran: Calls) -> None:
    """`promote: manual`: registered, waiting, promoted by a person without a reason; what is old by then is not."""
    ran.repo.commit({"ciml.yaml": f"{CIML_YAML}    promote: manual\n"})
    ran.ok("run")
    [model] = ran.json("register")["models"]
    assert (model["created"], model["promoted"]) == (True, False)
    assert ran.json("status")["models"][0]["waiting"] == [1]
    assert "version 1 waits for `ciml promote m 1`" in ran.ok("status").out
    assert ran.json("register")["models"][0]["promoted"] is False

    assert ran.json("promote", "m", "1") == {"name": "m", "version": 1, "previous": None, "moved": True}
    assert champion(ran) == 1
    assert ran.json("status")["models"][0]["waiting"] == []


def test_nobody_moves_a_champion(second: Calls) -> None:
    """Where Git does not know who calls, exit 4 says how to tell it: the ledger is to name a person."""
    before = entries(second.repo, Promotion)
    for name in ("user.name", "user.email"):
        second.repo.git("config", "--unset", name)
    for words in (("rollback", "m"), ("promote", "m", "1", "--reason", "it drifts")):
        refused = second(*words)
        assert refused.code == 4
        assert "git config user.name" in refused.err
    second.repo.commit({"src.txt": "0.6\n"})
    second("run")
    assert second("register", "--override", "--reason", "the new region").code == 4
    assert (entries(second.repo, Promotion), entries(second.repo, Rollback)) == (before, [])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("promote", "m", "7"), "version 7 of m is not registered"),
        (("promote", "n", "1"), "there is no model 'n'"),
        (("promote", "m", "0"), "0"),
        (("rollback", "m"), "m has no earlier champion"),
        (("rollback", "m", "--to", "7"), "version 7 of m is not registered"),
        (("rollback", "n"), "there is no model 'n'"),
    ],
)
def test_what_is_not_there(registered: Calls, words: tuple[str, ...], told: str) -> None:
    """A model or version that does not exist: exit 2, and the ledger stays as it is."""
    head = state(registered.repo).head
    answer = registered(*words)

    assert (answer.code, state(registered.repo).head) == (2, head)
    assert told in answer.err
