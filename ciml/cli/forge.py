"""GitHub by a job's token: for the API, and for Git where it asks the same server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from ciml.adapters.git.credentials import with_token
from ciml.cli.invocation import Invocation

if TYPE_CHECKING:
    from ciml.adapters.github.forge import GitHub

TOKEN = "CIML_TOKEN"
"""Variable with the job's token."""

_SERVER = "https://github.com"


def with_job_token(invocation: Invocation) -> Invocation:
    """The call in which Git shows the job's token to GitHub, where there is one."""
    environ = invocation.environ
    seen = with_token(environ, server=_server(environ), token=environ.get(TOKEN, ""))
    return msgspec.structs.replace(invocation, environ=seen)


def forge_of(
    repository: str, environ: Mapping[str, str], *, mask: Callable[[str], str] | None = None, comment: bool = True
) -> GitHub | None:
    """The service that hosts a repository; None where there is no token for it.

    Args:
        repository: `owner/name`.
        environ: has the token, and the addresses of GitHub where it is not github.com.
        mask: replaces the values of secrets in all text that is sent.
        comment: whether pull requests get a comment.
    """
    token = environ.get(TOKEN, "")
    if not token or not repository:
        return None
    from ciml.adapters.github.forge import GitHub

    server, api = _server(environ), environ.get("GITHUB_API_URL", "")
    return GitHub(repository, token, url=api, server=server, comment=comment, mask=mask or str)


def _server(environ: Mapping[str, str]) -> str:
    return environ.get("GITHUB_SERVER_URL") or _SERVER
