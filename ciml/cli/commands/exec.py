"""`ciml exec`: one stage from a work order."""

from __future__ import annotations

from contextlib import closing
from typing import BinaryIO

import click
import msgspec

from ciml.adapters.executors.local import LocalExecutor
from ciml.adapters.machine import resources
from ciml.adapters.stores.local import LocalStore
from ciml.app.exec import execute
from ciml.cli.console import Console, Live
from ciml.cli.invocation import Invocation
from ciml.cli.progress import Progress
from ciml.cli.signals import interruptible
from ciml.core.errors import ConfigurationError
from ciml.core.order import FORMAT, WorkOrder
from ciml.core.results import Failed, exit_code_of


@click.command("exec")
@click.argument("order", type=click.File("rb"))
@click.option("--state", required=True, metavar="DIR", help="Folder for the store, environments and stages.")
@click.pass_obj
def command(invocation: Invocation, order: BinaryIO, state: str) -> int:
    """Run one stage from the work order in the file ORDER (`-` for standard input).

    A worker needs the store and this command: no Git, no ciml.yaml, no registry.
    """
    console = Console(invocation)
    work = _read(order.read(), order.name)
    with closing(LocalStore(f"{state}/store")) as store, Live(console, 1) as live, interruptible():
        progress = Progress(console, live)
        executor = LocalExecutor(
            store,
            state,
            run="exec",
            work_tree=invocation.directory,
            capacity=resources(invocation.environ),
            jobs=1,
            environ=invocation.environ,
            on_output=progress.output,
        )
        result = execute(work, store=store, executor=executor)
        progress.ended(work.stage, result)
    console.document(result)
    return exit_code_of([result] if isinstance(result, Failed) else [])


def _read(data: bytes, name: str) -> WorkOrder:
    try:
        work = msgspec.json.decode(data, type=WorkOrder)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{name} is no work order: {error}") from error
    if work.format != FORMAT:
        raise ConfigurationError(f"{name} is of the format {work.format!r}, which this ciml does not know")
    return work
