"""Settings of Git for one call, a CI job's token above all: by environment, where no file or process list shows it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

_COUNT = "GIT_CONFIG_COUNT"


def with_token(environ: Mapping[str, str], *, server: str, token: str) -> dict[str, str]:
    """The environment in which Git shows the token to that server, in the place of any other one.

    Args:
        environ: the caller's.
        server: its address, such as `https://github.com`.
        token: of the job.
    """
    address = urlsplit(server)
    if not token or address.scheme not in ("http", "https") or not address.hostname:
        return dict(environ)
    key = f"http.{address.scheme}://{address.netloc.rpartition('@')[2]}/.extraheader"
    shown = b64encode(f"x-access-token:{token}".encode()).decode("ascii")
    # An empty value takes back what a checkout may have left in the configuration: two headers are refused.
    return with_config(environ, [(key, ""), (key, f"AUTHORIZATION: basic {shown}")])


def with_config(environ: Mapping[str, str], settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The environment in which Git has these settings besides its own."""
    count = int(environ.get(_COUNT, "0") or "0")
    added = {}
    for number, (key, value) in enumerate(settings, start=count):
        added[f"GIT_CONFIG_KEY_{number}"] = key
        added[f"GIT_CONFIG_VALUE_{number}"] = value
    return {**environ, **added, _COUNT: str(count + len(settings))}
