"""`ciml doctor`: what is missing here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from ciml.adapters.git.repository import INTRODUCTION, NOBODY
from ciml.adapters.tools import package, program
from ciml.cli.console import Console
from ciml.cli.invocation import Invocation
from ciml.cli.wiring import open_place, project_at
from ciml.core.errors import CimlError, ExitCode
from ciml.core.url import bare
from ciml.core.value import Value

EXTRAS = {
    "mlflow": ("mlflow", "mlflow", "register models, show runs"),
    "github": ("github", "PyGithub", "report on pull requests"),
    "aws": ("boto3", "boto3", "use S3 and deploy to AWS"),
    "data": ("polars", "polars", "check and compare tables"),
    "alerts": ("apprise", "apprise", "send alerts"),
    "provenance": ("securesystemslib", "securesystemslib", "sign provenance"),
}
"""Extra -> module, distribution, what it is for."""

_EXACTLY = "compare `sub` and `aud` by StringEquals: repo:OWNER/NAME:environment:ciml, sts.amazonaws.com"


class Finding(Value, frozen=True, kw_only=True):
    """One thing that was looked at."""

    what: str
    state: str
    """`ok`, `missing`, `old`, `loose` or `wrong`."""
    detail: str
    hint: str = ""


@click.command("doctor")
@click.option(
    "--aws",
    is_flag=True,
    help="Look whom the roles in CIML_AWS_ROLE and CIML_AWS_ROLE_PULL_REQUEST trust, and try a ledger in S3.",
)
@click.option("--role", "roles", metavar="ARN", multiple=True, help="Look whom this role trusts.")
@click.pass_obj
def command(invocation: Invocation, aws: bool, roles: tuple[str, ...]) -> int:
    """Check what this machine and this repository have, and say what to do about what they lack.

    A role that more than the repository's own jobs can take is exit code 6.
    """
    console = Console(invocation)
    trust = _roles(invocation, roles, named=aws) if aws or roles else []
    ledger = _ledger(invocation) if aws else []
    found = [*_programs(invocation), *_packages(), *_repository(invocation), *ledger, *trust]
    console.document({"findings": found})
    console.columns([(item.state, item.what, item.detail, item.hint) for item in found])
    if any(item.state == "wrong" for item in trust):
        return ExitCode.TRUST
    return ExitCode.CONFIGURATION if any(item.state == "wrong" for item in found) else ExitCode.OK


def _programs(invocation: Invocation) -> list[Finding]:
    git = program("git", "--version", environ=invocation.environ)
    bash = program("bash", "--version", environ=invocation.environ)
    uv = program("uv", "--version", environ=invocation.environ)
    return [
        Finding(what="python", state="ok", detail=sys.version.split()[0]),
        Finding(
            what="git", state="ok" if git else "wrong", detail=git or "not found", hint="" if git else "install it"
        ),
        Finding(
            what="bash",
            state="ok" if bash else "wrong",
            detail=bash or "not found",
            hint="" if bash else "install it: stages run in it",
        ),
        Finding(
            what="uv",
            state="ok" if uv else "missing",
            detail=uv or "not found",
            hint="" if uv else "not needed; environments are made much faster with it",
        ),
    ]


def _packages() -> list[Finding]:
    findings = []
    for extra, (module, distribution, purpose) in EXTRAS.items():
        version = package(module, distribution)
        hint = "" if version else f'pip install "ciml[{extra}]" to {purpose}'
        findings.append(
            Finding(what=extra, state="ok" if version else "missing", detail=version or "not installed", hint=hint)
        )
    return findings


def _identity(name: str) -> Finding:
    """Whom the ledger will name."""
    if name != NOBODY:
        return Finding(what="identity", state="ok", detail=name)
    return Finding(what="identity", state="missing", detail="Git does not know who you are", hint=INTRODUCTION)


def _repository(invocation: Invocation) -> list[Finding]:
    """The repository, its ciml.yaml and its registry, as far as there are any."""
    try:
        with open_place(invocation) as place:
            where = [
                Finding(what="repository", state="ok", detail=place.root or place.repository.git_dir),
                _identity(place.repository.identity()),
            ]
            try:
                pipeline = project_at(place, invocation, {}).pipeline
            except CimlError as error:
                return [*where, _wrong("ciml.yaml", error)]
            workflows = _workflows(place.root, pipeline.action) if place.root else []
    except CimlError as error:
        return [_wrong("repository", error)]
    uri = pipeline.registry or invocation.environ.get("MLFLOW_TRACKING_URI")
    detail = bare(uri) if uri else "embedded: an SQLite database of this clone"
    return [
        *where,
        Finding(what="ciml.yaml", state="ok", detail=f"stages: {len(pipeline.stages)}, models: {len(pipeline.models)}"),
        Finding(what="registry", state="ok", detail=detail),
        *(_server(uri) if uri else ()),
        *workflows,
    ]


def _workflows(root: str, action: str | None) -> list[Finding]:
    """The workflows in which somebody who moves a tag or a branch puts another ciml in the place of this one."""
    from ciml.core.workflow.pins import movable

    findings = []
    for path in sorted(Path(root, ".github/workflows").glob("*.y*ml")):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # Git's own checkout says what cannot be read
        for used in movable(text, action):
            name = used.partition("@")[0]
            findings.append(
                Finding(
                    what=path.name,
                    state="loose",
                    detail=f"uses {used}, which can be made to mean another commit",
                    hint=f"name the commit: {name}@<40 hex digits>",
                )
            )
    return findings


def _server(uri: str) -> list[Finding]:
    """The registry's version, where it is a server that tells it, and what is known to be wrong with it."""
    from ciml.adapters.mlflow.server import server_version
    from ciml.core.advisories import SOUND, advisories

    version = server_version(uri)
    if version is None:
        return []
    holes = advisories(version)
    hint = f"update it to {SOUND} or newer: {', '.join(holes)}" if holes else ""
    return [Finding(what="mlflow server", state="old" if holes else "ok", detail=version, hint=hint)]


