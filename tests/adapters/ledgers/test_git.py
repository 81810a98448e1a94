"""The ledger on a Git branch, with real repositories and remotes."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ciml.adapters.git.command import Git
from ciml.adapters.ledgers.git import GitLedger
from ciml.core.entries import Entry, Genesis, Judgement, Promotion, Registration, digest_of
from ciml.core.errors import IntegrityError, ServiceError, TrustError
from ciml.core.gate import not_judged
from ciml.core.ids import CommitSha, ModelName, RepoPath
from ciml.core.ledger import LedgerState
from ciml.core.results import Output
from ciml.core.succession import Extension, Stale, extend
from tests.repobuilder import Files, RepoBuilder

CHURN = ModelName("churn")
BRANCH = "refs/heads/ciml/ledger/churn"

Open = Callable[..., GitLedger]


def opened(repo: RepoBuilder, *, remote: str | None = "origin") -> GitLedger:
    memory = repo.path.parent / f"{repo.path.name}-index"
    return GitLedger(CHURN, Git(str(repo.path), repo.env, lock_wait_s=1), remote=remote, memory=str(memory))


def registration(version: int, nonce: str = "n") -> Registration:
    return Registration(
        nonce=nonce,
        at="2026-01-02T03:04:05Z",
        commit=CommitSha("a" * 40),
        version=version,
        recipe=digest_of(f"recipe {version}".encode()),
        artifact=Output(path=RepoPath("model"), digest=digest_of(f"bytes {version}".encode()), size=1),
        run="run",
        row=nonce,
        created=1,
    )


GENESIS = Genesis(nonce="g", model=CHURN, registry="here")


def add(ledger: GitLedger, *entries: Entry) -> LedgerState:
    state = ledger.read()
    extension = extend(state, (GENESIS, *entries))
    assert isinstance(extension, Extension), extension
    ledger.append(state, extension.entries)
    return ledger.read()


@pytest.fixture
def origin(repo: RepoBuilder) -> RepoBuilder:
    repo.commit({"train.py": "print(1)\n", "src/a.py": "\n", "docs/b.md": "\n"})
    repo.commit({"train.py": "print(2)\n"})
    return repo.bare_origin()


def test_an_entry_is_a_commit_on_the_models_branch(repo: RepoBuilder, origin: RepoBuilder) -> None:
    """One commit an entry, by a fixed identity, with the entry as a file and a subject that people can read."""
    state = add(opened(repo), registration(1), Promotion(nonce="p", gen=1, version=1))

    log = origin.git("log", "--format=%an <%ae> %cd %s", "--date=iso-strict", "ciml/ledger/churn").splitlines()
    assert log[0].endswith("promotion: version 1")
    assert log[1] == "ciml <ciml@users.noreply.github.com> 2026-01-02T03:04:05+00:00 registration: version 1"
    assert origin.git("ls-tree", "-r", "--name-only", BRANCH).splitlines() == [
        f"entries/0000/{number:08d}.json" for number in (1, 2, 3)
    ]
    assert state.champion is not None and state.champion.version == 1


def test_nothing_shows_in_the_work_tree_or_among_the_branches(repo: RepoBuilder, origin: RepoBuilder) -> None:
    """HEAD, index, work tree and local branches are as they were; no proposal is left behind."""
    head = repo.head()
    add(opened(repo), registration(1))

    assert repo.head() == head
    assert repo.git("status", "--porcelain") == ""
    assert repo.git("for-each-ref", "--format=%(refname)", "refs/heads", "refs/ciml").splitlines() == [
        "refs/ciml/pins/origin/churn",
        "refs/heads/main",
    ]


@pytest.mark.parametrize("form", ["full", "shallow", "sparse", "detached", "bare", "worktree", "subfolder"])
def test_every_form_of_clone_reads_and_writes(repo: RepoBuilder, origin: RepoBuilder, form: str) -> None:
    """Full, shallow, sparse, detached, bare clones, linked work trees and subfolders make the same ledger."""
    add(opened(repo), registration(1))
    match form:
        case "shallow":
            copy = origin.clone(depth=1)
        case "sparse":
            copy = origin.clone(sparse=["src"])
        case "bare":
            copy = origin.clone(bare=True)
        case "worktree":
            repo.git("worktree", "add", "-q", "--detach", str(repo.path.parent / "linked"))
            copy = RepoBuilder(repo.path.parent / "linked", create=False)
        case "subfolder":
            copy = RepoBuilder(origin.clone().path / "src", create=False)
        case _:
            copy = origin.clone()
    if form == "detached":
        copy.switch(copy.head())

    state = add(opened(copy), registration(2, "other"))

    assert sorted(state.versions) == [1, 2]
    assert opened(repo).read().head == state.head
    if form == "shallow":
        assert copy.git("rev-parse", "--is-shallow-repository") == "true"


def test_without_a_remote_the_ledger_is_a_local_branch(repo: RepoBuilder, origin: RepoBuilder) -> None:
    """A local ledger is never pushed, and its branch moves by compare-and-swap as well."""
    ledger = opened(repo, remote=None)
    before = ledger.read()
    state = add(ledger, registration(1))
    extension = extend(before, (GENESIS, registration(2)))
    assert isinstance(extension, Extension)
    ledger.append(before, extension.entries)

    assert repo.git("rev-parse", BRANCH) == state.tip
    assert ledger.read().head == state.head
    assert "ciml" not in origin.git("for-each-ref")


def test_sha256_repositories_have_ledgers_too(tmp_path: Path) -> None:
    """Object ids of 64 digits change nothing."""
    repo = RepoBuilder(tmp_path / "new", object_format="sha256")
    repo.commit({"a": "b"})

    assert sorted(add(opened(repo, remote=None), registration(1)).versions) == [1]


def test_hooks_and_hostile_configuration_change_nothing(repo: RepoBuilder, origin: RepoBuilder) -> None:
    """Client hooks do not run, tags are not pushed along, nothing is signed, the user's identity does not count."""
    hooks = Path(repo.git("rev-parse", "--git-path", "hooks"))
    hooks = repo.path / hooks
    hooks.mkdir(exist_ok=True)
    for name in ("pre-push", "reference-transaction", "post-commit", "post-checkout"):
        hook = hooks / name
        hook.write_text('#!/bin/sh\ntouch "$(dirname "$0")/../ran"\nexit 1\n')
        hook.chmod(hook.stat().st_mode | stat.S_IEXEC)
    repo.git("-c", "core.hooksPath=/dev/null", "tag", "-a", "-m", "x", "v1")
    for name, value in {
        "push.followTags": "true",
        "push.gpgSign": "true",
        "commit.gpgSign": "true",
        "user.name": "Mallory",
        "push.default": "matching",
        "remote.origin.mirror": "false",
        "fetch.prune": "true",
        "core.fsmonitor": "/bin/false",
        "core.quotePath": "true",
        "log.showSignature": "true",
        "alias.push": "!false",
        "core.hooksPath": str(hooks),
    }.items():
        repo.git("config", name, value)

    state = add(opened(repo), registration(1))

    assert sorted(state.versions) == [1]
    assert not (repo.path / ".git" / "ran").exists()
    assert origin.git("tag") == ""


