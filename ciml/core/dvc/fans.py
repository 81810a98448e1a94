"""`foreach` and `matrix` of dvc.yaml: as a matrix of ciml where the items are plain, else stage by stage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product

from ciml.core.pipeline import ParamValue, Scalar
from ciml.core.value import Value

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Item(Value, frozen=True, kw_only=True):
    """One stage that a loop makes."""

    suffix: str
    """What DVC puts after the `@`."""
    values: dict[str, ParamValue]
    """`item`, and `key` where there is one."""
    names: dict[str, str] = {}
    """Where everybody knows a value by another name: `item` -> `regions.us`."""


class Loop(Value, frozen=True, kw_only=True):
    """A stage of dvc.yaml that stands for several."""

    items: tuple[Item, ...]
    matrix: dict[str, list[Scalar]] | None
    """The same as a matrix; None where values belong together that no matrix can hold together."""
    expressions: dict[str, str] = {}
    """Expression -> name in the matrix."""
    body: bool = False
    """Whether it is a `foreach`, whose stage stands under `do`."""

    @property
    def names(self) -> bool:
        """Whether everybody knows the items' values by a name."""
        return any(item.names for item in self.items)


def foreach(items: ParamValue, source: str | None) -> Loop | None:
    """The loop over a list or a mapping, which `source` names; None where it is neither, or empty."""
    if not items:
        return None
    if isinstance(items, list):
        plain = all(_is_scalar(item) for item in items)
        return Loop(
            items=tuple(
                Item(suffix=_text(item) if plain else str(number), values={"item": item})
                for number, item in enumerate(items)
            ),
            matrix={"item": _scalars(items)} if plain else None,
            expressions={"item": "item"} if plain else {},
            body=True,
        )
    if isinstance(items, dict):
        return Loop(
            items=tuple(
                Item(
                    suffix=key, values={"key": key, "item": value}, names={"item": f"{source}.{key}"} if source else {}
                )
                for key, value in items.items()
            ),
            matrix=None,
            body=True,
        )
    return None


def matrix(axes: Mapping[str, ParamValue]) -> Loop | None:
    """The loop over all combinations; None where an axis is no list."""
    lists = {name: axis for name, axis in axes.items() if isinstance(axis, list)}
    if len(lists) != len(axes):
        return None
    plain = all(_is_scalar(value) for axis in lists.values() for value in axis)
    return Loop(
        items=tuple(_combinations(lists)),
        matrix={name: _scalars(axis) for name, axis in lists.items()} if plain else None,
        expressions={f"item.{name}": name for name in lists},
    )


def _combinations(axes: Mapping[str, list[ParamValue]]) -> Iterator[Item]:
    for chosen in product(*(list(enumerate(axis)) for axis in axes.values())):
        parts = [
            _text(value) if _is_scalar(value) else f"{name}{number}"
            for name, (number, value) in zip(axes, chosen, strict=True)
        ]
        values = dict(zip(axes, (value for _, value in chosen), strict=True))
        yield Item(suffix="-".join(parts), values={"item": values, "key": "-".join(parts)})


def _is_scalar(value: ParamValue) -> bool:
    return isinstance(value, bool | int | float | str)


def _scalars(values: list[ParamValue]) -> list[Scalar]:
    return [value for value in values if isinstance(value, bool | int | float | str)]


def _text(value: ParamValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def stage_name(*parts: str) -> str:
    """A name that a stage of ciml may have."""
    return _UNSAFE.sub("-", "-".join(parts)).strip("-.") or "stage"