def _ledger(invocation: Invocation) -> list[Finding]:
    """Whether the bucket of the ledger, where it lies in one, keeps two writers apart."""
    from ciml.adapters.ledgers.s3 import S3Ledger
    from ciml.cli.registry import Registries

    try:
        with open_place(invocation) as place:
            pipeline = project_at(place, invocation, {}).pipeline
            registries = Registries(place, pipeline, invocation.environ)
            for ledger in map(registries.ledger, pipeline.models):
                if isinstance(ledger, S3Ledger):
                    ledger.probe()
                    return [Finding(what="ledger", state="ok", detail=f"{pipeline.ledger} keeps two writers apart")]
    except CimlError as error:
        return [_wrong("ledger", error)]
    return []


def _roles(invocation: Invocation, roles: Sequence[str], *, named: bool) -> list[Finding]:
    """Whom roles of AWS trust: those of the environment where `named`, and others."""
    environ = invocation.environ
    asked = [(arn, True) for arn in roles]
    if named:
        variables = {"CIML_AWS_ROLE": False, "CIML_AWS_ROLE_PULL_REQUEST": True}
        asked += [(environ[name], allowed) for name, allowed in variables.items() if environ.get(name)]
    if not asked:
        return [Finding(what="role", state="missing", detail="none is named", hint="CIML_AWS_ROLE, or --role ARN")]
    repository = _on_github(invocation)
    return [_role(arn, invocation, repository, pull_requests=allowed) for arn, allowed in asked]


def _role(arn: str, invocation: Invocation, repository: str | None, *, pull_requests: bool) -> Finding:
    from ciml.adapters.iam import trust_policy
    from ciml.core.oidc import trust_faults, trusts_github

    what = f"role {arn.rpartition('/')[2]}"
    try:
        policy = trust_policy(arn, invocation.environ)
    except CimlError as error:
        return _wrong(what, error)
    if faults := trust_faults(policy, repository=repository, pull_requests=pull_requests):
        return Finding(what=what, state="wrong", detail="; ".join(faults), hint=_EXACTLY)
    if not trusts_github(policy):
        return Finding(what=what, state="missing", detail="trusts no token of GitHub's", hint="templates/aws has one")
    return Finding(what=what, state="ok", detail="assumable by what it names exactly")


def _on_github(invocation: Invocation) -> str | None:
    """The repository that roles should be for, as far as that can be told."""
    from ciml.core.trigger import repository_of

    if named := invocation.environ.get("GITHUB_REPOSITORY"):
        return named
    try:
        with open_place(invocation) as place:
            return repository_of(place.repository.remote_url() or "")
    except CimlError:
        return None


def _wrong(what: str, error: CimlError) -> Finding:
    return Finding(what=what, state="wrong", detail=error.message.partition("\n")[0], hint=error.hint or "")
