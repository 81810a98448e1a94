"""Parameters: values in force, subtrees and differences.

A parameter is declared in `ciml.yaml`, or is a leaf of a params file, named by its dotted path.
Values given at run time win over a profile's, those over the defaults and the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ciml.core.amounts import some_of
from ciml.core.declarations import BadValueError, Declaration, parsed, parsed_leaf, text_of
from ciml.core.findings import Findings, KeyPath, suggestion
from ciml.core.ids import RepoPath
from ciml.core.pipeline import ParamValue, Scalar
from ciml.core.value import Value

NOT_GIVEN = "has no default and was not given"
"""Of a declared parameter: the one mistake that is a call's and not the file's."""


def leaves(tree: ParamValue, prefix: str = "") -> dict[str, ParamValue]:
    """Every leaf of a tree by dotted path; a list and an empty mapping are leaves."""
    if not isinstance(tree, dict) or (not tree and prefix):
        return {prefix: tree}
    found: dict[str, ParamValue] = {}
    for key, value in tree.items():
        found |= leaves(value, f"{prefix}.{key}" if prefix else key)
    return found


def with_leaf(tree: dict[str, ParamValue], path: str, value: ParamValue) -> dict[str, ParamValue]:
    """The tree with one of its leaves replaced."""
    for key, child in tree.items():
        if key == path:
            return {**tree, key: value}
        if isinstance(child, dict) and path.startswith(f"{key}.") and path[len(key) + 1 :] in leaves(child):
            return {**tree, key: with_leaf(child, path[len(key) + 1 :], value)}
    raise KeyError(path)


def pruned(tree: Mapping[str, ParamValue], wanted: Iterable[str], prefix: str = "") -> dict[str, ParamValue]:
    """What is left of a tree when only some leaves are kept, in the tree's order."""
    kept = wanted if isinstance(wanted, frozenset) else frozenset(wanted)
    left: dict[str, ParamValue] = {}
    for key, value in tree.items():
        path = prefix + key
        if path in kept:
            left[key] = value
        elif isinstance(value, dict) and (below := pruned(value, kept, f"{path}.")):
            left[key] = below
    return left


class Params(Value, frozen=True, kw_only=True):
    """All parameters with the values in force."""

    files: dict[RepoPath, dict[str, ParamValue]]
    """The tree of each params file, values in force."""
    values: dict[str, ParamValue]
    """Everything by dotted path: what is declared, and every leaf."""
    file_of: dict[str, RepoPath]
    """The params file of each leaf."""
    subtrees: dict[str, list[str]]
    """The leaves below each inner node, by its dotted path."""
    moved: frozenset[str] = frozenset()
    """Leaves of params files whose value comes from the command line or a profile."""

    def select(self, name: str) -> dict[str, ParamValue]:
        """The parameters that a name stands for: itself, or all leaves of a subtree; empty when unknown."""
        if name in self.values:
            return {name: self.values[name]}
        return {path: self.values[path] for path in self.subtrees.get(name, ())}

    def nearest(self, name: str) -> str:
        """What to write instead of an unknown name."""
        if near := suggestion(name, self.values):
            return near
        known = f"parameters are {some_of(list(self.values), 5)}" if self.values else "there is none"
        return f"{known}; `params-files: [FILE]` brings a file's"


def in_force(
    declared: Mapping[str, Declaration],
    files: Mapping[RepoPath, dict[str, ParamValue]],
    *,
    overrides: Mapping[str, str],
    profile: Mapping[str, Scalar],
    profile_name: str | None,
    found: Findings,
) -> Params:
    """All parameters with the values in force; what is wrong with any is noted in `found`.

    Args:
        declared: of `ciml.yaml`.
        files: the trees of the params files.
        overrides: `-P NAME=VALUE`, as text.
        profile: the chosen profile's values.
        profile_name: for its problems.
        found: where they are noted.
    """
    choice = _Choice(declared, files, found)
    for name, value in profile.items():
        if name not in overrides:
            choice.give(name, value, ("profiles", profile_name or "", "params", name), "profile")
    for name, text in overrides.items():
        choice.give(name, text, ("params", name) if name in declared else ("params",), "-P")
    for name, item in declared.items():
        if item.default is None and name not in choice.chosen and name not in overrides:
            found.add(("params", name), NOT_GIVEN, f"add a default, or -P {name}=VALUE")
    return choice.params()


