"""A GitHub for tests: it remembers, it forbids, it fails when told to, and it takes nothing that GitHub would not take.

Every request is held against GitHub's own description of its API, and so is every answer. What the
description does not allow is answered with 422, written down in `violations`, and fails the test at
its end.

    with GitHubServer(repository="acme/churn") as server:
        server.token("ghs_job", permissions={"contents": "read", "pull-requests": "write"})
        server.pull_request(7, head="4f9d…", branch="smaller-trees")
        GitHub("acme/churn", "ghs_job", url=server.url).publish(report)
        assert len(server.comments(7)) == 1
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

from tests import githubspec
from tests.githubstate import GitHubState, Token

JSON = dict[str, Any]


class Logged(NamedTuple):
    """One request and how it was answered; 0 where it was not."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    token: str
    status: int


class Fault(NamedTuple):
    """What goes wrong with the next requests of a kind.

    kind: `500` (nothing is done), `502` (done, and the answer is lost), `hang` (no answer until the server ends),
    `drop` (the connection is closed; nothing is done), `lost` (done, and the connection is closed), `limit` (403 with
    `retry-after`), `limit-429`, `spent` (403, the hour's requests are used up), `html` (a login page).
    """

    kind: str
    method: str
    path: str
    seconds: int


class GitHubServer(GitHubState):
    """One repository and its API on a port of its own.

    Args:
        repository: `owner/name`.
        git_dir: the bare repository that holds its commits, for whoever wants to push there.
        default_branch: its name.
        prefix: where the API lies: `/api/v3` on a GitHub Enterprise Server.
    """

    def __init__(
        self,
        repository: str = "acme/churn",
        *,
        git_dir: Path | None = None,
        default_branch: str = "main",
        prefix: str = "",
    ) -> None:
        self.git_dir = git_dir
        self.prefix = prefix
        self.log: list[Logged] = []
        self.violations: list[str] = []
        self._faults: list[Fault] = []
        self._said: list[tuple[int, object]] = []
        self._hooks: list[tuple[str, str, str, Callable[[], object]]] = []
        self._guard = threading.RLock()
        self._ended = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}{prefix}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        super().__init__(repository, self.url, default_branch=default_branch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        if error is None:
            assert not self.violations, "\n".join(self.violations)

    def fault(self, kind: str, *, method: str = "", path: str = "", times: int = 1, seconds: int = 3600) -> None:
        """Let the next requests of a kind go wrong.

        Args:
            kind: see Fault.
            method: all by default.
            path: a regular expression to be found in the path.
            times: how many.
            seconds: of a limit.
        """
        self._faults += [Fault(kind, method, path, seconds)] * times

    def say(self, answers: Sequence[tuple[int, object]]) -> None:
        """Answer the next requests so, whatever they ask: status and JSON."""
        self._said = list(answers)

    def before(self, method: str, path: str, action: Callable[[], object]) -> None:
        """Do something right before the next request of a kind is carried out, as another job might."""
        self._hooks.append(("before", method, path, action))

    def after(self, method: str, path: str, action: Callable[[], object]) -> None:
        """Do something right after the next request of a kind was carried out."""
        self._hooks.append(("after", method, path, action))

    def requests(self, method: str = "") -> list[Logged]:
        """What was asked so far."""
        return [entry for entry in self.log if entry.method == method or not method]

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, JSON, Any] | None:
        """Status, headers and data; None where there is no answer."""
        with self._guard:
            parts = urlsplit(target)
            path, query = parts.path.removeprefix(self.prefix), dict(parse_qsl(parts.query, keep_blank_values=True))
            value = headers.get("authorization", "").partition(" ")[2]
            self._act("before", method, path)
            fault = self._fault(method, path)
            if self._said:
                status, said = self._said.pop(0)
                found: tuple[int, JSON, Any] | None = (status, {}, said)
            elif fault is not None and fault.kind not in ("502", "lost"):
                found = self._failed(fault)
            else:
                found = self._carried_out(method, path, query, headers, body, value)
                if fault is not None:
                    found = (502, {}, None) if fault.kind == "502" else None
            data = json.loads(body) if body.startswith((b"{", b"[")) else None
            self.log.append(Logged(method, path, query, data, value, found[0] if found else 0))
            self._act("after", method, path)
        if fault is not None and fault.kind == "hang":
            self._ended.wait()
        return found

    def _act(self, when: str, method: str, path: str) -> None:
        for hook in [hook for hook in self._hooks if hook[:2] == (when, method) and re.search(hook[2], path)]:
            self._hooks.remove(hook)
            hook[3]()

    def _fault(self, method: str, path: str) -> Fault | None:
        for fault in self._faults:
            if fault.method in ("", method) and re.search(fault.path, path):
                self._faults.remove(fault)
                return fault
        return None

    def _failed(self, fault: Fault) -> tuple[int, JSON, Any] | None:
        secondary = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        spent = {"X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "1000"}
        match fault.kind:
            case "500":
                return 500, {}, {"message": "Server Error"}
            case "limit":
                return 403, {"Retry-After": str(fault.seconds)}, {"message": secondary}
            case "limit-429":
                return 429, {"Retry-After": str(fault.seconds)}, {"message": secondary}
            case "spent":
                reset = {"X-RateLimit-Reset": str(int(self.now.timestamp()) + fault.seconds)}
                return 403, {**spent, **reset}, {"message": "API rate limit exceeded for installation ID 1."}
            case "html":
                return 200, {"Content-Type": "text/html"}, "<html>Sign in</html>"
            case "hang" | "drop":
                return None
        raise AssertionError(f"no such fault: {fault.kind}")

    def _carried_out(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes, value: str
    ) -> tuple[int, JSON, Any]:
        token = self.tokens.get(value)
        if token is None or token.expired:
            return 401, {}, {"message": "Bad credentials"}
        route, arguments = self.route(method, path)
        if route is None:
            return self._invalid(f"{method} {path}: there is no such thing in this test server")
        asked = githubspec.Asked(method, path, query, headers, body)
        for problem in githubspec.request_errors(asked, route.template):
            return self._invalid(f"{method} {path}: {problem}")
        lacking = self.lacking(token, route)
        if lacking is not None:
            return 403, {"X-Accepted-GitHub-Permissions": lacking.replace("-", "_")}, {"message": token.refusal}
        status, extra, data = self.act(route, arguments, query, json.loads(body) if body else {}, token)
        if status < 300 and data is not None:
            told = json.dumps(data).replace(self.url, githubspec.HOST).encode()
            self.violations += [
                f"the answer to {method} {path}: {e}" for e in githubspec.answer_errors(asked, status, told)
            ]
        return status, extra, data

    def _invalid(self, problem: str) -> tuple[int, JSON, Any]:
        self.violations.append(problem)
        return 422, {}, {"message": "Validation Failed", "errors": [{"message": problem[:300]}]}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): text for name, text in self.headers.items()}
                found = server.answer(self.command, self.path, headers, body)
                if found is None:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                status, extra, data = found
                sent = data.encode() if isinstance(data, str) else b"" if data is None else json.dumps(data).encode()
                self.send_response(status)
                for name, text in {"Content-Type": "application/json; charset=utf-8", **extra}.items():
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
                del format, args

        for verb in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            setattr(Handler, f"do_{verb}", Handler._serve)
        return Handler


__all__ = ["Fault", "GitHubServer", "Logged", "Token"]
