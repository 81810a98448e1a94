"""Why a stage has the keys it has, and what of it differs from the last run."""

from __future__ import annotations

import msgspec

from ciml.app.plan import Prepared, wanted_stages
from ciml.app.project import Project
from ciml.core.errors import ConfigurationError, RepositoryError
from ciml.core.explanation import Part, compared, parts
from ciml.core.ids import Digest, StageName
from ciml.core.lineage import RunTrace, StageTrace
from ciml.core.pipeline import Stage
from ciml.core.plan import PlannedStage, plan_stages
from ciml.core.value import Value


class Explanation(Value, frozen=True, kw_only=True):
    """A stage's keys, taken apart."""

    planned: PlannedStage
    parts: tuple[Part, ...]
    last_run: str | None
    """The run that the parts are compared with; None where the stage was in none."""
    last_recipe: Digest | None = None
    last_key: Digest | None = None


def explain(project: Project, prepared: Prepared, name: StageName, last: RunTrace | None) -> Explanation:
    """The parts of the stage's keys, and which differ from the last run.

    Raises:
        UsageError: there is no such stage.
    """
    wanted = wanted_stages(prepared.graph, [name])
    planned = plan_stages(prepared.graph, prepared.evidence, why=prepared.reasons.why, wanted=wanted)[-1]
    stage = prepared.graph.pipeline.stages[name]
    now = parts(stage, prepared.graph.inputs[name], stage.params, prepared.graph.runtime)
    traced = next((item for item in last.stages if item.name == name), None) if last else None
    if last is None or traced is None:
        return Explanation(planned=planned, parts=now, last_run=None)
    before = _parts_before(project, last, traced, stage)
    found = compared(now, (*before, *(part for part in now if part.kind in _UNTRACED)))
    return Explanation(
        planned=planned,
        parts=found,
        last_run=last.id,
        last_recipe=traced.recipe,
        last_key=traced.record.key if traced.record else None,
    )


_UNTRACED = frozenset({"python", "requirements", "platform"})


def _parts_before(project: Project, last: RunTrace, traced: StageTrace, now: Stage) -> tuple[Part, ...]:
    """The parts as the last run had them; the declaration is read from its commit."""
    declared = now
    if last.commit and not last.dirty:
        try:
            tree = project.history.commit_tree(last.commit.sha)
            declared = project.documents.pipeline(tree).stages.get(traced.name, now)
        except (RepositoryError, ConfigurationError):
            declared = now
    return parts(msgspec.structs.replace(declared, params={}), traced.inputs, traced.params, None)
