"""`ciml lineage`: what made a thing, and what was made from it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ciml import __version__
from ciml.adapters.git.everywhere import all_commits
from ciml.adapters.git.repository import Repository
from ciml.adapters.manifests import parse
from ciml.app.data import manifest_files, manifests
from ciml.app.lineage import Lineage, lineage
from ciml.app.log import manifests_at
from ciml.app.propose import PROVENANCE
from ciml.cli.invocation import Invocation
from ciml.cli.registry import Registries, Traces
from ciml.cli.wiring import journal, open_place, project_at
from ciml.core import drawing
from ciml.core.ancestry import union
from ciml.core.errors import ExitCode, UsageError
from ciml.core.history import history
from ciml.core.ids import RepoPath
from ciml.core.lineage import Commit
from ciml.core.manifest import Manifest, manifest_paths

_COMMITS = 5000
PRODUCER = f"urn:x-ciml:{__version__}"
FORMATS = ("text", "json", "mermaid", "in-toto", "openlineage")


@click.command("lineage")
@click.argument("subject")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="How it is written."
)
@click.pass_obj
def command(invocation: Invocation, subject: str, form: str) -> int:
    """Show what made SUBJECT and what was made from it.

    SUBJECT is a version (churn/3, models:/churn/3), an alias (churn@champion), a commit, a file or a manifest.
    """
    with open_place(invocation) as place:
        pipeline = project_at(place, invocation, {}).pipeline
        registries = Registries(place, pipeline, invocation.environ)
        traces = Traces(registries)
        commits = all_commits(place.repository, limit=_COMMITS)
        aliases = {model.name: model.champion.alias for model in pipeline.models.values()}
        found = lineage(
            subject,
            history(registries.states(), commits, aliases=aliases),
            journal=journal(place),
            registered=traces,
            commits=commits,
            resolve=place.repository.resolve,
            manifests=lambda path: _manifests(path, place.repository),
        )
        text = _rendered(found, "json" if invocation.json and form == "text" else form, traces)
    click.echo(text)
    return ExitCode.OK


def _manifests(path: RepoPath, repository: Repository) -> Iterator[tuple[Commit | None, Manifest]]:
    """What ever stood for a path, with the commits that changed it, the youngest first.

    Where nobody has committed it: what does in the work tree, with None.
    """
    committed = False
    for commit in all_commits(repository, limit=_COMMITS, at=manifest_paths(path)):
        for manifest in manifests_at(repository.commit_tree(commit.sha), [path], parse).values():
            committed = True
            yield commit, manifest
    if not committed and repository.root is not None:
        tree = repository.work_tree()
        if path in manifest_files(tree):
            yield from ((None, manifest) for manifest in manifests(tree, parse, [path]) if manifest.path == path)


def _rendered(found: Lineage, form: str, traces: Traces) -> str:
    import json

    match form:
        case "text":
            return "\n".join(drawing.as_text(found.made_from, found.led_to, found.starts))
        case "json":
            return json.dumps(drawing.as_json(union(found.made_from, found.led_to)), indent=2)
        case "mermaid":
            return drawing.as_mermaid(union(found.made_from, found.led_to))
        case "openlineage":
            from ciml.core.openlineage import events

            return "\n".join(json.dumps(event) for run in found.runs for event in events(run, producer=PRODUCER))
        case _:
            return _provenance(found, traces)


def _provenance(found: Lineage, traces: Traces) -> str:
    """The in-toto statement that the registry keeps with the version."""
    if found.version is None:
        raise UsageError("--format in-toto is about a registered version", hint="ciml lineage MODEL/VERSION")
    data = traces.file(found.version.model, found.version.version, PROVENANCE)
    if data is None:
        raise UsageError(f"{found.version.model}/{found.version.version} has no provenance in the registry")
    return data.decode()
