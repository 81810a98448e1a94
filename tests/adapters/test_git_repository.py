"""One Git repository: what it is, what its names mean, and its commits' trees."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ciml.adapters.git.command import Git
from ciml.adapters.git.objects import parse_commit
from ciml.adapters.git.repository import Repository
from ciml.app.ports import Tree
from ciml.core.errors import (
    ConfigurationError,
    ExitCode,
    IntegrityError,
    RepositoryError,
    ServiceError,
    TrustError,
)
from ciml.core.ids import CommitSha, GitOid, RepoPath
from ciml.core.tree import DIRECTORY, EXECUTABLE, LINK, SUBMODULE, TreeEntry
from tests.repobuilder import RepoBuilder


@pytest.fixture
def opened() -> Iterator[list[Repository]]:
    """What is in here is closed at the end."""
    repositories: list[Repository] = []
    yield repositories
    for repository in repositories:
        repository.close()


def open_at(path: Path, opened: list[Repository], env: Mapping[str, str] = os.environ) -> Repository:
    opened.append(Repository.open(str(path), env))
    return opened[-1]


def shadow(folder: Path, script: str) -> dict[str, str]:
    """An environment whose `git` is this script."""
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


# Where it is.


def test_it_is_found_from_any_folder_in_it(repo: RepoBuilder, opened: list[Repository]) -> None:
    """Root and Git's folder are absolute, wherever the call is made; also through a link."""
    repo.commit({"in/deep/a": "1"})
    os.symlink(repo.path / "in/deep", repo.path.parent / "link")
    for place in (repo.path, repo.path / "in/deep", repo.path.parent / "link"):
        found = open_at(place, opened)
        assert found.root == str(repo.path)
        assert found.git_dir == found.common_dir == str(repo.path / ".git")
        assert (found.object_format, found.shallow) == ("sha1", False)


def test_bare_shallow_and_linked_repositories_say_so(repo: RepoBuilder, opened: list[Repository]) -> None:
    """A bare one has no root, a shallow one says so, a linked work tree shares the common folder."""
    repo.commit({"a": "1"})
    repo.commit({"a": "2"})
    origin = repo.bare_origin()
    bare = open_at(origin.path, opened)
    assert bare.root is None
    assert bare.head() == repo.head()
    with pytest.raises(RepositoryError, match="is bare"):
        bare.work_tree()
    assert open_at(origin.clone(depth=1).path, opened).shallow
    repo.git("worktree", "add", "-q", "--detach", str(repo.path.parent / "linked"))
    linked = open_at(repo.path.parent / "linked", opened)
    assert linked.common_dir == str(repo.path / ".git")
    assert linked.git_dir == str(repo.path / ".git/worktrees/linked")


@pytest.mark.parametrize("work_tree", [False, True], ids=["bare", "with a work tree"])
def test_a_committed_folder_is_no_repository(repo: RepoBuilder, *, work_tree: bool) -> None:
    """Git takes a folder with HEAD, objects and refs for a repository, and its config for its own: exit 6."""
    posing = repo.path / "services" / "churn"
    posing.mkdir(parents=True)
    repo.git("clone", "-q", "--bare", str(repo.path), str(posing))
    repo.git("-C", str(posing), "config", "remote.origin.uploadpack", "touch poison; git-upload-pack")
    if work_tree:
        repo.git("-C", str(posing), "config", "core.bare", "false")
        repo.git("-C", str(posing), "config", "core.worktree", "..")
    for folder in (posing, posing / "refs"):
        with pytest.raises(TrustError, match="poses as a repository"):
            Repository.open(str(folder), os.environ)


def test_no_repository_is_exit_4(tmp_path: Path) -> None:
    """Outside of one, in a folder that is not there, and inside Git's own folder."""
    repo = RepoBuilder(tmp_path / "repo")
    (tmp_path / "empty").mkdir()
    for place in ("empty", "nothing", "repo/.git"):
        env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path)}
        with pytest.raises(RepositoryError) as caught:
            Repository.open(str(tmp_path / place), env)
        assert caught.value.code == ExitCode.REPOSITORY
    assert repo.path.exists()


