"""`ciml gate`: judge again what this commit's recipe made."""

from __future__ import annotations

import click

from ciml.app.plan import prepare
from ciml.cli.console import Console
from ciml.cli.invocation import Invocation, with_params
from ciml.cli.registering import Registering
from ciml.cli.running import Running
from ciml.cli.runshow import model_document, show_verdict
from ciml.cli.wiring import open_place, project_at
from ciml.core.errors import ExitCode
from ciml.core.verdict import Status


@click.command("gate")
@click.argument("model", required=False)
@with_params
@click.pass_obj
def command(invocation: Invocation, model: str | None, params: dict[str, str]) -> int:
    """Judge again what this commit's recipe made; the champion is scored again where that is not on record."""
    console = Console(invocation)
    with open_place(invocation) as place:
        project = project_at(place, invocation, params)
        registering = Registering(Running(place, project, invocation, console), prepare(project))
        judged, _ = registering.judged(registering.models(model), anew=True)
        versions = registering.registries.versions(judged)
    console.document({"models": [model_document(item, versions.get(item.model.name)) for item in judged]})
    for item in judged:
        show_verdict(item, console)
    rejected = any(item.verdict.status is Status.REJECTED for item in judged)
    return ExitCode.REJECTED if rejected else ExitCode.OK
