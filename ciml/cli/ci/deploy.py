"""Deployments in CI: one job decides, one for each environment carries out, one writes the ledger.

The job that has an environment's credential gets an order and the model's files, and hands a
receipt on. It can write neither registry nor ledger, and the jobs that can run no command of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from ciml.app.release import Waiting
from ciml.app.rollout import Rollout
from ciml.cli.ci.call import Call
from ciml.cli.ci.closing import environments, publish
from ciml.cli.ci.extras import require_alerts
from ciml.cli.deploying import Deploying, asked_for
from ciml.core.approval import Reviews
from ciml.core.deployment import DeployOrder, Receipt
from ciml.core.errors import CimlError, ConfigurationError, ExitCode, IntegrityError, TrustError
from ciml.core.handover import SETTLED, may_tell_of_deployment
from ciml.core.ids import CommitSha
from ciml.core.report import DeploymentLine, Report, deployments_text
from ciml.core.workflow.order import slug

_NO_RECEIPT = "its job handed no receipt on: it did not begin, or what serves there is not known; see its log"


def release(call: Call) -> tuple[Rollout, ...]:
    """What the event's tag deploys where: found by the recipe of its commit, and verified.

    Raises:
        TrustError, IntegrityError: it may not be deployed.
        RepositoryError, RaceError, RejectedError: there is no version of the tag's commit.
    """
    tag = call.event.tag
    if tag is None:
        raise ConfigurationError("the event names no tag", hint="--event tag --head TAG, where no CI service says.")
    # A checkout may have brought the commit alone, and made a tag of it that nobody has signed.
    call.place.repository.git.ask("fetch", "--quiet", "--no-tags", "origin", f"+refs/tags/{tag}:refs/tags/{tag}")
    asked, _ = asked_for(call.place, call.invocation, tag, call.asked.params)
    return _of_this_run(call, _deploying(call).rollouts.released(asked, waiting=_waiting(call)))


def promotion(call: Call) -> tuple[Rollout, ...]:
    """What the champions deploy to the environments that follow them."""
    return _of_this_run(call, _deploying(call).rollouts.promoted())


def deploy_here(call: Call, rollouts: Sequence[Rollout]) -> tuple[ExitCode, tuple[DeploymentLine, ...]]:
    """Carry out what was decided, in this job, and record it."""
    deploying, code = _deploying(call), ExitCode.OK
    lines = [_already(rollout) for rollout in rollouts if rollout.order is None]
    for order in (rollout.order for rollout in rollouts if rollout.order):
        _announce(call, order)
        try:
            receipt = deploying.carry_out(order, reviews=lambda: _reviews(call))
        except CimlError as error:
            _say(call, order, "failure", error.message)
            raise
        deploying.record(order, receipt)
        lines.append(_conclude(call, order, receipt))
        code = code if receipt.outcome == "deployed" else ExitCode.DEPLOYMENT
    return code, tuple(lines)


def order(call: Call, rollouts: Sequence[Rollout]) -> tuple[DeploymentLine, ...]:
    """Hand the orders on to the jobs that carry them out, with all bytes that these will need."""
    lines = []
    for rollout in rollouts:
        if rollout.order is None:
            lines.append(_already(rollout))
            continue
        _announce(call, rollout.order)
        if call.handed is not None:
            previous = [rollout.order.previous.artifact] if rollout.order.previous else []
            stored = [item for item in (rollout.order.artifact, *previous) if call.place.store.has(item)]
            call.handed.write("deployments", rollout.order.name, rollout.order)
            call.handed.export(stored, call.place.store)
        lines.append(_line(rollout.order, "pending"))
    return tuple(lines)


def deploy(call: Call) -> ExitCode:
    """Carry out the orders for the named environments, and hand on receipts.

    Raises:
        TrustError: the event deploys nothing, or nobody else has approved it.
        IntegrityError: an order is not what ledger and ciml.yaml bear out.
    """
    if call.rights.deploys is None:
        raise TrustError(f"nothing is deployed for the event {call.event.name}")
    call.taken.take_in(call.place.store)
    wanted = [item for item in call.taken.all("deployments", DeployOrder, of=SETTLED) if _is_wanted(item, call)]
    if not wanted:
        call.console.line("Nothing to deploy here.")
        return ExitCode.OK
    deploying, code = _deploying(call), ExitCode.OK
    for item in wanted:
        receipt = deploying.carry_out(item, reviews=lambda: _reviews(call), handed_on=call.event)
        if call.handed is not None:
            call.handed.write("receipts", item.name, receipt)
        done = receipt.outcome == "deployed"
        call.console.line(f"{item.environment}: {item.model} version {item.version} {receipt.outcome} {receipt.reason}")
        code = code if done else ExitCode.DEPLOYMENT
    return code


def record(call: Call) -> ExitCode:
    """Write the receipts into the ledger, and say what became of every order; one without a receipt has failed.

    Raises:
        TrustError: the event deploys nothing.
        IntegrityError: a receipt is not its order's, or an order is for another event.
    """
    if call.rights.deploys is None:
        raise TrustError(f"nothing is deployed for the event {call.event.name}")
    deploying, code = _deploying(call), ExitCode.OK
    receipts = {
        item.id: item
        for artifact, item in call.taken.each("receipts", Receipt)
        if may_tell_of_deployment(artifact, slug(item.environment))
    }
    orders, lines = list(call.taken.all("deployments", DeployOrder, of=SETTLED)), []
    if any(item.id not in receipts for item in orders):
        require_alerts(call)
    for item in orders:
        if item.ref != (call.event.tag or ""):
            raise IntegrityError(f"the order {item.name} is for {item.ref or 'a promotion'}, and not for this event")
        receipt = receipts.get(item.id)
        if receipt is not None:
            deploying.record(item, receipt)
        else:
            deploying.tell_failed(item, _NO_RECEIPT, attempt=f"{call.event.run.id}.{call.event.run.attempt}")
        lines.append(_conclude(call, item, receipt))
        code = code if lines[-1].state == "deployed" else ExitCode.DEPLOYMENT
    if not lines:
        call.console.line("Nothing to record.")
        return ExitCode.OK
    tell(call, tuple(lines), code)
    return code


def tell(call: Call, lines: tuple[DeploymentLine, ...], code: ExitCode, *, error: str = "") -> None:
    """A report of deployments alone, and the output that their jobs wait for."""
    report = Report(
        event=call.event,
        head=call.head_commit,
        base=None,
        subject=call.subject,
        conclusion="success" if code is ExitCode.OK else "failure",
        title=error or deployments_text(lines) or "nothing to deploy",
        deployments=lines,
        notices=tuple(call.notices),
        error=error,
    )
    for line in lines:
        call.console.line(
            f"{line.environment}: {line.model} version {line.version} {line.state} {line.detail}".rstrip()
        )
    publish(call, report, {"deploy": environments(lines)})


def _of_this_run(call: Call, rollouts: Sequence[Rollout]) -> tuple[Rollout, ...]:
    """The same, whose orders say which run decided them: an approval is for what its own run deploys."""
    return tuple(
        replace(rollout, order=replace(rollout.order, run=call.event.run.id)) if rollout.order else rollout
        for rollout in rollouts
    )


def _deploying(call: Call) -> Deploying:
    return Deploying(call.place, call.project, call.invocation, call.console, registries=call.registries)


def _reviews(call: Call) -> Reviews:
    """What people said of this run's deployments."""
    run = call.event.run.id
    if call.forge is None or not run.isdecimal():
        raise TrustError(
            "`approval: required` is asked of GitHub, and this is no run of GitHub's, or there is no token for it",
            hint="A person may deploy by hand: ciml deploy --override --reason TEXT",
        )
    return call.forge.reviews(run)


