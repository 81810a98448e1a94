"""What a node should have been: problems on their way up to the root of a document."""

from __future__ import annotations

from ciml.adapters.yaml import Mapping, Node, Scalar, Sequence


class Mistake:
    """A problem on its way up: every container on the way puts its key in front."""

    __slots__ = ("hint", "message", "node", "path", "unknown_key")

    def __init__(self, node: Node, message: str, hint: str | None = None, *, unknown_key: bool = False) -> None:
        self.node = node
        self.message = message
        self.hint = hint
        self.path: list[str] = []
        self.unknown_key = unknown_key


class Bad:
    """What a reader returns when it has noted why there is no value."""


BAD = Bad()
Mistakes = list[Mistake]


def described(node: Node) -> str:
    """What stands in the file, for `expected …, found …`."""
    match node:
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
        case Scalar():
            if node.plain and node.text in ("", "~", "null"):
                return "nothing"
            text = node.text if len(node.text) <= 60 else f"{node.text[:60]}…"
            return text if node.plain else f"'{text}'"


def mistaken(node: Node, mistakes: Mistakes, wanted: str, hint: str | None = None) -> Bad:
    """BAD, after noting what was wanted in the node's place."""
    mistakes.append(Mistake(node, f"expected {wanted}, found {described(node)}", hint))
    return BAD


def truth_hint(node: Node) -> str | None:
    """What to write for a word that is a boolean elsewhere."""
    word = node.text.lower() if isinstance(node, Scalar) else ""
    return {"yes": "write true", "on": "write true", "no": "write false", "off": "write false"}.get(word)
