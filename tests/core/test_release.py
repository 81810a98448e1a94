from __future__ import annotations

import pytest

from ciml.core.errors import ConfigurationError, UsageError
from ciml.core.ids import ModelName, RepoPath
from ciml.core.pipeline import DeployTarget, Model
from ciml.core.release import Target, of_promotion, of_release, release_tag


def model(name: str, **environments: str) -> Model:
    """A model and its environments: name -> what they come after."""
    deploy = tuple(DeployTarget(name=each, after=after, run="x") for each, after in environments.items())  # type: ignore[arg-type]
    return Model(name=ModelName(name), path=RepoPath(name), deploy=deploy)


CHURN = model("churn", staging="promotion", production="release", eu="release")
PRICE = model("price", production="release")
QUIET = model("quiet")
MODELS = {each.name: each for each in (CHURN, PRICE, QUIET)}


def names(targets: tuple[Target, ...]) -> list[str]:
    return [f"{item.target.name}.{item.model.name}" for item in targets]


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [
        ("v1", ["production.churn", "eu.churn", "production.price"]),
        ("v1.2.0", ["production.churn", "eu.churn", "production.price"]),
        ("v1.2.0-rc.1+build.5", ["production.churn", "eu.churn", "production.price"]),
        ("v1.0rc1", ["production.churn", "eu.churn", "production.price"]),
        ("refs/tags/v2026.11", ["production.churn", "eu.churn", "production.price"]),
        ("churn@v1.2.0", ["production.churn", "eu.churn"]),
        ("quiet@v1", []),
        ("churn#eu#3", ["eu.churn"]),
        ("churn#staging", ["staging.churn"]),
        ("spring-sale", ["production.churn", "eu.churn", "production.price"]),
    ],
)
def test_what_a_tag_asks_for(tag: str, wanted: list[str]) -> None:
    """Every model, one model, or one model in one environment, whatever that comes after."""
    found = release_tag(tag, MODELS, patterns=["spring-*"])
    assert names(of_release(found, MODELS)) == wanted
    assert found.name == tag.removeprefix("refs/tags/")


def test_only_names_without_version_and_counter_move() -> None:
    """`churn#production` is moved from version to version; all others keep what they name."""
    moves = [release_tag(tag, MODELS).moves for tag in ("churn#production", "churn#production#1", "v1", "churn@v1")]
    assert moves == [True, False, False, False]


@pytest.mark.parametrize(
    ("tag", "hint"),
    [
        ("latest", "Release tags are v1.2.0"),
        ("v", "Release tags are"),
        ("v1.2.", "Release tags are"),
        ("v1..2", "Release tags are"),
        ("version1", "Release tags are"),
        ("churn@1.2.0", "Release tags are"),
        ("churn@v1@v2", "Release tags are"),
        ("churn#production#x", "Release tags are"),
        ("churn##3", "Release tags are"),
        ("churn#production!#4", "takes a version back"),
        ("churn@v1!", "takes a version back"),
        ("chrun@v1", "did you mean 'churn'?"),
        ("chrun#production#1", "did you mean 'churn'?"),
        ("", "Release tags are"),
    ],
)
def test_what_is_no_release_tag(tag: str, hint: str) -> None:
    """Other names, GTO's tags that take something back, and models that do not exist: exit 2, with a hint."""
    with pytest.raises(UsageError) as caught:
        release_tag(tag, MODELS)
    assert hint in (caught.value.hint or "")


def test_one_environment() -> None:
    """An environment that the caller names is the only one, whatever it comes after."""
    tag = release_tag("v1", MODELS)
    assert names(of_release(tag, MODELS, environment="production")) == ["production.churn", "production.price"]
    assert names(of_release(tag, MODELS, environment="staging")) == ["staging.churn"]
    assert names(of_release(release_tag("churn#eu#1", MODELS), MODELS, environment="eu")) == ["eu.churn"]
    with pytest.raises(UsageError, match="is for the environment eu, not for production"):
        of_release(release_tag("churn#eu#1", MODELS), MODELS, environment="production")


def test_an_environment_that_does_not_exist() -> None:
    """Exit 3, with the nearest name or all of them, and whose they are."""
    with pytest.raises(ConfigurationError, match="no environment 'prodution'") as near:
        of_release(release_tag("v1", MODELS), MODELS, environment="prodution")
    assert near.value.hint == "did you mean 'production'?"
    with pytest.raises(ConfigurationError, match="price has no environment 'eu'") as far:
        of_release(release_tag("price#eu#1", MODELS), MODELS)
    assert far.value.hint == "Environments are production."
    with pytest.raises(ConfigurationError) as none:
        of_release(release_tag("quiet#eu#1", MODELS), MODELS)
    assert none.value.hint == "Environments are none."


def test_what_follows_a_promotion() -> None:
    """Environments with `after: promotion`; one that releases move is refused with the command that moves it."""
    assert names(of_promotion(MODELS)) == ["staging.churn"]
    assert names(of_promotion(MODELS, environment="staging")) == ["staging.churn"]
    with pytest.raises(UsageError, match="eu is deployed by a release tag") as caught:
        of_promotion(MODELS, environment="eu")
    assert caught.value.hint == "ciml deploy --ref TAG --environment eu"
