"""Which of the repository's own Python files a Python file brings with it.

Static: `import` statements wherever they stand, and `importlib.import_module` and `__import__`
with a literal. What cannot be known without running the code is not guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ciml.core.ids import RepoPath
from ciml.core.value import Value

if TYPE_CHECKING:
    import ast

Starts = tuple[tuple[RepoPath, ...], RepoPath]
"""The Python files that a stage names, and its workdir."""


class ImportedName(Value, frozen=True, array_like=True):
    """A name that a file imports; its last parts may be attributes and not modules."""

    name: str
    """Dotted; "" for the package itself (`from . import *`), or for a file that is no Python (`UNREADABLE`)."""
    level: int = 0
    """Leading dots: 0 for an absolute import."""
    exported: bool = False
    """From `__all__`: a submodule that `from package import *` imports."""


UNREADABLE: tuple[ImportedName, ...] = (ImportedName("", 0),)
"""What a file imports that cannot be parsed."""


def imports_of(source: bytes) -> tuple[ImportedName, ...]:
    """The names that a Python file imports, each once, sorted; `UNREADABLE` where it is not valid Python."""
    import ast
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
            names = {name for node in ast.walk(tree) for name in _of_node(node)}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return UNREADABLE
    return tuple(sorted(names, key=lambda imported: (imported.level, imported.name, imported.exported)))


def _of_node(node: ast.AST) -> Iterator[ImportedName]:
    import ast

    match node:
        case ast.Import():
            for alias in node.names:
                yield ImportedName(alias.name)
        case ast.ImportFrom():
            yield from _of_from(node)
        case ast.Call():
            yield from _of_call(node)
        case ast.Assign() | ast.AugAssign() | ast.AnnAssign():
            yield from _of_all(node)


def _of_from(node: ast.ImportFrom) -> Iterator[ImportedName]:
    prefix = f"{node.module}." if node.module else ""
    for alias in node.names:
        name = prefix[:-1] if alias.name == "*" else prefix + alias.name
        yield ImportedName(name, node.level)


def _of_call(node: ast.Call) -> Iterator[ImportedName]:
    called = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
    if called in ("import_module", "__import__") and node.args:
        text = getattr(node.args[0], "value", None)
        if isinstance(text, str) and text.strip("."):
            name = text.lstrip(".")
            yield ImportedName(name, len(text) - len(name))


def _of_all(node: ast.AST) -> Iterator[ImportedName]:
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    if any(getattr(target, "id", None) == "__all__" for target in targets):
        for item in getattr(getattr(node, "value", None), "elts", ()):
            if isinstance(text := getattr(item, "value", None), str) and text:
                yield ImportedName(text, 1, True)


def closures(
    groups: Iterable[Starts],
    *,
    look_up: Callable[[Collection[RepoPath]], Mapping[RepoPath, bool]],
    imports: Callable[[Collection[RepoPath]], Mapping[RepoPath, tuple[ImportedName, ...]]],
) -> dict[Starts, dict[RepoPath, RepoPath]]:
    """For each group: the modules it brings -> the file that imports each. The starts themselves are left out.

    An absolute import is looked for beside the script that started, then in the workdir, the root
    and `src/`; a package brings the `__init__.py` of every package around it. A start whose
    folder is a package brings that as well, since `python -m` would import it.

    All groups advance together, so the number of batches is the depth of the deepest chain.

    Args:
        groups: what each stage names.
        look_up: those of the paths that exist -> whether it is a directory.
        imports: for Python files that exist, what each imports (`imports_of`, remembered by object id).
    """
    graph = _Modules()
    walks = [_Walk(group, graph) for group in dict.fromkeys(groups)]
    pending = walks
    while pending:
        graph.learn(look_up, imports)
        pending = [walk for walk in pending if not walk.advance()]
    return {walk.group: walk.reached for walk in walks}


class _UnknownError(Exception):
    """Something must be looked up first; it is on the list."""


class _Where(Value, frozen=True):
    """Where absolute imports are looked for."""

    beside: tuple[RepoPath, ...]
    """Folders of scripts that may have been started; each that has the module counts."""
    search: tuple[RepoPath, ...]
    """Folders to look in after that; the first that has it counts."""


class _Modules:
    """What is known of the repository's modules so far, and what must be looked up next."""

    def __init__(self) -> None:
        self.kinds: dict[RepoPath, bool | None] = {}
        """Path -> whether it is a directory; None where nothing is there."""
        self.names: dict[RepoPath, tuple[ImportedName, ...]] = {}
        self.wanted_paths: set[RepoPath] = set()
        self.wanted_imports: set[RepoPath] = set()
        self._absolute: dict[_Where, dict[str, tuple[RepoPath, ...] | None]] = {}
        """Name -> files; None where something was asked for and not answered yet."""

    def learn(
        self,
        look_up: Callable[[Collection[RepoPath]], Mapping[RepoPath, bool]],
        imports: Callable[[Collection[RepoPath]], Mapping[RepoPath, tuple[ImportedName, ...]]],
    ) -> None:
        """Look up what is wanted, in one batch of each kind."""
        if self.wanted_paths:
            paths = sorted(self.wanted_paths)
            found = look_up(paths)
            self.kinds.update((path, found.get(path)) for path in paths)
            self.wanted_paths.clear()
            for names in self._absolute.values():
                for name in [name for name, files in names.items() if files is None]:
                    del names[name]
        if self.wanted_imports:
            files = sorted(self.wanted_imports)
            read = imports(files)
            self.names.update((file, read.get(file, UNREADABLE)) for file in files)
            self.wanted_imports.clear()

    def brought(self, file: RepoPath, where: _Where) -> list[RepoPath]:
        """The files that `file` imports by itself.

        Raises:
            _UnknownError: something is not known yet.
        """
        names = self.names.get(file)
        if names is None:
            self.wanted_imports.add(file)
            raise _UnknownError
        absolute = self._absolute.setdefault(where, {})
        files: list[RepoPath] = []
        unknown = False
        for imported in names:
            name = imported.name
            try:
                if imported.level:
                    files += self._relative(file, imported)
                elif name:
                    known = absolute[name] if name in absolute else self._searched(name, where, absolute)
                    if known:
                        files += known
                    unknown |= known is None
            except _UnknownError:
                unknown = True  # Go on, so that one batch asks for all.
        if unknown:
            raise _UnknownError
        return files

    def packages(self, folder: str) -> list[RepoPath]:
        """The `__init__.py` of a folder and of those around it, as far as they are packages."""
        found = []
        while folder and self._kind(init := RepoPath(f"{folder}/__init__.py")) is False:
            found.append(init)
            folder = folder.rpartition("/")[0]
        return found

    def _relative(self, file: RepoPath, imported: ImportedName) -> list[RepoPath]:
        folder = file.rpartition("/")[0]
        if imported.exported and not file.endswith("__init__.py"):
            return []
        around = self.packages(folder)
        for _ in range(imported.level - 1):
            if not folder:
                return around
            folder = folder.rpartition("/")[0]
        return [*around, *(self._walk(folder, imported.name) or ())]

    def _searched(
        self, name: str, where: _Where, absolute: dict[str, tuple[RepoPath, ...] | None]
    ) -> tuple[RepoPath, ...] | None:
        try:
            self._want_top(name, where)
            absolute[name] = tuple(self._found(name, where))
        except _UnknownError:
            absolute[name] = None
        return absolute[name]

    def _want_top(self, name: str, where: _Where) -> None:
        """See to it that one batch asks in all folders."""
        top = name.partition(".")[0]
        self._want(*(path for folder in (*where.beside, *where.search) for path in _candidates(folder, top)))

    def _found(self, name: str, where: _Where) -> list[RepoPath]:
        found = [path for folder in where.beside for path in self._walk(folder, name) or ()]
        if found:
            return found
        spread: list[RepoPath] = []
        for folder in where.search:
            walked = self._walk(folder, name)
            if walked and self._is_regular(folder, name):
                return walked
            # A folder without __init__.py is a portion of a namespace, which others may continue.
            spread += walked or ()
        return spread

    def _is_regular(self, folder: str, name: str) -> bool:
        _, module, init = _candidates(folder, name.partition(".")[0])
        return self._kind(init) is False or self._kind(module) is False

    def _walk(self, folder: str, name: str) -> list[RepoPath] | None:
        """The files on the way of a dotted name from `folder`; None where not even its first part is there."""
        files: list[RepoPath] = []
        for number, part in enumerate(name.split(".") if name else ()):
            package, module, init = _candidates(folder, part)
            self._want(package, module, init)
            if self.kinds[package] and self.kinds[init] is False:
                files.append(init)
            elif self.kinds[module] is False:
                files.append(module)
                break
            elif not self.kinds[package]:
                if number == 0:
                    return None
                break
            folder = package
        return files

    def _kind(self, path: RepoPath) -> bool | None:
        self._want(path)
        return self.kinds[path]

    def _want(self, *paths: RepoPath) -> None:
        missing = [path for path in paths if path not in self.kinds]
        if missing:
            self.wanted_paths.update(missing)
            raise _UnknownError


