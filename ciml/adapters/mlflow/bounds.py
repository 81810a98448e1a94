"""A limit of what a registry may answer, kept whatever MLflow does with the answer.

MLflow reads every answer whole, and its time-out counts the silence between two bytes alone. What it lets
others add to a request is its authentication: one that adds none can look at each answer before it is read.
"""

from __future__ import annotations

import time
from typing import Any

from mlflow.tracking.request_auth.abstract_request_auth_provider import RequestAuthProvider
from mlflow.tracking.request_auth.registry import _request_auth_provider_registry
from requests import PreparedRequest, Response
from requests.auth import AuthBase, HTTPBasicAuth
from requests.exceptions import ContentDecodingError
from requests.utils import get_auth_from_url, get_netrc_auth

NAME = "ciml-bounds"
"""What MLFLOW_TRACKING_AUTH says of it."""
LONGEST = 64 << 20
"""Bytes of an answer; 25,000 versions of a model are 20 MiB."""
LONGEST_S = 300.0

_CHUNK = 1 << 16


class _Bounds(AuthBase):
    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        if r.url and "Authorization" not in r.headers:
            # Without any authentication requests would look here by itself.
            user, password = get_netrc_auth(r.url) or get_auth_from_url(r.url)
            if user or password:
                HTTPBasicAuth(user, password)(r)
        r.register_hook("response", _read)  # type: ignore[no-untyped-call]
        return r


def _read(response: Response, *, stream: bool = False, **how: Any) -> None:
    """Read an answer, unless whoever asked reads it himself, as MLflow does with files.

    Raises:
        ContentDecodingError: it is too long, or takes too long.
    """
    del how
    if stream:
        return
    end = time.monotonic() + LONGEST_S
    body = bytearray()
    while chunk := response.raw.read1(_CHUNK, decode_content=True):
        body += chunk
        if len(body) > LONGEST or time.monotonic() > end:
            response.close()
            raise ContentDecodingError(f"the answer is longer than {LONGEST >> 20} MiB or {LONGEST_S:.0f} s")
    response._content = bytes(body)
    response._content_consumed = True  # type: ignore[attr-defined]


class _Provider(RequestAuthProvider):  # type: ignore[misc]
    def get_name(self) -> str:
        return NAME

    def get_auth(self) -> AuthBase:
        return _Bounds()


def register() -> None:
    """Let MLflow know the limit. It is in force where MLFLOW_TRACKING_AUTH names it."""
    if all(provider.get_name() != NAME for provider in _request_auth_provider_registry):
        _request_auth_provider_registry.register(_Provider)
