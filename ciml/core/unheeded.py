"""Keys of `ciml.yaml` that are read and checked, and that nothing follows from in this version."""

from __future__ import annotations

from functools import cache

import msgspec

from ciml.core.document import Document, Keys

NOT_ACTED_ON: dict[str, frozenset[str]] = {"DefaultsKeys": frozenset({"sagemaker"})}
"""Type of the document -> its keys."""


def not_acted_on(document: Document) -> list[str]:
    """The keys of a `ciml.yaml` that nothing follows from in this version, by dotted path."""
    found = _given(document, "")
    found += _given(document.defaults, "defaults.")
    for name, stage in document.stages.items():
        found += _given(stage, f"stages.{name}.")
    for name, model in document.models.items():
        found += _given(model, f"models.{name}.")
    return found


def _given(keys: Keys, prefix: str) -> list[str]:
    """The keys with another value than their default among those that are not acted on."""
    return [prefix + field.encode_name for field in _idle(type(keys)) if getattr(keys, field.name) != _default(field)]


@cache
def _idle(kind: type[Keys]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of a type that nothing follows from; looked up once, since there may be thousands of stages."""
    wanted = frozenset[str]().union(*(NOT_ACTED_ON.get(base.__name__, ()) for base in kind.__mro__))
    return tuple(field for field in msgspec.structs.fields(kind) if field.encode_name in wanted)


def _default(field: msgspec.structs.FieldInfo) -> object:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