class _Walk:
    """The way through the modules of one group."""

    def __init__(self, group: Starts, modules: _Modules) -> None:
        self.group = group
        self.reached: dict[RepoPath, RepoPath] = {}
        starts, workdir = group
        folders = tuple(dict.fromkeys(RepoPath(start.rpartition("/")[0]) for start in starts))
        search = tuple(dict.fromkeys((workdir, RepoPath(""), RepoPath("src"))))
        self._modules = modules
        self._anywhere = _Where(folders, search)
        self._beside = {folder: _Where((folder,), search) for folder in folders}
        self._starts = frozenset(starts)
        self._open = list(dict.fromkeys(starts))
        modules.wanted_imports.update(self._starts - modules.names.keys())

    def advance(self) -> bool:
        """Whether the way is at its end; goes as far as what is known allows."""
        blocked = []
        while self._open:
            file = self._open.pop()
            try:
                for brought in self._brought(file):
                    if brought not in self._starts and brought not in self.reached:
                        self.reached[brought] = file
                        self._open.append(brought)
            except _UnknownError:
                blocked.append(file)
        self._open = blocked
        return not blocked

    def _brought(self, file: RepoPath) -> list[RepoPath]:
        if file not in self._starts:
            return self._modules.brought(file, self._anywhere)
        folder = RepoPath(file.rpartition("/")[0])
        own = self._modules.brought(file, self._beside[folder])
        return [*self._modules.packages(folder), *own]


def _candidates(folder: str, name: str) -> tuple[RepoPath, RepoPath, RepoPath]:
    """Where a module may be: the package's folder, the module, the package's `__init__.py`."""
    package = f"{folder}/{name}" if folder else name
    return RepoPath(package), RepoPath(f"{package}.py"), RepoPath(f"{package}/__init__.py")
