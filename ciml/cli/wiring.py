"""From a call to adapters: the only file that knows both the use-cases' ports and what fits them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import structs

from ciml import __version__
from ciml.adapters.git.repository import Repository
from ciml.adapters.index import CompiledPipeline, Index
from ciml.adapters.outputs import Outputs
from ciml.adapters.runs import RunJournal
from ciml.adapters.stores.local import LocalStore
from ciml.app.ports import Store, Tree
from ciml.app.project import DataSupply, Project
from ciml.cli.invocation import Invocation
from ciml.cli.storing import personal_store
from ciml.core.changes import CONFIGURATION
from ciml.core.errors import ConfigurationError, RepositoryError
from ciml.core.ids import CommitSha, Digest, RepoPath
from ciml.core.key import digest
from ciml.core.manifest import Manifest
from ciml.core.pipeline import ParamValue, Pipeline

if TYPE_CHECKING:
    from ciml.adapters.datatree import DataTree
    from ciml.adapters.tables import Tables
    from ciml.cli.storing import AnyStore


class Place:
    """Where a call works: the repository, and ciml's state and memory of it."""

    def __init__(self, invocation: Invocation) -> None:
        self.opened_ns = time.time_ns()
        """Before anything was read, in ns since 1970."""
        self.repository = Repository.open(invocation.directory, invocation.environ)
        self.state = f"{self.repository.common_dir}/ciml"
        self.root = self.repository.root
        self.index = Index(f"{self.state}/index", self.root or self.repository.git_dir)
        self.store = LocalStore(f"{self.state}/store")
        self.project_store: AnyStore = self.store
        """What `ciml.yaml` names: this clone's own store, or one that others share."""

    def work_tree(self) -> str:
        """The root of the work tree.

        Raises:
            RepositoryError: the repository is bare.
        """
        if self.root is None:
            raise RepositoryError("this repository is bare: there is no work tree", hint="git clone it")
        return self.root

    def use(self, store: AnyStore) -> AnyStore:
        """Let this be the store of the project; it is closed with the place."""
        self._close_project_store()
        self.project_store = store
        return store

    def _close_project_store(self) -> None:
        if self.project_store is not self.store:
            self.project_store.close()
            self.project_store = self.store

    def move_into(self, space: str, reads: Sequence[str]) -> None:
        """Write records into this space from now on, and believe those of the others besides."""
        self._close_project_store()
        self.store.close()
        self.store = self.project_store = LocalStore(f"{self.state}/store", space=space, reads=reads)

    def data(self) -> DataTree | None:
        """What lies at the paths of manifests; None in a bare repository."""
        if self.root is None:
            return None
        from ciml.adapters.datatree import DataTree
        from ciml.adapters.memo import Memos

        store = self.project_store if isinstance(self.project_store, LocalStore) else self.store
        return DataTree(self.root, store, Memos(self.index.folder("data"), self.root), self.repository.git)

    def tables(self) -> Tables:
        """Reads tables, and remembers in this clone what it read of each; polars is imported with the first."""
        from ciml.adapters.tables import Tables

        return Tables(f"{self.state}/index/tables")

    def close(self) -> None:
        """End what was started, and keep what was learned."""
        self.index.flush()
        self._close_project_store()
        self.store.close()
        self.repository.close()


class Documents:
    """The port Documents: `ciml.yaml`, manifests and params files, as one call sees them."""

    def __init__(self, index: Index, *, profile: str | None, params: Mapping[str, str]) -> None:
        self._index = index
        self._profile = profile
        self._params = params

    def pipeline(self, tree: Tree) -> Pipeline:
        """The pipeline of a tree's `ciml.yaml`; what was read before is not read again."""
        text = tree.read(CONFIGURATION)
        if text is None:
            hint = "`ciml init` makes a new project; for one of your own the README has a short ciml.yaml."
            if tree.read(RepoPath("dvc.yaml")) is not None:
                hint = "`ciml init --from dvc.yaml` makes one of the pipeline that DVC runs here."
            raise ConfigurationError(f"there is no {CONFIGURATION} at the root of this repository", hint=hint)
        name = digest("ciml/compiled/1", __version__, text.hex(), self._profile, sorted(self._params.items()))
        kept = self._index.pipeline(name)
        if kept and all(_fingerprint(tree.read(file)) == known for file, known in kept.params_files.items()):
            return kept.pipeline
        return self._compile(name, text, tree)

    def _compile(self, name: Digest, text: bytes, tree: Tree) -> Pipeline:
        from ciml.adapters.documents import load

        seen: dict[RepoPath, Digest | None] = {}

        def read(path: RepoPath) -> bytes | None:
            data = tree.read(path)
            seen[path] = _fingerprint(data)
            return data

        pipeline = load(text, file=CONFIGURATION, read=read, overrides=self._params, profile=self._profile)
        self._index.keep_pipeline(name, CompiledPipeline(params_files=seen, pipeline=pipeline))
        return pipeline

    def manifest(self, text: bytes, file: RepoPath) -> Manifest:
        """A data manifest."""
        return read_manifest(self._index, text, file)

    def params(self, tree: Tree, file: RepoPath) -> dict[str, ParamValue]:
        """The leaves of a params file as it is in a tree; none where there is no such file."""
        from ciml.adapters.parameters import tree as parse
        from ciml.core.params import leaves

        text = tree.read(file)
        return leaves(parse(text, file=file)) if text is not None else {}

    def dump(self, path: RepoPath, tree: Mapping[str, ParamValue]) -> str:
        """The text of a params file."""
        from ciml.adapters.parameters import dump

        return dump(path, tree)


