"""`ciml status`: what is champion, from which commit, since when; and any drift."""

from __future__ import annotations

import click

from ciml.app.status import ModelStatus, status
from ciml.cli.console import Console
from ciml.cli.invocation import Invocation
from ciml.cli.registry import Registries
from ciml.cli.wiring import open_place, project_at
from ciml.core.lineage import shown


@click.command("status")
@click.pass_obj
def command(invocation: Invocation) -> int:
    """Show what is champion, from which commit, since when, and where registry and ledger disagree."""
    console = Console(invocation)
    with open_place(invocation) as place:
        pipeline = project_at(place, invocation, {}).pipeline
        registries = Registries(place, pipeline, invocation.environ)
        found = [
            status(
                registries.ledger(model.name),
                registries.registry if registries.read(model.name).entries else None,
                alias=model.champion.alias,
            )
            for model in pipeline.models.values()
        ]
    console.document({"models": found})
    for item in found:
        _show(item, console)
    return 0


def _show(item: ModelStatus, console: Console) -> None:
    champion = item.champion
    if champion is None:
        console.line(f"{item.name}: no champion yet; versions registered: {item.versions}")
    else:
        console.line(f"{item.name}: version {champion.version} of {item.versions} is the champion")
        facts = [
            ("  commit", champion.commit or ""),
            ("  since", champion.since),
            ("  by", champion.by + (f" – {champion.reason}" if champion.reason else "")),
            ("  recipe", champion.recipe),
            ("  metrics", ", ".join(f"{name} {shown(value)}" for name, value in champion.metrics.items())),
        ]
        console.columns([fact for fact in facts if fact[1]])
    for version in item.waiting:
        console.line(f"  version {version} waits for `ciml promote {item.name} {version}`")
    for name, deployment in item.environments.items():
        console.line(f"  {name}: version {deployment.version} since {deployment.at}")
    for sentence in item.drift:
        console.warn(f"{item.name}: {sentence}")
