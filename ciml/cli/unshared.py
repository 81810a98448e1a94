"""Plans without the shared store, where that cannot be asked: a plan needs no data, and no credentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec import structs

from ciml.adapters.stores.local import LocalStore
from ciml.app.project import Project
from ciml.cli.console import Console
from ciml.core.errors import MissingCredentialsError, ServiceError

T = TypeVar("T")


def planned(project: Project, own: LocalStore, console: Console, look: Callable[[Project], T]) -> tuple[Project, T]:
    """What `look` finds, and the project by which it did: with the clone's own records alone if need be, which is said.

    Args:
        project: with the store that is named.
        own: the clone's store.
        console: where it is said.
        look: only reads.

    Raises:
        CimlError: what `look` raises, but for a shared store that cannot be reached.
    """
    try:
        return project, look(project)
    except (ServiceError, MissingCredentialsError) as error:
        if isinstance(project.store, LocalStore):
            raise
        alone = structs.replace(project, store=own)
        found = look(alone)
        console.warn(
            f"the shared store could not be looked at, so what others have made is planned to run here: {error.message}"
        )
        return alone, found
