"""What changed, and which stages would run: plan between two commits, or HEAD and the work tree."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence

import msgspec

from ciml.app.evidence import LookedUp
from ciml.app.graph import graph_of
from ciml.app.ports import Tree
from ciml.app.project import Project, WorkTree
from ciml.core import dag
from ciml.core.changes import CONFIGURATION, ChangeSet, change_set
from ciml.core.errors import ConfigurationError, RepositoryError, TrustError, UsageError
from ciml.core.findings import suggestion
from ciml.core.ids import CommitSha, RepoPath, StageName, is_commit_id
from ciml.core.inputs import DataInput, TrackedInput
from ciml.core.manifest import taking
from ciml.core.params import differences
from ciml.core.paths import folders
from ciml.core.pipeline import Pipeline
from ciml.core.plan import Graph, Plan, plan_stages
from ciml.core.reasons import Before, Reasons
from ciml.core.value import Value


class Prepared(Value, frozen=True, kw_only=True):
    """All that a plan and a run decide from."""

    graph: Graph
    base: CommitSha | None
    dirty: bool
    changes: ChangeSet
    reasons: Reasons
    evidence: LookedUp
    outputs: WorkTree | None
    edited: tuple[DataInput, ...] = ()
    """Data that lies in the work tree and is not what its manifest says; sorted."""

    def anywhere(self) -> Prepared:
        """The same without a work tree: nobody will look there for what is made."""
        return msgspec.structs.replace(self, outputs=None, evidence=self.evidence.anywhere())


def prepare(project: Project, *, base: str | None = None, unknown: str | None = None) -> Prepared:
    """The graph of the project's head, and what differs from the base.

    Args:
        project: `project.tree` is the head: a commit's, or the work tree's.
        base: a revision; None means HEAD when the tree is dirty, else the commit of the last run
            here, else everything counts as changed.
        unknown: why there is nothing to compare with, where the caller knows.

    Raises:
        ConfigurationError: an input is nothing, or stages wait for each other.
        RepositoryError: `base` names no commit.
    """
    graph = project_graph(project, project.tree, project.pipeline)
    edited = edited_data(project, graph)
    dirty = bool(edited) or is_dirty(project.tree, graph)
    commit, unknown = (None, unknown) if unknown else _base(project, base, dirty=dirty)
    before, changes = _compare(project, graph, commit, unknown)
    outputs = project.outputs(project.pipeline) if project.outputs else None
    return Prepared(
        graph=graph,
        base=commit,
        dirty=dirty,
        edited=edited,
        changes=changes,
        reasons=Reasons(graph, before),
        evidence=LookedUp(project.store, outputs, project.pipeline.params),
        outputs=outputs,
    )


def plan(project: Project, prepared: Prepared, *, targets: Sequence[StageName] = (), force: bool = False) -> Plan:
    """What changed since the base, and what would be done about it; nothing is written, nothing is run.

    Args:
        project: what is planned.
        prepared: its graph and what differs from the base.
        targets: plan these stages and what they need; all when empty.
        force: plan as if the targets, or everything, had no records.

    Raises:
        UsageError: a target is no stage.
    """
    wanted = wanted_stages(prepared.graph, targets)
    forced = frozenset(targets or wanted) if force else frozenset()
    stages = plan_stages(prepared.graph, prepared.evidence, why=prepared.reasons.why, wanted=wanted, force=forced)
    return Plan(
        base=prepared.base, head=project.tree.commit, dirty=prepared.dirty, changes=prepared.changes, stages=stages
    )


def project_graph(project: Project, tree: Tree, pipeline: Pipeline) -> Graph:
    """The graph of a pipeline in one of the project's trees."""
    return graph_of(
        pipeline,
        tree,
        imported=project.memory.imports,
        parse_manifest=project.documents.manifest,
        part_of=lambda manifest, inside: project.supply(project.store).part(manifest, inside),
        platform=project.platform,
    )


def wanted_stages(graph: Graph, targets: Sequence[StageName]) -> tuple[StageName, ...]:
    """The targets and all they need, in order; everything when there are none."""
    unknown = [name for name in targets if name not in graph.pipeline.stages]
    if unknown:
        raise UsageError(f"there is no stage {unknown[0]!r}", hint=suggestion(unknown[0], graph.pipeline.stages))
    needed = dag.upstream(graph.waits, targets or graph.order)
    return tuple(name for name in graph.order if name in needed)


def edited_data(project: Project, graph: Graph) -> tuple[DataInput, ...]:
    """The data inputs that lie in the work tree and are not what their manifests say, sorted."""
    inputs = {
        item.stood_for: item
        for inputs in graph.inputs.values()
        for item in inputs
        if isinstance(item, DataInput) and project.data is not None
    }
    return tuple(item for path, item in sorted(inputs.items()) if _is_edited(project, path, item))


