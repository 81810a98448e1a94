from __future__ import annotations

import msgspec

from ciml.core.history import Happening, history, log
from ciml.core.succession import Extension, extend
from tests.story import DEEPER, FIRST, RUNS, TWIN, WORDS, adopted, d, ledger, run

COMMITS = (WORDS, TWIN, DEEPER, FIRST)


def test_c075_two_branches_with_equal_trees_are_one_registration() -> None:
    """Two branches with identical trees: one registered version, and its lineage lists both commits."""
    first, second = history([ledger()], COMMITS).versions

    assert first.commits == (FIRST.sha,)
    assert second.commits == (DEEPER.sha, TWIN.sha)


def test_an_adoption_adds_its_recipe_and_its_commit() -> None:
    """A version that another recipe led to names both, the registered one first."""
    state = ledger()
    champion = state.champion_identity
    extension = extend(state, [msgspec.structs.replace(adopted(WORDS), champion=champion)])
    assert isinstance(extension, Extension)
    version = history([extension.state], COMMITS).versions[1]

    assert version.recipes == (d("ec2"), d("ec9"))
    assert version.commits == (DEEPER.sha, WORDS.sha, TWIN.sha)


def test_only_the_champion_has_the_alias_and_only_the_last_deployment_serves() -> None:
    """What was champion and what served before is told without them."""
    past = history([ledger()], aliases={})

    assert [(line.version, line.aliases) for line in past.versions] == [(1, ()), (2, ("champion",))]
    assert [(line.version, line.current) for line in past.deployments] == [(1, False), (2, True)]


def test_the_log_follows_the_commits() -> None:
    """Beside each commit stands what the ledger says happened at it, in the ledger's order."""
    rows = log(COMMITS, [ledger()])
    happened = {row.commit.sha: [event.what for event in row.events] for row in rows}

    assert [row.commit for row in rows] == list(COMMITS)
    assert happened == {
        WORDS.sha: [Happening.JUDGED],
        TWIN.sha: [Happening.SAME_TREE],
        DEEPER.sha: [Happening.JUDGED, Happening.REGISTERED, Happening.PROMOTED, Happening.DEPLOYED],
        FIRST.sha: [Happening.JUDGED, Happening.REGISTERED, Happening.PROMOTED, Happening.DEPLOYED],
    }
    assert rows[0].events[0].verdict == "rejected"
    assert rows[2].events[1].metrics == {"accuracy": 0.94}


def test_a_run_is_told_where_the_ledger_says_nothing() -> None:
    """A branch's run never reaches a ledger: this clone's log shows it, once, and says when the tree was dirty."""
    again = run(4, TWIN, depth=5, accuracy=0.94)
    rows = log([TWIN, FIRST], [ledger()], [msgspec.structs.replace(again, dirty=True), again, *RUNS])

    assert [event.what for event in rows[0].events] == [Happening.SAME_TREE, Happening.RAN]
    assert rows[0].events[1].reason == "the work tree differed from the commit"
    assert Happening.RAN not in [event.what for event in rows[1].events]
