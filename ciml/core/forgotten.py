"""Why a stage failed, when it failed for an input, a parameter or a package that it did not declare.

An isolated stage sees what it declares and nothing else, so a forgotten input looks to it like
a file that does not exist. The end of its log names the file, the module or the key; whether
the repository has it is known here.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator

from ciml.core.amounts import some_of
from ciml.core.ids import RepoPath
from ciml.core.order import WorkOrder
from ciml.core.pipeline import ParamValue
from ciml.core.value import Value


class Known(Value, frozen=True, kw_only=True):
    """What the repository has that a stage could have named."""

    paths: Collection[RepoPath] = frozenset()
    """Tracked files and files with a manifest, and outputs of stages."""
    parameters: dict[str, RepoPath] = {}
    """Dotted path of every leaf of the params files -> its file."""


_LACKS_FILE = re.compile(
    r"no such file|not found|can(?:no|')t open|cannot find|unable to (?:open|find|read)|does(?: not|n't) exist"
    r"|no files found|could not (?:open|find|read)|failed to open|is not a file",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"'([^']+)'|\"([^\"]+)\"|`([^`']+)[`']|‘([^’]+)’")
_WORD = re.compile(r"[^\s'\"`‘’]+")
_MODULE = re.compile(r"No module named ['\"]?([\w.]+)")
_FROM = re.compile(r"cannot import name ['\"](\w+)['\"] from (?:partially initialized module )?['\"]([\w.]+)['\"]")
_KEY = re.compile(
    r"KeyError: ['\"]([^'\"]+)['\"]"
    r"|(?:Missing key|Key) '?([\w.-]+)'?(?: is not in struct)?"
    r"|has no attribute ['\"](\w+)['\"]"
    r"|full_key: ([\w.-]+)"
)


def forgotten(log: str, order: WorkOrder, known: Known, *, root: str) -> str | None:
    """One clause that names what the stage did not declare, or None where the log shows nothing of it.

    Args:
        log: the end of what the stage printed.
        order: what it declared.
        known: what it could have declared.
        root: the absolute path of the directory it ran in.
    """
    for path in (*_missing_files(log, order, root), *_missing_modules(log, order)):
        found = _undeclared(path, order, known)
        if found is not None and found in known.parameters.values():
            return f"{found} is a params file: name what stage {order.stage} reads of it in its `params`"
        if found is not None:
            return f"{found} is in the repository but is not an input of stage {order.stage}"
    return _missing_parameter(log, order, known) or _missing_package(log, order)


def _undeclared(path: str, order: WorkOrder, known: Known) -> str | None:
    """`path` when the repository has it, or files below it, and the stage was not given it."""
    if path in ("", ".") or path.startswith(".."):
        return None
    if any(path == given.inside or path.startswith(given.inside + "/") for given in order.inputs):
        return None
    if path in known.paths or any(other.startswith(path + "/") for other in known.paths):
        return path
    return None


def _missing_files(log: str, order: WorkOrder, root: str) -> Iterator[str]:
    for line in reversed(log.splitlines()):
        if _LACKS_FILE.search(line):
            for word in _path_like(line):
                if word.startswith("/"):
                    if word.startswith(root + "/"):
                        yield posixpath.normpath(word[len(root) + 1 :])
                else:
                    yield posixpath.normpath(posixpath.join(order.workdir, word))
                    yield posixpath.normpath(word)


def _path_like(line: str) -> Iterator[str]:
    for match in _QUOTED.finditer(line):
        yield next(group for group in match.groups() if group is not None)
    for match in _WORD.finditer(line):
        yield match.group().strip(",:;()[]{}<>").rstrip(".")


def _missing_modules(log: str, order: WorkOrder) -> Iterator[str]:
    modules = [match.group(1) for match in _MODULE.finditer(log)]
    modules += [f"{match.group(2)}.{match.group(1)}" for match in _FROM.finditer(log)]
    scripts = {posixpath.dirname(given.inside) for given in order.inputs if given.inside.endswith(".py")}
    for module in reversed(modules):
        for folder in ("", order.workdir, *sorted(scripts), "src"):
            stem = posixpath.normpath(posixpath.join(folder, module.replace(".", "/")))
            yield f"{stem}.py"
            yield f"{stem}/__init__.py"
            yield stem


def _missing_package(log: str, order: WorkOrder) -> str | None:
    last = [line for line in log.splitlines() if line.strip()][-2:]
    modules = _MODULE.findall("\n".join(last))  # what ended it; another one's absence may be a warning further up
    if not modules:
        return None
    package = modules[-1].split(".")[0]
    if order.environment is None:
        return f"the Python on the PATH has no module {package}: install its package there"
    return f"the stage's environment has no module {package}: add its package to the requirements"


def _missing_parameter(log: str, order: WorkOrder, known: Known) -> str | None:
    named = _leaves(order.params)
    unnamed = {dotted: file for dotted, file in known.parameters.items() if dotted not in named}
    for match in reversed(list(_KEY.finditer(log))):
        key = next(group for group in match.groups() if group is not None)
        found = [dotted for dotted in unnamed if f".{key}." in f".{dotted}."]
        if found:
            verb = "are parameters" if len(found) > 1 else "is a parameter"
            them = "them" if len(found) > 1 else "it"
            return f"{unnamed[found[0]]}: {some_of(found, 3)} {verb} but stage {order.stage} does not name {them}"
    return None


def _leaves(params: dict[str, ParamValue], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, value in params.items():
        dotted = f"{prefix}{name}"
        found |= _leaves(value, f"{dotted}.") if isinstance(value, dict) and value else {dotted}
    return found
