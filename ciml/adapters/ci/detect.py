"""Which service calls, and what it says has happened."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from ciml.adapters.ci import plain
from ciml.adapters.ci.plain import Clone
from ciml.core.errors import UsageError
from ciml.core.event import Event, Kind
from ciml.core.ids import CommitSha, is_commit_id

_OF_A_REF = (Kind.PUSH, Kind.SCHEDULE, Kind.DISPATCH, Kind.MANUAL)


def detect(
    environ: Mapping[str, str],
    clone: Clone,
    *,
    event: str | None = None,
    base: str | None = None,
    head: str | None = None,
) -> Event:
    """The event of this call.

    Args:
        environ: of the call.
        clone: the repository; its remote is asked what the service does not say.
        event: what the command line calls it; needed where no CI service tells.
        base: with `event` what it started from, else a revision to compare with.
        head: with `event`: what it leads to.

    Raises:
        ConfigurationError: the event cannot be told for certain.
        UsageError: the command line contradicts the service, or itself.
        ServiceError: the remote does not say which branch is its default.
    """
    in_actions = environ.get("GITHUB_ACTIONS") == "true"
    if event is not None and in_actions:
        raise UsageError("--event is not for a job of GitHub Actions", hint="GitHub tells the event: leave it out.")
    if event is not None:
        return _placed(plain.event_from(environ, clone, event, base=base, head=head), clone)
    if head is not None:
        raise UsageError("--head needs --event", hint=f"--event is one of {', '.join(plain.EVENTS)}.")
    found = _told(environ, clone, in_actions=in_actions)
    if base is None:
        return found
    # An id may be in no clone yet; finding the base fetches it.
    return replace(found, compare=CommitSha(base) if is_commit_id(base) else clone.resolve(base))


def _told(environ: Mapping[str, str], clone: Clone, *, in_actions: bool) -> Event:
    if in_actions:
        from ciml.adapters.ci import github

        payload = github.payload_at(environ.get("GITHUB_EVENT_PATH"))
        return _placed(github.event_from(environ, payload), clone)
    if environ.get("CODEBUILD_BUILD_ID"):
        from ciml.adapters.ci import codebuild

        return _placed(codebuild.event_from(environ), clone)
    return plain.local(environ, clone)


def _placed(event: Event, clone: Clone) -> Event:
    """The event with the default branch, and on it where only the remote can tell that it is.

    A detached head whose branch nobody names is the default branch's where the remote's has it.
    """
    if event.kind not in _OF_A_REF or event.default_branch or event.deleted or clone.remote_url() is None:
        return event
    default, tip = clone.remote_default()
    branch = event.branch
    if branch is None and event.tag is None and tip and event.head and clone.reaches(tip, event.head):
        branch = default
    return replace(event, default_branch=default, branch=branch)
