"""Checks on data, from the command line: made before any stage runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ciml.cli.registry import Registries
from ciml.cli.wiring import Place
from ciml.core.inputs import DataInput, TrackedInput
from ciml.core.plan import Graph

if TYPE_CHECKING:
    from ciml.app.project import Project
    from ciml.core.datachecks import DataVerdict


def data_verdicts(
    place: Place, project: Project, registries: Registries, *, may_lack_champion: bool = False
) -> tuple[DataVerdict, ...]:
    """What the checks of `data:` say; nothing is imported or read where there are none.

    Args:
        place: its index remembers what was read of each table.
        project: whose rules and data.
        registries: say what the champions were trained on.
        may_lack_champion: a champion that cannot be read here counts as none.
    """
    if not project.pipeline.data:
        return ()
    from ciml.app.datagate import check_data

    tables = place.tables()
    found = check_data(project, registries, tables, may_lack_champion=may_lack_champion)
    tables.trim()
    return found


def all_let_through(found: Iterable[DataVerdict]) -> bool:
    """Whether stages may run."""
    return all(verdict.lets_through for verdict in found)


def check_data_paths(project: Project) -> None:
    """Refuse checks on paths that are no data.

    Raises:
        ConfigurationError: with all of them.
    """
    if project.pipeline.data:
        from ciml.app.datagate import checked_paths

        checked_paths(project)


def stages_read_it(project: Project, graph: Graph) -> bool:
    """Whether all data that is checked is an input of some stage, so that whoever watches inputs watches it."""
    read = {
        item.stood_for if isinstance(item, DataInput) else item.path
        for inputs in graph.inputs.values()
        for item in inputs
        if isinstance(item, DataInput | TrackedInput)
    }
    return all(rules.path in read for rules in project.pipeline.data)
