"""Resolve every stage's declared inputs against one tree, in a handful of batched look-ups."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterator

from ciml.app.lookups import Lookups
from ciml.app.modules import Modules
from ciml.app.ports import Tree
from ciml.app.untracked import admit_declared, admit_settings, glob_start
from ciml.core.errors import ConfigurationError, Problem
from ciml.core.ids import GitOid, RepoPath, StageName
from ciml.core.imports import ImportedName
from ciml.core.inputs import DataInput, Input, TrackedInput
from ciml.core.manifest import Manifest, manifest_paths, stands_for
from ciml.core.paths import folders
from ciml.core.pipeline import Pipeline, Place, Stage
from ciml.core.producers import Producers, is_glob, matches
from ciml.core.results import Output
from ciml.core.tree import DIRECTORY, LINK, SUBMODULE, TreeEntry, link_target


class Resolver:
    """Resolves one pipeline's inputs against one tree.

    Args:
        pipeline: what `ciml.yaml` asks for.
        tree: a commit's, or the work tree's.
        imported: what each Python file imports, by Git object id; filled as files are read.
        parse_manifest: reads a manifest's bytes.
        part_of: what lies at a path below a directory of data.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        tree: Tree,
        *,
        imported: dict[GitOid, tuple[ImportedName, ...]],
        parse_manifest: Callable[[bytes, RepoPath], Manifest],
        part_of: Callable[[Manifest, str], Output | None],
    ) -> None:
        self._pipeline = pipeline
        self._tree = tree
        self._parse_manifest = parse_manifest
        self._part_of = part_of
        self.producers = Producers(pipeline.stages.values())
        """Of the pipeline's outputs."""
        self._lookups = Lookups(tree)
        self._modules = Modules(self._lookups, self.producers, imported)
        self._manifests: dict[RepoPath, Manifest] = {}
        self._problems: list[Problem] = []
        self._outside: dict[RepoPath, Manifest] = {}
        """Paths that are not in the data of the manifest above them."""
        self._following: list[RepoPath] = []
        """The links that are being followed, to notice a circle."""

    def resolve(self) -> dict[StageName, tuple[Input, ...]]:
        """All inputs of all stages, imported modules included.

        Raises:
            ConfigurationError: for all inputs at once that are none of: tracked or new, behind a
                manifest, made by a stage.
            RepositoryError: an input lies in a submodule that is not checked out.
            TrustError: an input is a link that leaves the repository.
        """
        stages = self._pipeline.stages
        admit_settings(self._pipeline, self._tree)
        self._declare({place.path: None for place in self._declared()})
        resolved = {name: self._stage(stage) for name, stage in stages.items()}
        if self._problems:
            raise ConfigurationError(problems=self._problems)
        return self._modules.added_to(resolved, stages)

    @property
    def folders(self) -> frozenset[RepoPath]:
        """The folders in which declared paths and modules were looked for, and those that globs search."""
        searched = {RepoPath(path.rpartition("/")[0]) for path in self._lookups.asked}
        globs = {glob_start(place.path) for place in self._declared() if is_glob(place.path)}
        below = {
            RepoPath(above) for start in globs for file in self._lookups.below(start) for above in folders(file.path)
        }
        return frozenset(searched | globs | {path for path in below if f"{path}/".startswith(tuple(globs))})

    def _declared(self) -> Iterator[Place]:
        return (place for stage in self._pipeline.stages.values() for place in stage.inputs)

    def _declare(self, paths: Collection[RepoPath]) -> None:
        """Look up paths that are inputs, and the manifests that may stand for them."""
        admit_declared(paths, self._tree, self.producers)
        plain = [path for path in paths if not is_glob(path)]
        self._lookups.look_up(plain)
        self._lookups.look_up(
            file for path in plain if path not in self._lookups.entries for file in manifest_paths(path)
        )

    # One declared input can be several: a glob, or a directory that other stages write into.

    def _stage(self, stage: Stage) -> tuple[Input, ...]:
        inputs: dict[tuple[str, str], Input] = {}
        for place in stage.inputs:
            found = self._place(stage, place)
            if not found:
                self._problems.append(self._nothing(stage, place))
            for item in found:
                inputs.setdefault((item.inside, type(item).__name__), item)
        return tuple(inputs.values())

    def _place(self, stage: Stage, place: Place) -> list[Input]:
        if is_glob(place.path):
            return self._glob(stage, place)
        if made := self.producers.at(place):
            return [made]
        if manifest := self._manifest(place.path):
            return [_data(place, manifest)]
        entry = self._lookups.entries.get(place.path)
        if entry is None:
            below: list[Input] = [*self.producers.below(place, reader=stage)]
            return below or self._in_data(place) or self._through_link(stage, place)
        if entry.mode == LINK:
            return [_tracked(place.inside, entry), *self._behind(stage, entry, must=True)]
        if entry.mode == SUBMODULE:
            self._lookups.below(entry.path)  # an error where it is not checked out
        if entry.mode != DIRECTORY:
            return [_tracked(place.inside, entry)]
        links = [file for file in self._lookups.below(place.path) if file.mode == LINK]
        behind = [item for link in links for item in self._behind(stage, link, outside=place.path)]
        return [*self._directory(stage, place, entry), *behind]

    # A link is nothing without what it leads to.

    def _behind(
        self, stage: Stage, link: TreeEntry, *, outside: RepoPath | None = None, must: bool = False
    ) -> list[Input]:
        """What a link leads to, unless it is in the folder `outside`; with `must`, there must be something."""
        target = self._target(link)
        if link.path in self._following or (outside is not None and f"{target}/".startswith(f"{outside}/")):
            return []
        self._declare([target])
        self._following.append(link.path)
        found = self._place(stage, Place(path=target, inside=target))
        self._following.pop()
        if must and not found:
            self._problems.append(self._nothing(stage, Place(path=target, inside=target)))
        return found

    def _through_link(self, stage: Stage, place: Place) -> list[Input]:
        """The input at a path that leads through a linked folder: the link, and the path behind it."""
        above = [RepoPath(path) for path in reversed(folders(place.path))]
        self._lookups.look_up(above)
        entries = [self._lookups.entries[path] for path in above if path in self._lookups.entries]
        link = next((entry for entry in entries if entry.mode == LINK), None)
        if link is None or link.path in self._following:
            return []
        path = RepoPath(self._target(link) + place.path[len(link.path) :])
        self._declare([path])
        self._following.append(link.path)
        found = self._place(stage, Place(path=path, inside=path))
        self._following.pop()
        return [_tracked(link.path, link), *found] if found else []

    def _target(self, link: TreeEntry) -> RepoPath:
        target = link_target(link.path, self._tree.fetch(link).decode("utf-8", "surrogateescape"))
        assert target is not None, f"{link.path} leaves the repository, which fetching it has let pass"
        return target

    # Folders and globs.

    def _directory(self, stage: Stage, place: Place, entry: TreeEntry) -> list[Input]:
        """A tracked directory, without the outputs that lie in it, and with data in the place of its manifests."""
        behind = self._behind_manifests(place.path)
        if not behind and not self.producers.any_below(place.path):
            return [_tracked(place.inside, entry)]
        files = [entry for entry in self._lookups.below(place.path) if not self.producers.covers(entry.path)]
        found = [_tracked(_moved(file.path, place), file) for file in files if stands_for(file.path) not in behind]
        data = [_data(Place(path=path, inside=_moved(path, place)), behind[path]) for path in behind]
        return [*found, *data] or list(self.producers.below(place, reader=stage))

    def _glob(self, stage: Stage, place: Place) -> list[Input]:
        start = glob_start(place.path)
        behind = {path: it for path, it in self._behind_manifests(start).items() if matches(path, place.path)}
        found: list[Input] = [
            _tracked(entry.path, entry)
            for entry in self._lookups.below(start)
            if matches(entry.path, place.path)
            and not self.producers.covers(entry.path)
            and stands_for(entry.path) not in behind
        ]
        data = [_data(Place(path=path, inside=path), manifest) for path, manifest in behind.items()]
        return [*found, *data, *self.producers.matching(place.path, reader=stage)]

    def _behind_manifests(self, directory: RepoPath) -> dict[RepoPath, Manifest]:
        """The data whose manifests lie in a directory; a file that Git tracks beside its manifest stays that."""
        tracked = {entry.path for entry in self._lookups.below(directory)}
        standing = {path for name in tracked if (path := stands_for(name)) and path not in tracked}
        self._lookups.look_up(file for path in standing for file in manifest_paths(path))
        return {path: found for path in sorted(standing) if (found := self._manifest(path))}

    def _manifest(self, path: RepoPath) -> Manifest | None:
        for candidate in manifest_paths(path):
            if candidate in self._lookups.entries:
                if candidate not in self._manifests:
                    text = self._tree.read(candidate)
                    assert text is not None, f"{candidate} has an entry and no bytes"
                    self._manifests[candidate] = self._parse_manifest(text, candidate)
                return self._manifests[candidate]
        return None

    def _in_data(self, place: Place) -> list[Input]:
        """A part of what a manifest stands for; what else lies there does not concern the stage."""
        above = [RepoPath(path) for path in folders(place.path)]
        self._lookups.look_up(file for path in above for file in manifest_paths(path))
        for path in above:
            manifest = self._manifest(path)
            if manifest is None:
                continue
            inside = place.path[len(path) + 1 :]
            output = self._part_of(manifest, inside) if manifest.directory else None
            if output is not None:
                return [_data(place, manifest, inside, output)]
            self._outside[place.path] = manifest
        return []

    # An input that is nothing.

    def _nothing(self, stage: Stage, place: Place) -> Problem:
        fault, hint = self._fault(place.path)
        return Problem(
            message=f"stage {stage.name}: the input {place.path!r} {fault}",
            line=stage.line,
            key=f"stages.{stage.template}.inputs",
            hint=hint,
        )

    def _fault(self, path: RepoPath) -> tuple[str, str]:
        """Why a path is no input, and what to do."""
        if manifest := self._outside.get(path):
            what = "a directory without it" if manifest.directory else "one file"
            return f"is not in {manifest.path}", f"{manifest.file} stands for {what}"
        fault = "is not tracked by Git, has no manifest beside it, and no stage makes it"
        above = [RepoPath(folder) for folder in folders(path)]
        self._lookups.look_up([*above, *(file for folder in above for file in manifest_paths(folder))])
        if submodule := next((folder for folder in above if self._is_submodule(folder)), None):
            return fault, f"it lies in the submodule {submodule}, which is an input as a whole: name {submodule}"
        if not is_glob(path) and self._tree.ignores(path):
            ignored = "is ignored by Git, has no manifest beside it, and no stage makes it"
            return ignored, f"`git add --force {path}` tracks it all the same"
        if is_glob(path) and (data := next((folder for folder in above if self._manifest(folder)), None)):
            return fault, f"a pattern does not reach into data that a manifest stands for: name {data}, or a path in it"
        near = self._nearest(path)
        return fault, f"the nearest path that exists is {near!r}" if near else f"`git add {path}` if it is code"

    def _is_submodule(self, path: RepoPath) -> bool:
        return path in self._lookups.entries and self._lookups.entries[path].mode == SUBMODULE

    def _nearest(self, path: RepoPath) -> str | None:
        """The path of code, data or an output that looks most like this one."""
        from difflib import get_close_matches

        tracked = [entry.path for entry in self._lookups.below(RepoPath(""))]
        behind = (stands_for(file) for file in tracked)
        above = {posixpath.dirname(file) for file in tracked}
        known = [*tracked, *self.producers.paths, *above, *(file for file in behind if file)]
        return next(iter(get_close_matches(path, known, n=1, cutoff=0.5)), None)


def _tracked(inside: RepoPath, entry: TreeEntry) -> TrackedInput:
    return TrackedInput(inside=inside, path=entry.path, mode=entry.mode, oid=entry.oid)


def _moved(path: RepoPath, place: Place) -> RepoPath:
    """A path below a place, as the stage sees it."""
    return RepoPath(place.inside + path[len(place.path) :])


def _data(place: Place, manifest: Manifest, part: str = "", output: Output | None = None) -> DataInput:
    what = output or manifest.output
    return DataInput(
        inside=place.inside,
        path=place.path,
        manifest=manifest.file,
        digest=what.digest,
        size=what.size,
        directory=what.directory,
        source=manifest.source,
        part=part,
        whole=manifest.digest if part else None,
        md5=manifest.md5,
    )
