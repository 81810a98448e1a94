"""`ciml data sync`: what arrived at the sources of manifests, in the work tree, as a commit, as a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from ciml.adapters.git.branches import Branches
from ciml.adapters.manifests import dump, parse
from ciml.app.faults import Faults
from ciml.app.source import Source
from ciml.app.sync import Means, RefusedError, Synced, arrived, commit_arrivals, files_of, propose_arrivals, texts
from ciml.cli.console import Console
from ciml.cli.datashow import show_faults
from ciml.cli.forge import forge_of, with_job_token
from ciml.cli.invocation import Invocation
from ciml.cli.moving import Moving
from ciml.cli.supplying import Supplying
from ciml.cli.wiring import Place, open_place
from ciml.core.amounts import bytes_text
from ciml.core.arrival import lines
from ciml.core.errors import ConfigurationError, ExitCode, RepositoryError
from ciml.core.ids import RepoPath
from ciml.core.manifest import Manifest
from ciml.core.s3 import s3_address
from ciml.core.trigger import repository_of

if TYPE_CHECKING:
    from ciml.adapters.github.forge import GitHub

_REMOTE = "origin"
_LARGEST = 10**9
"""Bytes of data whose tables are read without being asked to: in a CI job all of it is fetched."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line of `ciml data sync` says."""

    paths: tuple[str, ...] = ()
    commit: bool = False
    pull_request: bool = False
    branch: str | None = None
    tables: bool | None = None
    """None: of data that is not too large to be fetched for it."""


def sync(invocation: Invocation, wanted: Wanted, *, document: bool = True) -> ExitCode:
    """Look at the sources, and write, commit or propose what arrived.

    Args:
        invocation: how ciml was called.
        wanted: what is asked for.
        document: print the JSON document; not where a call prints one of its own.

    Returns:
        OK, or the code of the gravest fault: what is wrong with one manifest or source does not stop the others.
    """
    console = Console(invocation)
    invocation = with_job_token(invocation)
    with open_place(invocation) as place, Moving("reading") as meter:
        at = Supplying(place, invocation, meter)
        syncing = _Syncing(place, at, invocation, console, wanted)
        synced = syncing.synced()
        size = meter.size
    if document:
        console.document(msgspec.to_builtins(synced) | {"bytes": size, "faults": syncing.faults.found})
    for item in synced.arrivals:
        for line in lines(item):
            console.line(line)
    for text in texts(synced, partly=bool(syncing.faults.found)):
        console.line(text)
    if not syncing.asked and not syncing.faults.found:
        console.line("hint: no manifest has a source in S3; `ciml data add s3://BUCKET/PREFIX/` writes one that has.")
    if size:
        console.line(f"{bytes_text(size)} were read.")
    if synced.base is None and synced.arrivals:
        console.line(f"To commit it: git add {at.words(item.manifest for item in synced.arrivals)}")
    return show_faults(syncing.faults, console)


class _Syncing:
    def __init__(self, place: Place, at: Supplying, invocation: Invocation, console: Console, wanted: Wanted) -> None:
        self._place = place
        self._at = at
        self._invocation = invocation
        self._console = console
        self._wanted = wanted
        remote = _REMOTE if place.repository.remote_url(_REMOTE) is not None else None
        self._branches = Branches(place.repository.git, remote)
        self._has_remote = remote is not None
        self.faults = Faults()
        self.asked = False
        """Whether any data comes from S3."""

    def synced(self) -> Synced:
        paths = [self._at.path(text) for text in self._wanted.paths]
        if not (self._wanted.commit or self._wanted.pull_request):
            return self._in_work_tree(paths)
        if self._wanted.pull_request:
            return self._proposed(paths)
        try:
            return commit_arrivals(
                self._branch(), self._branches, self._place.repository.commit_tree, self._means(), paths
            )
        except RefusedError as error:
            if self._forge() is None:
                raise
            self._console.warn(f"{error.message}; it becomes a pull request")
            return self._proposed(paths)

    def _in_work_tree(self, paths: Sequence[RepoPath]) -> Synced:
        """Manifests rewritten where they are."""
        found = arrived(self._at.tree, self._means(), paths)
        self._at.store.flush()
        for file, data in files_of(found, dump).items():
            self._at.data.write(file, data)
        return Synced(branch="", base=None, arrivals=tuple(item.arrival for item in found))

    def _proposed(self, paths: Sequence[RepoPath]) -> Synced:
        branch = self._branch()
        return propose_arrivals(
            branch,
            self._branches,
            self._place.repository.commit_tree,
            self._means(),
            lambda head, title, body: self._open_page(branch, head, title, body),
            paths,
        )

    def _means(self) -> Means:
        at = self._at
        return Means(
            source=self._source,
            store=at.store,
            listings=at.store,
            bring=at.supply.bring,
            share=at.sharing.share_listings,
            fetch=at.supply.listing,
            parse=parse,
            dump=dump,
            tables=None if self._wanted.tables is False else self._place.tables(),
            largest=None if self._wanted.tables else _LARGEST,
            faults=self.faults,
        )

    def _source(self, manifest: Manifest) -> Source:
        self.asked = True
        return self._at.source(s3_address(manifest.source or ""))

    def _branch(self) -> str:
        """Where a commit goes: what is named, what is checked out, what the job is for, the default branch."""
        environ = self._invocation.environ
        of_job = environ.get("GITHUB_REF_NAME") if environ.get("GITHUB_REF_TYPE") == "branch" else None
        repository = self._place.repository
        found = self._wanted.branch or repository.branch() or of_job or repository.default_branch()
        if not found:
            raise RepositoryError("no branch is checked out", hint="--branch NAME says where the commit goes.")
        return found

    def _forge(self) -> GitHub | None:
        """The service that hosts the repository, where there is a token for it."""
        environ = self._invocation.environ
        named = environ.get("GITHUB_REPOSITORY") or repository_of(self._place.repository.remote_url(_REMOTE) or "")
        return forge_of(named or "", environ, comment=False)

    def _open_page(self, base: str, head: str, title: str, body: str) -> str:
        if not self._has_remote:
            raise ConfigurationError(
                f"{head} is written here, and no pull request is opened: there is no remote {_REMOTE}",
                hint=f"git remote add {_REMOTE} URL; or `ciml data sync --commit` for a commit on the branch.",
            )
        forge = self._forge()
        if forge is None:
            raise ConfigurationError(
                f"{head} is pushed, and no pull request is opened: there is no token for the forge",
                hint="CIML_TOKEN has to hold one that may write pull requests; in GitHub Actions ${{ github.token }}.",
            )
        return forge.create_pull_request(branch=head, base=base, title=title, body=body)