def read_manifest(index: Index, text: bytes, file: RepoPath) -> Manifest:
    """A data manifest; what was read before is not read again.

    Raises:
        ConfigurationError: with every problem, located.
    """
    known, name = index.manifests, digest("ciml/manifest/1", file, text.hex())
    if name not in known:
        from ciml.adapters.manifests import parse

        known[name] = parse(text, file)
    return known[name]


def _fingerprint(data: bytes | None) -> Digest | None:
    return digest("ciml/file/1", data.hex()) if data is not None else None


def worker_platform() -> str:
    """System and architecture of this machine, as keys name them."""
    host = os.uname()
    return f"{host.sysname.lower()}-{host.machine.lower()}"


@contextmanager
def open_place(invocation: Invocation) -> Iterator[Place]:
    """The place of a call, closed at the end."""
    place = Place(invocation)
    try:
        yield place
    finally:
        place.close()


def project_at(place: Place, invocation: Invocation, params: Mapping[str, str], *, head: str | None = None) -> Project:
    """What the use-cases work with.

    Args:
        place: where the call works.
        invocation: profile and directory.
        params: `-P NAME=VALUE`.
        head: a revision to plan; None for the work tree, or for HEAD in a bare repository.
    """
    repository = place.repository
    in_work_tree = head is None and place.root is not None
    tree: Tree = repository.work_tree() if in_work_tree else repository.commit_tree(repository.resolve(head or "HEAD"))
    documents = Documents(place.index, profile=invocation.profile, params=params)
    pipeline = documents.pipeline(tree)
    return Project(
        history=repository,
        tree=tree,
        documents=documents,
        pipeline=structs.replace(pipeline, warnings=(*pipeline.warnings, *_loose_requirements(pipeline, tree))),
        store=personal_store(place, pipeline, invocation.environ),
        memory=place.index,
        platform=worker_platform(),
        root=place.root if in_work_tree else None,
        outputs=_outputs(place) if in_work_tree else None,
        last_commit=last_commit(place),
        data=_OnDisk(place) if in_work_tree else None,
        supply=lambda store: _supply(place, invocation, store),
    )


class _OnDisk:
    """The port DataOnDisk; what looks at data is imported once there is some."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def is_edited(self, path: RepoPath, digest: Digest) -> bool:
        """Whether something lies at a path that has not this digest."""
        data = self._place.data()
        return data is not None and data.is_edited(path, digest)


def _supply(place: Place, invocation: Invocation, store: Store) -> DataSupply:
    from ciml.cli.supplying import supply_of

    return supply_of(place, invocation, store)


def _loose_requirements(pipeline: Pipeline, tree: Tree) -> list[str]:
    """A sentence on a requirements file without exact versions; none where it has them, or does not exist."""
    file = pipeline.environment.requirements if pipeline.environment else None
    text = tree.read(file) if file else None
    if file is None or text is None:
        return []
    from ciml.core.requirements import check_requirements

    warning = check_requirements(text.decode("utf-8", "replace"), file=file)
    return [warning] if warning else []


def _outputs(place: Place) -> Callable[[Pipeline], Outputs]:
    root = place.root
    assert root is not None, "a work tree has a root"
    return lambda pipeline: Outputs(
        root, pipeline.stages, place.project_store, place.index, link=pipeline.link == "hard"
    )


def last_commit(place: Place) -> CommitSha | None:
    """The commit of the last run in this work tree."""
    last = journal(place).last_run()
    return last.commit.sha if last and last.commit else None


def journal(place: Place) -> RunJournal:
    """The runs of this clone."""
    return RunJournal(f"{place.state}/runs", work_tree=place.root or place.repository.git_dir)


def registry_uri(pipeline: Pipeline, environ: Mapping[str, str]) -> str | None:
    """The registry that others use too; None where the one inside this clone serves."""
    return pipeline.registry or environ.get("MLFLOW_TRACKING_URI") or None


def ledgers_are_local(place: Place, pipeline: Pipeline, environ: Mapping[str, str]) -> bool:
    """Whether the ledgers are branches of this clone alone."""
    return registry_uri(pipeline, environ) is None or place.repository.remote_url() is None
