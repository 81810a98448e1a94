"""The `ciml` script: runs a command, and turns errors into text and exit codes.

What it imports itself is little: a call that finds nothing to do is answered by `ciml.cli.quick`.
"""

from __future__ import annotations

import os
import sys

from ciml.cli import quick

TYPE_CHECKING = False  # `typing` itself takes longer to import than the whole answer
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import click

    from ciml.core.errors import CimlError, MissingExtraError


_COMPLETION = "_CIML_COMPLETE"
"""Set by a shell that completes words, as click documents."""


def main(arguments: Sequence[str] | None = None, *, missing: Callable[[MissingExtraError], int] | None = None) -> int:
    """Run ciml and return its exit code; never raises for what a user can cause.

    Args:
        arguments: of the call; those of the process when None.
        missing: what to do where an extra is not installed; None to say so.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    _open_streams()
    try:
        answered = quick.answer(given, os.environ)
        code = answered if answered is not None else _command(given, missing)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone (`ciml log | head`); Python must not complain while it shuts down.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        return 141
    return code


def _open_streams() -> None:
    """See to it that standard input, output and error are there, and take any text.

    A file that ciml opens must not get the number of one that the caller has closed: what is
    printed would go there.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
    for stream in (sys.stdout, sys.stderr):
        # A path need not be UTF-8, and a terminal need not be either.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _command(arguments: list[str], missing: Callable[[MissingExtraError], int] | None) -> int:
    """Run one command, whatever it takes."""
    import click

    from ciml.cli.group import cli
    from ciml.core.errors import CimlError, ExitCode, InterruptedRunError, MissingExtraError, UsageError

    context = None
    try:
        if asked := os.environ.get(_COMPLETION):
            from click.shell_completion import shell_complete

            return shell_complete(cli, {}, "ciml", _COMPLETION, asked)
        # Not `cli.main`: when the reader of its output has gone that ends the process, with the code of a bug.
        with cli.make_context("ciml", [*arguments], obj=tuple(arguments)) as context:
            return int(cli.invoke(context) or 0)
    except CimlError as error:
        return missing(error) if missing and isinstance(error, MissingExtraError) else _failed(error, context)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stderr.write(f"{error.format_message()}\n")
        return ExitCode.USAGE
    except click.ClickException as error:
        return _failed(UsageError(f"{error.format_message()}{_way_out(error)}"), context)
    except (click.Abort, KeyboardInterrupt):
        return _failed(InterruptedRunError(), context)
    except BrokenPipeError:
        raise
    except Exception as error:
        from ciml.cli.bug import refusal, report

        refused = refusal(error)
        if refused:
            return _failed(refused, context)
        from ciml.cli.failure import print_failure

        print_failure(CimlError(f"ciml has a bug: {type(error).__name__}"), context)
        return report(error)


def _way_out(error: click.ClickException) -> str:
    """Where help is; or, for an option of ciml itself that stands after a command, where it belongs."""
    import click

    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return ""
    if isinstance(error, click.NoSuchOption) and context.parent:
        root = context.find_root()
        if any(error.option_name in option.opts for option in root.command.get_params(root)):
            words = context.command_path.removeprefix("ciml ")
            return f" (it stands before the command: ciml {error.option_name} {words})"
    return f" ({context.command_path} --help)"


def _failed(error: CimlError, context: click.Context | None) -> int:
    """Print an error, as a document too where one was asked for, and return the exit code."""
    from ciml.cli.failure import print_failure

    print_failure(error, context)
    called = getattr(context and context.obj, "directory", "")
    return tell(error, called)


def tell(error: CimlError, directory: str = "") -> int:
    """Print what is wrong and what to do, and return the exit code; `directory` is what `-C` named."""
    from ciml.cli.here import typeable
    from ciml.core.neutralise import harmless_text

    text = f"error: {error.message}\n"
    if error.hint:
        text += f"hint: {error.hint}\n"
    sys.stderr.write(harmless_text(typeable(text, directory)))
    return error.code