class _Choice:
    """Values on their way into force: the defaults, and what is given over them."""

    def __init__(
        self, declared: Mapping[str, Declaration], files: Mapping[RepoPath, dict[str, ParamValue]], found: Findings
    ) -> None:
        self._declared = declared
        self._found = found
        self._trees = dict(files)
        self._file_of = _leaf_files(self._trees, declared, found)
        self._moved: set[str] = set()
        self.chosen: dict[str, Scalar] = {
            name: item.default for name, item in declared.items() if item.default is not None
        }

    def give(self, name: str, value: object, at: KeyPath, source: str) -> None:
        """Let a parameter have a value; what is wrong with it is noted."""
        item = self._declared.get(name)
        prefix = f"-P {name}: " if source == "-P" else ""
        try:
            if item:
                self.chosen[name] = item.checked(parsed(str(value), item.type) if source == "-P" else value)
            elif file := self._file_of.get(name):
                present = leaves(self._trees[file])[name]
                self._trees[file] = with_leaf(self._trees[file], name, _leaf_value(value, present, source))
                self._moved.add(name)
            else:
                hint = suggestion(name, [*self._declared, *self._file_of])
                self._found.unknown(at, name, hint, prefix=prefix)
        except BadValueError as error:
            self._found.add(at, f"{prefix}{error}", item.help or None if item else None)

    def params(self) -> Params:
        """What is in force."""
        values: dict[str, ParamValue] = dict(self.chosen)
        for tree in self._trees.values():
            values |= leaves(tree)
        return Params(
            files=self._trees,
            values=values,
            file_of=self._file_of,
            subtrees=_subtrees(values),
            moved=frozenset(self._moved),
        )


def _subtrees(paths: Iterable[str]) -> dict[str, list[str]]:
    below: dict[str, list[str]] = {}
    for path in paths:
        end = path.find(".")
        while end > 0:
            below.setdefault(path[:end], []).append(path)
            end = path.find(".", end + 1)
    return below


def _leaf_value(value: object, present: ParamValue, source: str) -> ParamValue:
    if source == "-P":
        return parsed_leaf(str(value), present)
    if isinstance(present, str) != isinstance(value, str) or isinstance(present, bool) != isinstance(value, bool):
        raise BadValueError(f"{text_of(value)} is of another type than the present value {text_of(present)}")
    return value  # type: ignore[return-value]  # a profile's values are scalars


def _leaf_files(
    trees: Mapping[RepoPath, dict[str, ParamValue]], declared: Mapping[str, Declaration], found: Findings
) -> dict[str, RepoPath]:
    file_of: dict[str, RepoPath] = {}
    for index, (file, tree) in enumerate(trees.items()):
        for path in leaves(tree):
            if path in declared:
                found.add(("params", path), f"is declared here and is also in {file}", "rename one of the two")
            elif path in file_of:
                message = f"{path} is in {file_of[path]} and in {file}"
                found.add(("params-files", index), message, "rename one: a parameter has one value")
            else:
                file_of[path] = file
    return file_of


def differences(before: Mapping[str, ParamValue], after: Mapping[str, ParamValue]) -> dict[str, str]:
    """For each parameter that differs, by dotted path, how: `0.1 -> 0.05`, `added: 3`, `removed: 3`.

    `1` and `1.0` differ, as do `true` and `1`: a stage may tell them apart.
    """
    changed = {}
    for name in dict.fromkeys([*before, *after]):
        if name not in before:
            changed[name] = f"added: {_shown(after[name])}"
        elif name not in after:
            changed[name] = f"removed: {_shown(before[name])}"
        elif msgspec.json.encode(before[name]) != msgspec.json.encode(after[name]):
            changed[name] = f"{_shown(before[name])} -> {_shown(after[name])}"
    return changed


def _shown(value: ParamValue) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."
