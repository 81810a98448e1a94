"""What a collection of the store must keep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ciml.app.data import Parse, files_here
from ciml.app.ports import Tree
from ciml.core.errors import ConfigurationError
from ciml.core.ids import Digest, GitOid
from ciml.core.ledger import LedgerState
from ciml.core.lineage import RunTrace
from ciml.core.manifest import Manifest, stands_for


def roots(
    states: Iterable[LedgerState], runs: Iterable[RunTrace], manifests: Iterable[Manifest] = ()
) -> frozenset[Digest]:
    """Keys of records and digests of objects that are still asked for.

    Registered versions keep their files; the runs that the journal has keep their records, with all
    outputs: that is what the branches worked on lately. Manifests keep their data, its listing and
    the index of where it comes from.
    """
    artifacts = (entry.artifact.digest for state in states for entry in state.versions.values())
    records = (stage.record.key for run in runs for stage in run.stages if stage.record)
    data = (digest for manifest in manifests for digest in (manifest.digest, manifest.index) if digest)
    return frozenset((*artifacts, *records, *data))


def manifests_of(trees: Iterable[Tree], parse: Parse) -> Iterator[Manifest]:
    """The manifests of these trees, each version once; one that cannot be read names nothing."""
    seen: set[GitOid] = set()
    for tree in trees:
        for entry in files_here(tree):
            if stands_for(entry.path) is None or entry.oid in seen:
                continue
            seen.add(entry.oid)
            try:
                yield parse(tree.read(entry.path) or b"", entry.path)
            except ConfigurationError:
                continue
