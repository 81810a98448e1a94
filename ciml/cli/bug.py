"""What a user sees of a bug in ciml: one line, and where the traceback was saved."""

from __future__ import annotations

import errno
import sys
import tempfile
import traceback

from ciml.core.errors import ExitCode, ServiceError
from ciml.core.url import without_secrets

_MACHINE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO),
    *(errno.EMFILE, errno.ENFILE, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
}
"""What the machine refuses whoever asks: rights, space, handles, a file in a folder's place."""


def refusal(error: BaseException) -> ServiceError | None:
    """What to tell where the machine, and no bug, is why a file cannot be used; None for anything else."""
    if not isinstance(error, OSError) or error.errno not in _MACHINE:
        return None
    what = f"{error.filename}: {error.strerror}" if error.filename else f"{error.strerror}"
    return ServiceError(what, hint="See to the rights and the space there, then run the same command again.")


def report(error: BaseException) -> int:
    """Save the traceback, print one line, and return the exit code; addresses in it are without their secrets."""
    text = without_secrets("".join(traceback.format_exception(error)))
    try:
        with tempfile.NamedTemporaryFile("w", prefix="ciml-bug-", suffix=".txt", delete=False) as file:
            file.write(text)
        where = f"the traceback is in {file.name}"
    except OSError:
        where = "the traceback could not be saved"
    sys.stderr.write(f"ciml has a bug: {type(error).__name__}: {without_secrets(str(error))[:200]} ({where})\n")
    return ExitCode.BUG
