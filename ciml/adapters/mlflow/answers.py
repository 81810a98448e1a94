"""What a registry answers about a version, believed only where it is an answer to what was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciml.core.errors import ServiceError
from ciml.core.ids import Digest, ModelName
from ciml.core.registry import Row

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

RECIPE = "ciml.recipe"
NONCE = "ciml.nonce"
STATE = "ciml.state"


def row_of(version: ModelVersion, model: ModelName, recipe: Digest | None = None, *, shown: str) -> Row:
    """The row.

    Args:
        version: as MLflow's client read it.
        model: the model that was asked for.
        recipe: of the recipe that was asked for, where one was.
        shown: how messages call the registry.

    Raises:
        ServiceError: it is of another model or recipe, or no version at all.
    """
    if version.name != model:
        raise _strange(shown, f"a version of {version.name!r} for one of {model}")
    if recipe is not None and version.tags.get(RECIPE) != recipe:
        raise _strange(shown, f"a version of {model} that has another recipe than was asked for")
    try:
        return Row(
            model=model,
            version=int(version.version),
            nonce=version.tags.get(NONCE, ""),
            created=int(version.creation_timestamp),
            run=version.run_id or "",
            tentative=version.tags.get(STATE) != "registered",
        )
    except (TypeError, ValueError) as error:
        raise _strange(shown, f"a version of {model} that is none: {error}") from error


def _strange(shown: str, answer: str) -> ServiceError:
    return ServiceError(
        f"the registry {shown} answered with {answer}",
        hint="Check that the address is that of an MLflow server, and what stands between.",
    )
