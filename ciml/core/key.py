"""Every hash list of ciml: each starts with a tag and a version.

Two kinds of key can never meet, since their tags differ, and a changed list gets a new version,
so that it never hits what an older ciml stored.

- A *recipe* is what a commit asks for. It comes from Git alone: commands, parameters, object ids
  of tracked inputs, and the recipes of the stages that make the other inputs.
- A *key* is what a worker computes: the recipe's list with content digests in the place of
  upstream recipes, and the platform. Equal keys may share outputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from ciml.core.ids import Digest, ModelName, StageName
from ciml.core.inputs import DataInput, Input, ProducedInput, TrackedInput
from ciml.core.pipeline import Stage
from ciml.core.results import Output
from ciml.core.value import Value

_encode = msgspec.json.Encoder(order="sorted").encode


def digest(tag: str, *parts: object) -> Digest:
    """SHA-256 over a tag and a list of parts, the same on every machine.

    The list is canonical JSON (sorted keys, no white space, shortest floats), so it is injective:
    `("a", "b")` and `("ab",)` differ, as do `1`, `1.0`, `True` and `"1"`.

    Args:
        tag: kind and version, such as `ciml/recipe/1`.
        parts: values, strings, numbers, booleans, None, and lists, tuples and mappings of them.
            Strings may hold surrogates, as paths do that are not UTF-8. Numbers are finite.
    """
    try:
        text, end = _encode(parts), b"\0"
    except UnicodeEncodeError:
        # Another end of the tag, so that no list that is Unicode can have the same text.
        text, end = _encode(_without_surrogates(parts)), b"\1"
    return Digest(hashlib.sha256(tag.encode() + end + text).hexdigest())


def _without_surrogates(part: object) -> object:
    """The same value as lists, with every string as ["text", hex] of its bytes."""
    match part:
        case str():
            return ["text", part.encode("utf-8", "surrogatepass").hex()]
        case list() | tuple():
            return ["list", *map(_without_surrogates, part)]
        case dict():
            pairs = [[_without_surrogates(key), _without_surrogates(part[key])] for key in sorted(part)]
            return ["mapping", *pairs]
        case Value():
            return ["value", type(part).__name__, _without_surrogates(msgspec.structs.asdict(part))]
    return part


class Runtime(Value, frozen=True, kw_only=True):
    """What a stage's bytes may depend on besides its own declaration."""

    python: str | None
    """`environment.python`, or None where the user's PATH serves."""
    requirements: str | None
    """The Git object id of the requirements file."""
    platform: str
    """System, architecture and `environment.python`; part of keys, not of recipes."""

    def platform_of(self, stage: Stage) -> str:
        """What the stage's key says of the platform."""
        return "any" if stage.any_platform else self.platform


def _declaration(stage: Stage, runtime: Runtime) -> tuple[object, ...]:
    """What the recipe and the key share: no clock, host, branch, stage name or platform."""
    return (
        stage.command.script,
        stage.command.argv,
        sorted(stage.command.arguments),
        stage.params,
        stage.params_files,
        stage.env,
        stage.image,
        stage.workdir,
        [place.inside for place in stage.outputs],
        [_inside(stage, path) for path in stage.metrics],
        runtime.python,
        runtime.requirements,
    )


def _inside(stage: Stage, path: str) -> str:
    return next(place.inside for place in stage.outputs if place.path == path)


def recipe(
    stage: Stage,
    inputs: Sequence[Input],
    runtime: Runtime,
    upstream: Mapping[StageName, Digest],
    conditions: Sequence[StageName] = (),
) -> Digest:
    """What the commit asks of this stage.

    Args:
        stage: the stage, a pick node included.
        inputs: all of its inputs, imported modules included.
        runtime: the environment; its platform is left out.
        upstream: recipes of the stages that make the produced inputs, of those that `when` reads,
            and of a pick's instances.
        conditions: the stages whose metrics `when` reads.
    """
    outputs = [place.inside for place in stage.outputs]
    if stage.pick:
        rule = stage.pick
        candidates = [(upstream[made], upstream[scored]) for made, scored in rule.candidates]
        return digest("ciml/pick-recipe/1", rule.metric, rule.goal, candidates, outputs)
    asked = sorted(_asked(item, upstream) for item in inputs)
    when = (stage.when, [upstream[name] for name in conditions])
    return digest("ciml/recipe/1", *_declaration(stage, runtime), asked, when)


def _asked(item: Input, upstream: Mapping[StageName, Digest]) -> tuple[str, ...]:
    match item:
        case TrackedInput():
            return (item.inside, "git", f"{item.mode:o}", item.oid)
        case DataInput():
            return (item.inside, "data", item.digest)
        case ProducedInput():
            return (item.inside, "recipe", upstream[item.stage], item.output, item.part)


def key(
    stage: Stage,
    inputs: Sequence[Input],
    runtime: Runtime,
    made: Mapping[tuple[StageName, str, str], Output],
) -> Digest:
    """What a worker computes for this stage, once every input's bytes are known.

    Args:
        stage: a stage with a command; a pick node has no key of its own.
        inputs: all of its inputs.
        runtime: the environment, platform included unless the stage says `platform: any`.
        made: what lies at each produced input, by (stage, output, part).
    """
    have = sorted(_had(item, made) for item in inputs)
    return digest("ciml/key/1", *_declaration(stage, runtime), have, runtime.platform_of(stage))


def _had(item: Input, made: Mapping[tuple[StageName, str, str], Output]) -> tuple[str, ...]:
    match item:
        case TrackedInput():
            return (item.inside, "git", f"{item.mode:o}", item.oid)
        case DataInput():
            return (item.inside, "data", item.digest)
        case ProducedInput():
            output = made[item.stage, item.output, item.part]
            kind = "directory" if output.directory else "executable" if output.executable else "file"
            return (item.inside, kind, output.digest)


def pick_key(stage: Stage, keys: Mapping[StageName, Digest]) -> Digest:
    """The key of a pick node: the rule and the keys of the instances it chooses between."""
    rule = stage.pick
    assert rule is not None, f"{stage.name} is not a pick node"
    candidates = [(keys[made], keys[scored]) for made, scored in rule.candidates]
    return digest("ciml/pick-key/1", rule.metric, rule.goal, candidates)


def model_recipe(model: ModelName, maker: Digest) -> Digest:
    """A model's recipe: its name with the recipe of the stage that makes its path."""
    return digest("ciml/model/1", model, maker)


def policy(checks: Sequence[object], promote: str) -> Digest:
    """The digest of what must hold: checks with the values of the parameters in them."""
    return digest("ciml/policy/1", list(checks), promote)


def verdict(model: Digest, read: Mapping[StageName, Digest], policy: Digest, champion: str | None) -> Digest:
    """The name of a judgement: where all four are equal, the recorded verdict stands.

    Args:
        model: the model's recipe.
        read: recipe of each stage whose metrics or scores the gate reads.
        policy: digest of the checks.
        champion: identity of the version compared with (its registration's digest), None for none.
    """
    return digest("ciml/verdict/1", model, sorted(read.values()), policy, champion)
