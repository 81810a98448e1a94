"""The scalars of YAML 1.2's core schema, without those that readers take differently.

Source: https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import re

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_NUMBER_START = frozenset("0123456789+-.")
_WORDS: dict[str, bool | None] = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "null": None,
    "Null": None,
    "NULL": None,
    "~": None,
    "": None,
}


class AmbiguousNumberError(ValueError):
    """A plain text that looks like a number and is none that everybody reads alike."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def resolved(text: str) -> bool | int | float | str | None:
    """The value of an unquoted text: a number, a boolean, null, or the text itself.

    Raises:
        AmbiguousNumberError: a number that is not finite, too large, or has a leading zero.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_START:
        return text
    if _INT.fullmatch(text):
        return _int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number - number != 0:
            raise AmbiguousNumberError(f"the number {short(text)} is too large", "quote it if it is text")
        return number
    if _NOT_FINITE.fullmatch(text):
        raise AmbiguousNumberError(f"{text} is not a finite number", "quote it if it is text")
    return text


def _int(text: str) -> int:
    digits = text.lstrip("+-")
    if len(digits) > 20:
        raise AmbiguousNumberError(
            f"the number {short(text)} does not fit into 64 bits", "quote it if it is text, or write it as 1.0e30"
        )
    if digits[:2] in ("0o", "0x"):
        number = int(digits, 0)
    elif digits[0] == "0" and len(digits) > 1:
        raise AmbiguousNumberError(
            f"{text} has a leading zero, which not everybody reads alike",
            f"write {digits.lstrip('0') or '0'}, 0o{digits.lstrip('0') or '0'} for octal, or '{text}' for text",
        )
    else:
        number = int(text)
    if not -(2**63) <= number < 2**63:
        raise AmbiguousNumberError(f"the number {text} does not fit into 64 bits", "quote it if it is text")
    return number


def short(text: str) -> str:
    """The text, or its start and its length where it would fill the screen."""
    return text if len(text) <= 24 else f"{text[:12]}… ({len(text)} characters)"
