"""`ciml validate`: check ciml.yaml and the manifests."""

from __future__ import annotations

import click

from ciml.app.data import manifests
from ciml.app.plan import prepare
from ciml.cli.console import Console
from ciml.cli.datachecking import check_data_paths
from ciml.cli.invocation import Invocation, with_params
from ciml.cli.wiring import open_place, project_at
from ciml.core.errors import ConfigurationError, ExitCode


@click.command("validate")
@with_params
@click.pass_obj
def command(invocation: Invocation, params: dict[str, str]) -> int:
    """Check ciml.yaml, its params files and the manifests: keys, values, inputs, cycles, gates.

    All mistakes in keys and values are shown at once; where there are none, those in what the file names.
    """
    console = Console(invocation)
    try:
        with open_place(invocation) as place:
            project = project_at(place, invocation, params)
            graph = prepare(project).graph
            check_data_paths(project)
            manifests(project.tree, project.documents.manifest)
    except ConfigurationError as error:
        console.document({"valid": False, "problems": error.problems or [error.message], "warnings": []})
        raise
    warnings = project.pipeline.warnings
    console.document({"valid": True, "problems": [], "warnings": warnings})
    for warning in warnings:
        console.warn(warning)
    models = ", ".join(project.pipeline.models) or "none"
    stages = "1 stage" if len(graph.order) == 1 else f"{len(graph.order):,} stages"
    console.line(f"ciml.yaml is valid: {stages}, models: {models}.")
    return ExitCode.OK
