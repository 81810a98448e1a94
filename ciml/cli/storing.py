"""The store that a pipeline names: the clone's own, a folder, or a bucket that others share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from ciml.adapters.stores.local import LocalStore
from ciml.core.errors import ConfigurationError
from ciml.core.event import MAIN, space_of
from ciml.core.ids import CommitSha
from ciml.core.neutralise import harmless_text
from ciml.core.pipeline import Pipeline
from ciml.core.places import OWN, check_store

if TYPE_CHECKING:
    from ciml.adapters.stores.shared import SharedStore
    from ciml.adapters.stores.sharedrecords import Signing
    from ciml.cli.wiring import Place
    from ciml.core.signers import Signer

    AnyStore = LocalStore | SharedStore

VARIABLE = "CIML_STORE"
"""The environment variable that names another store than `ciml.yaml` does; `local` is the clone's own."""


def open_store(
    place: Place,
    pipeline: Pipeline,
    environ: Mapping[str, str],
    *,
    space: str | None = None,
    reads: Sequence[str] = (),
) -> AnyStore:
    """The store of a call, which the place closes at the end.

    Args:
        place: where the call works; its own store is the cache of a bucket.
        pipeline: names the store, and whose signatures count.
        environ: `CIML_STORE` serves in the place of the pipeline's `store`.
        space: whose records are written to a store that others share; None: nothing is written there.
        reads: spaces whose records are believed besides.

    Raises:
        ConfigurationError: the store's address is wrong, or boto3 is not installed.
    """
    named = environ.get(VARIABLE) or pipeline.store or OWN
    if named == OWN:
        return place.use(place.store)
    if "://" not in named:
        check_store(named)
        return place.use(LocalStore(named, space=space or _nobodys(place), reads=reads))
    from ciml.adapters.stores.shared import SharedStore
    from ciml.core.s3 import s3_address

    return place.use(
        SharedStore(
            place.store,
            s3_address(named),
            environ,
            memory=f"{place.state}/shared",
            space=space,
            reads=reads,
            signing=_signing(place, pipeline, environ),
            warn=lambda text: click.echo(f"{click.style('warning:', fg='yellow')} {harmless_text(text)}", err=True),
        )
    )


def personal_store(place: Place, pipeline: Pipeline, environ: Mapping[str, str]) -> AnyStore:
    """The store of somebody at a terminal: in a shared one the user has a space, and believes `main` besides."""
    user = environ.get("CIML_USER") or environ.get("USER") or environ.get("LOGNAME") or "unknown"
    return open_store(place, pipeline, environ, space=space_of("user", user), reads=(MAIN,))


def _nobodys(place: Place) -> str:
    """A space that nobody reads, for who may write nothing."""
    return space_of("alone", place.root or place.state)


def _signing(place: Place, pipeline: Pipeline, environ: Mapping[str, str]) -> Signing:
    """How records of `main` are signed, and held against the signers where some are named."""
    from ciml.adapters.signing import KEY_VARIABLE, RECORD_TYPE, open_envelope, seal, unseal
    from ciml.adapters.stores.sharedrecords import Signing

    key = environ.get(KEY_VARIABLE)
    signers = _Signers(place, pipeline)

    def check(data: bytes, written: datetime) -> bytes:
        return unseal(data, signers.all(), at=written, kind=RECORD_TYPE)

    return Signing(
        seal=(lambda payload: seal(payload, key_file=key, kind=RECORD_TYPE)) if key else None,
        unseal=check if pipeline.signers else None,
        opened=open_envelope,
    )


class _Signers:
    """Whose signatures count: those of the default branch's file, whatever is checked out."""

    def __init__(self, place: Place, pipeline: Pipeline) -> None:
        self._repository = place.repository
        self._file = pipeline.signers
        self._read: tuple[Signer, ...] | None = None

    def all(self) -> tuple[Signer, ...]:
        """The signers, read once a call."""
        from ciml.core.signers import parse_signers

        if self._read is None:
            assert self._file is not None, "signers are configured"
            commit = self._commit()
            data = self._repository.commit_tree(commit).read(self._file) if commit else None
            if data is None:
                raise ConfigurationError(
                    f"trust.signers names {self._file}, which the default branch does not have",
                    hint="Commit it there first: nobody's signature counts until then.",
                )
            self._read = parse_signers(os.fsdecode(data), file=self._file)
        return self._read

    def _commit(self) -> CommitSha | None:
        if self._repository.remote_url() is None:
            return self._repository.head()
        tip = self._repository.remote_default()[1]
        return self._repository.base(tip).commit if tip else None
