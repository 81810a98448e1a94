"""What an MLflow server says of itself, asked without MLflow."""

from __future__ import annotations

import urllib.error
import urllib.request

from ciml.core.url import bare

_LONGEST = 64


def server_version(uri: str, *, timeout_s: float = 5.0) -> str | None:
    """The version of the server at an address; None where it is no server, or does not say.

    No credentials are sent: the version is told to anybody.
    """
    if not uri.startswith(("http://", "https://")):
        return None
    request = urllib.request.Request(f"{bare(uri).rstrip('/')}/version")
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            told: bytes = answer.read(_LONGEST)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return told.decode("ascii", "replace").strip() or None
