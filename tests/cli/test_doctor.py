"""`ciml doctor`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.calls import Calls


def states(ciml: Calls, *words: str) -> dict[str, str]:
    return {finding["what"]: finding["state"] for finding in ciml("--json", *words, "doctor").json["findings"]}


def test_all_is_well(registered: Calls) -> None:
    """Programs, extras, repository, ciml.yaml and registry: nothing is wrong, exit 0, and nothing is changed."""
    before = sorted((registered.path / ".git/ciml").rglob("*.db*"))
    answer = registered.ok("doctor")

    found = states(registered)
    assert {"python", "git", "bash", "mlflow", "repository", "ciml.yaml", "registry"} <= found.keys()
    assert "wrong" not in found.values()
    assert "embedded" in answer.out and "stages: 2, models: 1" in answer.out
    assert sorted((registered.path / ".git/ciml").rglob("*.db*")) == before


def test_a_wrong_configuration(ciml: Calls) -> None:
    """It is named, with what is wrong in it, and that is exit 3."""
    ciml.repo.commit({"ciml.yaml": "version: 1\nstags: {}\n"})

    answer = ciml("doctor")
    assert answer.code == 3
    assert "stags" in answer.out
    assert states(ciml)["ciml.yaml"] == "wrong"


def test_no_repository(ciml: Calls, tmp_path: Path) -> None:
    """Outside of any repository: that is said, exit 3, and the programs are shown all the same."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    assert ciml("-C", str(elsewhere), "doctor").code == 3
    found = states(ciml, "-C", str(elsewhere))
    assert (found["repository"], found["git"]) == ("wrong", "ok")


def test_no_git(registered: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Git and bash on the PATH both are named, with what to do, and there is no traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))

    answer = registered("doctor")
    assert answer.code == 3
    found = states(registered)
    assert (found["git"], found["bash"], found["uv"]) == ("wrong", "wrong", "missing")
    assert "install it" in answer.out


def test_credentials_are_not_shown(registered: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry's address is shown without its password."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:CANARY@mlflow.example/?token=CANARY")

    answer = registered.ok("doctor")
    assert "mlflow.example" in answer.out
    assert "CANARY" not in answer.out + answer.err
