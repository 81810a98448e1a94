from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import pytest

from ciml.app.lineage import Lineage, lineage
from ciml.core.ancestry import Ancestry, Kind, commit_id
from ciml.core.errors import RepositoryError, UsageError
from ciml.core.history import history
from ciml.core.ids import CommitSha, ModelName
from ciml.core.lineage import RunTrace, of_model
from tests.story import CHURN, DEEPER, FIRST, RUNS, TWIN, WORDS, changed, ledger

COMMITS = (WORDS, TWIN, DEEPER, FIRST)
PAST = history([ledger()], COMMITS)


class Written:
    """A journal that holds these runs."""

    def __init__(self, runs: Sequence[RunTrace]) -> None:
        self._runs = runs

    def runs(self) -> Iterator[RunTrace]:
        yield from self._runs


class Registered:
    """A registry that keeps these records with its versions."""

    def __init__(self, runs: Sequence[RunTrace]) -> None:
        self._traces = {(CHURN, number): of_model(run, CHURN) for number, run in enumerate(runs, start=1)}

    def trace(self, model: ModelName, version: int) -> RunTrace | None:
        return self._traces.get((model, version))


def revision(text: str) -> CommitSha:
    known: dict[str, CommitSha] = {commit.sha: commit.sha for commit in COMMITS}
    known |= {"main": WORDS.sha, "twin": TWIN.sha}
    if text not in known:
        raise RepositoryError(f"{text!r} names no commit here")
    return known[text]


def ask(text: str, *, here: Sequence[RunTrace] = RUNS, there: Sequence[RunTrace] = RUNS[:2]) -> Lineage:
    return lineage(text, PAST, journal=Written(here), registered=Registered(there), commits=COMMITS, resolve=revision)


def labels(graph: Ancestry, kind: Kind) -> set[str]:
    return {node.label for node in graph.nodes.values() if node.kind is kind}


@pytest.mark.parametrize("here", [RUNS, ()])
@pytest.mark.parametrize("there", [RUNS[:2], ()])
def test_a_version_is_read_from_the_registry_or_from_the_clone(
    here: Sequence[RunTrace], there: Sequence[RunTrace]
) -> None:
    """A colleague's fresh clone has the registry's record, an embedded one its journal; both say the same."""
    answer = ask("churn@champion", here=here, there=there)

    assert answer.version is not None
    assert answer.version.version == 2
    assert labels(answer.led_to, Kind.DEPLOYMENT) == {"production"}
    if here or there:
        assert labels(answer.made_from, Kind.PARAMS) == {"train.depth = 5, train.lr = 0.1"}
        assert labels(answer.made_from, Kind.DATA) == {"data/raw"}


def test_c075_the_lineage_of_one_registration_lists_both_commits() -> None:
    """Two branches with identical trees: one version, and its lineage names the commits of both."""
    answer = ask("churn/2")

    assert labels(answer.made_from, Kind.COMMIT) == {DEEPER.sha[:7], TWIN.sha[:7]}
    assert labels(ask("twin").led_to, Kind.VERSION) == {"churn/2"}


def test_a_commit_leads_to_its_own_models_alone() -> None:
    """Commits share files; what another commit made of them is not this one's."""
    assert labels(ask(FIRST.sha).led_to, Kind.VERSION) == {"churn/1"}
    assert labels(ask(WORDS.sha[:10]).led_to, Kind.VERSION) == set()
    assert "train.depth = 9, train.lr = 0.1" not in {
        label for run in (FIRST, DEEPER) for label in labels(ask(run.sha).made_from, Kind.PARAMS)
    }


def test_a_commit_of_which_nothing_is_recorded_is_an_answer() -> None:
    """Git knows it, ciml does not: the lineage is the commit alone."""
    answer = ask("main", here=(), there=())

    assert answer.starts == (commit_id(WORDS.sha),)
    assert set(answer.led_to.nodes) == set(answer.starts)


def test_a_file_leads_to_every_version_that_read_it() -> None:
    """From all records together, also from a run that only the registry still knows."""
    assert labels(ask("src/layers.py").led_to, Kind.VERSION) == {"churn/1", "churn/2"}
    assert labels(ask("src/layers.py", here=RUNS[2:]).led_to, Kind.VERSION) == {"churn/1", "churn/2"}
    assert labels(ask("data/raw.manifest.yaml", here=()).led_to, Kind.VERSION) == {"churn/1", "churn/2"}


def test_a_nondeterministic_run_of_the_recipe_is_not_taken_for_the_maker() -> None:
    """Same recipe, other bytes: the version's record stays the registry's alone."""
    model = RUNS[1].models[0]
    assert model.artifact is not None
    other = msgspec.structs.replace(model, artifact=msgspec.structs.replace(model.artifact, digest=model.recipe))
    answer = ask("churn/2", here=[changed(RUNS[1], models=(other,))])

    assert len(answer.runs) == 1


def test_a_subject_that_is_not_recorded_is_a_usage_error() -> None:
    """Exit 2, before anything is drawn."""
    with pytest.raises(UsageError, match="no lineage of 'nowhere'"):
        ask("nowhere")
