"""What is wrong with some manifests while the others are done, and which of it is gravest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ciml.core.amounts import some_of
from ciml.core.errors import (
    CimlError,
    ConfigurationError,
    ExitCode,
    IntegrityError,
    MissingExtraError,
    RaceError,
    RepositoryError,
    ServiceError,
    TrustError,
)
from ciml.core.ids import RepoPath
from ciml.core.manifest import stands_for
from ciml.core.value import Value

_GRAVEST_FIRST = (IntegrityError, TrustError, ConfigurationError, RepositoryError, ServiceError, RaceError)
"""What another try may mend comes last: an exit code of 5 or 8 says that it is worth one."""

_NAMED = 3
"""Manifests that have one and the same fault, and are named."""


class Fault(Value, frozen=True, kw_only=True):
    """Why one manifest was passed over."""

    manifest: RepoPath
    message: str
    """What is wrong, and where."""
    hint: str | None
    """What to do."""
    exit_code: ExitCode


class Faults:
    """Keeps what is wrong with single manifests, so that it does not stop the others."""

    def __init__(self) -> None:
        self._errors: dict[RepoPath, CimlError] = {}

    @contextmanager
    def of(self, manifest: RepoPath) -> Iterator[None]:
        """Keep an error of what is done for one manifest; what concerns the whole call is raised."""
        try:
            yield
        except MissingExtraError:
            raise
        except _GRAVEST_FIRST as error:
            self._errors[manifest] = error

    def forget(self) -> None:
        """All is looked at anew."""
        self._errors.clear()

    @property
    def code(self) -> ExitCode:
        """That of the gravest fault; OK where there is none."""
        for kind in _GRAVEST_FIRST:
            for error in self._errors.values():
                if isinstance(error, kind):
                    return error.code
        return ExitCode.OK

    @property
    def found(self) -> list[Fault]:
        """All of them, sorted by manifest."""
        return [
            Fault(manifest=file, message=error.message, hint=error.hint, exit_code=error.code)
            for file, error in sorted(self._errors.items())
        ]

    @property
    def told(self) -> Iterator[CimlError]:
        """Each fault once, with the manifests that have it where it does not say itself."""
        having: dict[tuple[str, str | None], list[RepoPath]] = {}
        for fault in self.found:
            having.setdefault((fault.message, fault.hint), []).append(fault.manifest)
        for (message, hint), files in having.items():
            said = len(files) == 1 and (stands_for(files[0]) or files[0]) in message
            yield CimlError(message if said else f"{some_of(files, _NAMED)}: {message}", hint=hint)
