"""What a user sees of a bug in ciml: one line, and where the traceback was saved."""

from __future__ import annotations

import sys
import tempfile
import traceback

from ciml.core.errors import ExitCode


def report(error: BaseException) -> int:
    """Save the traceback, print one line, and return the exit code."""
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile("w", prefix="ciml-bug-", suffix=".txt", delete=False) as file:
            file.write(text)
        where = f"the traceback is in {file.name}"
    except OSError:
        where = "the traceback could not be saved"
    sys.stderr.write(f"ciml has a bug: {type(error).__name__}: {str(error)[:200]} ({where})\n")
    return ExitCode.BUG
