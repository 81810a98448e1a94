"""`ciml deploy`: bring a version that a tag or a promotion names to its environments."""

from __future__ import annotations

import click

from ciml.app.rollout import Rollout
from ciml.cli.console import Console
from ciml.cli.deploying import NOT_WAITED, Deploying, asked_for
from ciml.cli.invocation import Invocation, with_params
from ciml.cli.signals import interruptible
from ciml.cli.wiring import open_place, project_at
from ciml.core.deployment import Receipt
from ciml.core.errors import ExitCode, UsageError


@click.command("deploy")
@click.option("--ref", metavar="TAG", help="The release tag; without one, champions go where `after: promotion` says.")
@click.option("--environment", metavar="NAME", help="Only this environment.")
@click.option("--force", is_flag=True, help="Deploy also what serves already by the ledger.")
@click.option("--override", is_flag=True, help="Deploy although nobody whose word counts has signed or approved it.")
@click.option("--reason", metavar="TEXT", default="", help="Why; the ledger keeps it with your name.")
@with_params
@click.pass_obj
def command(
    invocation: Invocation,
    ref: str | None,
    environment: str | None,
    force: bool,
    override: bool,
    reason: str,
    params: dict[str, str],
) -> int:
    """Find the version that a release tag names, verify it, deploy it, smoke it and record it.

    What the tag names is the version of its commit's recipe; nothing is trained. When the smoke test fails,
    what served before is put back.
    """
    if override and not reason.strip():
        raise UsageError("an override needs a reason", hint="--override --reason TEXT")
    console = Console(invocation)
    why = reason if override else None
    told: list[dict[str, object]] = []
    with open_place(invocation) as place, interruptible():
        if ref is None:
            deploying = Deploying(place, project_at(place, invocation, params), invocation, console)
            rollouts = deploying.rollouts.promoted(environment=environment, override=why, force=force)
        else:
            asked, project = asked_for(place, invocation, ref, params)
            deploying = Deploying(place, project, invocation, console)
            rollouts = deploying.rollouts.released(
                asked, waiting=NOT_WAITED, environment=environment, override=why, force=force
            )
        for rollout in rollouts:
            if rollout.order is None:
                told.append(_already(rollout, console))
                continue
            receipt = deploying.carry_out(rollout.order)
            deploying.record(rollout.order, receipt)
            told.append(_done(rollout, receipt, console))
    console.document({"deployments": told})
    if not rollouts:
        console.line("Nothing to deploy: no environment follows " + ("a release." if ref else "a champion."))
    failed = any(item["state"] not in ("deployed", "already") for item in told)
    return ExitCode.DEPLOYMENT if failed else ExitCode.OK


def _already(rollout: Rollout, console: Console) -> dict[str, object]:
    entry, name = rollout.serves, rollout.target.target.name
    assert entry is not None, "what needs no order serves"
    console.line(f"{name}: {rollout.found.subject} is already deployed, {entry.artifact} (since {entry.at})")
    return _document(rollout, "already")


def _done(rollout: Rollout, receipt: Receipt, console: Console) -> dict[str, object]:
    name, subject = rollout.target.target.name, rollout.found.subject
    if receipt.outcome == "deployed":
        console.line(f"{name}: {subject} is deployed" + (f" – {receipt.detail}" if receipt.detail else ""))
    else:
        console.warn(f"{name}: {subject} is not deployed: {receipt.reason}")
        console.warn(f"{name}: {receipt.detail}" if receipt.detail else f"{name}: what serves there is not known")
    return {
        **_document(rollout, receipt.outcome),
        "id": receipt.id,
        "reason": receipt.reason,
        "detail": receipt.detail,
    }


def _document(rollout: Rollout, state: str) -> dict[str, object]:
    found = rollout.found
    return {
        "model": found.model.name,
        "environment": rollout.target.target.name,
        "version": found.version,
        "uri": f"models:/{found.model.name}/{found.version}",
        "digest": found.record.artifact.digest,
        "commit": found.commit,
        "ref": found.ref,
        "state": state,
    }
