"""What made a version, and what came of a commit, a file or some data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from ciml.app.ports import Journal, VersionTraces
from ciml.core.ancestry import Ancestry, Kind, commit_id, down, up, version_id
from ciml.core.descent import ancestry, standing
from ciml.core.errors import ConfigurationError, RepositoryError, UsageError
from ciml.core.history import History, VersionLine
from ciml.core.ids import CommitSha, RepoPath
from ciml.core.lineage import Commit, RunTrace, of_model
from ciml.core.manifest import Manifest, stands_for
from ciml.core.paths import inside_fault, normal
from ciml.core.subject import CommitSubject, find, version_of
from ciml.core.value import Value

Manifests = Callable[[RepoPath], Iterable[tuple[Commit | None, Manifest]]]


class Lineage(Value, frozen=True, kw_only=True):
    """The answer: two graphs that meet in the starts."""

    starts: tuple[str, ...]
    """Ids of the nodes that were asked about."""
    made_from: Ancestry
    led_to: Ancestry
    runs: tuple[RunTrace, ...]
    """The records that it was read from."""
    version: VersionLine | None = None
    """Set when the question was about a version."""


def lineage(
    text: str,
    history: History,
    *,
    journal: Journal,
    registered: VersionTraces,
    commits: Sequence[Commit],
    resolve: Callable[[str], CommitSha],
    manifests: Manifests = lambda path: (),
) -> Lineage:
    """The lineage of what `text` names.

    A version's is read from its own records and a commit's from the runs at it, so that a file
    that several commits share does not lead from the one to the other's models.

    Args:
        text: a version, an alias, a commit, a path, a manifest, or a digest.
        history: what the ledgers say, with the commits that share a tree.
        journal: the runs of this clone.
        registered: what the registry keeps with each version.
        commits: the repository's.
        resolve: the commit that a revision names; raises where it names none.
        manifests: those that ever stood for a path, with the commits that changed them.

    Raises:
        UsageError: `text` names nothing that is recorded, or more than one thing.
    """
    subject = version_of(text, history)
    if subject is not None:
        line = subject.line
        runs = (*_of_version(line, registered), *_with_recipe(line, journal.runs()))
        graph = ancestry(runs, _only(history, [line]), commits)
        return _answer((version_id(line.model, line.version),), graph, runs, version=line)
    everything = tuple(_all(history, journal, registered))
    whole = ancestry(everything, history, commits)
    try:
        found = find(text, whole, lambda revision: _commit(revision, resolve))
    except UsageError:
        untouched = _of_manifest(text, manifests)
        if untouched is None:
            raise
        return _answer(tuple(node.id for node in untouched.nodes.values() if node.kind is Kind.DATA), untouched, ())
    if isinstance(found, CommitSubject):
        return _of_commit(found.sha, history, everything, commits)
    return _answer(found.nodes, whole, everything)


def _of_manifest(text: str, manifests: Manifests) -> Ancestry | None:
    """The graph of data that no run has read yet; None where nothing ever stood for it."""
    named = normal(text)
    path = stands_for(named) or named
    found = None if inside_fault(path) else standing(manifests(path))
    return found if found and found.nodes else None


def _commit(revision: str, resolve: Callable[[str], CommitSha]) -> CommitSha | None:
    try:
        return resolve(revision)
    except (ConfigurationError, RepositoryError):
        return None  # then it is the name of something else, or of nothing


def _of_commit(sha: CommitSha, history: History, everything: Sequence[RunTrace], commits: Sequence[Commit]) -> Lineage:
    runs = tuple(run for run in everything if run.commit and run.commit.sha == sha)
    recipes = {(model.name, model.recipe) for run in runs for model in run.models}
    lines = [
        line
        for line in history.versions
        if sha in line.commits or any((line.model, recipe) in recipes for recipe in line.recipes)
    ]
    graph = ancestry(runs, _only(history, lines), commits, also=[sha])
    return _answer((commit_id(sha),), graph, runs)


def _answer(
    starts: tuple[str, ...], graph: Ancestry, runs: tuple[RunTrace, ...], *, version: VersionLine | None = None
) -> Lineage:
    return Lineage(starts=starts, made_from=up(graph, starts), led_to=down(graph, starts), runs=runs, version=version)


def _only(history: History, lines: Sequence[VersionLine]) -> History:
    """These versions and their deployments."""
    kept = {(line.model, line.version) for line in lines}
    return History(
        versions=tuple(lines),
        deployments=tuple(line for line in history.deployments if (line.model, line.version) in kept),
    )


def _of_version(line: VersionLine, registered: VersionTraces) -> Iterator[RunTrace]:
    trace = registered.trace(line.model, line.version)
    if trace is not None:
        yield trace


def _with_recipe(line: VersionLine, runs: Iterable[RunTrace]) -> Iterator[RunTrace]:
    """The local runs that made these very bytes under one of the version's recipes."""
    for run in runs:
        for model in run.models:
            made = model.artifact is not None and model.artifact.digest == line.artifact
            if model.name == line.model and model.recipe in line.recipes and made:
                yield of_model(run, model.name)


def _all(history: History, journal: Journal, registered: VersionTraces) -> Iterator[RunTrace]:
    """Every record there is, each run once: the journal has what this clone ran, the registry the rest."""
    seen: set[str] = set()
    for run in journal.runs():
        seen.add(run.id)
        yield run
    for line in history.versions:
        for trace in _of_version(line, registered):
            if trace.id not in seen:
                yield trace
