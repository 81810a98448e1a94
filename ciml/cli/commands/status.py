"""`ciml status`: what is champion, what serves where, from which commit, since when; and any drift."""

from __future__ import annotations

import click

from ciml.app.status import ModelStatus, Probes, status
from ciml.cli.console import Console
from ciml.cli.invocation import Invocation
from ciml.cli.registry import Registries
from ciml.cli.wiring import Place, open_place, project_at
from ciml.core.errors import CimlError, ExitCode
from ciml.core.ids import CommitSha, Digest
from ciml.core.lineage import shown
from ciml.core.pipeline import DeployTarget


@click.command("status")
@click.pass_obj
def command(invocation: Invocation) -> int:
    """Show what is champion and what serves where, from which commit, since when, and what drifted apart."""
    console = Console(invocation)
    with open_place(invocation) as place:
        pipeline = project_at(place, invocation, {}).pipeline
        registries = Registries(place, pipeline, invocation.environ)
        found = [
            status(
                registries.ledger(model.name),
                registries.registry if registries.read(model.name).entries else None,
                alias=model.champion.alias,
                probes=Probes(
                    targets=model.deploy,
                    commit_of=lambda tag: _commit_of(place, tag),
                    serves=lambda target, deployment: _serves(target, deployment, invocation, console),
                ),
            )
            for model in pipeline.models.values()
        ]
        gone = registries.gone()
    console.document({"models": found, "gone": gone})
    for item in found:
        _show(item, console)
    for name in gone:
        console.line(f"{name}: no longer in ciml.yaml; its ledger and what it registered are still there")
    return ExitCode.OK


def _commit_of(place: Place, tag: str) -> CommitSha | None:
    """The commit that a tag names in this clone, None where it has no such tag."""
    try:
        return place.repository.resolve(f"refs/tags/{tag}")
    except CimlError:
        return None


def _serves(target: DeployTarget, deployment: Digest, invocation: Invocation, console: Console) -> bool | None:
    """What an endpoint says of itself; None for a target that cannot be asked, or where nobody may ask it."""
    if target.sagemaker_endpoint is None:
        return None
    from ciml.adapters.deployers.sagemaker import SageMakerDeployer, clients

    try:
        return SageMakerDeployer(clients(invocation.environ)).serves(target.sagemaker_endpoint, deployment)
    except CimlError as error:
        console.detail(f"{target.name} could not be asked: {error.message}")
        return None


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
    for name, serving in item.environments.items():
        by = f" by {serving.ref}" if serving.ref else ""
        unsure = "" if serving.settled else ", or what a later deployment left"
        console.line(f"  {name}: version {serving.version} from {(serving.commit or '')[:12]}{by}{unsure}")
        overridden = f", overridden: {serving.overridden}" if serving.overridden else ""
        console.line(f"    since {serving.since}{overridden}")
    for sentence in item.drift:
        console.warn(f"{item.name}: {sentence}")
