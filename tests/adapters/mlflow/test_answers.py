"""What a registry may answer that is not MLflow, or not about what was asked."""

from __future__ import annotations

import json
import resource
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ciml.adapters.mlflow import bounds
from ciml.adapters.mlflow.answers import RECIPE
from ciml.adapters.mlflow.registry import MlflowRegistry
from ciml.core.entries import digest_of
from ciml.core.errors import ServiceError
from ciml.core.ids import ModelName

MODEL = ModelName("churn")
OURS = digest_of(b"recipe")
Answering = Callable[[Iterator[bytes] | bytes], MlflowRegistry]


class _Server(ThreadingHTTPServer):
    answer: Iterator[bytes] | bytes = b""
    gone = False
    """Whether a question about a single version finds it removed."""
    status = 200
    hangs: threading.Event | None = None
    """Nothing is answered before it is set."""
    heard: list[tuple[str, str | None]]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.server.heard.append((self.command, self.headers.get("Authorization")))
        if self.server.hangs:
            self.server.hangs.wait()
        gone = self.server.gone and "/model-versions/get?" in self.path
        self.send_response(404 if gone else self.server.status)
        self.send_header("Content-Type", "application/json")
        answer = b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}' if gone else self.server.answer
        if isinstance(answer, bytes):
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        try:
            for part in [answer] if isinstance(answer, bytes) else answer:
                self.wfile.write(part)
        except OSError:
            return  # whoever asked has heard enough

    do_POST = do_GET  # noqa: N815 -- the base class names them so

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
        del format, args


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as running:
        running.heard = []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def answering(server: _Server, tmp_path: Path) -> Answering:
    """Makes registries that give one answer to everything."""

    def made(answer: Iterator[bytes] | bytes) -> MlflowRegistry:
        server.answer = answer
        return MlflowRegistry(f"http://127.0.0.1:{server.server_address[1]}", scratch=str(tmp_path))

    return made


def version(**how: Any) -> bytes:
    """An answer of one version of ours, with something else in it."""
    found = {"name": MODEL, "version": "1", "creation_timestamp": 1, "tags": [{"key": RECIPE, "value": OURS}], **how}
    return json.dumps({"model_versions": [found], "model_version": found}).encode()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"<!DOCTYPE html><html><title>Sign in</title>", "JSON"),
        (b"[]", ""),
        (b'{"model_versions": 7, "model_version": 7}', ""),
        (b'{"model_versions": [{}], "model_version": {"version": "1"}}', ""),
        (version(name="of-somebody-else"), "'of-somebody-else'"),
        (version(version="latest"), "latest"),
    ],
)
def test_c142_another_answer_than_was_asked_for_is_a_service_error(
    answering: Answering, answer: bytes, said: str
) -> None:
    """A page to sign in, other JSON, another's model: exit 5, for a search as for a single version."""
    registry = answering(answer)
    for ask in (lambda: registry.rows(MODEL, OURS), lambda: registry.row(MODEL, 1)):
        with pytest.raises(ServiceError) as caught:
            ask()
        assert (caught.value.code, said in caught.value.message) == (5, True)


def _refused(registry: MlflowRegistry, question: Callable[[], object]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        question()
    assert caught.value.code == 5
    assert "s3cret" not in f"{caught.value.message}{caught.value.hint}"
    assert registry.identity in caught.value.message
    return caught.value


@pytest.mark.parametrize("status", [401, 403, 404, 410, 429, 500, 503])
def test_c143_what_a_registry_refuses_is_exit_5(
    server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """MLflow 401/403/404/410/429/500/503 → bounded, message names the URL without credentials; exit 5."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    server.answer, server.status = b'{"error_code": "OTHER", "message": "no"}', status
    registry = MlflowRegistry(f"http://ada:s3cret@127.0.0.1:{server.server_address[1]}", scratch=str(tmp_path))
    for ask in (lambda: registry.rows(MODEL, OURS), lambda: registry.row(MODEL, 1)):
        _refused(registry, ask)
    assert len(server.heard) <= 4


def test_c143_a_registry_that_hangs_is_given_up(
    answering: Answering, server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer at all → given up after the time that was set, once for each try."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    registry, server.hangs = answering(b""), threading.Event()
    try:
        _refused(registry, lambda: registry.rows(MODEL, OURS))
    finally:
        server.hangs.set()
    assert len(server.heard) == 2


@pytest.mark.parametrize("scheme", ["http://ada:s3cret@registry.invalid", "https://ada:s3cret@127.0.0.1:{port}"])
def test_c143_a_name_or_a_certificate_that_does_not_hold(
    server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """DNS fail, TLS fail → bounded, message names the URL without credentials; exit 5."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    registry = MlflowRegistry(scheme.format(port=server.server_address[1]), scratch=str(tmp_path))
    _refused(registry, lambda: registry.rows(MODEL, OURS))


def test_a_version_that_is_removed_while_it_is_listed_is_not_there(answering: Answering, server: _Server) -> None:
    """MLflow reads tags after rows: a row that another job sweeps in between comes without any, and is no failure."""
    server.gone = True
    assert answering(version(tags=[])).rows(MODEL, OURS) == ()
    server.gone = False
    with pytest.raises(ServiceError, match="another recipe"):
        answering(version(tags=[])).rows(MODEL, OURS)


def test_c142_versions_of_another_recipe_are_not_believed(answering: Answering) -> None:
    """A registry that ignores the question and lists everything registers nothing for us."""
    theirs = version(tags=[{"key": RECIPE, "value": digest_of(b"theirs")}])
    with pytest.raises(ServiceError, match="another recipe"):
        answering(theirs).rows(MODEL, OURS)
    assert [row.version for row in answering(version()).rows(MODEL, OURS)] == [1]


def test_c142_an_answer_without_end_is_given_up(answering: Answering) -> None:
    """10 GB of JSON: exit 5 after 64 MiB, and no more memory than a few times that."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    part = b" " * (1 << 20)
    sent: list[int] = []

    def endless() -> Iterator[bytes]:
        for _ in range(10_000):
            sent.append(len(part))
            yield part

    with pytest.raises(ServiceError, match="longer than 64 MiB"):
        answering(endless()).row(MODEL, 1)
    assert sum(sent) < 3 * bounds.LONGEST
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4 * bounds.LONGEST >> 10


def test_credentials_are_sent_as_without_limits(
    answering: Answering, server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token, a .netrc, a name and a password in the address: each reaches the server."""
    registry = answering(version())
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    MlflowRegistry(f"http://ada:s3cret@127.0.0.1:{server.server_address[1]}", scratch=str(tmp_path)).row(MODEL, 1)
    registry.row(MODEL, 1)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ann password secret\n")
    registry.row(MODEL, 1)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "abc")
    registry.row(MODEL, 1)
    assert [sent for _, sent in server.heard] == [
        "Basic YWRhOnMzY3JldA==",
        None,
        "Basic YW5uOnNlY3JldA==",
        "Bearer abc",
    ]
