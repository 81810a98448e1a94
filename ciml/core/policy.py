"""Whose policy counts: what lets a model through is the base's wherever the head is not trusted."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ciml.core.checks import reads
from ciml.core.pipeline import Model, ParamValue, Pipeline

_OF_MODEL = ("gate", "champion", "promote", "deploy")
"""Fields of a model, named as its keys in ciml.yaml."""
_OF_PIPELINE = {
    "registry": "registry",
    "ledger": "ledger",
    "reuse": "trust.reuse",
    "signers": "trust.signers",
    "release": "triggers",
    "triggers": "triggers",
    "data": "data",
    "alerts": "alerts",
    "on_rejection": "on-rejection",
}
"""Field of a pipeline -> its key in ciml.yaml."""


def with_base_policy(head: Pipeline, base: Pipeline | None) -> tuple[Pipeline, tuple[str, ...]]:
    """The head's stages under the base's policy, and a sentence for every difference between the two.

    Where there is none its models are judged by their own gates, but nobody is asked whom it names.

    Args:
        head: what would run.
        base: what it would be merged into; None where that has no ciml.yaml, or none that can be read.
    """
    if base is None:
        unknown = msgspec.structs.replace(head, registry=None, ledger=None, reuse="none", signers=None)
        return unknown, tuple(f"{name} is new: it is judged by its own gate." for name in head.models)
    models = {name: _under(model, base.models.get(name)) for name, model in head.models.items()}
    fields = {field: getattr(base, field) for field in _OF_PIPELINE}
    values = {name: base.params.get(name, value) for name, value in {**base.params, **head.params}.items()}
    judged = msgspec.structs.replace(head, models=models, policy_params=values, **fields)
    return judged, (*_of_models(head, base), *_of_params(head, base, judged.models.values()), *_of_pipeline(head, base))


def _under(head: Model, base: Model | None) -> Model:
    return msgspec.structs.replace(head, **{field: getattr(base, field) for field in _OF_MODEL}) if base else head


def _of_models(head: Pipeline, base: Pipeline) -> Iterable[str]:
    for name, model in head.models.items():
        before = base.models.get(name)
        if before is None:
            yield f"{name} is new: it is judged by its own gate."
            continue
        for field in _OF_MODEL:
            if getattr(model, field) != getattr(before, field):
                yield f"{name}: `{field}` differs from the base's, which counts until this is merged."
    for name in sorted(base.models.keys() - head.models.keys()):
        yield f"{name} is not here any more: it is not judged."


def _of_params(head: Pipeline, base: Pipeline, models: Iterable[Model]) -> Iterable[str]:
    """The values that gates read; a stage sees the head's all the same."""
    read = sorted({name for model in models for name in reads(model.gate, ()).params})
    for name in read:
        if name in base.params and name in head.params and not _same(head.params[name], base.params[name]):
            yield f"`params.{name}` differs from the base's, whose value the gates read until this is merged."


def _same(one: ParamValue, other: ParamValue) -> bool:
    return msgspec.json.encode(one) == msgspec.json.encode(other)


def _of_pipeline(head: Pipeline, base: Pipeline) -> Iterable[str]:
    differ = [key for field, key in _OF_PIPELINE.items() if getattr(head, field) != getattr(base, field)]
    for key in dict.fromkeys(differ):
        yield f"`{key}` differs from the base's, which counts until this is merged."
    if head.store != base.store:
        yield "`store` differs from the base's: what this run takes as made before comes from there."
