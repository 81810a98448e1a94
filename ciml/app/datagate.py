"""Check the data before any stage runs: what `data:` in ciml.yaml asks of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ciml.app.plan import project_graph
from ciml.app.ports import Ledgers, Tree
from ciml.app.project import Project
from ciml.app.reads import used_stages
from ciml.app.tabling import Tables, facts_of, known_facts
from ciml.core.changes import CONFIGURATION
from ciml.core.datachecks import DataVerdict, Reference, judge_data
from ciml.core.errors import CimlError, ConfigurationError, Problem
from ciml.core.ids import CommitSha, Digest, ModelName, RepoPath
from ciml.core.inputs import ProducedInput
from ciml.core.ledger import LedgerState
from ciml.core.manifest import Manifest, manifest_paths
from ciml.core.pipeline import DataRules, Pipeline
from ciml.core.plan import Graph
from ciml.core.results import Output
from ciml.core.tablefacts import Facts, NoTable
from ciml.core.tree import DIRECTORY, LINK, SUBMODULE, TreeEntry
from ciml.core.value import Value


class Standing(Value, frozen=True, kw_only=True):
    """What stands for a path in a tree: exactly one of the two."""

    manifest: Manifest | None = None
    entry: TreeEntry | None = None


def check_data(
    project: Project, ledgers: Ledgers, tables: Tables, *, may_lack_champion: bool = False
) -> tuple[DataVerdict, ...]:
    """What the checks of `data:` say, in the order of ciml.yaml; nothing is read where there are none.

    Args:
        project: its pipeline's rules, and its tree.
        ledgers: say which data the champions were trained on.
        tables: reads and remembers.
        may_lack_champion: a champion that cannot be read here counts as none.

    Raises:
        ConfigurationError: a path has neither a manifest nor is it tracked, or polars is not installed.
        RepositoryError, ServiceError, IntegrityError: the data is not to be had.
    """
    if not project.pipeline.data:
        return ()
    standing = checked_paths(project)
    champions = _Champions(project, ledgers, tables, may_lack=may_lack_champion)
    return tuple(_checked(project, rules, standing[rules.path], champions, tables) for rules in project.pipeline.data)


def checked_paths(project: Project) -> dict[RepoPath, Standing]:
    """Path of each check -> what stands for it.

    Raises:
        ConfigurationError: with all paths that have neither a manifest nor are tracked.
    """
    paths = [rules.path for rules in project.pipeline.data]
    found = {path: _standing(project, project.tree, path) for path in paths}
    if missing := [path for path in paths if found[path] is None]:
        raise ConfigurationError(problems=[_nothing(path, project.pipeline) for path in missing])
    return {path: standing for path, standing in found.items() if standing is not None}


def _nothing(path: RepoPath, pipeline: Pipeline) -> Problem:
    made = {place.path: name for name, stage in pipeline.stages.items() for place in stage.outputs}
    if path in made:
        hint = f"stage {made[path]} makes it; data is checked before any stage runs: write a stage that checks it"
    else:
        hint = f"`ciml data add {path}` writes a manifest"
    return Problem(
        message=f"no manifest stands for {path}, and Git does not track it",
        file=CONFIGURATION,
        line=pipeline.data_lines.get(path),
        key=f"data.{path}",
        hint=hint,
    )


def _standing(project: Project, tree: Tree, path: RepoPath) -> Standing | None:
    files = manifest_paths(path)
    entries = tree.entries([path, *files])
    for file in files:
        if file in entries:
            return Standing(manifest=project.documents.manifest(tree.read(file) or b"", file))
    entry = entries.get(path)
    if entry is None or entry.mode in (DIRECTORY, SUBMODULE, LINK):
        return None
    return Standing(entry=entry)


def _checked(project: Project, rules: DataRules, found: Standing, champions: _Champions, tables: Tables) -> DataVerdict:
    output = _output(project, project.tree, found)
    facts = facts_of(output, project.store, tables)
    references = tuple(champions.references(rules.path)) if rules.compare else ()
    return judge_data(rules, output.digest, facts, references)


def _output(project: Project, tree: Tree, found: Standing) -> Output:
    """What stands for a path, with its bytes in the store."""
    if found.manifest is not None:
        return project.supply(project.store).bring(found.manifest)
    entry = found.entry
    assert entry is not None, "one of the two is set"
    data = tree.fetch(entry)
    return Output(path=entry.path, digest=project.store.put_bytes(data), size=len(data))


class _Champions:
    """The data that today's champions were trained on."""

    def __init__(self, project: Project, ledgers: Ledgers, tables: Tables, *, may_lack: bool) -> None:
        self._project = project
        self._ledgers = ledgers
        self._tables = tables
        self._may_lack = may_lack
        self._states: dict[ModelName, LedgerState | None] = {}
        self._graphs: dict[CommitSha | None, Graph] = {}

    def references(self, path: RepoPath) -> Iterator[Reference]:
        """What each champion was trained on at a path; none of a champion that had nothing from there."""
        for model in self._project.pipeline.models:
            state = self._state(model)
            if state is None or state.champion is None:
                continue
            registered = state.versions[state.champion.version]
            if _uses(registered.data, path) or self._reads(model, registered.commit, path):
                digest = registered.data.get(path)
                facts = self._facts(path, digest, registered.commit)
                yield Reference(model=model, version=registered.version, digest=digest, facts=facts)

    def _reads(self, model: ModelName, commit: CommitSha | None, path: RepoPath) -> bool:
        """Whether a stage on the way to the model reads the path or a part of it; the ledger has what is near alone."""
        graph = self._graph(commit)
        if model not in graph.pipeline.models:
            return False
        stages = used_stages(graph.pipeline.models[model], graph)
        read = [item.path for name in stages for item in graph.inputs[name] if not isinstance(item, ProducedInput)]
        return any(f"{name}/".startswith(f"{path}/") or f"{path}/".startswith(f"{name}/") for name in read)

    def _graph(self, commit: CommitSha | None) -> Graph:
        """The graph of a commit; today's where that one cannot be read here, or not with today's parameters."""
        if commit not in self._graphs:
            project = self._project
            try:
                tree = self._tree(commit) or project.tree
                self._graphs[commit] = project_graph(project, tree, project.documents.pipeline(tree))
            except CimlError:
                self._graphs[commit] = project_graph(project, project.tree, project.pipeline)
        return self._graphs[commit]

    def _state(self, model: ModelName) -> LedgerState | None:
        if model not in self._states:
            try:
                self._states[model] = self._ledgers.read(model)
            except CimlError:
                if not self._may_lack:
                    raise
                self._states[model] = None
        return self._states[model]

    def _facts(self, path: RepoPath, digest: Digest | None, commit: CommitSha | None) -> Facts:
        """The facts of the data that a champion had, wherever its bytes are now."""
        try:
            tree = self._tree(commit)
            found = _standing(self._project, tree, path) if tree else None
            if tree is None or found is None:
                return NoTable(reason="the commit that it was registered from cannot be read here")
            if (manifest := found.manifest) is not None:
                if digest not in (None, manifest.digest) and manifest.md5 is None:
                    return NoTable(reason="its commit names other data than the ledger")
                if (kept := known_facts(manifest.output, self._tables)) is not None:
                    return kept
            return facts_of(_output(self._project, tree, found), self._project.store, self._tables)
        except CimlError as error:
            return NoTable(reason=f"its data cannot be had: {error.message}")

    def _tree(self, commit: CommitSha | None) -> Tree | None:
        found = self._project.history.base(commit).commit if commit else None
        return self._project.history.commit_tree(found) if found else None


def _uses(data: Mapping[RepoPath, Digest], path: RepoPath) -> bool:
    """Whether what was trained on holds the path, or a part of it."""
    return any(f"{name}/".startswith(f"{path}/") for name in data)
