"""`ciml doctor`."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
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


@pytest.mark.parametrize(("version", "state"), [("3.10.1", "old"), ("3.17.2", "ok")])
def test_c146_an_old_server(registered: Calls, monkeypatch: pytest.MonkeyPatch, version: str, state: str) -> None:
    """MLflow server < 3.11: a warning that lists what is known of it, and no failure."""

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/version" and "Authorization" not in self.headers
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(version.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
            del format, args

    server = HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ada:secret@127.0.0.1:{server.server_address[1]}")
    try:
        answer = registered.ok("doctor")
        found = states(registered)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

    assert found["mlflow server"] == state
    assert ("CVE-2026-4137" in answer.out) == (state == "old")


def test_a_registry_that_does_not_answer(registered: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said of a server that is not there, or of a database."""
    for uri in ("http://127.0.0.1:1", "sqlite:////nowhere/ml.db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert "mlflow server" not in states(registered)
