"""Resolve every stage's declared inputs against one tree, in a handful of batched look-ups."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from ciml.app.ports import Tree
from ciml.app.untracked import admit_declared, admit_modules, admit_settings, glob_start
from ciml.core.errors import ConfigurationError, Problem
from ciml.core.ids import GitOid, RepoPath, StageName
from ciml.core.imports import ImportedName, closures, imports_of
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
        self._imported = imported
        self._parse_manifest = parse_manifest
        self._part_of = part_of
        self.producers = Producers(pipeline.stages.values())
        """Of the pipeline's outputs."""
        self._entries: dict[RepoPath, TreeEntry] = {}
        self._looked_up: set[RepoPath] = set()
        self._files: dict[RepoPath, Sequence[TreeEntry]] = {}
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
        return self._with_imports(resolved)

    @property
    def folders(self) -> frozenset[RepoPath]:
        """The folders in which declared paths and modules were looked for, and those that globs search."""
        searched = {RepoPath(path.rpartition("/")[0]) for path in self._looked_up}
        globs = {glob_start(place.path) for place in self._declared() if is_glob(place.path)}
        below = {RepoPath(above) for start in globs for file in self._below(start) for above in folders(file.path)}
        return frozenset(searched | globs | {path for path in below if f"{path}/".startswith(tuple(globs))})

    def _declared(self) -> Iterator[Place]:
        return (place for stage in self._pipeline.stages.values() for place in stage.inputs)

    def _declare(self, paths: Collection[RepoPath]) -> None:
        """Look up paths that are inputs, and the manifests that may stand for them."""
        admit_declared(paths, self._tree, self.producers)
        plain = [path for path in paths if not is_glob(path)]
        self._look_up(plain)
        self._look_up(file for path in plain if path not in self._entries for file in manifest_paths(path))

    def _look_up(self, paths: Iterable[RepoPath]) -> None:
        new = [path for path in dict.fromkeys(paths) if path not in self._looked_up]
        if new:
            self._looked_up.update(new)
            self._entries.update(self._tree.entries(new))

    def _below(self, directory: RepoPath) -> Sequence[TreeEntry]:
        if directory not in self._files:
            self._files[directory] = self._tree.files(directory)
        return self._files[directory]

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
        entry = self._entries.get(place.path)
        if entry is None:
            below: list[Input] = [*self.producers.below(place, reader=stage)]
            return below or self._in_data(place) or self._through_link(stage, place)
        if entry.mode == LINK:
            return [_tracked(place.inside, entry), *self._behind(stage, entry, must=True)]
        if entry.mode == SUBMODULE:
            self._below(entry.path)  # an error where it is not checked out
        if entry.mode != DIRECTORY:
            return [_tracked(place.inside, entry)]
        links = [file for file in self._below(place.path) if file.mode == LINK]
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
        self._look_up(above)
        entries = [self._entries[path] for path in above if path in self._entries]
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
        files = [entry for entry in self._below(place.path) if not self.producers.covers(entry.path)]
        found = [_tracked(_moved(file.path, place), file) for file in files if stands_for(file.path) not in behind]
        data = [_data(Place(path=path, inside=_moved(path, place)), behind[path]) for path in behind]
        return [*found, *data] or list(self.producers.below(place, reader=stage))

    def _glob(self, stage: Stage, place: Place) -> list[Input]:
        start = glob_start(place.path)
        behind = {path: it for path, it in self._behind_manifests(start).items() if matches(path, place.path)}
        found: list[Input] = [
            _tracked(entry.path, entry)
            for entry in self._below(start)
            if matches(entry.path, place.path)
            and not self.producers.covers(entry.path)
            and stands_for(entry.path) not in behind
        ]
        data = [_data(Place(path=path, inside=path), manifest) for path, manifest in behind.items()]
        return [*found, *data, *self.producers.matching(place.path, reader=stage)]

    def _behind_manifests(self, directory: RepoPath) -> dict[RepoPath, Manifest]:
        """The data whose manifests lie in a directory; a file that Git tracks beside its manifest stays that."""
        tracked = {entry.path for entry in self._below(directory)}
        standing = {path for name in tracked if (path := stands_for(name)) and path not in tracked}
        self._look_up(file for path in standing for file in manifest_paths(path))
        return {path: found for path in sorted(standing) if (found := self._manifest(path))}

    def _manifest(self, path: RepoPath) -> Manifest | None:
        for candidate in manifest_paths(path):
            if candidate in self._entries:
                if candidate not in self._manifests:
                    text = self._tree.read(candidate)
                    assert text is not None, f"{candidate} has an entry and no bytes"
                    self._manifests[candidate] = self._parse_manifest(text, candidate)
                return self._manifests[candidate]
        return None

    def _in_data(self, place: Place) -> list[Input]:
        """A part of what a manifest stands for; what else lies there does not concern the stage."""
        above = [RepoPath(path) for path in folders(place.path)]
        self._look_up(file for path in above for file in manifest_paths(path))
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

    def _nothing(self, stage: Stage, place: Place) -> Problem:
        from difflib import get_close_matches

        tracked = [entry.path for entry in self._below(RepoPath(""))]
        behind = (stands_for(path) for path in tracked)
        folder = {posixpath.dirname(path) for path in tracked}
        known = [*tracked, *self.producers.paths, *folder, *(path for path in behind if path)]
        if manifest := self._outside.get(place.path):
            return Problem(
                message=f"stage {stage.name}: the input {place.path!r} is not in {manifest.path}",
                line=stage.line,
                key=f"stages.{stage.template}.inputs",
                hint=f"{manifest.file} stands for {'a directory without it' if manifest.directory else 'one file'}",
            )
        self._look_up(file for path in folders(place.path) for file in manifest_paths(RepoPath(path)))
        data = next((path for path in folders(place.path) if self._manifest(RepoPath(path))), None)
        near = get_close_matches(place.path, known, n=1, cutoff=0.5)
        message = f"stage {stage.name}: the input {place.path!r} is not tracked by Git, has no manifest beside it, "
        hint = f"the nearest path that exists is {near[0]!r}" if near else f"`git add {place.path}` if it is code"
        above = [path for path in folders(place.path) if self._is_submodule(RepoPath(path))]
        if above:
            hint = f"it lies in the submodule {above[0]}, which is an input as a whole: name {above[0]}"
        elif is_glob(place.path) and data:
            hint = f"a pattern does not reach into data that a manifest stands for: name {data}, or a path in it"
        elif not is_glob(place.path) and self._tree.ignores(place.path):
            message = f"stage {stage.name}: the input {place.path!r} is ignored by Git, has no manifest beside it, "
            hint = (
                f"`ciml data add {place.path}` writes a manifest, `git add --force {place.path}` tracks it all the same"
            )
        return Problem(
            message=f"{message}and no stage makes it",
            line=stage.line,
            key=f"stages.{stage.template}.inputs",
            hint=hint,
        )

    def _is_submodule(self, path: RepoPath) -> bool:
        self._look_up([path])
        return path in self._entries and self._entries[path].mode == SUBMODULE

    # Python modules that are imported, directly or not.

    def _with_imports(self, resolved: dict[StageName, tuple[Input, ...]]) -> dict[StageName, tuple[Input, ...]]:
        starts = {
            name: (tuple(self._python_files(inputs)), self._pipeline.stages[name].workdir)
            for name, inputs in resolved.items()
        }
        reached = closures(
            {group for group in starts.values() if group[0]}, look_up=self._directories, imports=self._imports
        )
        return {
            name: self._add(inputs, reached[starts[name]]) if starts[name] in reached else inputs
            for name, inputs in resolved.items()
        }

    def _python_files(self, inputs: Sequence[Input]) -> list[RepoPath]:
        files: list[RepoPath] = []
        for item in inputs:
            if isinstance(item, TrackedInput) and item.mode == DIRECTORY:
                below = [entry for entry in self._below(item.path) if entry.path.endswith(".py")]
                self._entries.update((entry.path, entry) for entry in below)
                files += [entry.path for entry in below]
            elif isinstance(item, TrackedInput) and item.path.endswith(".py"):
                self._entries[item.path] = TreeEntry(path=item.path, mode=item.mode, oid=item.oid)
                files.append(item.path)
        return files

    def _directories(self, paths: Collection[RepoPath]) -> Mapping[RepoPath, bool]:
        """Those of the paths that Git tracks -> whether it is a directory."""
        self._look_up(paths)
        missing = [path for path in paths if path not in self._entries]
        if missing and admit_modules(missing, self._tree, self.producers):
            self._looked_up.difference_update(missing)
            self._files.clear()
            self._look_up(missing)
        return {path: self._entries[path].mode == DIRECTORY for path in paths if path in self._entries}

    def _imports(self, files: Collection[RepoPath]) -> Mapping[RepoPath, tuple[ImportedName, ...]]:
        """What each file imports; a file is parsed once in its life."""
        for path in files:
            oid = self._entries[path].oid
            if oid not in self._imported:
                self._imported[oid] = imports_of(self._tree.read(path) or b"")
        return {path: self._imported[self._entries[path].oid] for path in files}

    def _add(self, inputs: tuple[Input, ...], modules: Mapping[RepoPath, RepoPath]) -> tuple[Input, ...]:
        have = {item.path for item in inputs if isinstance(item, TrackedInput)}
        folders = tuple(f"{item.path}/" for item in inputs if isinstance(item, TrackedInput) and item.mode == DIRECTORY)
        added = [
            TrackedInput(
                inside=path, path=path, mode=self._entries[path].mode, oid=self._entries[path].oid, because=importer
            )
            for path, importer in sorted(modules.items())
            if path not in have and not path.startswith(folders) and not self.producers.covers(path)
        ]
        return (*inputs, *added)


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
