"""One call of `ciml ci`: its event, what that allows, and the project as the event lets it be seen."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import msgspec

from ciml.adapters.ci.detect import detect
from ciml.adapters.handover import Handover
from ciml.app.base import base_of, policy_of
from ciml.app.plan import Prepared, prepare
from ciml.app.project import Project
from ciml.cli.console import Console
from ciml.cli.invocation import Invocation
from ciml.cli.registry import Registries
from ciml.cli.storing import open_store
from ciml.cli.wiring import Place, open_place, project_at
from ciml.core.changes import Base
from ciml.core.errors import CimlError
from ciml.core.event import Event, Rights, notices, rights
from ciml.core.ids import CommitSha
from ciml.core.policy import with_base_policy
from ciml.core.value import Value

if TYPE_CHECKING:
    from ciml.app.ports import Forge

TOKEN = "CIML_TOKEN"


class Asked(Value, frozen=True, kw_only=True):
    """What the command line of `ciml ci` says."""

    words: tuple[str, ...] = ()
    """Stages, models or environments that the phase is about."""
    taken: str | None = None
    """Folder of what other jobs handed on."""
    handed: str | None = None
    """Folder for what this one hands on."""
    event: str | None = None
    base: str | None = None
    head: str | None = None
    params: dict[str, str] = {}


class Call:
    """What every phase works with.

    Args:
        place: where the call works, in the spaces that the event allows.
        invocation: how ciml was called.
        asked: what the command line says.
        event: what has happened.
        allowed: what that allows.
    """

    def __init__(self, place: Place, invocation: Invocation, asked: Asked, event: Event, allowed: Rights) -> None:
        self.place = place
        self.invocation = invocation
        self.asked = asked
        self.event = event
        self.rights = allowed
        self.console = Console(invocation)
        self.notices: list[str] = [*notices(event)]
        """What the report says besides."""

    @cached_property
    def taken(self) -> Handover:
        """What other jobs handed on; empty where nothing was."""
        return Handover(self.asked.taken or f"{self.place.state}/handover/none")

    @cached_property
    def handed(self) -> Handover | None:
        """Where this job hands on; None where nobody waits for it."""
        return Handover(self.asked.handed) if self.asked.handed else None

    @cached_property
    def project(self) -> Project:
        """The commit's pipeline, with the base's policy where the head's does not count."""
        params = {**self.event.inputs, **self.asked.params} if self.rights.head_policy else self.asked.params
        project = project_at(self.place, self.invocation, params)
        if not self.rights.head_policy:
            project = self._under_base_policy(project)
        store = open_store(
            self.place,
            project.pipeline,
            self.invocation.environ,
            space=self.rights.space,
            reads=self.rights.reads,
        )
        return msgspec.structs.replace(project, store=store)

    def _under_base_policy(self, project: Project) -> Project:
        base = policy_of(self.event, self.place.repository).commit
        before = None
        if base is not None:
            try:
                before = project.documents.pipeline(project.history.commit_tree(base))
            except CimlError as error:
                self.notices.append(f"The base's ciml.yaml cannot be read, so nothing is judged by it: {error.message}")
        pipeline, told = with_base_policy(project.pipeline, before)
        self.notices += told
        return msgspec.structs.replace(project, pipeline=pipeline)

    @cached_property
    def base(self) -> Base:
        """What the head is compared with, or why everything counts as changed."""
        return base_of(self.event, self.place.repository, self.forge)

    @cached_property
    def prepared(self) -> Prepared:
        """The graph of the head, and what differs from the base."""
        base = self.base
        project = self.project
        if base.commit is None:
            return prepare(msgspec.structs.replace(project, last_commit=None), unknown=base.reason)
        return prepare(project, base=base.commit)

    @cached_property
    def registries(self) -> Registries:
        """Registry and ledgers; where no registry is named the ledgers are read all the same."""
        return Registries(self.place, self.project.pipeline, self.invocation.environ, in_ci=True)

    @cached_property
    def forge(self) -> Forge | None:
        """The service that hosts the repository; None where there is no token for it."""
        environ = self.invocation.environ
        token = environ.get(TOKEN, "")
        if not token or not self.event.repository:
            return None
        from ciml.adapters.github.api import GitHub

        return GitHub.of(environ, token=token, repository=self.event.repository)

    @cached_property
    def subject(self) -> str:
        """The first line of the head commit's message."""
        return self.place.repository.commit(self.head).subject if self.head else ""

    @property
    def require(self) -> Literal["ran", "accepted"]:
        """What a pull request's required check demands."""
        return self.project.pipeline.triggers.require

    @property
    def head(self) -> CommitSha | None:
        """The commit that is checked out."""
        return self.project.tree.commit


@contextmanager
def open_call(invocation: Invocation, asked: Asked) -> Iterator[Call]:
    """The call for what has happened, closed at the end.

    Raises:
        TrustError: the event may not run the code that is checked out.
        ConfigurationError: the event's payload cannot be read.
    """
    with open_place(invocation) as place:
        event = detect(invocation.environ, place.repository, event=asked.event, base=asked.base, head=asked.head)
        allowed = rights(event, checked_out=place.repository.head())
        if allowed.refusal is not None:
            raise allowed.refusal
        # What a fork's pull request makes is believed by nobody, on a runner that keeps its disk least of all.
        place.move_into(allowed.space or f"alone/{secrets.token_hex(8)}", allowed.reads)
        yield Call(place, invocation, asked, event, allowed)
