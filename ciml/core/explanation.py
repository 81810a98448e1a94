"""The parts of a stage's keys, and which of them differ from another time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ciml.core.inputs import DataInput, Input, ProducedInput, TrackedInput
from ciml.core.key import Runtime
from ciml.core.lineage import shown
from ciml.core.pipeline import ParamValue, Stage
from ciml.core.value import Value


class Part(Value, frozen=True, kw_only=True):
    """One thing that a stage's recipe or key depends on."""

    kind: str
    """`command`, `param`, `input`, `import`, `output`, `env`, `environment`, `platform`, …"""
    name: str
    value: str
    before: str | None = None
    """The value of the other time, where it differs."""

    @property
    def differs(self) -> bool:
        """Whether it is not what it was."""
        return self.before is not None


def parts(
    stage: Stage, inputs: Sequence[Input], params: Mapping[str, ParamValue], runtime: Runtime | None
) -> tuple[Part, ...]:
    """Everything that a stage's keys depend on, in the order of the recipe.

    Args:
        stage: as it is declared.
        inputs: all of them, imported modules included.
        params: the named parameters with their values.
        runtime: environment and platform; None where they are not known.
    """
    found = [
        Part(kind="command", name="", value=_command(stage)),
        *(Part(kind="param", name=name, value=shown(value)) for name, value in sorted(params.items())),
        *(_input(item) for item in sorted(inputs, key=lambda item: (_is_import(item), item.inside))),
        *(Part(kind="output", name=place.inside, value="") for place in stage.outputs),
        *(Part(kind="env", name=name, value=value) for name, value in sorted(stage.env.items())),
    ]
    for kind, value in (("image", stage.image), ("workdir", stage.workdir or None), ("when", stage.when)):
        if value is not None:
            found.append(Part(kind=kind, name="", value=value))
    if stage.pick:
        rule = f"{stage.pick.goal} {stage.pick.metric} of {len(stage.pick.candidates)} instances"
        found.append(Part(kind="pick", name="", value=rule))
    if runtime:
        found.append(Part(kind="python", name="", value=runtime.python or "the user's PATH"))
        found.append(Part(kind="requirements", name="", value=runtime.requirements or "none"))
        found.append(Part(kind="platform", name="", value=runtime.platform_of(stage)))
    return tuple(found)


def compared(now: Sequence[Part], before: Sequence[Part]) -> tuple[Part, ...]:
    """The parts, each with its value of before where that differs; then those that are gone."""
    old = {(part.kind, part.name): part.value for part in before}
    found = []
    for part in now:
        value = old.pop((part.kind, part.name), _ABSENT)
        same = value == part.value
        found.append(part if same else Part(kind=part.kind, name=part.name, value=part.value, before=value))
    gone = [Part(kind=kind, name=name, value=_ABSENT, before=value) for (kind, name), value in old.items()]
    return (*found, *gone)


_ABSENT = "not there"


def _command(stage: Stage) -> str:
    if stage.command.argv is not None:
        return shown(list(stage.command.argv))
    return (stage.command.script or "").strip()


def _is_import(item: Input) -> bool:
    return isinstance(item, TrackedInput) and item.because is not None


def _input(item: Input) -> Part:
    match item:
        case TrackedInput(because=None):
            return Part(kind="input", name=item.inside, value=f"git {item.mode:o} {item.oid[:12]}")
        case TrackedInput():
            value = f"git {item.mode:o} {item.oid[:12]}, imported by {item.because}"
            return Part(kind="import", name=item.inside, value=value)
        case DataInput():
            return Part(kind="input", name=item.inside, value=f"data {item.digest[:12]}")
        case ProducedInput():
            return Part(kind="input", name=item.inside, value=f"made by {item.stage}")
