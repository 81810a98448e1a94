"""The repository's own modules that a Python file brings with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

from ciml.core.ids import RepoPath
from ciml.core.imports import UNREADABLE, ImportedName, closures, imports_of


class Repository:
    """Files in memory, and how often they were asked for."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = files
        self.folders = {path[:end] for path in files for end, character in enumerate(path) if character == "/"}
        self.batches = 0

    def look_up(self, paths: Collection[RepoPath]) -> dict[RepoPath, bool]:
        self.batches += 1
        return {path: path in self.folders for path in paths if path in self.files or path in self.folders}

    def imports(self, paths: Collection[RepoPath]) -> dict[RepoPath, tuple[ImportedName, ...]]:
        return {path: imports_of(self.files[path].encode()) for path in paths}

    def closure(self, *starts: str, workdir: str = "") -> dict[str, str]:
        group = (tuple(RepoPath(start) for start in starts), RepoPath(workdir))
        reached = closures([group], look_up=self.look_up, imports=self.imports)[group]
        return dict(sorted(reached.items()))


def named(source: str) -> list[tuple[str, int]]:
    return [(found.name, found.level) for found in imports_of(source.encode())]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import a.b, c as d", [("a.b", 0), ("c", 0)]),
        ("from a import b, c", [("a.b", 0), ("a.c", 0)]),
        ("from a.b import *", [("a.b", 0)]),
        ("from . import x", [("x", 1)]),
        ("from ..p import x", [("p.x", 2)]),
        ("from . import *", [("", 1)]),
        ("def f():\n  if 1:\n    import late", [("late", 0)]),
        ("import importlib\nimportlib.import_module('a.b')", [("a.b", 0), ("importlib", 0)]),
        ("import_module('..a', __package__)", [("a", 2)]),
        ("__import__('m')", [("m", 0)]),
        ("import_module(name)", []),
        ("__all__ = ['x', 'y']", [("x", 1), ("y", 1)]),
        ("# coding: latin-1\nimport a", [("a", 0)]),
    ],
)
def test_every_static_form_of_import_is_found(source: str, names: list[tuple[str, int]]) -> None:
    """Wherever it stands in the file, each name once."""
    assert named(source) == names


@pytest.mark.parametrize("source", [b"def (:", b"print 'python 2'", b"\xff\xfe\x00", b"a\0b", b"(" * 5000])
def test_what_is_no_python_is_marked(source: bytes) -> None:
    """A file that cannot be parsed is told apart from one that imports nothing."""
    assert imports_of(source) == UNREADABLE
    assert imports_of(b"x = 1") == ()


def test_modules_are_followed_through_modules() -> None:
    """The chain is followed to its end, cycles included; each module says who imports it."""
    repository = Repository(
        {"train.py": "import a, numpy", "a.py": "import b", "b.py": "import a, c", "c.py": "", "d.py": ""}
    )
    assert repository.closure("train.py") == {"a.py": "train.py", "b.py": "a.py", "c.py": "b.py"}


def test_packages_bring_their_init_files() -> None:
    """Every package around a module is imported before it, and what it imports itself counts."""
    repository = Repository(
        {
            "t.py": "from p.q import m",
            "p/__init__.py": "from . import base",
            "p/base.py": "",
            "p/q/__init__.py": "",
            "p/q/m.py": "from ..r import thing",
            "p/r.py": "thing = 1",
            "p/unused.py": "",
        }
    )
    assert list(repository.closure("t.py")) == ["p/__init__.py", "p/base.py", "p/q/__init__.py", "p/q/m.py", "p/r.py"]


def test_an_attribute_is_not_taken_for_a_module() -> None:
    """`from a import name` brings `a`; a dotted name ends at the module."""
    repository = Repository({"t.py": "from a import name\nimport a.b.c", "a.py": "", "a2.py": ""})
    assert list(repository.closure("t.py")) == ["a.py"]


def test_the_script_comes_first_then_workdir_root_and_src() -> None:
    """The order of the search decides between modules of one name."""
    everywhere = {"jobs/t.py": "import m", "jobs/m.py": "", "work/m.py": "", "m.py": "", "src/m.py": ""}
    for gone, expected in [
        (None, "jobs/m.py"),
        ("jobs/m.py", "work/m.py"),
        ("work/m.py", "m.py"),
        ("m.py", "src/m.py"),
    ]:
        if gone:
            del everywhere[gone]
        assert list(Repository(everywhere).closure("jobs/t.py", workdir="work")) == [expected]


def test_a_module_is_found_beside_the_script_that_started_not_beside_itself() -> None:
    """An imported module's own folder is no place to look; a relative import says when it is."""
    repository = Repository(
        {"jobs/t.py": "import p.m", "p/m.py": "import helper", "p/helper.py": "", "jobs/helper.py": ""}
    )
    assert list(repository.closure("jobs/t.py")) == ["jobs/helper.py", "p/m.py"]


def test_folders_without_init_are_namespaces() -> None:
    """A namespace may be spread over several folders; a regular package wins over it."""
    spread = {"t.py": "import n.a, n.b", "n/a.py": "", "src/n/b.py": ""}
    assert list(Repository(spread).closure("t.py")) == ["n/a.py", "src/n/b.py"]
    regular = {"jobs/t.py": "import n.a", "n/a.py": "", "src/n/__init__.py": "", "src/n/a.py": ""}
    assert list(Repository(regular).closure("jobs/t.py")) == ["src/n/__init__.py", "src/n/a.py"]


def test_a_start_in_a_package_brings_the_package() -> None:
    """`python -m pkg.train` imports `pkg` first."""
    repository = Repository({"pkg/__init__.py": "import pkg.log", "pkg/log.py": "", "pkg/train.py": ""})
    assert list(repository.closure("pkg/train.py")) == ["pkg/__init__.py", "pkg/log.py"]


def test_a_star_import_brings_the_submodules_that_all_names() -> None:
    """`__all__` of a package names submodules; of a module it names attributes."""
    repository = Repository(
        {
            "t.py": "from p import *\nfrom m import *",
            "p/__init__.py": "__all__ = ['a']",
            "p/a.py": "",
            "m.py": "__all__ = ['b']",
            "b.py": "",
        }
    )
    assert list(repository.closure("t.py")) == ["m.py", "p/__init__.py", "p/a.py"]


def test_a_relative_import_cannot_climb_out() -> None:
    """More dots than folders find nothing, and are no error."""
    assert Repository({"t.py": "from ...x import y", "x.py": ""}).closure("t.py") == {}


def test_groups_share_batches() -> None:
    """A thousand stages ask as often as one does."""
    files = {f"t{number}.py": "import a" for number in range(1000)} | {"a.py": "import b", "b.py": ""}
    one, many = Repository(files), Repository(files)
    one.closure("t0.py")
    groups = [((RepoPath(f"t{number}.py"),), RepoPath("")) for number in range(1000)]
    reached = closures(groups, look_up=many.look_up, imports=many.imports)
    assert all(list(modules) == ["a.py", "b.py"] for modules in reached.values())
    assert len(reached) == 1000
    assert many.batches == one.batches
