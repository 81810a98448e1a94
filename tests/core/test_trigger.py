from __future__ import annotations

import pytest

from ciml.core.errors import ConfigurationError
from ciml.core.trigger import checked_token, fingerprint, repository_of, trigger


@pytest.mark.parametrize(
    ("remote", "repository"),
    [
        ("git@github.com:acme/churn.git", "acme/churn"),
        ("https://github.com/acme/churn", "acme/churn"),
        ("https://github.com/acme/churn.git/", "acme/churn"),
        ("https://x-access-token:ghp_secret@github.com/acme/churn.io.git", "acme/churn.io"),
        ("ssh://git@ghe.example:2222/acme/churn.git", "acme/churn"),
        ("/srv/git/acme/churn.git", None),
        ("https://git.example/group/sub/churn", None),
        ("https://git.example/a b/churn", None),
    ],
)
def test_the_repository_of_a_remote(remote: str, repository: str | None) -> None:
    """Owner and name, of every form that Git takes for GitHub, and of nothing else."""
    assert repository_of(remote) == repository


def test_what_is_watched_stands_for_itself() -> None:
    """Each prefix once, each bucket once."""
    made = trigger(repository="acme/churn", data=["s3://bucket-1/raw/", "s3://bucket-2/", "s3://bucket-1/raw/"])

    assert [str(prefix) for prefix in made.prefixes] == ["s3://bucket-1/raw/", "s3://bucket-2/"]
    assert made.buckets == ("bucket-1", "bucket-2")


@pytest.mark.parametrize(
    ("own", "refused"),
    [
        ("s3://acme-churn/raw/ciml", True),
        ("s3://acme-churn/raw", True),
        ("s3://acme-churn/rawer", False),
        ("s3://acme-churn/ciml", False),
        ("s3://other/raw/ciml", False),
    ],
)
def test_runs_do_not_start_runs(own: str, refused: bool) -> None:
    """A store below a watched prefix would make every run start the next one: exit 3, with both named."""
    if not refused:
        trigger(repository="acme/churn", data=["s3://acme-churn/raw/"], own=[own])
        return
    with pytest.raises(ConfigurationError) as caught:
        trigger(repository="acme/churn", data=["s3://acme-churn/raw/"], own=[own])
    assert own in caught.value.message and "s3://acme-churn/raw/" in caught.value.message


@pytest.mark.parametrize(
    "wrong",
    [
        {"repository": "churn"},
        {"repository": "acme/churn/../../x"},
        {"data": []},
        {"data": ["s3://B_ad/raw/"]},
        {"schedules": ["whenever"]},
        {"api": "http://api.github.com"},
        {"api": "https://user:secret@api.github.com"},
    ],
)
def test_what_makes_no_trigger(wrong: dict[str, object]) -> None:
    """Names, addresses and times are read strictly, exit 3; the token goes nowhere but by https."""
    asked: dict[str, object] = {"repository": "acme/churn", "data": ["s3://acme-churn/raw/"], **wrong}
    with pytest.raises(ConfigurationError) as caught:
        trigger(**asked)  # type: ignore[arg-type]
    assert caught.value.hint and "user:secret" not in caught.value.message


@pytest.mark.parametrize("token", ["ghp_0123", "github_pat_0123456789abcdef\n", "github_pat_ 0123456789abcdef"])
def test_what_is_no_token(token: str) -> None:
    """It is refused before it reaches a header, and not repeated."""
    with pytest.raises(ConfigurationError) as caught:
        checked_token(token)
    assert token.strip() not in f"{caught.value.message}{caught.value.hint}"


def test_no_token_is_none() -> None:
    """An empty variable is one that is not set."""
    assert checked_token("") is None and checked_token(None) is None
    assert checked_token("github_pat_0123456789abcdef") == "github_pat_0123456789abcdef"


def test_a_fingerprint_tells_tokens_apart_and_not_what_they_are() -> None:
    """Sixteen hex digits, others for another token or repository, the same for the repository in other letters."""
    one = fingerprint("acme/churn", "github_pat_0123456789abcdef")

    assert len(one) == 16 and one not in "github_pat_0123456789abcdef"
    assert one == fingerprint("Acme/Churn", "github_pat_0123456789abcdef")
    assert one != fingerprint("acme/churn", "github_pat_0123456789abcdeg")
    assert one != fingerprint("acme/other", "github_pat_0123456789abcdef")


def test_names_are_stable_and_short() -> None:
    """The same repository in other letters has the same name; another has another; the longest fit."""
    data = ["s3://bucket/raw/"]
    longest = f"{'o' * 39}/{'r' * 100}"
    names = {
        name: trigger(repository=name, data=data).base for name in ("acme/churn", "Acme/Churn", "acme-churn/x", longest)
    }

    assert names["acme/churn"] == names["Acme/Churn"] == "ciml-acme-churn-704e4e5a"
    assert len(set(names.values())) == 3
    assert len(f"{names[longest]}-schedule") <= 64