def _is_edited(project: Project, path: RepoPath, item: DataInput) -> bool:
    assert project.data is not None, "a work tree has data"
    digest = item.whole or item.digest
    if item.md5 is None:
        return project.data.is_edited(path, digest)
    known = project.supply(project.store).pointed(digest)
    try:
        return known is not None and project.data.is_edited(path, known.digest)
    except TrustError:
        return False  # DVC checks data out as links into its cache, where it is told to


def refuse_edited(prepared: Prepared) -> None:
    """Refuse to run on data that nobody has said is meant.

    Raises:
        RepositoryError: data was edited and its manifest was not.
    """
    if prepared.edited:
        paths = [item.stood_for for item in prepared.edited]
        raise RepositoryError(
            f"{', '.join(paths)} {'is' if len(paths) == 1 else 'are'} not what the manifest says",
            hint=f"`ciml data pull {shlex.join(paths)}` gets what it says, --force even over an edit; "
            f"{'; '.join(dict.fromkeys(map(how_taken, prepared.edited)))}.",
        )


def how_taken(item: DataInput) -> str:
    """How an edit of an input on disk becomes what its manifest says, for hints."""
    return taking(item.stood_for, source=item.source, md5=item.md5)


def is_dirty(tree: Tree, graph: Graph) -> bool:
    """Whether a tracked file or an input differs from HEAD; outputs never count."""
    outputs = {place.path for stage in graph.pipeline.stages.values() for place in stage.outputs}
    return any(path not in outputs and outputs.isdisjoint(folders(path)) for path in tree.dirty)


def _base(project: Project, base: str | None, *, dirty: bool) -> tuple[CommitSha | None, str | None]:
    """The commit to compare with, or None and why there is none."""
    if base is not None and is_commit_id(base):
        found = project.history.base(base)
        return found.commit, found.reason
    if base is not None:
        return project.history.resolve(base), None
    if project.tree.commit is None:
        return None, "no commit yet"
    if dirty:
        return project.tree.commit, None
    if project.last_commit is None:
        return None, "no run here yet"
    return project.last_commit, None


def _compare(project: Project, graph: Graph, base: CommitSha | None, unknown: str | None) -> tuple[Before, ChangeSet]:
    """What differs from the base. Where that cannot be told, everything counts as changed."""
    if base is None:
        return Before(unknown=unknown), _changes(graph, graph_paths(graph), {}, unknown)
    try:
        changed = project.history.changed(base, project.tree.commit if not project.tree.dirty else None)
        before = project.history.commit_tree(base)
        params = _params_that_differ(project, graph, before, changed)
        declared = _declared_before(project, before) if CONFIGURATION in changed else None
    except RepositoryError as error:
        reason = f"cannot compare with {base[:10]}: {error.message}"
        return Before(unknown=reason), _changes(graph, graph_paths(graph), {}, reason)
    known = Before(
        changed=changed,
        params=params,
        stages=declared.stages if declared else None,
        environment=declared is not None and declared.environment != project.pipeline.environment,
    )
    return known, _changes(graph, changed, params, None)


def _changes(graph: Graph, paths: Collection[RepoPath], params: Mapping[str, str], reason: str | None) -> ChangeSet:
    environment = graph.pipeline.environment
    return change_set(
        paths,
        params=params,
        params_files=graph.pipeline.params_files,
        read=frozenset(graph_paths(graph)),
        environment=environment.requirements if environment else None,
        reason=reason,
    )


def graph_paths(graph: Graph) -> frozenset[RepoPath]:
    """Every path in Git that some stage reads: files, folders and manifests."""
    return frozenset(
        item.path if isinstance(item, TrackedInput) else item.manifest
        for inputs in graph.inputs.values()
        for item in inputs
        if isinstance(item, TrackedInput | DataInput)
    )


def _params_that_differ(project: Project, graph: Graph, before: Tree, changed: frozenset[RepoPath]) -> dict[str, str]:
    """Dotted path -> `params.yaml: train.lr 0.1 -> 0.05`, for params files that changed."""
    clauses: dict[str, str] = {}
    for file in graph.pipeline.params_files:
        if file in changed:
            then, now = (project.documents.params(tree, file) for tree in (before, project.tree))
            clauses |= {name: f"{file}: {name} {how}" for name, how in differences(then, now).items()}
    return clauses


def _declared_before(project: Project, before: Tree) -> Pipeline:
    """What the base declares; without stages where its configuration cannot be read any more."""
    try:
        return project.documents.pipeline(before)
    except ConfigurationError:
        return Pipeline(stages={})
