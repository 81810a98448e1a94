"""One call of `ciml ci`: its event, what that allows, and the project as the event lets it be seen."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import msgspec

from ciml.adapters.ci.detect import detect
from ciml.adapters.handover import Handover
from ciml.app.base import base_of
from ciml.app.choice import Choice, choose
from ciml.app.plan import Prepared, prepare
from ciml.app.policy import Given, under_base_policy
from ciml.app.ports import Store, Tree
from ciml.app.project import Project
from ciml.cli.console import Console
from ciml.cli.forge import TOKEN, forge_of, with_job_token
from ciml.cli.invocation import Invocation
from ciml.cli.registry import Registries
from ciml.cli.running import Running
from ciml.cli.storing import open_store
from ciml.cli.wiring import Documents, Place, open_place, project_at
from ciml.core.changes import Base
from ciml.core.errors import CimlError, ExitCode
from ciml.core.event import Event, Kind, Rights, notices, rights
from ciml.core.ids import CommitSha
from ciml.core.pipeline import Pipeline
from ciml.core.redaction import Redactor
from ciml.core.value import Value

if TYPE_CHECKING:
    from ciml.app.ports import Forge

_SECRETS = (
    TOKEN,
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "CIML_ALERT_URLS",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_RUNTIME_TOKEN",
    "GITHUB_TOKEN",
)
"""Of a job, besides what stages declare."""


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
        unsynced: of the gravest fault of data that could not be brought in.
    """

    def __init__(
        self,
        place: Place,
        invocation: Invocation,
        asked: Asked,
        event: Event,
        allowed: Rights,
        *,
        unsynced: ExitCode = ExitCode.OK,
    ) -> None:
        self.place = place
        self.invocation = invocation
        self.asked = asked
        self.event = event
        self.rights = allowed
        self.unsynced = unsynced
        self.console = Console(invocation)
        self.notices = [*notices(event)]
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
        """The commit's pipeline under the policy that counts, with the store that the event may use."""
        params = {**self.event.inputs, **self.asked.params}
        project = project_at(self.place, self.invocation, params)
        pipeline = project.pipeline if self.rights.head_policy else self._under_base_policy(project, params)
        for warning in pipeline.warnings:
            self.console.warn(warning)
        return msgspec.structs.replace(project, pipeline=pipeline, store=self._store(pipeline))

    def _store(self, pipeline: Pipeline) -> Store:
        """The store of the pipeline, in the event's spaces; a fork's pull request has no right to any but its own."""
        if self.event.fork:
            return self.place.store
        return open_store(
            self.place, pipeline, self.invocation.environ, space=self.rights.space, reads=self._reads(pipeline)
        )

    def _reads(self, pipeline: Pipeline) -> tuple[str, ...]:
        """The spaces whose records are believed; of merged pull requests too, where the policy says so."""
        if pipeline.reuse == "none" or self.forge is None or self.head_commit is None:
            return self.rights.reads
        try:
            merged = self.forge.merged_pull_requests(self.head_commit)
        except CimlError:
            return self.rights.reads  # it costs time and nothing else
        return rights(self.event, reuse=pipeline.reuse, merged=merged, checked_out=self.head_commit).reads

    def _under_base_policy(self, project: Project, params: dict[str, str]) -> Pipeline:
        given = Given(profile=self.invocation.profile, params=params)
        pipeline, told = under_base_policy(project, self.event, self.place.repository, given, self._read)
        self.notices += told
        return pipeline

    def _read(self, tree: Tree, profile: str | None, params: Mapping[str, str]) -> Pipeline:
        return Documents(self.place.index, profile=profile, params=params).pipeline(tree)

    @cached_property
    def base(self) -> Base:
        """What the head is compared with, or why everything counts as changed."""
        return base_of(self.event, self.place.repository, self.forge)

    @cached_property
    def prepared(self) -> Prepared:
        """The graph of the head, and what differs from the base."""
        return prepare(self.project, base=self.base.commit, unknown=self.base.reason)

    @cached_property
    def choice(self) -> Choice:
        """What of the commit must be done."""
        return choose(self.project, self.prepared, self.registries, registers=self.registers)

    @cached_property
    def registries(self) -> Registries:
        """Registry and ledgers; where no registry is named the ledgers are read all the same."""
        allowed = self.rights.registers
        return Registries(
            self.place,
            self.project.pipeline,
            self.invocation.environ,
            in_ci=True,
            allowed=allowed,
            of_push=allowed and self.event.kind is not Kind.LOCAL,
        )

    def run(self) -> Running:
        """A new run of the commit, whose stages may take all processors of the job."""
        return Running(
            self.place,
            self.project,
            self.invocation,
            self.console,
            jobs=os.cpu_count() or 1,
            registries=self.registries,
            event=self.event,
        )

    @property
    def registers(self) -> bool:
        """Whether what passes is registered: the event lets it be, and there is a registry."""
        return self.rights.registers and self.registries.uri is not None

    @property
    def resumes(self) -> bool:
        """Whether an earlier attempt at this run may have been cut short between the ledger and the registry."""
        return self.registers and self.event.run.attempt > 1

    @property
    def may_lack_champion(self) -> bool:
        """Whether a champion that cannot be read here is no failure: nobody registers here anyhow."""
        return not self.registers

    @cached_property
    def forge(self) -> Forge | None:
        """The service that hosts the repository; None where there is no token for it."""
        environ = self.invocation.environ
        comment = environ.get("CIML_COMMENT", "true") != "false"
        return forge_of(self.event.repository, environ, mask=self.mask, comment=comment)

    def mask(self, text: str) -> str:
        """The text without the values of secrets, those of stages and those of this job."""
        return self._redactor.mask(text.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")

    @cached_property
    def _redactor(self) -> Redactor:
        environ = self.invocation.environ
        stages = (name for stage in self.project.pipeline.stages.values() for name in stage.secrets)
        return Redactor({name: environ[name] for name in (*_SECRETS, *stages) if environ.get(name)})

    @cached_property
    def subject(self) -> str:
        """The first line of the head commit's message."""
        return self.place.repository.commit(self.head_commit).subject if self.head_commit else ""

    @property
    def require(self) -> Literal["ran", "accepted"]:
        """What a pull request's required check demands."""
        return self.project.pipeline.triggers.require

    @cached_property
    def head_commit(self) -> CommitSha | None:
        """The commit that is checked out."""
        return self.place.repository.head()


@contextmanager
def open_call(invocation: Invocation, asked: Asked, *, first: bool = False) -> Iterator[Call]:
    """The call for what has happened, closed at the end.

    Args:
        invocation: how ciml was called.
        asked: what the command line says.
        first: this is the first job of a run, which brings new data in where the event asks for that.

    Raises:
        TrustError: the event may not run the code that is checked out.
        ConfigurationError: the event's payload cannot be read.
    """
    invocation = with_job_token(invocation)
    unsynced = _bring_data(invocation, asked) if first else ExitCode.OK
    with open_place(invocation) as place:
        event, allowed = _allowed(place, invocation.environ, asked)
        # What a fork's pull request makes is believed by nobody, on a runner that keeps its disk least of all.
        place.move_into(allowed.space or f"alone/{secrets.token_hex(8)}", allowed.reads)
        yield Call(place, invocation, asked, event, allowed, unsynced=unsynced)


def _allowed(place: Place, environ: Mapping[str, str], asked: Asked) -> tuple[Event, Rights]:
    event = detect(environ, place.repository, event=asked.event, base=asked.base, head=asked.head)
    allowed = rights(event, checked_out=place.repository.head())
    if allowed.refusal is not None:
        raise allowed.refusal
    return event, allowed


def _bring_data(invocation: Invocation, asked: Asked) -> ExitCode:
    """Turn what arrived at the manifests' sources into a commit, and work on that, where the event asks for it.

    Returns:
        The code of the gravest fault of a manifest or source, which did not stop the others.
    """
    with open_place(invocation) as place:
        event, allowed = _allowed(place, invocation.environ, asked)
        branch, before = event.branch, place.repository.head()
    if not allowed.syncs or branch is None:
        return ExitCode.OK
    from ciml.cli.syncing import Wanted, sync

    code = sync(invocation, Wanted(commit=True, branch=branch), document=False)
    with open_place(invocation) as place:
        repository = place.repository
        tip = repository.remote_head(branch) if repository.remote_url() is not None else None
        if tip is None or tip == before or before is None or repository.base(tip).commit is None:
            return code
        if repository.reaches(tip, before):
            repository.git.run("checkout", "--quiet", "--detach", tip)
    return code
