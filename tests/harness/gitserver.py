"""Repositories behind Git's own HTTP protocol, which answer a token as GitHub does.

Reading takes `contents: read`, pushing `contents: write`, and without a token nothing is shown. It is
`git http-backend` that speaks; this only asks who is there.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.githubbase import Token

_PATH = re.compile(r"/([^/]+/[^/]+?)(?:\.git)?/(info/refs|git-upload-pack|git-receive-pack)(?:\?(.*))?")


class Asked(NamedTuple):
    """One request: of whom, for what, and how it was answered."""

    token: str
    repository: str
    service: str
    status: int


class GitServer:
    """Serves bare repositories on a port of its own.

    Args:
        tokens: value -> token, as the API has them.
    """

    def __init__(self, tokens: dict[str, Token]) -> None:
        self.repositories: dict[str, Path] = {}
        self.readers: dict[str, str] = {}
        """Token -> the only repository that it is for."""
        self.log: list[Asked] = []
        self._tokens = tokens
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def pushes(self) -> list[Asked]:
        """Who has pushed, or tried to."""
        return [asked for asked in self.log if asked.service == "git-receive-pack"]

    def refusal(self, value: str, repository: str, service: str) -> int:
        """The status with which GitHub refuses; 0 where it does not."""
        if not value:
            return 401
        token = self._tokens.get(value)
        if token is None or token.expired:
            return 401
        if repository not in self.repositories or self.readers.get(value, repository) != repository:
            return 404
        level = token.permissions.get("contents")
        if service == "git-receive-pack":
            return 0 if level == "write" else 403
        # GitHub does not tell apart what is not there and what is not to be read.
        return 0 if level in ("read", "write") else 404

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._serve()

            def do_POST(self) -> None:
                self._serve()

            def _serve(self) -> None:
                body = _body(self)
                found = _PATH.fullmatch(self.path)
                if found is None:
                    self._plain(404)
                    return
                repository, what, query = found[1], found[2], found[3] or ""
                service = query.removeprefix("service=") if what == "info/refs" else what
                headers = self.headers.get_all("Authorization") or []
                value = _token(headers[0]) if headers else ""
                # Two such headers are one too many: "Duplicate header".
                status = 400 if len(headers) > 1 else server.refusal(value, repository, service)
                server.log.append(Asked(value, repository, service, status or 200))
                if status:
                    self._plain(status)
                    return
                self._speak(server.repositories[repository], what, query, body)

            def _plain(self, status: int) -> None:
                self.send_response(status)
                if status == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="GitHub"')
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _speak(self, repository: Path, what: str, query: str, body: bytes) -> None:
                environ = {
                    "PATH": os.environ["PATH"],
                    "GIT_PROJECT_ROOT": str(repository),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "GIT_CONFIG_NOSYSTEM": "1",
                    "GIT_CONFIG_GLOBAL": os.devnull,
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                    "PATH_INFO": f"/{what}",
                    "QUERY_STRING": query,
                    "REQUEST_METHOD": self.command,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "CONTENT_LENGTH": str(len(body)),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                    "REMOTE_USER": "x-access-token",
                    "REMOTE_ADDR": "127.0.0.1",
                }
                done = subprocess.run(
                    ["git", "http-backend"], env=environ, input=body, stdout=subprocess.PIPE, check=True
                )
                head, _, answer = done.stdout.partition(b"\r\n\r\n")
                told = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n"))
                self.send_response(int(told.pop("Status", "200").split()[0]))
                for name, value in told.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
                del format, args

        return Handler


def _body(request: BaseHTTPRequestHandler) -> bytes:
    """What was sent, in one piece or in chunks."""
    if request.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length") or 0))
    parts = []
    while size := int(request.rfile.readline().split(b";")[0], 16):
        parts.append(request.rfile.read(size))
        request.rfile.readline()
    request.rfile.readline()
    return b"".join(parts)


def _token(header: str) -> str:
    kind, _, value = header.partition(" ")
    if kind.lower() in ("bearer", "token"):
        return value
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