def test_variables_of_a_calling_hook_do_not_lead_elsewhere(
    repo: RepoBuilder, tmp_path: Path, opened: list[Repository]
) -> None:
    """Git sets GIT_DIR for a hook; ciml works on the repository it is in."""
    repo.commit({"a": "1"})
    other = RepoBuilder(tmp_path / "other")
    env = {**os.environ, "GIT_DIR": str(other.path / ".git"), "GIT_INDEX_FILE": "/nowhere"}
    found = open_at(repo.path, opened, env)
    assert found.root == str(repo.path)
    assert found.work_tree().dirty == frozenset()


def test_c066_a_repository_of_somebody_else_is_exit_4(repo: RepoBuilder) -> None:
    """The hint is the one command that trusts this path, and nothing was added to any configuration."""
    repo.commit({"a": "1"})
    home = repo.path.parent / "home"
    home.mkdir()
    env = {**repo.env, "HOME": str(home), "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    del env["GIT_CONFIG_GLOBAL"]
    before = (repo.path / ".git/config").read_bytes()
    with pytest.raises(RepositoryError) as caught:
        Repository.open(str(repo.path), env)
    assert (repo.path / ".git/config").read_bytes() == before
    assert list(home.iterdir()) == []
    assert caught.value.hint is not None
    assert caught.value.hint.endswith(f"git config --global --add safe.directory '{repo.path}'")


def test_c071_a_missing_git_is_exit_4(repo: RepoBuilder) -> None:
    """No Git on the PATH: the message says which one is needed."""
    with pytest.raises(RepositoryError, match=r"need git ≥ 2\.29"):
        Repository.open(str(repo.path), {"PATH": "/nowhere"})


def test_c071_an_old_git_is_exit_4(repo: RepoBuilder) -> None:
    """A Git that does not know an option and is older than 2.29 is named as the cause."""
    script = 'for word; do [ "$word" = version ] && { echo git version 2.25.1; exit; }; done; echo usage >&2; exit 129'
    with pytest.raises(RepositoryError, match=r"need git ≥ 2\.29, this is 2\.25\.1"):
        Repository.open(str(repo.path), shadow(repo.path.parent / "old", script))


def test_c072_a_lock_is_waited_for_and_then_named(repo: RepoBuilder) -> None:
    """A lock that was left behind is exit 4 with the file's name; it is not deleted."""
    repo.commit({"a": "1"})
    lock = repo.path / ".git/index.lock"
    lock.touch()
    git = Git(str(repo.path), os.environ, lock_wait_s=0.2)
    with pytest.raises(RepositoryError, match=r"another process holds .*index\.lock"):
        git.run("update-index", "--refresh", "--force-remove", "a")
    assert lock.exists()


def test_c072_a_lock_that_goes_away_costs_nothing(repo: RepoBuilder) -> None:
    """The second try succeeds once the other process is done."""
    repo.commit({"a": "1"})
    lock = repo.path / ".git/index.lock"
    lock.touch()
    # The first call finds the lock and takes it away for the second.
    script = f'PATH="${{PATH#*:}}"; git "$@"; code=$?; rm -f {lock}; exit $code'
    git = Git(str(repo.path), shadow(repo.path.parent / "slow", script))
    git.run("update-index", "--force-remove", "a")
    assert repo.git("ls-files") == ""


def test_a_call_that_takes_too_long_is_ended(repo: RepoBuilder) -> None:
    """With all that it started; exit 5."""
    git = Git(str(repo.path), shadow(repo.path.parent / "hung", "exec sleep 100"))
    with pytest.raises(ServiceError, match=r"git fetch took longer than 0\.2 s"):
        git.ask("fetch", timeout_s=0.2)


# Names.


def test_c050_tags_are_peeled_to_their_commit(repo: RepoBuilder, opened: list[Repository]) -> None:
    """Annotated and lightweight tags name the commit; the tag object's own id is known too."""
    head = repo.commit({"a": "1"})
    light = repo.tag("light")
    annotated = repo.tag("annotated", message="words")
    found = open_at(repo.path, opened)
    assert found.resolve("light") == found.resolve("annotated") == found.resolve("HEAD") == head
    assert found.tag_object("light") == light == head
    assert found.tag_object("annotated") == annotated != head
    with pytest.raises(RepositoryError, match="no tag 'nothing'"):
        found.tag_object("nothing")


def test_c052_a_tag_of_a_tag_is_peeled_and_a_tag_of_a_blob_is_exit_4(
    repo: RepoBuilder, opened: list[Repository]
) -> None:
    """Only what ends at a commit is one."""
    head = repo.commit({"a": "1"})
    repo.tag("one", message="1")
    repo.tag("two", "one", message="2")
    repo.tag("blob", "HEAD:a")
    found = open_at(repo.path, opened)
    assert found.resolve("two") == head
    with pytest.raises(RepositoryError, match="'blob' names a blob, not a commit"):
        found.resolve("blob")
    with pytest.raises(RepositoryError, match="'nothing' names no commit"):
        found.resolve("nothing")


@pytest.mark.parametrize("rev", ["--output=x", "-h", "", "a b", "a\nHEAD", "HEAD\0", "\t"])
def test_c068_an_option_is_not_a_revision(repo: RepoBuilder, opened: list[Repository], rev: str) -> None:
    """Exit 3, and no file was written."""
    repo.commit({"a": "1"})
    with pytest.raises(ConfigurationError, match="is not a revision") as caught:
        open_at(repo.path, opened).resolve(rev)
    assert caught.value.code == ExitCode.CONFIGURATION
    assert sorted(path.name for path in repo.path.iterdir()) == [".git", "a"]


def test_branches_and_detached_heads_are_told_apart(repo: RepoBuilder, opened: list[Repository]) -> None:
    """Before the first commit there is a branch and no commit; detached there is a commit and no branch."""
    found = open_at(repo.path, opened)
    assert (found.branch(), found.head()) == ("main", None)
    head = repo.commit({"a": "1"})
    repo.branch("feature/ü")
    assert (found.branch(), found.head()) == ("feature/ü", head)
    repo.git("checkout", "-q", "--detach")
    assert (found.branch(), found.head()) == (None, head)


def test_c069_replaced_and_grafted_history_is_not_seen(repo: RepoBuilder, opened: list[Repository]) -> None:
    """`refs/replace` and grafts change what `git log` shows; ciml reads what the ids say."""
    first = repo.commit({"a": "1"})
    second = repo.commit({"a": "2"})
    real = repo.git("rev-parse", f"{second}^{{tree}}")
    fake = repo.git("commit-tree", "-m", "fake", repo.git("rev-parse", f"{first}^{{tree}}"))
    repo.git("replace", second, fake)
    repo.write({".git/info/grafts": f"{second}\n"})
    found = open_at(repo.path, opened)
    commit = found.commit(second)
    assert (commit.tree, commit.parents) == (real, (first,))
    assert found.is_ancestor(first, second)
    assert [commit.sha for commit in found.log(second, 10)] == [second, first]
    assert found.changed(first, second) == {"a"}


# Commits.


def test_a_commit_is_read_whole(repo: RepoBuilder, opened: list[Repository]) -> None:
    """Tree, parents, author, time and subject."""
    first = repo.commit({"a": "1"})
    second = repo.commit({"a": "2"}, "subject of\ntwo lines\n\nbody")
    commit = open_at(repo.path, opened).commit(second)
    assert commit.parents == (first,)
    assert commit.tree == repo.git("rev-parse", "HEAD^{tree}")
    assert (commit.author, commit.subject) == ("Ada <ada@example.com>", "subject of two lines")
    assert commit.time == int(repo.git("show", "-s", "--format=%ct"))


@pytest.mark.parametrize(
    ("raw", "author", "time", "subject"),
    [
        (b"tree 1\nauthor A <a> 0 +0000\ncommitter A <a> 0 +0000\n\nx", "A <a>", 0, "x"),
        (b"tree 1\nauthor A <a> 1 +0\ncommitter A <a> 4294967296 +0000\n\n\n x \n", "A <a>", 4294967296, "x"),
        (b"tree 1\nauthor <> -5 +0000\ncommitter <> -5 +0000\n\n", "<>", -5, ""),
        (b"tree 1\nauthor A\n B <a> 1 +0000\ncommitter broken\n\nx", "", 0, "x"),
        (b"tree 1\nauthor \xe9 <a> 1 +0\ncommitter A <a> 1 +0\nencoding latin-1\n\n\xe9", "é <a>", 1, "é"),
        (b"tree 1\nauthor \xe9 <a> 1 +0\ncommitter A <a> 1 +0\nencoding no-such\n\n\xe9", "\ufffd <a>", 1, "\ufffd"),
        (b"", "", 0, ""),
    ],
)
def test_c073_any_commit_gives_a_value(raw: bytes, author: str, time: int, subject: str) -> None:
    """1970, 2106 and before, an author with a newline, odd encodings, nothing at all."""
    commit = parse_commit("0" * 40, raw)
    assert (commit.author, commit.time, commit.subject) == (author, time, subject)


def test_remotes_lose_their_passwords(repo: RepoBuilder, opened: list[Repository]) -> None:
    """The address has no user in it; the default branch is the one that was last fetched."""
    repo.commit({"a": "1"})
    found = open_at(repo.path, opened)
    assert (found.remote_url(), found.default_branch()) == (None, None)
    repo.bare_origin()
    assert found.default_branch() == "main"
    repo.git("remote", "set-url", "origin", "https://user:secret@host.example/o/r.git?token=x")
    assert found.remote_url() == "https://host.example/o/r.git"


# Trees of commits.


def test_where_a_branch_of_the_remote_is(repo: RepoBuilder, opened: list[Repository]) -> None:
    """As the remote has it now; a pattern or an option is no branch, and a remote that is gone is exit 5."""
    repo.commit({"a": "1"})
    repo.branch("a$(touch${IFS}x)")
    topic = repo.commit({"a": "2"})
    origin = repo.bare_origin()
    found = open_at(repo.path, opened)
    repo.git("update-ref", "refs/remotes/origin/main", topic)
    assert found.remote_head("main") == origin.head() != topic
    assert found.remote_head("a$(touch${IFS}x)") == topic
    for name in ("*", "mai?", "--upload-pack=touch x", "nothing", ""):
        assert found.remote_head(name) is None
    assert not (repo.path / "x").exists()
    repo.git("remote", "set-url", "origin", "https://u:secret@127.0.0.1:9/none.git")
    with pytest.raises(ServiceError, match="does not say where main is") as caught:
        found.remote_head("main")
    assert "secret" not in caught.value.message


def test_a_commits_tree_needs_no_checkout(repo: RepoBuilder, opened: list[Repository]) -> None:
    """Entries, files and bytes come from a bare repository."""
    head = repo.commit(
        {"a": "1", "in/b.sh": "2", "in/deep/c": "3", "link": "in/b.sh"}, modes={"in/b.sh": EXECUTABLE, "link": LINK}
    )
    repository = open_at(repo.bare_origin().path, opened)
    tree: Tree = repository.commit_tree(head)
    assert tree.commit == head
    assert tree.dirty == frozenset()
    paths = [RepoPath(path) for path in ("", "a", "in", "in/b.sh", "in/deep/c", "a/x", "no/x", "in/no", "link/x")]
    found = tree.entries(paths)
    assert {path: found[path].mode for path in found} == {
        "": DIRECTORY,
        "a": 0o100644,
        "in": DIRECTORY,
        "in/b.sh": EXECUTABLE,
        "in/deep/c": 0o100644,
    }
    assert all(entry.oid == repo.git("rev-parse", f"HEAD:{path}") for path, entry in found.items())
    assert [file.path for file in tree.files(RepoPath("in"))] == ["in/b.sh", "in/deep/c"]
    assert [file.path for file in tree.files(RepoPath(""))] == ["a", "in/b.sh", "in/deep/c", "link"]
    assert tree.files(RepoPath("a")) == tree.files(RepoPath("nothing")) == []
    assert (tree.read(RepoPath("link")), tree.read(RepoPath("in")), tree.read(RepoPath("no"))) == (b"2", None, None)
    assert tree.fetch(found[RepoPath("a")]) == b"1"


def test_a_commit_that_is_not_here_has_no_tree(repo: RepoBuilder, opened: list[Repository]) -> None:
    """Exit 4, also for what is no id at all."""
    repo.commit({"a": "1"})
    found = open_at(repo.path, opened)
    for commit in ("1" * 40, "HEAD", ""):
        with pytest.raises(RepositoryError, match="not in this clone"):
            found.commit_tree(CommitSha(commit))


def test_links_of_a_commit_stay_inside(repo: RepoBuilder, opened: list[Repository]) -> None:
    """One that leaves is refused before anything is read; a circle ends."""
    head = repo.commit({"out": "../../etc/passwd", "self": "self"}, modes={"out": LINK, "self": LINK})
    tree = open_at(repo.path, opened).commit_tree(head)
    with pytest.raises(TrustError):
        tree.read(RepoPath("out"))
    with pytest.raises(TrustError):
        tree.fetch(tree.entries([RepoPath("out")])[RepoPath("out")])
    with pytest.raises(RepositoryError, match="without end"):
        tree.read(RepoPath("self"))


def test_a_damaged_object_is_exit_7(repo: RepoBuilder, opened: list[Repository]) -> None:
    """Bytes are checked against their id before anybody uses them."""
    head = repo.commit({"a": "1"})
    oid, other = repo.git("rev-parse", "HEAD:a"), repo.git("hash-object", "-w", "--stdin", input="other")
    objects = repo.path / ".git/objects"
    target = objects / oid[:2] / oid[2:]
    target.unlink()
    target.write_bytes((objects / other[:2] / other[2:]).read_bytes())
    tree = open_at(repo.path, opened).commit_tree(head)
    with pytest.raises(IntegrityError, match="damaged"):
        tree.read(RepoPath("a"))


def test_c058_a_submodule_is_its_commit(repo: RepoBuilder, tmp_path: Path, opened: list[Repository]) -> None:
    """A bump is a change; files come from the checked-out module; one that is not checked out is exit 4."""
    module = RepoBuilder(tmp_path / "module")
    one = module.commit({"lib.py": "1", "deep/x": "x"})
    repo.git("submodule", "add", "-q", "../module", "vendor/lib")
    head = repo.commit({})
    found = open_at(repo.path, opened)
    tree = found.work_tree()
    path = RepoPath("vendor/lib")
    assert tree.entries([path])[path] == TreeEntry(path=path, mode=SUBMODULE, oid=GitOid(one))
    files = tree.files(path)
    assert [file.path for file in files] == ["vendor/lib/deep/x", "vendor/lib/lib.py"]
    assert [tree.fetch(file) for file in files] == [b"x", b"1"]
    assert [file.path for file in tree.files(RepoPath("vendor"))] == ["vendor/lib/deep/x", "vendor/lib/lib.py"]
    assert [found.commit_tree(head).fetch(file) for file in files] == [b"x", b"1"]

    two = module.commit({"lib.py": "2"})
    inner = RepoBuilder(repo.path / "vendor/lib", create=False)
    inner.git("pull", "-q")
    bumped = open_at(repo.path, opened).work_tree()
    assert bumped.dirty == {path}
    assert bumped.entries([path])[path].oid == GitOid(two)
    for folder in (path, RepoPath("vendor")):
        assert [bumped.fetch(file) for file in bumped.files(folder)] == [b"x", b"2"]

    bare = open_at(repo.clone().path, opened)
    with pytest.raises(RepositoryError, match="submodule vendor/lib is not checked out"):
        bare.work_tree().files(path)
    with pytest.raises(RepositoryError, match="is a submodule"):
        bare.work_tree().fetch(bare.work_tree().entries([path])[path])
