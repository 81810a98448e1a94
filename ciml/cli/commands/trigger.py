"""`ciml trigger`: let data that arrives in S3 start the workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click
from msgspec.structs import replace

from ciml.cli.console import Console
from ciml.cli.group import Commands
from ciml.cli.invocation import Invocation
from ciml.cli.wiring import Place, open_place, project_at
from ciml.core.errors import ConfigurationError, ExitCode
from ciml.core.pipeline import Pipeline
from ciml.core.trigger import GITHUB, Trigger, checked_token, repository_of, trigger
from ciml.core.trigger_resources import stack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ciml.app.trigger import Cloud, Done, Seen

TOKEN_VARIABLE = "CIML_TRIGGER_TOKEN"

_KINDS = {
    "AWS::Events::Connection": "connection",
    "AWS::Events::ApiDestination": "API destination",
    "AWS::Events::Rule": "rule",
    "AWS::IAM::Role": "role",
    "AWS::Scheduler::ScheduleGroup": "schedule group",
    "AWS::Scheduler::Schedule": "schedule",
    "AWS::S3::Bucket": "bucket's events",
}

Keeper = Literal["workflow", "eventbridge"]


def _with_repository(command: Callable[..., int]) -> Callable[..., int]:
    return click.option(
        "--repository", metavar="OWNER/NAME", help="The repository on GitHub; default: that of the remote `origin`."
    )(command)


def _with_schedule(command: Callable[..., int]) -> Callable[..., int]:
    return click.option(
        "--schedule",
        "keeper",
        type=click.Choice(["workflow", "eventbridge"]),
        help="Who keeps `triggers.schedule`; default: as it is installed, else the workflow's own cron.",
    )(command)


@click.group("trigger", cls=Commands)
def command() -> None:
    """Let data that arrives in S3 start the workflow, by EventBridge.

    What is watched is `triggers.data` in ciml.yaml. Credentials are those of the AWS tools.
    """


@command.command("install")
@_with_repository
@_with_schedule
@click.option("--print", "printed", is_flag=True, help="Only print the same as a CloudFormation template.")
@click.pass_obj
def install_command(invocation: Invocation, repository: str | None, keeper: Keeper | None, printed: bool) -> int:
    """Make what is missing and mend what differs; a second time changes nothing.

    CIML_TRIGGER_TOKEN is a token for this repository alone with "Contents: read and write". EventBridge keeps
    it in Secrets Manager; set it again only to replace it.
    """
    console = Console(invocation)
    wanted = _wanted(invocation, repository)
    if printed:
        text = stack(wanted if keeper == "eventbridge" else replace(wanted, schedules=()))
        console.document({"template": text})
        console.line(text.rstrip("\n"))
        return ExitCode.OK
    from ciml.app.trigger import install

    token = checked_token(invocation.environ.get(TOKEN_VARIABLE))
    wanted, cloud = _connected(invocation, wanted, keeper)
    done = install(wanted, cloud, token=token)
    _tell_done(console, wanted, cloud, done)
    if all(item.did == "unchanged" for item in done):
        console.line("Nothing to do: all is as it should be.")
    watched = ", ".join(map(str, wanted.prefixes))
    console.line(f"What arrives at {watched} starts the workflow of {wanted.repository}.")
    return ExitCode.OK


@command.command("status")
@_with_repository
@_with_schedule
@click.pass_obj
def status_command(invocation: Invocation, repository: str | None, keeper: Keeper | None) -> int:
    """Show what is there, what differs from ciml.yaml, and what is missing."""
    from ciml.app.trigger import State, status

    console = Console(invocation)
    wanted, cloud = _connected(invocation, _wanted(invocation, repository), keeper)
    seen = status(wanted, cloud)
    console.document({**_about(wanted, cloud), "resources": seen})
    console.columns([(item.state, _KINDS[item.kind], item.name, _remark(item)) for item in seen])
    if any(item.state is not State.OK for item in seen):
        console.line("hint: `ciml trigger install` makes it as it should be.")
    return ExitCode.OK


@command.command("remove")
@_with_repository
@click.pass_obj
def remove_command(invocation: Invocation, repository: str | None) -> int:
    """Remove what `install` has made, and nothing else, whatever ciml.yaml asks for by now."""
    from ciml.app.trigger import remove

    console = Console(invocation)
    wanted, cloud = _connected(invocation, _wanted(invocation, repository, watches=False), "workflow")
    done = remove(cloud)
    _tell_done(console, wanted, cloud, done)
    if not done:
        console.line(f"Nothing to do: there is no trigger of {wanted.repository} in {cloud.where.region}.")
    for bucket in wanted.buckets if done else ():
        console.line(f"S3 goes on telling EventBridge of {bucket}: others may listen, and it costs nothing.")
    return ExitCode.OK


def _wanted(invocation: Invocation, repository: str | None, *, watches: bool = True) -> Trigger:
    """What ciml.yaml asks for, schedules included."""
    with open_place(invocation) as place:
        pipeline = project_at(place, invocation, {}).pipeline
        return trigger(
            repository=repository or _repository(place, invocation),
            data=pipeline.triggers.data,
            schedules=pipeline.triggers.schedules,
            api=invocation.environ.get("GITHUB_API_URL") or GITHUB,
            own=[address for address in _own(pipeline) if address.startswith("s3://")],
            watches=watches,
        )


def _own(pipeline: Pipeline) -> Sequence[str]:
    return [address for address in (pipeline.store, pipeline.ledger) if address]


def _repository(place: Place, invocation: Invocation) -> str:
    remote = place.repository.remote_url()
    found = invocation.environ.get("GITHUB_REPOSITORY") or (repository_of(remote) if remote else None)
    if found is None:
        raise ConfigurationError(
            "which repository on GitHub this is cannot be told from `origin`", hint="--repository OWNER/NAME"
        )
    return found


def _connected(invocation: Invocation, wanted: Trigger, keeper: Keeper | None) -> tuple[Trigger, Cloud]:
    """The account, and what is wanted there: schedules only where EventBridge keeps them."""
    from ciml.adapters.triggers import Triggers
    from ciml.app.trigger import keeps_schedules

    cloud: Cloud = Triggers(wanted, invocation.environ)
    if keeper == "eventbridge" or (keeper is None and wanted.schedules and keeps_schedules(wanted, cloud)):
        return wanted, cloud
    return replace(wanted, schedules=()), cloud


def _about(wanted: Trigger, cloud: Cloud) -> dict[str, object]:
    where = cloud.where
    watched = [str(prefix) for prefix in wanted.prefixes]
    return {"repository": wanted.repository, "account": where.account, "region": where.region, "data": watched}


def _tell_done(console: Console, wanted: Trigger, cloud: Cloud, done: Sequence[Done]) -> None:
    console.document({**_about(wanted, cloud), "resources": done})
    console.columns([(item.did, _KINDS[item.kind], item.name) for item in done])


def _remark(item: Seen) -> str:
    return ", ".join(item.differs)
