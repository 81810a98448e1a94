"""From what runs, ledgers and Git have recorded to the graph of what came of what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ciml.core.ancestry import Ancestry, Edge, Fact, Kind, Node, version_id
from ciml.core.history import DeploymentLine, History, VersionLine
from ciml.core.ids import CommitSha, Digest, ModelName, StageName
from ciml.core.inputs import DataInput, ProducedInput, TrackedInput
from ciml.core.key import digest
from ciml.core.lineage import Commit, ModelTrace, RunTrace, StageTrace, moment, one_line, shown
from ciml.core.manifest import Manifest
from ciml.core.results import Output
from ciml.core.url import bare

_LETTING_THROUGH = ("accepted", "unchanged")


def ancestry(
    runs: Iterable[RunTrace],
    history: History,
    commits: Iterable[Commit] = (),
    *,
    also: Iterable[CommitSha] = (),
) -> Ancestry:
    """The graph of these runs and of the versions and deployments that the ledger knows.

    A version is tied to the runs whose recipe it has *and* whose bytes are its own: a run of the
    same recipe that made other bytes did not make it. A run whose gate rejected these bytes, or could not
    judge them, neither asked for the version nor judged it, and nor did one of an edited work tree.

    Args:
        runs: what was recorded.
        history: what the ledgers say.
        commits: what Git says of the commits that these mention; of others nothing is taken.
        also: commits that are in the graph though nothing mentions them.
    """
    builder = _Builder({commit.sha: commit for commit in commits})
    for sha in also:
        builder.commit(sha)
    by_recipe: dict[tuple[ModelName, Digest], list[VersionLine]] = {}
    for version in history.versions:
        builder.version(version)
        for recipe in version.recipes:
            by_recipe.setdefault((version.model, recipe), []).append(version)
    for run in runs:
        builder.run(run, by_recipe)
    for number, deployment in enumerate(history.deployments):
        builder.deployment(deployment, number)
    return Ancestry(nodes=builder.nodes, edges=tuple(builder.edges))


def standing(manifests: Iterable[tuple[Commit | None, Manifest]]) -> Ancestry:
    """The graph of data that no run has read: its versions, and the commits that hold them; None is the work tree."""
    builder = _Builder({})
    for commit, manifest in manifests:
        builder.manifest(commit, manifest)
    return Ancestry(nodes=builder.nodes, edges=tuple(builder.edges))


class _Builder:
    """Collects nodes and edges; what is met twice is kept once."""

    def __init__(self, commits: Mapping[CommitSha, Commit]) -> None:
        self._commits = commits
        self.nodes: dict[str, Node] = {}
        self.edges: dict[Edge, None] = {}

    def _node(self, kind: Kind, identity: str, label: str, facts: Mapping[str, Fact]) -> str:
        name = f"{kind}:{identity}"
        known = self.nodes.get(name)
        said = {key: fact for key, fact in facts.items() if fact not in ("", None, ())}
        merged = (known.facts if known else {}) | said
        self.nodes[name] = Node(id=name, kind=kind, label=one_line(label), facts=merged)
        return name

    def _edge(self, source: str, target: str, how: str) -> None:
        self.edges[Edge(source=source, target=target, how=how)] = None

    def commit(self, sha: CommitSha, commit: Commit | None = None) -> str:
        facts: dict[str, Fact] = {"sha": sha}
        if commit := commit or self._commits.get(sha):
            facts |= {
                "tree": commit.tree,
                "author": one_line(commit.author),
                "time": moment(commit.time),
                "subject": one_line(commit.subject),
            }
        return self._node(Kind.COMMIT, sha, sha[:7], facts)

    def manifest(self, commit: Commit | None, manifest: Manifest) -> None:
        facts: dict[str, Fact] = {
            "path": manifest.path,
            "manifest": manifest.file,
            "digest": manifest.digest,
            "size": manifest.size,
            "files": manifest.files,
            "source": bare(manifest.source) if manifest.source else None,
        }
        name = self._node(Kind.DATA, f"{manifest.path}@{manifest.digest}", manifest.path, facts)
        if commit:
            self._edge(self.commit(commit.sha, commit), name, "holds")

    def version(self, line: VersionLine) -> None:
        facts: dict[str, Fact] = {
            "model": line.model,
            "version": line.version,
            "uri": f"models:/{line.model}/{line.version}",
            "recipes": list(line.recipes),
            "artifact": line.artifact,
            "metrics": line.metrics,
            "verdict": line.verdict,
            "aliases": list(line.aliases),
            "by": one_line(line.by),
            "at": line.at,
        }
        name = self._node(Kind.VERSION, f"{line.model}/{line.version}", f"{line.model}/{line.version}", facts)
        for place, sha in enumerate(line.commits):
            self._edge(self.commit(sha), name, "asked for" if place else "registered")

    def deployment(self, line: DeploymentLine, number: int) -> None:
        facts: dict[str, Fact] = {
            "environment": line.environment,
            "reference": one_line(line.reference),
            "at": line.at,
            "current": line.current,
        }
        identity = f"{line.environment}/{line.model}/{line.version}/{number}"
        name = self._node(Kind.DEPLOYMENT, identity, line.environment, facts)
        self._edge(version_id(line.model, line.version), name, "deployed to")
        if line.commit:
            self._edge(self.commit(line.commit), name, "released")

    def run(self, run: RunTrace, versions: Mapping[tuple[ModelName, Digest], Sequence[VersionLine]]) -> None:
        commit = self.commit(run.commit.sha, run.commit) if run.commit else None
        outputs = {stage.name: stage.record.outputs for stage in run.stages if stage.record}
        names = {stage.name: self._stage(stage, run, commit, outputs) for stage in run.stages}
        for model in run.models:
            self._model(model, run, commit, names, versions.get((model.name, model.recipe), ()))

    def _stage(
        self, stage: StageTrace, run: RunTrace, commit: str | None, outputs: Mapping[StageName, Sequence[Output]]
    ) -> str:
        record = stage.record
        facts: dict[str, Fact] = {"recipe": stage.recipe, "result": stage.result, "reason": one_line(stage.reason)}
        if record:
            facts |= {
                "key": record.key,
                "platform": record.platform,
                "packages": record.packages,
                "started": record.started,
                "seconds": record.seconds,
                "metrics": {name: value for read in record.metrics.values() for name, value in read.values.items()},
            }
        identity = f"{stage.name}@{record.key if record else stage.recipe}"
        name = self._node(Kind.STAGE, identity, stage.name, facts)
        self._inputs(stage, name, commit, outputs, dirty=run.dirty)
        if stage.params:
            identity = digest("ciml/params-node/1", stage.params)
            label = ", ".join(f"{key} = {shown(value)}" for key, value in stage.params.items())
            params = self._node(Kind.PARAMS, identity, label, {"values": stage.params, "files": stage.params_files})
            self._edge(params, name, "set for")
        for output in record.outputs if record else ():
            self._edge(name, self._artifact(output), "made")
        return name

    def _inputs(
        self,
        stage: StageTrace,
        name: str,
        commit: str | None,
        outputs: Mapping[StageName, Sequence[Output]],
        *,
        dirty: bool,
    ) -> None:
        for item in stage.inputs:
            match item:
                case TrackedInput():
                    facts: dict[str, Fact] = {"path": item.path, "oid": item.oid, "because": item.because}
                    source = self._node(Kind.CODE, f"{item.path}@{item.oid}", item.path, facts)
                case DataInput():
                    facts = {
                        "path": item.path,
                        "manifest": item.manifest,
                        "digest": item.digest,
                        "size": item.size,
                        "source": bare(item.source) if item.source else None,
                    }
                    source = self._node(Kind.DATA, f"{item.path}@{item.digest}", item.path, facts)
                case ProducedInput():
                    for output in outputs.get(item.stage, ()):
                        if output.path == item.output:
                            self._edge(self._artifact(output), name, f"{item.part} read by" if item.part else "read by")
                    continue
            if commit:
                # In a dirty work tree the commit need not hold this very version of the file.
                self._edge(commit, source, "holds, or held before an edit" if dirty else "holds")
            self._edge(source, name, "read by")

    def _artifact(self, output: Output) -> str:
        facts: dict[str, Fact] = {
            "path": output.path,
            "digest": output.digest,
            "size": output.size,
            "files": output.files,
        }
        return self._node(Kind.ARTIFACT, f"{output.path}@{output.digest}", output.path, facts)

    def _model(
        self,
        model: ModelTrace,
        run: RunTrace,
        commit: str | None,
        stages: Mapping[StageName, str],
        versions: Sequence[VersionLine],
    ) -> None:
        if model.artifact is None:
            return
        artifact = self._artifact(model.artifact)
        told = self.nodes[artifact].facts.get("verdict")
        if told not in _LETTING_THROUGH or model.verdict == "accepted":
            self._node(Kind.ARTIFACT, artifact.removeprefix("artifact:"), model.artifact.path, _judged(model))
        for version in versions:
            if version.artifact != model.artifact.digest:
                continue
            name = version_id(version.model, version.version)
            self._edge(artifact, name, "registered as")
            if not _let_through(model, run, version):
                continue
            if commit and run.commit and run.commit.sha not in version.commits:
                self._edge(commit, name, "asked for")
            for stage in run.stages:
                if stage.record and stage.record.metrics and (not model.stages or stage.name in model.stages):
                    self._edge(stages[stage.name], name, "judged by")


def _let_through(model: ModelTrace, run: RunTrace, version: VersionLine) -> bool:
    """Whether a version with the run's bytes may come of what the run said of them: a rejection made none.

    Only a person lets a rejected model through, at the commit that was rejected.
    """
    if run.dirty:
        return False
    if model.verdict in _LETTING_THROUGH:
        return True
    at_its_commit = run.commit is not None and run.commit.sha in version.commits
    return at_its_commit and not version.verdict.startswith("accepted")


def _judged(model: ModelTrace) -> dict[str, Fact]:
    return {"model": model.name, "verdict": model.verdict, "reason": one_line(model.reason), "metrics": model.metrics}
