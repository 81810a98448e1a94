"""A proxy in front of an S3 service that holds bodies against their checksums, as S3 does, and fails as it is told."""

from __future__ import annotations

import base64
import hashlib
import http.client
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.s3server import Service

_ERRORS = {
    "500": (500, "InternalError"),
    "503": (503, "SlowDown"),
    "403": (403, "AccessDenied"),
    "409": (409, "ConditionalRequestConflict"),
    "412": (412, "PreconditionFailed"),
    "404": (404, "NoSuchKey"),
    "aborted": (404, "NoSuchUpload"),
    "301": (301, "PermanentRedirect"),
}
"""What is answered without asking the service."""

_HOP = ("transfer-encoding", "content-length", "connection", "server", "date")


@dataclass
class Rule:
    """What is done to some requests.

    `500` … are answered in the service's place; `drop` closes the connection before the service is asked, `lose` after;
    `cut` ends the answer's body early, `short` leaves bytes out and says so, `corrupt` changes one, `empty` has none;
    `corrupt-sent` changes a byte of the request's body; `200` answers CompleteMultipartUpload with an error in a 200.
    """

    method: str
    part: str
    """Of the path with its query."""
    act: str
    times: int = 1
    """How often; -1 for ever."""
    after: int = 0
    """Requests that are let through before."""
    then: Callable[[], object] = lambda: None
    """Called before the request is seen to."""


@dataclass
class Proxy:
    """The proxy and what it has seen."""

    service: Service
    behind: str
    """Host and port of the service."""
    owner: str = ""
    """Of all buckets; who expects another one is refused."""
    ahead_s: int = 0
    """How much later it is by the clock that dates the store's state."""
    date_ahead_s: int = 0
    """How much later it is by the answers' own Date."""
    acts: dict[int, Callable[[], object]] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, method: str, part: str, act: str, *, times: int = 1, after: int = 0) -> None:
        self.rules.append(Rule(method, part, act, times, after))

    def call(self, method: str, part: str, then: Callable[[], object], *, after: int = 0) -> None:
        """Do something before a request goes on."""
        self.rules.append(Rule(method, part, "pass", 1, after, then))

    def before(self, number: int, act: Callable[[], object]) -> None:
        """Do something before the Nth request from now on goes on."""
        self.acts = {len(self.seen) + number: act}

    def count(self, method: str, part: str = "") -> int:
        return sum(1 for verb, path in self.seen if verb == method and part in path)

    def rule(self, method: str, path: str) -> Rule | None:
        """The rule for a request, used up by one."""
        with self.lock:
            self.seen.append((method, path))
            act = self.acts.pop(len(self.seen), None)
        if act is not None:
            act()
        with self.lock:
            for rule in self.rules:
                if rule.times and method == rule.method and rule.part in path:
                    if rule.after:
                        rule.after -= 1
                        continue
                    rule.times -= 1
                    return rule
        return None


@contextmanager
def proxy(service: Service) -> Iterator[Proxy]:
    """A proxy whose `service` is the one behind it, by way of the proxy."""
    state = Proxy(service, service.endpoint.removeprefix("http://"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        state.service = service.at(f"http://127.0.0.1:{server.server_address[1]}")
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: Proxy
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        rule = self.state.rule(self.command, self.path)
        act = rule.act if rule else "pass"
        if rule:
            rule.then()
        if act == "drop":
            self.hang_up()
            return
        if act == "corrupt-sent":
            body = body[:-1] + bytes([body[-1] ^ 1])
        expected = self.headers.get("x-amz-expected-bucket-owner")
        if self.state.owner and expected not in (None, self.state.owner):
            self.refuse(*_ERRORS["403"])
        elif act in _ERRORS:
            self.refuse(*_ERRORS[act])
        elif not _holds(self.headers.get("x-amz-checksum-sha256"), body):
            self.refuse(400, "BadDigest")
        else:
            self.answer(act, *self.ask(body))

    def ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = http.client.HTTPConnection(self.state.behind, timeout=60)
        sent = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "expect")}
        upstream.request(self.command, self.path, body, sent)
        answer = upstream.getresponse()
        found = answer.status, answer.getheaders(), answer.read()
        upstream.close()
        return found

    def answer(self, act: str, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
        if act == "lose":
            self.hang_up()
            return
        # moto says of every upload that it began in 2010.
        data = re.sub(rb"(?<=<Initiated>)[^<]*", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}".encode(), data)
        if act == "200":
            data = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>later</Message></Error>"
        if act == "short":
            data = data[: len(data) // 2]
        if act == "empty":
            data = b""
        if act == "corrupt" and data:
            data = data[:-1] + bytes([data[-1] ^ 1])
        self.send_response(status)
        length = dict(headers).get("Content-Length", "0") if self.command == "HEAD" else str(len(data))
        for name, value in headers:
            if name.lower() == "last-modified" and self.path.endswith("/state"):
                value = formatdate(parsedate_to_datetime(value).timestamp() + self.state.ahead_s, usegmt=True)
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if act == "cut":
            self.wfile.write(data[: len(data) // 2])
            self.hang_up()
        elif self.command != "HEAD":
            self.wfile.write(data)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or time.time()) + self.state.date_ahead_s)

    def refuse(self, status: int, code: str) -> None:
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>as it was told</Message></Error>".encode()
        self.send_response(status)
        if status == 301:
            self.send_header("x-amz-bucket-region", "eu-central-1")
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
        del format, args

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815


def _holds(checksum: str | None, body: bytes) -> bool:
    return checksum is None or base64.b64decode(checksum) == hashlib.sha256(body).digest()
