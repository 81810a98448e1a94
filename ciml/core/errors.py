"""The exceptions of ciml; the class fixes the exit code.

    CimlError                     1  a bug in ciml, unless a subclass says otherwise
    ├── UsageError                2
    ├── ConfigurationError        3  ciml.yaml, a manifest, a parameter, an input that is not there
    │   └── MissingExtraError     3  a package that an extra of ciml brings
    ├── RepositoryError           4  the repository is not in a state that allows this
    ├── ServiceError              5  something outside failed; trying again may help
    ├── TrustError                6  refused by the trust policy
    │   └── MissingCredentialsError  6  nothing to show to a service that asks who is there
    ├── IntegrityError            7  a digest or a signature does not hold
    ├── RaceError                 8  somebody else was first; run again
    ├── RejectedError            10  a gate rejected, or could not judge
    ├── StageError               11  a stage failed
    ├── DeploymentError          13
    └── InterruptedRunError     130  (143 for SIGTERM)

What is expected to happen (a rejection, a failed stage inside a run) is a value, not an
exception; these are raised when ciml cannot continue and the user can do something about it.
The message says what and where, the hint says what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from ciml.core.value import Value


class ExitCode(IntEnum):
    """What a command's exit code tells the shell."""

    OK = 0
    BUG = 1
    USAGE = 2
    CONFIGURATION = 3
    REPOSITORY = 4
    SERVICE = 5
    TRUST = 6
    INTEGRITY = 7
    RACE = 8
    REJECTED = 10
    STAGE = 11
    NOT_REPRODUCIBLE = 12
    DEPLOYMENT = 13
    INTERRUPTED = 130
    TERMINATED = 143


class CimlError(Exception):
    """Base of all errors that a user may see."""

    code: ExitCode = ExitCode.BUG
    hint: str | None = None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint


class UsageError(CimlError):
    """The command line asks for something that does not exist."""

    code = ExitCode.USAGE


class Problem(Value, frozen=True, kw_only=True):
    """One thing that is wrong in a file the user wrote."""

    message: str
    file: str = "ciml.yaml"
    line: int | None = None
    """From 1."""
    column: int | None = None
    """From 1."""
    key: str | None = None
    """The dotted path of the key: `stages.train.timeout`."""
    hint: str | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        key = f" {self.key}:" if self.key else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}:{key} {self.message}{hint}"


class ConfigurationError(CimlError):
    """`ciml.yaml`, a manifest, a parameter or an input is wrong."""

    code = ExitCode.CONFIGURATION

    def __init__(self, message: str = "", *, problems: Sequence[Problem] = (), hint: str | None = None) -> None:
        self.problems = tuple(problems)
        super().__init__(message or "\n".join(str(problem) for problem in self.problems), hint=hint)


class MissingExtraError(ConfigurationError):
    """What is asked for needs a package that an extra of ciml brings."""

    def __init__(self, message: str, *, extra: str) -> None:
        super().__init__(message, hint=f'pip install "ciml[{extra}]"')
        self.extra = extra


class RepositoryError(CimlError):
    """The Git repository is not in a state that allows this."""

    code = ExitCode.REPOSITORY


class ServiceError(CimlError):
    """A service outside failed or cannot be reached; trying again may help."""

    code = ExitCode.SERVICE


class TrustError(CimlError):
    """The trust policy refuses this."""

    code = ExitCode.TRUST


class MissingCredentialsError(TrustError):
    """There is nothing to show to a service that asks who is there."""


class IntegrityError(CimlError):
    """Bytes are not what a digest or a signature says, and they cannot be made again."""

    code = ExitCode.INTEGRITY


class RaceError(CimlError):
    """The state moved while this ran; the same command again decides anew."""

    code = ExitCode.RACE
    hint = "Run the same command again: it starts from the new state."


class RejectedError(CimlError):
    """The gate rejected the model, or could not judge it."""

    code = ExitCode.REJECTED


class StageError(CimlError):
    """A stage failed."""

    code = ExitCode.STAGE


class DeploymentError(CimlError):
    """A deployment failed."""

    code = ExitCode.DEPLOYMENT


class InterruptedRunError(CimlError):
    """The user or the runner stopped ciml."""

    code = ExitCode.INTERRUPTED

    def __init__(self, message: str = "interrupted", *, terminated: bool = False) -> None:
        super().__init__(message)
        if terminated:
            self.code = ExitCode.TERMINATED