def test_variables_that_point_elsewhere_do_not_count(repo: RepoBuilder, origin: RepoBuilder, tmp_path: Path) -> None:
    """Started from a Git hook, with GIT_DIR and GIT_INDEX_FILE set, the ledger is still this repository's."""
    elsewhere = RepoBuilder(tmp_path / "elsewhere")
    repo.env |= {"GIT_DIR": str(elsewhere.path / ".git"), "GIT_INDEX_FILE": "/nonexistent/index"}
    ledger = opened(repo)
    for name in ("GIT_DIR", "GIT_INDEX_FILE"):
        del repo.env[name]

    assert sorted(add(ledger, registration(1)).versions) == [1]
    assert elsewhere.git("for-each-ref") == ""


def test_an_unreachable_remote_is_exit_5(repo: RepoBuilder, origin: RepoBuilder) -> None:
    """Never silently local: a remote that is not there is a ServiceError, without the password in its address."""
    ledger = opened(repo)
    state = add(ledger, registration(1))
    repo.git("remote", "set-url", "origin", "http://ada:s3cret@127.0.0.1:9/x.git")

    with pytest.raises(ServiceError, match="cannot be read") as caught:
        ledger.read()
    assert "s3cret" not in caught.value.message
    extension = extend(state, [registration(2)])
    assert isinstance(extension, Extension)
    with pytest.raises(ServiceError, match="cannot be pushed"):
        ledger.append(state, extension.entries)


