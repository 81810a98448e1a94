"""An error as `--json` prints it: the one document of a call that has none to give."""

from __future__ import annotations

import sys

import click

from ciml.cli.console import DOCUMENT, json_text
from ciml.core.errors import CimlError, ConfigurationError


def print_failure(error: CimlError, context: click.Context | None) -> None:
    """Print the document of a call that was asked for one and ended with an error; not where it printed its own.

    Args:
        error: what ended the call.
        context: of `ciml` itself; None where its own options were wrong.
    """
    if context is None or not context.params.get("as_json") or DOCUMENT in context.meta:
        return
    problems = error.problems if isinstance(error, ConfigurationError) else ()
    document = {"message": error.message, "hint": error.hint, "exit_code": int(error.code), "problems": problems}
    sys.stdout.write(f"{json_text({'error': document})}\n")
