"""What is asked of a trigger: whose arrivals in S3 start the workflow of which repository.

A dispatch says that something has arrived; what has, `ciml data sync` finds out itself. So any dispatch after
an arrival will do, and none needs to be believed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ciml.core.cron import aws_cron
from ciml.core.errors import ConfigurationError
from ciml.core.key import digest
from ciml.core.s3 import S3Address, s3_address
from ciml.core.url import bare
from ciml.core.value import Value

GITHUB = "https://api.github.com"
EVENT_TYPE = "ciml-data"
"""What the written workflow's `repository_dispatch` listens to."""

TAG = "ciml:repository"
_REPOSITORY = re.compile(r"[A-Za-z0-9_-]{1,39}/[A-Za-z0-9._-]{1,100}")
_TOKEN = re.compile(r"[A-Za-z0-9_.-]{20,1000}")
_REMOTE = re.compile(r"(?:[a-z+]+://(?:[^@/]*@)?[^/]+/|(?:[^@/:]+@)?[^/:]+:)(?P<name>[^/]+/[^/]+?)(?:\.git)?/?")


class Trigger(Value, frozen=True, kw_only=True):
    """What is asked for."""

    repository: str
    """`owner/name` on GitHub."""
    prefixes: tuple[S3Address, ...]
    schedules: tuple[str, ...] = ()
    """In cron's form, for those that EventBridge Scheduler is to keep."""
    api: str = GITHUB

    @property
    def base(self) -> str:
        """What the names of all resources begin with: the same for the same repository, whatever its case."""
        name = self.repository.casefold()
        readable = re.sub(r"[^a-z0-9]+", "-", name)[:30].strip("-")
        return f"ciml-{readable}-{digest('ciml/trigger/1', name)[:8]}"

    @property
    def mark(self) -> str:
        """What the description of a resource without tags begins with."""
        return f"ciml: {self.repository.casefold()}"

    @property
    def buckets(self) -> tuple[str, ...]:
        """Each once."""
        return tuple(dict.fromkeys(prefix.bucket for prefix in self.prefixes))


def trigger(
    *,
    repository: str,
    data: Sequence[str],
    schedules: Sequence[str] = (),
    api: str = GITHUB,
    own: Sequence[str] = (),
    watches: bool = True,
) -> Trigger:
    """The trigger of a pipeline.

    Args:
        repository: `owner/name`.
        data: `triggers.data`.
        schedules: in cron's form, for EventBridge Scheduler.
        api: of GitHub.
        own: addresses that runs themselves write to.
        watches: whether there must be something to watch.

    Raises:
        ConfigurationError: there is nothing to watch, an address or a name is wrong, or runs would start runs.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise ConfigurationError(f"{repository!r} is no repository on GitHub", hint="--repository OWNER/NAME")
    if not re.fullmatch(r"https://[A-Za-z0-9.-]+(:\d+)?(/[A-Za-z0-9._/-]*)?", api):
        raise ConfigurationError(f"{bare(api)!r} is no address of GitHub's API", hint=f"Such as {GITHUB}, by https.")
    if watches and not data:
        raise ConfigurationError(
            "ciml.yaml names no data whose arrival would start a run",
            hint="triggers: {data: [s3://BUCKET/PREFIX/]}; `ciml trigger remove` removes what is installed.",
        )
    prefixes = tuple(dict.fromkeys(map(s3_address, data)))
    for address in map(s3_address, own):
        for prefix in prefixes:
            if prefix.bucket == address.bucket and f"{address.key.rstrip('/')}/".startswith(prefix.key):
                raise ConfigurationError(
                    f"triggers.data: {prefix} holds {address}, which runs write to: each would start the next",
                    hint="Name a prefix of its own for the data.",
                )
    for time in schedules:
        aws_cron(time)
    return Trigger(repository=repository, prefixes=prefixes, schedules=tuple(schedules), api=api.rstrip("/"))


def repository_of(remote: str) -> str | None:
    """`owner/name` of a remote's address; None where it has no such form."""
    found = _REMOTE.fullmatch(remote)
    return found["name"] if found and _REPOSITORY.fullmatch(found["name"]) else None


def checked_token(token: str | None) -> str | None:
    """The token, if there is one.

    Raises:
        ConfigurationError: it cannot be one. It is not repeated.
    """
    if token and not _TOKEN.fullmatch(token):
        raise ConfigurationError(
            "CIML_TRIGGER_TOKEN is no token of GitHub's: it has white space, or is too short",
            hint="Set it to the token alone, without a line's end.",
        )
    return token or None


def fingerprint(repository: str, token: str) -> str:
    """Tells one token from another and nothing of either: a connection's token cannot be read back."""
    return digest("ciml/trigger-token/1", repository.casefold(), token)[:16]