def test_a_denied_push_is_exit_6(repo: RepoBuilder, origin: RepoBuilder) -> None:
    """A remote whose rules decline the push is a TrustError that says what is needed."""
    hook = origin.path / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'GH013: Repository rule violations found' >&2\nexit 1\n")
    hook.chmod(0o755)

    with pytest.raises(TrustError, match="cannot be pushed") as caught:
        add(opened(repo), registration(1))
    assert caught.value.hint is not None and "right to push" in caught.value.hint


def test_a_lost_race_is_seen_by_reading_again(repo: RepoBuilder, origin: RepoBuilder) -> None:
    """Two writers on one state: the later push changes nothing, and the next decision is made on what won."""
    first, second = opened(repo), opened(origin.clone())
    add(first, registration(1))
    mine, theirs = first.read(), second.read()
    for ledger, state, version in ((first, mine, 2), (second, theirs, 3)):
        extension = extend(state, [registration(version, f"n{version}")])
        assert isinstance(extension, Extension)
        ledger.append(state, extension.entries)

    assert sorted(second.read().versions) == [1, 2]


def test_c134_the_answer_of_a_push_is_not_believed(repo: RepoBuilder, origin: RepoBuilder) -> None:
    """Git push CAS: reply lost after success → re-read ref; never trust rc."""
    hook = origin.path / "hooks" / "post-receive"
    hook.write_text("#!/bin/sh\nkill -9 $PPID\n")
    hook.chmod(0o755)
    ledger = opened(repo)
    state = ledger.read()
    extension = extend(state, (GENESIS, registration(1)))
    assert isinstance(extension, Extension)
    try:
        ledger.append(state, extension.entries)
    except ServiceError:
        answered = False
    else:
        answered = True

    assert not answered
    assert sorted(ledger.read().versions) == [1]


def test_c134_identical_claims_pushed_twice_both_return_zero(repo: RepoBuilder, origin: RepoBuilder) -> None:
    """Identical claim bytes pushed twice return rc 0 for BOTH → claim must contain a nonce and be read back."""
    first, second = opened(repo), opened(origin.clone())
    states = first.read(), second.read()
    for nonces, winners in ((("same", "same"), 2), (("mine", "yours"), 1)):
        origin.git("update-ref", "-d", BRANCH)
        for builder in (repo, RepoBuilder(repo.path.parent / "clone", create=False)):
            builder.git("update-ref", "-d", "refs/ciml/pins/origin/churn")
        for ledger, state, nonce in zip((first, second), states, nonces, strict=True):
            extension = extend(state, (GENESIS, registration(1, nonce)))
            assert isinstance(extension, Extension)
            ledger.append(state, extension.entries)
        read_back = [ledger.read().versions[1].nonce for ledger in (first, second)]
        assert sum(mine == found for mine, found in zip(nonces, read_back, strict=True)) == winners


def test_c159_a_forced_push_is_a_broken_chain(repo: RepoBuilder, origin: RepoBuilder) -> None:
    """Ledger ref rewritten (force push) → exit 7: chain broken; the local pinned head prevents silent rollback."""
    ledger = opened(repo)
    add(ledger, registration(1))
    add(ledger, registration(2))
    fresh = opened(origin.clone())
    tip = origin.git("rev-parse", BRANCH)
    origin.git("update-ref", BRANCH, f"{tip}~1")

    with pytest.raises(IntegrityError, match="chain broken at entry 3"):
        ledger.read()
    assert sorted(fresh.read().versions) == [1]
    origin.git("update-ref", "-d", BRANCH)
    with pytest.raises(IntegrityError, match="chain broken"):
        ledger.read()
    origin.git("update-ref", BRANCH, tip)
    assert sorted(ledger.read().versions) == [1, 2]


