from __future__ import annotations

import msgspec
import pytest

from ciml.core.descent import ancestry
from ciml.core.errors import UsageError
from ciml.core.history import history
from ciml.core.ids import CommitSha, RepoPath
from ciml.core.subject import CommitSubject, NodesSubject, find, version_of
from tests.story import DEEPER, FIRST, RUNS, TWIN, WORDS, changed, d, ledger

PAST = history([ledger()], [WORDS, TWIN, DEEPER, FIRST])
WHOLE = ancestry(RUNS, PAST)


def nothing(revision: str) -> CommitSha | None:
    del revision
    return None


@pytest.mark.parametrize("text", ["churn/2", "models:/churn/2", "churn@champion", "models:/churn@champion"])
def test_a_version_has_four_spellings(text: str) -> None:
    """By number and by alias, with and without MLflow's scheme."""
    subject = version_of(text, PAST)

    assert subject is not None
    assert subject.line.version == 2


@pytest.mark.parametrize("text", ["churn/9", "churn@gold", "models:/other/1"])
def test_a_version_that_is_not_there_is_a_usage_error(text: str) -> None:
    """Exit 2, and the hint names versions that exist."""
    with pytest.raises(UsageError, match="has no"):
        version_of(text, PAST)


@pytest.mark.parametrize("text", ["src/train.py", "src/1", "HEAD", "HEAD@{1}", "data/raw", "churn/1/x", "churn/0"])
def test_what_is_no_version_is_left_to_others(text: str) -> None:
    """A path or a revision is not taken for a model."""
    assert version_of(text, PAST) is None


def _ids(text: str) -> tuple[str, ...]:
    subject = find(text, WHOLE, nothing)
    assert isinstance(subject, NodesSubject)
    return subject.nodes


def test_paths_are_found_by_file_manifest_and_output() -> None:
    """A data path and its manifest are one subject; an output names every content it had."""
    assert _ids("data/raw") == _ids("data/raw/") == _ids("data/raw.manifest.yaml") == _ids("./data/raw")
    assert len(_ids("src/train.py")) == 1
    assert len(_ids("build/model")) == 3


def test_bytes_are_found_by_digest_and_commits_by_their_first_digits() -> None:
    """A digest with or without its name, whole or in part; a commit that only a record still knows."""
    assert _ids(f"sha256:{d('2e')}") == _ids(d("2e")[:12])
    assert find(FIRST.sha[:9], WHOLE, nothing) == CommitSubject(sha=FIRST.sha)
    assert find("main", WHOLE, lambda text: WORDS.sha if text == "main" else None) == CommitSubject(sha=WORDS.sha)


def test_digits_that_fit_two_things_are_refused() -> None:
    """Both are named, and neither is chosen."""
    twin = msgspec.structs.replace(WORDS, sha=CommitSha(f"{WORDS.sha[:-1]}0"))
    whole = ancestry([*RUNS, changed(RUNS[2], commit=twin)], PAST)

    with pytest.raises(UsageError, match="is ambiguous"):
        find(WORDS.sha[:10], whole, nothing)


def test_what_is_unknown_comes_with_the_nearest() -> None:
    """Exit 2, with a path that does exist, or with the data that holds it."""
    with pytest.raises(UsageError, match=r"no lineage of 'src/trian\.py'") as caught:
        find("src/trian.py", WHOLE, nothing)

    assert caught.value.hint == "Did you mean 'src/train.py'?"
    with pytest.raises(UsageError) as caught:
        find("data/raw/2026/a.csv", WHOLE, nothing)

    assert caught.value.hint == "It lies in data/raw, which is known as a whole: ciml lineage data/raw"


def test_a_params_file_is_found_though_older_records_do_not_name_it() -> None:
    """The same values were recorded before and after records named the files of parameters."""
    [old, *_] = RUNS
    stages = tuple(msgspec.structs.replace(stage, params_files=(RepoPath("params.yaml"),)) for stage in old.stages)
    for runs in ([changed(old, stages=stages), old], [old, changed(old, stages=stages)]):
        found = find("params.yaml", ancestry(runs, PAST), nothing)
        assert isinstance(found, NodesSubject) and found.nodes
