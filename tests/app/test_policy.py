"""A head under the policy of what it would be merged into, on real repositories."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ciml.app.policy import Given, under_base_policy
from ciml.cli.wiring import Documents
from ciml.core.errors import ServiceError, UsageError
from ciml.core.event import Event, Kind
from ciml.core.ids import CommitSha
from ciml.core.pipeline import ExpressionCheck, Pipeline
from tests.repobuilder import RepoBuilder
from tests.workspace import Workspace

CIML = """\
version: 1
params: {least: %s}
stages:
  train: {run: cp size model, inputs: [size], outputs: [model]}
  evaluate: {run: cp model m.json, inputs: [model], metrics: [m.json]}
models:
  m: {path: model, gate: ["%s"]}
"""


def judged_by(
    repo: RepoBuilder, base: str, *, params: Mapping[str, str] | None = None, profile: str | None = None
) -> tuple[Pipeline, tuple[str, ...]]:
    """The pipeline of what is committed under a base's policy, and what is said of it."""
    params = dict(params or {})
    event = Event(kind=Kind.MERGE_GROUP, name="merge_group", default_branch="main", base=CommitSha(base))
    with Workspace(repo).project(params=params) as (place, project):
        return under_base_policy(
            project,
            event,
            place.repository,
            Given(profile=profile, params=params),
            lambda tree, named, values: Documents(place.index, profile=named, params=values).pipeline(tree),
        )


def gate(pipeline: Pipeline) -> list[str]:
    [model] = pipeline.models.values()
    return [check.expression for check in model.gate if isinstance(check, ExpressionCheck)]


def test_the_bases_gate_counts(repo: RepoBuilder) -> None:
    """The head's own waits until it is merged, and that is said."""
    base = repo.commit({"ciml.yaml": CIML % (1, "score >= 0.8"), "size": "1"})
    repo.commit({"ciml.yaml": CIML % (1, "score >= 0.1")})
    pipeline, told = judged_by(repo, base)
    assert gate(pipeline) == ["score >= 0.8"]
    assert told == ("m: `gate` differs from the base's, which counts until this is merged.",)


def test_a_base_without_a_policy_that_can_be_read(repo: RepoBuilder) -> None:
    """A new model is judged by its own gate, and why is said."""
    base = repo.commit({"size": "1"})
    repo.commit({"ciml.yaml": CIML % (1, "score >= 0.1")})
    pipeline, told = judged_by(repo, base)
    assert gate(pipeline) == ["score >= 0.1"]
    assert told[0].startswith("The base has no policy that can be read: there is no ciml.yaml")


def test_a_value_that_the_base_lacks_is_the_calls(repo: RepoBuilder) -> None:
    """It serves where the base has none, which is said; a value that is not given lets no head's gate stand in."""
    base = repo.commit({"ciml.yaml": CIML % ("{type: float}", "score >= params.least"), "size": "1"})
    repo.commit({"ciml.yaml": CIML % (0.1, "score >= 0")})
    pipeline, told = judged_by(repo, base, params={"least": "0.7"})
    assert (gate(pipeline), pipeline.policy_params) == (["score >= params.least"], {"least": 0.7})
    assert told[0] == "`params.least` has no value at the base: gates read what this run gives."
    with pytest.raises(UsageError, match=r"lacks values: params\.least"):
        judged_by(repo, base)


def test_a_profile_that_the_base_has_not(repo: RepoBuilder) -> None:
    """The base's policy is read without it."""
    base = repo.commit({"ciml.yaml": CIML % (1, "score >= 0.8"), "size": "1"})
    pipeline, _ = judged_by(repo, base, profile="quick")
    assert gate(pipeline) == ["score >= 0.8"]


def test_a_base_that_cannot_be_found(repo: RepoBuilder) -> None:
    """The head's own gate never stands in for one that is there and cannot be had."""
    repo.commit({"ciml.yaml": CIML % (1, "score >= 0.8"), "size": "1"})
    with pytest.raises(ServiceError, match="the policy that counts cannot be found"):
        judged_by(repo, "0" * 40)
