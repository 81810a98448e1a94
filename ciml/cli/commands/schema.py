"""`ciml schema`: the JSON Schema of ciml.yaml."""

from __future__ import annotations

import click

from ciml.core.errors import ExitCode


@click.command("schema")
def command() -> int:
    """Print the JSON Schema of ciml.yaml, made from the definitions that read it.

    An editor that knows it completes keys and marks mistakes.
    """
    import json

    from ciml.core.document import schema

    click.echo(json.dumps(schema(), indent=2))
    return ExitCode.OK
