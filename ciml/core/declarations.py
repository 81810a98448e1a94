"""Declared parameters, and what a command line's text means for one."""

from __future__ import annotations

from typing import Literal

import msgspec

from ciml.core.document import Document, ParamKeys
from ciml.core.findings import Findings, KeyPath
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
            raise BadValueError(f"{text_of(fitting)} is below the minimum {self.least:g}")
        if self.greatest is not None and isinstance(fitting, int | float) and fitting > self.greatest:
            raise BadValueError(f"{text_of(fitting)} is above the maximum {self.greatest:g}")
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
