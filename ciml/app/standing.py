"""Models whose verdict stands already: nothing is trained, judged or told again for them."""

from __future__ import annotations

from collections.abc import Mapping

from ciml.app.judge import Judging
from ciml.app.plan import Prepared
from ciml.app.ports import Ledgers, Store
from ciml.core.entries import Registration
from ciml.core.errors import CimlError
from ciml.core.ids import ModelName, StageName
from ciml.core.judged import Judged
from ciml.core.pipeline import Model
from ciml.core.plan import State


class _OpenError(Exception):
    """The model must be judged."""


def standing(prepared: Prepared, store: Store, ledgers: Ledgers) -> dict[ModelName, Judged]:
    """The models of the commit whose verdict is in the ledger, whatever the store has.

    A ledger that cannot be read says nothing: its model is judged, and whoever judges it meets the reason.
    """
    found: dict[ModelName, Judged] = {}
    for name, model in prepared.graph.pipeline.models.items():
        judging = Judging(prepared.graph, {}, prepared.evidence, store, rescore=_never, ready=_open)
        try:
            found[name] = judging.judge(model, ledgers.read(name))
        except (_OpenError, CimlError):
            continue
    return found


def _open(model: Model) -> None:
    raise _OpenError


def _never(model: Model, registered: Registration) -> Mapping[StageName, State]:
    raise AssertionError("a recorded verdict scores nothing")
