"""Whose policy counts."""

from __future__ import annotations

import msgspec
import pytest

from ciml.core.ids import ModelName, RepoPath, StageName
from ciml.core.pipeline import (
    ChampionPolicy,
    Compare,
    DeployTarget,
    ExpressionCheck,
    Model,
    PairedCheck,
    Pipeline,
    Release,
    Stage,
    Triggers,
)
from ciml.core.policy import with_base_policy

CHURN, FRAUD = ModelName("churn"), ModelName("fraud")
TRAIN = StageName("train")


def pipeline(*models: Model, **fields: object) -> Pipeline:
    plain = Pipeline(
        stages={TRAIN: Stage(name=TRAIN, template=TRAIN)},
        models={model.name: model for model in models},
        params={"min-auc": 0.8, "lr": 0.1},
        registry="https://mlflow.example",
    )
    return msgspec.structs.replace(plain, **fields)


def model(name: ModelName = CHURN, **fields: object) -> Model:
    gate = (ExpressionCheck(expression="auc >= params.min-auc"),)
    return msgspec.structs.replace(Model(name=name, path=RepoPath("m"), gate=gate), **fields)


BASE = pipeline(model())
LAX = (ExpressionCheck(expression="auc >= 0"),)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gate", LAX),
        ("gate", ()),
        ("gate", (PairedCheck(metric="auc", confidence=0.5, scores=RepoPath("s")),)),
        ("champion", ChampionPolicy(compare=Compare.RECORDED)),
        ("promote", "manual"),
        ("deploy", (DeployTarget(name="production", after="promotion", run="curl evil"),)),
    ],
)
def test_c008_a_models_policy_is_the_bases(field: str, value: object) -> None:
    """Fork PR lowers the gate → policy read from BASE commit; diff reported."""
    head = pipeline(msgspec.structs.replace(model(), **{field: value}))
    found, notes = with_base_policy(head, BASE)
    assert found.models == BASE.models
    assert notes == (f"churn: `{field}` differs from the base's, which counts until this is merged.",)


@pytest.mark.parametrize(
    ("field", "key", "value"),
    [
        ("registry", "registry", "https://evil.example"),
        ("ledger", "ledger", "s3://evil/ledger"),
        ("reuse", "trust.reuse", "pull-request"),
        ("signers", "trust.signers", RepoPath("mine")),
        ("alerts", "alerts", ()),
        ("on_rejection", "on-rejection", "pass"),
        ("release", "triggers", Release(tags=("*",))),
        ("triggers", "triggers", Triggers(require="accepted")),
    ],
)
def test_c008_where_things_go_is_the_bases(field: str, key: str, value: object) -> None:
    """Registry, ledger, trust and alerts of a head that is not trusted count for nothing."""
    found, notes = with_base_policy(pipeline(model(), **{field: value}), BASE)
    assert getattr(found, field) == getattr(BASE, field)
    assert notes == (f"`{key}` differs from the base's, which counts until this is merged.",)


def test_c008_without_a_base_nobody_is_asked_whom_the_head_names() -> None:
    """A job may hold the account of a registry: the address that it is shown to is never one of a head's own."""
    named = {"ledger": "s3://evil/ledger", "reuse": "pull-request", "signers": RepoPath("mine")}
    head = pipeline(model(), registry="https://evil.example", **named)
    found, notes = with_base_policy(head, None)
    assert (found.registry, found.ledger, found.reuse, found.signers) == (None, None, "none", None)
    assert found.models == head.models
    assert notes == ("churn is new: it is judged by its own gate.",)


def test_c008_a_gate_reads_the_bases_params() -> None:
    """A threshold is policy wherever it stands; what a stage names is the head's."""
    head = pipeline(model(), params={"min-auc": 0.0, "lr": 0.5, "new": 1})
    found, notes = with_base_policy(head, BASE)
    assert found.params == {"min-auc": 0.0, "lr": 0.5, "new": 1}
    assert found.policy_params == {"min-auc": 0.8, "lr": 0.1, "new": 1}
    assert notes == ("`params.min-auc` differs from the base's, whose value the gates read until this is merged.",)


def test_a_param_that_the_head_has_removed_is_still_read() -> None:
    """Otherwise leaving it out would be a way around the gate."""
    found, _ = with_base_policy(pipeline(model(), params={}), BASE)
    assert found.policy_params == BASE.params


def test_one_and_one_point_nought_are_two_values() -> None:
    """As `true` and `1`: a comparison may tell them apart."""
    _, notes = with_base_policy(pipeline(model(), params={"min-auc": True}), pipeline(model(), params={"min-auc": 1}))
    assert len(notes) == 1


def test_stages_and_paths_stay_the_heads() -> None:
    """They are what is tried; a store of its own is told, so that whoever reviews it knows."""
    other = StageName("other")
    head = pipeline(model(path=RepoPath("new")), stages={other: Stage(name=other, template=other)}, store="s3://x")
    found, notes = with_base_policy(head, BASE)
    assert (found.stages, found.models[CHURN].path, found.store) == (head.stages, "new", "s3://x")
    assert notes == ("`store` differs from the base's: what this run takes as made before comes from there.",)


def test_a_model_that_only_the_head_has_is_judged_by_its_own_gate() -> None:
    """There is no other; and one that is gone is not judged. Both are said."""
    fraud = model(FRAUD, gate=LAX)
    found, notes = with_base_policy(pipeline(fraud), BASE)
    assert found.models == {FRAUD: fraud}
    assert notes == ("fraud is new: it is judged by its own gate.", "churn is not here any more: it is not judged.")


def test_without_a_base_everything_is_new() -> None:
    """The pull request that brings ciml.yaml."""
    head = msgspec.structs.replace(BASE, registry=None)
    found, notes = with_base_policy(head, None)
    assert found == head
    assert notes == ("churn is new: it is judged by its own gate.",)


def test_an_equal_policy_needs_no_word() -> None:
    """And changes nothing that is judged."""
    found, notes = with_base_policy(BASE, BASE)
    assert msgspec.structs.replace(found, policy_params=None) == BASE
    assert found.policy_params == BASE.params
    assert notes == ()