def test_c159_an_entry_that_was_edited_is_a_broken_chain(repo: RepoBuilder, origin: RepoBuilder) -> None:
    """A commit on the branch that changes, removes or renames an older entry is named."""
    ledger = opened(repo)
    add(ledger, registration(1), Promotion(nonce="p", gen=1, version=1))
    copy = origin.clone(branch="ciml/ledger/churn")
    text = (copy.path / "entries/0000/00000002.json").read_text()
    tip = copy.head()
    edits: list[Files] = [
        {"entries/0000/00000002.json": text.replace('"version":1', '"version":9')},
        {"entries/0000/00000002.json": None},
        {"entries/0000/00000004.json": text},
        {"entries/0000/notes.txt": "hello"},
    ]
    for number, files in enumerate(edits):
        copy.git("checkout", "-q", "-B", f"attempt-{number}", tip)
        origin.git("fetch", "-q", str(copy.path), copy.commit(files))
        origin.git("update-ref", BRANCH, copy.head())
        for reader in (ledger, opened(origin.clone(f"fresh-{number}"))):
            with pytest.raises(IntegrityError, match="chain broken at"):
                reader.read()


def test_c166_a_lock_that_was_left_behind_is_named(repo: RepoBuilder, origin: RepoBuilder) -> None:
    """SIGKILL of a push to a path leaves `refs/….lock` → bounded attempts, exit 5 naming the file and its age."""
    ledger = opened(repo)
    add(ledger, registration(1))
    lock = origin.path / f"{BRANCH}.lock"
    lock.touch()
    os.utime(lock, (1_700_000_000, 1_700_000_000))
    state = ledger.read()
    extension = extend(state, [registration(2)])
    assert isinstance(extension, Extension)

    with pytest.raises(ServiceError) as caught:
        ledger.append(state, extension.entries)
    assert str(lock) in caught.value.message and "s old" in caught.value.message
    assert caught.value.hint is not None and "delete the file" in caught.value.hint
    lock.unlink()
    ledger.append(state, extension.entries)
    assert sorted(ledger.read().versions) == [1, 2]


def test_c166_a_lock_that_is_held_for_a_moment_is_waited_for(repo: RepoBuilder, origin: RepoBuilder) -> None:
    """A lock whose holder ends is no failure."""
    ledger = opened(repo)
    add(ledger, registration(1))
    lock = origin.path / f"{BRANCH}.lock"
    lock.touch()
    releasing = threading.Timer(0.3, lock.unlink)
    releasing.start()
    try:
        assert sorted(add(ledger, registration(2)).versions) == [1, 2]
    finally:
        releasing.join()


def test_a_ledger_of_thousands_is_spread_over_folders_and_remembered(repo: RepoBuilder, origin: RepoBuilder) -> None:
    """1,001 entries: a folder a thousand; a second reader with no memory and one with half of it see the same."""
    ledger = opened(repo)
    add(ledger)
    halfway = opened(origin.clone("half"))
    halfway.read()
    verdicts = [
        Judgement(
            nonce=str(number),
            key=digest_of(b"key %d" % number),
            recipe=digest_of(b"recipe"),
            policy=digest_of(b"policy"),
            verdict=not_judged(CHURN, "for a test"),
        )
        for number in range(1001)
    ]
    state = add(ledger, *verdicts)

    assert len(state.verdicts) == 1001
    assert origin.git("ls-tree", "--name-only", f"{BRANCH}:entries").splitlines() == ["0000", "0001"]
    assert halfway.read() == opened(origin.clone("fresh")).read() == state


def test_what_a_killed_writer_left_is_removed(repo: RepoBuilder, origin: RepoBuilder) -> None:
    """A proposal whose writer was killed before the push is swept by the next one."""
    repo.git("update-ref", "refs/ciml/proposed/churn/dead", "HEAD")
    add(opened(repo), registration(1))

    assert repo.git("for-each-ref", "refs/ciml/proposed") == ""


def test_two_writers_at_once_lose_nothing(repo: RepoBuilder, origin: RepoBuilder) -> None:
    """Eight writers with a registration each: all eight end up in one chain."""
    add(opened(repo))
    clones = [origin.clone(f"writer-{number}") for number in range(8)]

    def write(number: int) -> None:
        ledger = opened(clones[number])
        while number not in (state := ledger.read()).versions:
            extension = extend(state, [registration(number, f"w{number}")])
            assert not isinstance(extension, Stale)
            ledger.append(state, extension.entries)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(opened(repo).read().versions) == list(range(8))