def _is_wanted(item: DeployOrder, call: Call) -> bool:
    named = not call.asked.words or item.environment in call.asked.words
    return named and item.target.after == call.rights.deploys


def _waiting(call: Call) -> Waiting:
    event, forge = call.event, call.forge

    def run(commit: CommitSha) -> Literal["none", "running", "over"]:
        if forge is None:
            return "over"
        try:
            state = forge.run_state(commit, event.run.workflow, event.default_branch)
        except CimlError:
            return "over"  # who cannot say is not waited for: the ledger decides
        return state if state in ("none", "running") else "over"

    wait_s = call.project.pipeline.release.wait_s
    return Waiting(run=run, wait_s=wait_s, sleep=time.sleep, clock=time.monotonic)


def _announce(call: Call, item: DeployOrder) -> None:
    """Say that the order is on its way; what cannot be said costs a warning."""
    what = f"{item.model} version {item.version}"
    _say(call, item, "in_progress", what)


def _conclude(call: Call, item: DeployOrder, receipt: Receipt | None) -> DeploymentLine:
    if receipt is None:
        _say(call, item, "failure", _NO_RECEIPT)
        return _line(item, "failed", _NO_RECEIPT)
    done = receipt.outcome == "deployed"
    detail = "; ".join(filter(None, (receipt.reason, receipt.detail)))
    _say(call, item, "success" if done else "failure", detail)
    return _line(item, receipt.outcome, detail)


def _say(call: Call, item: DeployOrder, state: Literal["in_progress", "success", "failure"], text: str) -> None:
    if call.forge is None or not call.rights.reports:
        return
    try:
        number = call.forge.open_deployment(
            ref=item.ref or item.commit,
            environment=item.environment,
            description=text[:140],
            key=f"{item.id}-{call.event.run.id}",
        )
        call.forge.deployment_status(number, state, description=text[:140], url=call.event.run.url)
    except CimlError as error:
        call.console.warn(f"the deployment is not shown on GitHub: {error.message}")


def _already(rollout: Rollout) -> DeploymentLine:
    assert rollout.serves is not None, "what needs no order serves"
    return DeploymentLine(
        model=rollout.found.model.name,
        environment=rollout.target.target.name,
        version=rollout.found.version,
        state="already",
        detail=f"since {rollout.serves.at}",
    )


def _line(
    item: DeployOrder, state: Literal["deployed", "failed", "rolled-back", "pending"], detail: str = ""
) -> DeploymentLine:
    return DeploymentLine(
        model=item.model, environment=item.environment, version=item.version, state=state, detail=detail
    )
