"""HEAD with the work tree laid over it."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from ciml.adapters.git.repository import Repository
from ciml.adapters.git.worktree import LARGE, WorkTree
from ciml.app.ports import Tree
from ciml.core.errors import RaceError, RepositoryError, TrustError
from ciml.core.ids import GitOid, RepoPath
from ciml.core.tree import DIRECTORY, EXECUTABLE, FILE, LINK, TreeEntry
from tests.repobuilder import RepoBuilder

Open = Callable[[RepoBuilder], WorkTree]


@pytest.fixture
def look() -> Iterator[Open]:
    """Opens a repository anew and gives its work tree."""
    opened: list[Repository] = []

    def _look(builder: RepoBuilder) -> WorkTree:
        opened.append(Repository.open(str(builder.path), os.environ))
        return opened[-1].work_tree()

    yield _look
    for repository in opened:
        repository.close()


def entry(tree: Tree, path: str) -> TreeEntry | None:
    return tree.entries([RepoPath(path)]).get(RepoPath(path))


def all_entries(tree: Tree) -> Mapping[RepoPath, TreeEntry]:
    """Every file and every folder."""
    files = {file.path for file in tree.files(RepoPath(""))}
    folders = {RepoPath(path[:end]) for path in files for end in [0, *(i for i, c in enumerate(path) if c == "/")]}
    return tree.entries([*files, *folders])


def test_a_clean_tree_is_heads(repo: RepoBuilder, look: Open) -> None:
    """Nothing is dirty, and folders have the ids that Git gave them."""
    head = repo.commit({"a": "1", "in/b": "2", "in/deep/c": "3"})
    tree: Tree = look(repo)
    assert tree.commit == head
    assert tree.dirty == frozenset()
    for path in ("", "in", "in/deep"):
        assert entry(tree, path) == TreeEntry(
            path=RepoPath(path), mode=DIRECTORY, oid=GitOid(repo.git("rev-parse", f"HEAD:{path}"))
        )
    assert tree.entries([RepoPath("nothing"), RepoPath("a/b"), RepoPath("in/nothing")]) == {}


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_c070_the_same_content_has_the_same_id_before_and_after_the_commit(
    tmp_path: Path, look: Open, object_format: str
) -> None:
    """Edits, new and deleted files, links, modes, folders turned into files and back; also in a SHA-256 repository."""
    repo = RepoBuilder(tmp_path / "repo", object_format=object_format)
    odd = os.fsdecode(b"caf\xe9\n\t\"'-rf.bin")
    repo.commit(
        {
            "edit": "1",
            "gone": "1",
            "in/edit": "1",
            "in/x.sh": "1",
            "empty/gone": "1",
            "file": "1",
            "dir/a": "1",
            odd: "1",
        },
    )
    repo.write({"gone": None, "empty/gone": None, "file": None, "dir/a": None})
    os.rmdir(repo.path / "dir")
    changed = {
        "edit": "22",
        "in/edit": "22",
        "in/new/deep": "n",
        "file/inside": "f",
        "dir": "now a file",
        odd: "22",
        "in/x.sh": "1",
        "link": "in/edit",
    }
    repo.write(changed, modes={"in/x.sh": EXECUTABLE, "link": LINK})
    repo.stage("in/new/deep", "dir", "file/inside", "link")
    tree = look(repo)
    before = all_entries(tree)
    assert tree.dirty == {
        "edit",
        "gone",
        "in/edit",
        "in/x.sh",
        "empty/gone",
        "file",
        "file/inside",
        "dir",
        "dir/a",
        "in/new/deep",
        "link",
        odd,
    }
    assert entry(tree, "empty") is None
    repo.git("add", "-A")
    repo.commit({})
    after = look(repo)
    assert after.dirty == frozenset()
    assert all_entries(after) == before
    assert before[RepoPath("")].oid == repo.git("rev-parse", "HEAD^{tree}")


@pytest.mark.parametrize("seed", range(6))
def test_random_edits_have_the_ids_of_the_commit_that_follows(repo: RepoBuilder, look: Open, seed: int) -> None:
    """Written, deleted, staged or left untracked: files and folders are what `git commit -a` makes of them."""
    chance = random.Random(seed)
    names = [f"{folder}{name}" for folder in ("", "a/", "a/b/", "a/b/c/", "a.b/", "a-b/") for name in "xyz"]
    modes = (FILE, EXECUTABLE, LINK)
    repo.commit(dict.fromkeys(chance.sample(names, 9), "x"))
    for _ in range(3):
        edits = {name: chance.choice(["x", "yy", None]) for name in chance.sample(names, 9)}
        repo.write(edits, modes={name: chance.choice(modes) for name in edits})
        repo.stage(*chance.sample(names, 3))
        tree = look(repo)
        before, dirty = all_entries(tree), bool(tree.dirty)
        repo.git("add", "-u")
        assert dirty == bool(repo.git("status", "--porcelain", "-uno"))
        repo.commit({})
        assert all_entries(look(repo)) == before


def test_a_file_that_cannot_be_turned_into_gits_form_is_dirty(repo: RepoBuilder, look: Open) -> None:
    """An encoding that the bytes do not have is no reason to stop."""
    repo.commit({"a.txt": "x"})
    repo.commit({".gitattributes": "a.txt working-tree-encoding=UTF-16\n"})
    repo.write({"a.txt": b"\xff"})
    assert look(repo).dirty == {"a.txt"}


def test_before_the_first_commit_everything_tracked_is_dirty(repo: RepoBuilder, look: Open) -> None:
    """An unborn branch has a tree as well."""
    repo.write({"a": "1", "untracked": "2"})
    repo.stage("a")
    tree = look(repo)
    assert tree.commit is None
    assert tree.dirty == {"a"}
    assert [file.path for file in tree.files(RepoPath(""))] == ["a"]


def test_touched_files_are_clean(repo: RepoBuilder, look: Open) -> None:
    """A new date on the same bytes is no change."""
    repo.commit({"a": "1"})
    os.utime(repo.path / "a", (1, 1))
    assert look(repo).dirty == frozenset()


def test_untracked_files_are_seen_where_asked_for(repo: RepoBuilder, look: Open) -> None:
    """They are in no entry; `untracked` lists those that are not ignored."""
    repo.commit({".gitignore": "*.log\n", "in/a": "1"})
    repo.write({"in/new": "1", "in/x.log": "1", "out": "1", "in/[ab]*": "1"})
    tree = look(repo)
    assert entry(tree, "in/new") is None
    assert tree.dirty == frozenset()
    assert tree.untracked(RepoPath("in")) == ["in/[ab]*", "in/new"]
    assert tree.untracked(RepoPath("in/[ab]*")) == ["in/[ab]*"]
    assert tree.untracked(RepoPath("")) == ["in/[ab]*", "in/new", "out"]


def test_c053_any_path_name_is_seen(repo: RepoBuilder, look: Open) -> None:
    """Not UTF-8, newline, tab, quote, a leading dash, a workflow command, emoji, 255 bytes: all are bytes."""
    names = [os.fsdecode(b"caf\xe9.bin"), "new\nline", "tab\t", '"quote', "-rf", "::error::x", "🙂", "x" * 255, " "]
    repo.commit(dict.fromkeys(names, "1"))
    assert [file.path for file in look(repo).files(RepoPath(""))] == sorted(names)
    repo.write(dict.fromkeys(names, "22"))
    tree = look(repo)
    assert tree.dirty == set(names)
    assert {tree.fetch(file) for file in tree.files(RepoPath(""))} == {b"22"}


def test_c055_two_forms_of_one_letter_are_two_files(repo: RepoBuilder, look: Open) -> None:
    """NFC and NFD names are both listed."""
    repo.commit({"\u00e9": "1", "e\u0301": "2"})
    assert sorted(look(repo).entries([RepoPath("\u00e9"), RepoPath("e\u0301")])) == ["e\u0301", "\u00e9"]


def test_c056_a_link_is_its_text_and_may_not_leave(repo: RepoBuilder, look: Open) -> None:
    """A link inside the repository is followed when read; its id is that of its text; one that leaves is refused."""
    repo.commit(
        {"a": "1", "in/link": "../a", "out": "/etc/passwd", "up": "../x"},
        modes={"in/link": LINK, "out": LINK, "up": LINK},
    )
    tree = look(repo)
    found = tree.entries([RepoPath("in/link"), RepoPath("out"), RepoPath("up")])
    assert found[RepoPath("in/link")].mode == LINK
    assert tree.fetch(found[RepoPath("in/link")]) == b"../a"
    assert tree.read(RepoPath("in/link")) == b"1"
    for path in ("out", "up"):
        with pytest.raises(TrustError, match="outside the repository"):
            tree.fetch(found[RepoPath(path)])
        with pytest.raises(TrustError, match="out of the repository"):
            tree.read(RepoPath(path))


def test_c057_a_file_turned_into_a_link_out_is_refused(repo: RepoBuilder, look: Open) -> None:
    """Neither a file nor a folder on the way is followed out of the repository."""
    repo.commit({"data.csv": "1", "in/b": "2"})
    repo.write({"data.csv": "/etc/passwd", "in/b": None}, modes={"data.csv": LINK})
    os.rmdir(repo.path / "in")
    os.symlink("/etc", repo.path / "in")
    tree = look(repo)
    changed = entry(tree, "data.csv")
    assert changed is not None
    assert changed.mode == LINK
    assert entry(tree, "in/b") is None
    with pytest.raises(TrustError):
        tree.fetch(changed)
    with pytest.raises(TrustError):
        tree.read(RepoPath("in/passwd"))


def test_reading_inside_git_is_refused(repo: RepoBuilder, look: Open) -> None:
    """Git's own folder is no part of the tree."""
    repo.commit({"a": "1"})
    with pytest.raises(TrustError):
        look(repo).read(RepoPath(".git/config"))


