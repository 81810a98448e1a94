"""What the data commands work with: the data of the work tree, its manifests, and where bytes come from."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from functools import partial

from ciml.adapters.datatree import DataTree
from ciml.adapters.stores.local import LocalStore
from ciml.app import data as cases
from ciml.app.faults import Faults
from ciml.app.ports import Meter, Remote, Store
from ciml.app.sharing import Sharing
from ciml.app.source import Source
from ciml.app.supply import Pointers, Supply
from ciml.cli.invocation import Invocation
from ciml.cli.storing import personal_store
from ciml.cli.wiring import Documents, Place, read_manifest
from ciml.core.changes import CONFIGURATION
from ciml.core.errors import ConfigurationError
from ciml.core.ids import RepoPath
from ciml.core.manifest import Manifest, stands_for
from ciml.core.pipeline import Pipeline
from ciml.core.s3 import S3Address, s3_address


class Supplying:
    """The data of one work tree.

    Args:
        place: where the call works.
        invocation: how ciml was called.
        meter: told of what is moved.

    Raises:
        RepositoryError: the repository is bare.
    """

    def __init__(self, place: Place, invocation: Invocation, meter: Meter | None = None) -> None:
        self._root = place.work_tree()
        self._place = place
        self._invocation = invocation
        self._meter = meter
        self.tree = place.repository.work_tree()
        self.pipeline = self._pipeline()
        if self.pipeline is not None:
            personal_store(place, self.pipeline, invocation.environ)
        self.data = _data(place)
        self.store = own_store(place, place.project_store)
        self.supply = supply_of(place, invocation, place.project_store, meter)
        self.sharing = Sharing(
            self.supply,
            self.store,
            _remote(place.project_store),
            everybodys=self.store is not place.store,
            meter=meter,
        )

    def path(self, text: str) -> RepoPath:
        """The path in the repository that the user means; a manifest's name means what it stands for.

        Raises:
            ConfigurationError: it leads out of the repository.
        """
        full = os.path.normpath(os.path.join(self._invocation.directory, text))
        # The folder may be reached through a link, as on macOS; what is named may not be one.
        full = os.path.join(os.path.realpath(os.path.dirname(full)), os.path.basename(full))
        root = os.path.realpath(self._root)
        if not f"{full}/".startswith(f"{root}/"):
            raise ConfigurationError(f"{text} leaves the repository", hint=f"Data lies below {root}.")
        path = RepoPath(full[len(root) + 1 :])
        return stands_for(path) or path

    def words(self, paths: Iterable[RepoPath]) -> str:
        """Paths as words of a command, for who types it where this call was made."""
        here, root = os.path.realpath(self._invocation.directory), os.path.realpath(self._root)
        found = (os.path.relpath(f"{root}/{path}", here) for path in paths)
        return shlex.join(f"./{word}" if word.startswith("-") else word for word in found)

    def manifests(self, texts: Sequence[str], faults: Faults) -> list[Manifest]:
        """The manifests that the user means, or all; those that cannot be read are faults."""
        read = partial(read_manifest, self._place.index)
        return cases.readable(self.tree, read, [self.path(text) for text in texts], faults)

    def source(self, address: S3Address) -> Source:
        """Where data comes from."""
        return source_at(self._invocation, address, self.store, self._meter)

    def outputs(self) -> list[RepoPath]:
        """The paths that stages write."""
        stages = self.pipeline.stages.values() if self.pipeline else ()
        return [place.path for stage in stages for place in stage.outputs]

    def _pipeline(self) -> Pipeline | None:
        """The pipeline of `ciml.yaml`, where there is one."""
        if self.tree.read(CONFIGURATION) is None:
            return None
        return Documents(self._place.index, profile=self._invocation.profile, params={}).pipeline(self.tree)


def own_store(place: Place, store: Store) -> LocalStore:
    """The clone's own store behind another; a folder that several clones share is as good as one's own."""
    return store if isinstance(store, LocalStore) else place.store


def supply_of(place: Place, invocation: Invocation, store: Store, meter: Meter | None = None) -> Supply:
    """Where the bytes of data come from.

    Args:
        place: where the call works.
        invocation: region, credentials and endpoint are in its environment.
        store: of the project.
        meter: told of what is moved.
    """
    own = own_store(place, store)
    return Supply(
        own,
        data=place.data(),
        remote=_remote(store),
        everybodys=own is not place.store,
        source=lambda manifest: source_at(invocation, s3_address(manifest.source or ""), own, meter),
        pointers=_pointers(place, invocation, own),
        parts=place.index.parts,
        meter=meter,
    )


def source_at(invocation: Invocation, address: S3Address, store: LocalStore, meter: Meter | None) -> Source:
    """A bucket's prefix, or one object; boto3 is imported when it is first asked."""
    from ciml.adapters.sources import S3Source

    return S3Source(address, invocation.environ, root=store.root, meter=meter)


def _remote(store: Store) -> Remote | None:
    if isinstance(store, LocalStore):
        return None
    from ciml.adapters.stores.shared import SharedStore

    return store if isinstance(store, SharedStore) else None


def _pointers(place: Place, invocation: Invocation, store: LocalStore) -> Pointers | None:
    if place.root is None:
        return None
    from ciml.adapters.pointers import DvcPointers

    return DvcPointers(place.root, store, invocation.environ, place.index.pointers)


def _data(place: Place) -> DataTree:
    data = place.data()
    assert data is not None, "a work tree has data"
    return data
