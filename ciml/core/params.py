"""Parameters: declarations, values in force, subtrees and differences.

A parameter is declared in `ciml.yaml`, or is a leaf of a params file, named by its dotted path.
Values given at run time win over a profile's, those over the defaults and the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from ciml.core.document import Document, ParamKeys
from ciml.core.findings import Findings, KeyPath, suggestion
from ciml.core.ids import RepoPath
from ciml.core.paths import inside_fault
from ciml.core.pipeline import ParamValue, Scalar
from ciml.core.value import Value

Type = Literal["float", "int", "string", "bool", "data"]


class BadValueError(ValueError):
    """A value that a parameter cannot take; the text says why."""


class Declaration(Value, frozen=True, kw_only=True):
    """A parameter of `ciml.yaml`."""

    name: str
    type: Type
    default: Scalar | None = None
    """None: it must be given at run time."""
    least: float | None = None
    greatest: float | None = None
    allowed: tuple[Scalar, ...] | None = None
    help: str = ""

    def checked(self, value: object) -> Scalar:
        """The value as the declared type.

        Raises:
            BadValueError: it has another type, or is not among those allowed.
        """
        fitting = _fitting(self.type, value)
        if self.least is not None and isinstance(fitting, int | float) and fitting < self.least:
            raise BadValueError(f"{text_of(fitting)} is less than the least value {text_of(self.least)}")
        if self.greatest is not None and isinstance(fitting, int | float) and fitting > self.greatest:
            raise BadValueError(f"{text_of(fitting)} is greater than the greatest value {text_of(self.greatest)}")
        if self.allowed is not None and fitting not in self.allowed:
            raise BadValueError(f"{text_of(fitting)} is none of {', '.join(text_of(item) for item in self.allowed)}")
        return fitting


def _fitting(type_: Type, value: object) -> Scalar:
    match type_, value:
        case "bool", bool():
            return value
        case "int", int() if not isinstance(value, bool):
            return value
        case "float", int() | float() if not isinstance(value, bool):
            return float(value)
        case "string", str():
            return value
        case "data", str():
            if fault := inside_fault(value):
                raise BadValueError(f"'{value}' {fault}")
            return value
    wanted = {"bool": "true or false", "int": "a whole number", "float": "a number", "string": "text", "data": "a path"}
    raise BadValueError(f"{text_of(value)} is not {wanted[type_]}")


def declarations(document: Document, found: Findings) -> dict[str, Declaration]:
    """The declared parameters, by name; what is wrong with them is noted in `found`."""
    declared = {}
    for name, keys in document.params.items():
        at: KeyPath = ("params", name)
        if not isinstance(keys, ParamKeys):
            declared[name] = Declaration(name=name, type=_type_of(keys), default=keys)
            continue
        declaration = _declaration(name, keys)
        if keys.type not in ("int", "float") and (declaration.least, declaration.greatest) != (None, None):
            found.add(at, f"min and max are for numbers, not for {keys.type}", "use `enum` to name what is allowed")
        try:
            allowed = (
                None if declaration.allowed is None else tuple(_fitting(keys.type, v) for v in declaration.allowed)
            )
            declaration = msgspec.structs.replace(declaration, allowed=allowed)
        except BadValueError as error:
            found.add((*at, "enum"), str(error))
            continue
        if declaration.default is not None:
            try:
                declaration = msgspec.structs.replace(declaration, default=declaration.checked(declaration.default))
            except BadValueError as error:
                found.add((*at, "default"), str(error), "change the default or the limits")
        declared[name] = declaration
    return declared


def _type_of(value: Scalar) -> Type:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    return "float" if isinstance(value, float) else "string"


def _declaration(name: str, keys: ParamKeys) -> Declaration:
    return Declaration(
        name=name,
        type=keys.type,
        default=None if keys.default is msgspec.UNSET else keys.default,
        least=None if keys.min is msgspec.UNSET else keys.min,
        greatest=None if keys.max is msgspec.UNSET else keys.max,
        allowed=None if keys.enum is msgspec.UNSET else tuple(keys.enum),
        help=keys.help,
    )


def parsed(text: str, like: Type) -> Scalar:
    """The value that a command line's text means for a type.

    Raises:
        BadValueError: it means none.
    """
    if like in ("string", "data"):
        return text
    if like == "bool":
        if text not in ("true", "false"):
            raise BadValueError(f"'{text}' is not true or false")
        return text == "true"
    value = _number(text)
    if value is None or (like == "int" and not isinstance(value, int)):
        raise BadValueError(f"'{text}' is not {'a whole number' if like == 'int' else 'a finite number'}")
    return float(value) if like == "float" else value


def _number(text: str) -> int | float | None:
    """A finite number in decimal, or None; `_` and surrounding white space, which Python takes, are not."""
    if not text.isascii() or len(text) > 400 or text.strip() != text or "_" in text or text.lstrip("+-")[:1].isalpha():
        return None
    try:
        whole = int(text)
        return whole if -(2**63) <= whole < 2**63 else None
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number - number == 0 else None


def parsed_leaf(text: str, present: ParamValue) -> ParamValue:
    """The value that a command line's text means in the place of a params file's value.

    A number stays a number, a boolean a boolean, a text a text; a list, a mapping or null is read as JSON.

    Raises:
        BadValueError: it means none of that.
    """
    match present:
        case bool():
            return parsed(text, "bool")
        case int() | float():
            value = _number(text)
            if value is None:
                raise BadValueError(f"'{text}' is not a finite number, as the present value {text_of(present)} is")
            return float(value) if isinstance(present, float) else value
        case str():
            return text
        case None if (number := _number(text)) is not None:
            return number
    try:
        read: ParamValue = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        if present is None:
            return text
        raise BadValueError(f"'{text}' is not JSON, as the present value {text_of(present)} is") from error
    return read


def text_of(value: object) -> str:
    """A value as text for a command: `true`, `0.2`, the string itself, JSON for a list or a mapping."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


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

    declared: dict[str, Scalar]
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
        return suggestion(name, self.values) or (
            f"parameters are {', '.join(self.values)}" if self.values else "no parameter is declared"
        )


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
    trees = dict(files)
    file_of = _leaf_files(trees, declared, found)
    chosen: dict[str, Scalar] = {name: item.default for name, item in declared.items() if item.default is not None}
    moved: set[str] = set()

    def give(name: str, value: object, at: KeyPath, source: str) -> None:
        try:
            if item := declared.get(name):
                chosen[name] = item.checked(parsed(str(value), item.type) if source == "-P" else value)
            elif file := file_of.get(name):
                present = leaves(trees[file])[name]
                trees[file] = with_leaf(trees[file], name, _leaf_value(value, present, source))
                moved.add(name)
            else:
                found.add(at, f"unknown parameter '{name}'", suggestion(name, [*declared, *file_of]))
        except BadValueError as error:
            prefix = f"-P {name}: " if source == "-P" else ""
            found.add(at, f"{prefix}{error}", declared[name].help or None if name in declared else None)

    for name, value in profile.items():
        if name not in overrides:
            give(name, value, ("profiles", profile_name or "", "params", name), "profile")
    for name, text in overrides.items():
        give(name, text, ("params", name) if name in declared else (), "-P")
    for name, item in declared.items():
        if item.default is None and name not in chosen and name not in overrides:
            found.add(("params", name), "has no default and was not given", f"add a default, or -P {name}=VALUE")
    values: dict[str, ParamValue] = dict(chosen)
    for tree in trees.values():
        values |= leaves(tree)
    return Params(
        declared=chosen,
        files=trees,
        values=values,
        file_of=file_of,
        subtrees=_subtrees(values),
        moved=frozenset(moved),
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