def test_c059_lfs_pointers_are_never_data(repo: RepoBuilder, look: Open) -> None:
    """A pointer in the work tree is exit 4; the real bytes are what the pointer stands for, and clean."""
    content = b"model" * 100
    digest = hashlib.sha256(content).hexdigest()
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"
    repo.commit({"model.bin": text, ".gitattributes": "*.bin filter=lfs -text\n"})
    tree = look(repo)
    found = entry(tree, "model.bin")
    assert found is not None
    with pytest.raises(RepositoryError, match="LFS pointer") as caught:
        tree.fetch(found)
    assert caught.value.hint == "Run `git lfs pull`."
    repo.write({"model.bin": content})
    tree = look(repo)
    assert tree.dirty == frozenset()
    assert tree.fetch(found) == content
    repo.write({"model.bin": content + b"!"})
    assert look(repo).dirty == {"model.bin"}


def test_lfs_content_is_found_in_its_cache(repo: RepoBuilder, look: Open) -> None:
    """What `git lfs fetch` brought serves although the work tree holds the pointer."""
    content = b"weights"
    digest = hashlib.sha256(content).hexdigest()
    repo.commit({"m": f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 7\n"})
    repo.write({f".git/lfs/objects/{digest[:2]}/{digest[2:4]}/{digest}": content})
    tree = look(repo)
    found = entry(tree, "m")
    assert found is not None
    assert tree.fetch(found) == content


def test_c060_sparse_checkout_leaves_files_out_without_deleting_them(repo: RepoBuilder, look: Open) -> None:
    """The entry stays HEAD's, and so does the text that a plan reads; a stage's input names the path and is exit 4."""
    repo.commit({"in/a": "1", "out/b": "2"})
    sparse = repo.bare_origin().clone(sparse=["in"])
    tree = look(sparse)
    found = entry(tree, "out/b")
    assert tree.dirty == frozenset()
    assert found is not None
    with pytest.raises(RepositoryError, match="out/b is tracked, but this sparse checkout") as caught:
        tree.fetch(found)
    assert caught.value.hint == "git sparse-checkout add out"
    assert tree.read(RepoPath("out/b")) == b"2"


def test_c062_a_changed_mode_is_a_change(repo: RepoBuilder, look: Open) -> None:
    """`chmod +x` alone is detected, unless Git was told that the file system has no such bit."""
    repo.commit({"run.sh": "1"})
    os.chmod(repo.path / "run.sh", 0o755)
    tree = look(repo)
    changed = entry(tree, "run.sh")
    assert tree.dirty == {"run.sh"}
    assert changed is not None
    assert changed.mode == EXECUTABLE
    repo.git("config", "core.fileMode", "false")
    assert look(repo).dirty == frozenset()


def test_c063_line_ends_of_the_checkout_do_not_reach_a_stage(repo: RepoBuilder, look: Open) -> None:
    """Where the checkout turned the line ends, the tree is clean, the stage gets Git's bytes and the file is named."""
    repo.commit({"a.txt": "x\ny\n"})
    repo.git("config", "core.autocrlf", "true")
    repo.write({"a.txt": None})
    repo.git("checkout", "--", "a.txt")
    assert (repo.path / "a.txt").read_bytes() == b"x\r\ny\r\n"
    os.utime(repo.path / "a.txt", (1, 1))
    tree = look(repo)
    found = entry(tree, "a.txt")
    assert tree.dirty == frozenset()
    assert found is not None
    assert tree.fetch(found) == b"x\ny\n"
    assert tree.converted == {"a.txt"}


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_c065_a_hidden_edit_is_dirty(repo: RepoBuilder, look: Open, flag: str) -> None:
    """`assume-unchanged` and `skip-worktree` do not hide an edit, a deletion only where sparse checkouts delete."""
    repo.commit({"in/a": "1", "b": "1"})
    repo.git("update-index", flag, "in/a")
    assert look(repo).dirty == frozenset()
    repo.write({"in/a": "2"})
    tree = look(repo)
    assert tree.dirty == {"in/a"}
    assert entry(tree, "in") != TreeEntry(
        path=RepoPath("in"), mode=DIRECTORY, oid=GitOid(repo.git("rev-parse", "HEAD:in"))
    )


def test_c067_a_hostile_configuration_starts_nothing(repo: RepoBuilder, look: Open) -> None:
    """fsmonitor, filters, hooks, external diffs and textconv of `.git/config` never run."""
    canary = repo.path.parent / "canary"
    repo.commit({"a.txt": "1\n", ".gitattributes": "* filter=evil diff=evil\n"})
    drivers = [f"filter.evil.{key}" for key in ("clean", "smudge", "process")]
    drivers += ["diff.evil.textconv", "diff.evil.command", "diff.external"]
    for key in (*drivers, "core.fsmonitor", "core.sshCommand", "core.pager"):
        repo.git("config", key, f"touch {canary}; cat")
    repo.git("config", "filter.evil.required", "true")
    hooks = repo.path / ".git/hooks"
    for name in ("post-index-change", "reference-transaction", "post-checkout"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {canary}\n")
        (hooks / name).chmod(0o755)
    canary.unlink(missing_ok=True)
    repo.write({"a.txt": "2\n"})
    tree = look(repo)
    assert tree.dirty == {"a.txt"}
    assert tree.untracked(RepoPath("")) == []
    with Repository.open(str(repo.path), os.environ) as repository:
        repository.diff(repository.resolve("HEAD"), None)
        repository.base("1" * 40)
    assert not canary.exists()


def test_a_filter_that_cannot_be_turned_off_is_refused(repo: RepoBuilder, look: Open) -> None:
    """A driver whose name holds `=` cannot be named on Git's command line."""
    repo.commit({"a": "1"})
    with open(repo.path / ".git/config", "a") as file:
        file.write('[filter "a=b"]\n\tclean = touch canary\n')
    with pytest.raises(TrustError, match="filter driver 'a=b'"):
        look(repo)


def test_a_file_that_changes_while_it_is_read_is_a_race(repo: RepoBuilder, look: Open) -> None:
    """Bytes that are not those that were hashed are never handed out."""
    repo.commit({"a": "1"})
    repo.write({"a": "2"})
    tree = look(repo)
    changed = entry(tree, "a")
    assert changed is not None
    assert tree.fetch(changed) == b"2"
    repo.write({"a": "3"})
    with pytest.raises(RaceError):
        tree.fetch(changed)


def test_staged_bytes_come_from_git_where_the_disk_has_others(repo: RepoBuilder, look: Open) -> None:
    """A clean file whose disk bytes were lost in between is still what its id says."""
    repo.commit({"a": "1"})
    tree = look(repo)
    found = entry(tree, "a")
    assert found is not None
    repo.write({"a": "changed later"})
    assert tree.fetch(found) == b"1"
    assert tree.converted == {"a"}


def test_large_files_are_located(repo: RepoBuilder, look: Open) -> None:
    """The path of a large file whose bytes are the ones asked for; none where they are not, or are few."""
    repo.commit({"big": b"x" * LARGE, "small": "x", "link": "big"}, modes={"link": LINK})
    tree: Tree = look(repo)
    found = {path: tree.locate(entry) for path, entry in all_entries(tree).items()}
    assert found == {"": None, "big": str(repo.path / "big"), "small": None, "link": None}
    other = TreeEntry(path=RepoPath("big"), mode=FILE, oid=GitOid("0" * 40))
    assert tree.locate(other) is None


def test_large_lfs_content_is_located(repo: RepoBuilder, look: Open) -> None:
    """On disk for the work tree, in the cache of Git LFS for a commit."""
    content = b"x" * LARGE
    digest = hashlib.sha256(content).hexdigest()
    head = repo.commit(
        {"m": f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {LARGE}\n", "a": "1"}
    )
    cache = f".git/lfs/objects/{digest[:2]}/{digest[2:4]}/{digest}"
    repo.write({"m": content, cache: content})
    tree = look(repo)
    assert {path: tree.locate(entry) for path, entry in all_entries(tree).items() if path} == {
        "a": None,
        "m": str(repo.path / "m"),
    }
    with Repository.open(str(repo.path), os.environ) as repository:
        committed: Tree = repository.commit_tree(head)
        assert [committed.locate(file) for file in committed.files(RepoPath(""))] == [None, str(repo.path / cache)]


def test_linked_work_trees_have_their_own_state(repo: RepoBuilder, look: Open) -> None:
    """`git worktree` shares the common folder and nothing of the state."""
    repo.commit({"a": "1"})
    repo.git("worktree", "add", "-q", "-b", "other", str(repo.path.parent / "linked"))
    linked = RepoBuilder(repo.path.parent / "linked", create=False)
    linked.write({"a": "2"})
    assert look(linked).dirty == {"a"}
    assert look(repo).dirty == frozenset()


def test_a_conflict_is_dirty(repo: RepoBuilder, look: Open) -> None:
    """A file in conflict is what lies on disk."""
    repo.commit({"a": "1"})
    repo.branch("other")
    repo.commit({"a": "2"})
    repo.switch("main")
    repo.commit({"a": "3"})
    with pytest.raises(AssertionError):
        repo.merge("other")
    tree = look(repo)
    assert tree.dirty == {"a"}
    assert b"<<<<<<<" in (tree.read(RepoPath("a")) or b"")


def test_c072_reading_takes_no_lock(repo: RepoBuilder, look: Open) -> None:
    """A lock that a killed Git left behind does not keep anybody from planning, and stays."""
    repo.commit({"a": "1"})
    repo.write({"a": "2", ".git/index.lock": ""})
    assert look(repo).dirty == {"a"}
    assert (repo.path / ".git/index.lock").exists()
