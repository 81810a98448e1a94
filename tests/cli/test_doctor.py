"""`ciml doctor`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.awsserver import aws_server
from tests.cli.calls import Calls
from tests.s3server import Service, moto, rclone

Served = Callable[[Path], AbstractContextManager[Service]]


def states(ciml: Calls, *words: str) -> dict[str, str]:
    return {finding["what"]: finding["state"] for finding in ciml("--json", *words, "doctor").json["findings"]}


def test_all_is_well(registered: Calls) -> None:
    """Programs, extras, repository, ciml.yaml and registry: nothing is wrong, exit 0, and nothing is changed."""
    before = sorted((registered.path / ".git/ciml").rglob("*.db*"))
    answer = registered.ok("doctor")

    found = states(registered)
    assert {"python", "git", "bash", "mlflow", "repository", "ciml.yaml", "registry"} <= found.keys()
    assert "wrong" not in found.values()
    assert "identity    Ada <ada@example.com>" in answer.out
    assert "embedded" in answer.out and "stages: 2, models: 1" in answer.out
    assert sorted((registered.path / ".git/ciml").rglob("*.db*")) == before


def test_a_wrong_configuration(ciml: Calls) -> None:
    """It is named, with what is wrong in it, and that is exit 3."""
    ciml.repo.commit({"ciml.yaml": "version: 1\nstags: {}\n"})

    answer = ciml("doctor")
    assert answer.code == 3
    assert "stags" in answer.out
    assert states(ciml)["ciml.yaml"] == "wrong"


def test_nobody(registered: Calls) -> None:
    """Without a name for the ledger that is missing, and nothing is wrong."""
    for name in ("user.name", "user.email"):
        registered.repo.git("config", "--unset", name)
    assert states(registered)["identity"] == "missing"


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


@pytest.fixture
def roles(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, object], str]]:
    """Makes a role of a name with a condition, for GitHub's tokens."""
    issuer = "token.actions.githubusercontent.com"
    with aws_server() as running:
        running.forget()
        for name, value in running.environ.items():
            monkeypatch.setenv(name, value)

        def make(name: str, condition: object) -> str:
            statement = {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{issuer}"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": json.loads(json.dumps(condition).replace("$", f"{issuer}:")),
            }
            text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            arn: str = running.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=text)["Role"]["Arn"]
            return arn

        yield make


AUDIENCE = {"$aud": "sts.amazonaws.com"}


def test_c042_roles_that_any_ref_can_take(
    ciml: Calls, roles: Callable[[str, object], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """OIDC role with `StringLike repo:org/*` → `ciml doctor --aws` exits 6: "role assumable by any ref"."""
    ciml.repo.commit({"ciml.yaml": "version: 1\nstages: {a: {run: b}}\n"})
    ciml.repo.git("remote", "add", "origin", "https://github.com/acme/churn.git")
    monkeypatch.setenv(
        "CIML_AWS_ROLE", roles("wide", {"StringEquals": AUDIENCE, "StringLike": {"$sub": "repo:acme/*"}})
    )

    answer = ciml("doctor", "--aws")
    assert answer.code == 6
    assert "role assumable by any ref: StringLike repo:acme/*" in answer.out
    assert "StringEquals" in answer.out  # what to do
    assert ciml("doctor").code == 0


def test_roles_that_are_well(ciml: Calls, roles: Callable[[str, object], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The trusted role, that of pull requests, and one that is named: exit 0; pull requests may not take the first."""
    ciml.repo.commit({"ciml.yaml": "version: 1\nstages: {a: {run: b}}\n"})
    ciml.repo.git("remote", "add", "origin", "https://github.com/acme/churn.git")
    trusted = roles("trusted", {"StringEquals": {**AUDIENCE, "$sub": "repo:acme/churn:environment:ciml"}})
    pulls = roles("pulls", {"StringEquals": {**AUDIENCE, "$sub": "repo:acme/churn:pull_request"}})
    monkeypatch.setenv("CIML_AWS_ROLE", trusted)
    monkeypatch.setenv("CIML_AWS_ROLE_PULL_REQUEST", pulls)
    assert ciml("doctor", "--aws", "--role", pulls).code == 0

    monkeypatch.setenv("CIML_AWS_ROLE", pulls)
    answer = ciml("doctor", "--aws")
    assert (answer.code, "role assumable by any pull request" in answer.out) == (6, True)


def test_roles_that_cannot_be_looked_at(ciml: Calls, roles: Callable[[str, object], str]) -> None:
    """What is no ARN, and a role that is not there: told as a finding, exit 6, since nothing is known of them."""
    ciml.repo.commit({"ciml.yaml": "version: 1\nstages: {a: {run: b}}\n"})
    for arn, told in (("wide", "no role's ARN"), ("arn:aws:iam::123456789012:role/away", "there is no role")):
        answer = ciml("doctor", "--role", arn)
        assert (answer.code, told in answer.out) == (6, True)
    assert "none is named" in ciml.ok("doctor", "--aws").out


def test_c041_ciml_by_a_tag(registered: Calls) -> None:
    """41. A workflow uses `ciml@v1`: doctor warns, and names the file; a commit draws no warning. Exit 0."""
    folder = registered.path / ".github/workflows"
    folder.mkdir(parents=True)
    (folder / "ci.yml").write_text("jobs:\n  a:\n    steps:\n      - uses: acme/ciml@v1 # the newest\n")
    (folder / "pinned.yaml").write_text(f"jobs: {{a: {{steps: [{{uses: acme/ciml@{'0' * 40}}}]}}}}\n")

    answer = registered.ok("doctor")
    assert "uses acme/ciml@v1, which can be made to mean another commit" in answer.out
    found = states(registered)
    assert found["ci.yml"] == "loose"
    assert "pinned.yaml" not in found
    (folder / "pinned.yaml").write_text("jobs: {a: {steps: [{uses: acme/ciml@v1}]}}\n")
    assert states(registered)["pinned.yaml"] == "loose"


LEDGER_YAML = """\
version: 1
stages: {a: {run: x, outputs: [m]}}
models: {churn: {path: m}}
registry: http://127.0.0.1:9
ledger: s3://%s/ledger
"""


@pytest.mark.parametrize(("served_by", "code", "state"), [(moto, 0, "ok"), (rclone, 3, "wrong")])
def test_c124_a_ledger_where_two_writers_are_not_kept_apart(
    ciml: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served_by: Served, code: int, state: str
) -> None:
    """Doctor writes twice: a service that takes both is exit 3, "use git ledger"; nothing is left in the bucket."""
    with served_by(tmp_path) as service:
        for name, value in service.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("CIML_AWS_ROLE", raising=False)
        bucket = service.bucket()
        ciml.repo.commit({"ciml.yaml": LEDGER_YAML % bucket})
        answer = ciml("doctor", "--aws")
        found = [line for line in answer.out.splitlines() if " ledger " in line]
        assert (answer.code, len(found), found[0].split()[0]) == (code, 1, state), answer
        assert ("use git ledger" in found[0]) == (state == "wrong")
        if state == "wrong":
            assert service.names(bucket) == []
