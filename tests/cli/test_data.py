"""`ciml data`: manifests, and what lies beside them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.calls import Calls, environment
from tests.cli.test_json import fields, promised
from tests.repobuilder import RepoBuilder

YAML = """\
version: 1
stages:
  train: {run: "cat data/raw/*.csv > model.txt", inputs: [data/raw], outputs: [model.txt]}
"""


def fill(ciml: Calls, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = ciml.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def added(ciml: Calls) -> Calls:
    """A project whose data is behind a manifest, committed."""
    ciml.repo.commit({"ciml.yaml": YAML, ".gitignore": "/model.txt\n"})
    fill(ciml, {"data/raw/a.csv": "id,x\n1,2\n", "data/raw/b.csv": "id,x\n3,4\n"})
    ciml.ok("data", "add", "data/raw")
    ciml.repo.stage(".gitignore", "data/raw.manifest.yaml")
    ciml.repo.git("commit", "-q", "-m", "data")
    return ciml


def state(ciml: Calls) -> str:
    [found] = ciml.json("data", "status")["data"]
    return str(found["state"])


def state_of(ciml: Calls, path: str) -> str:
    """The state of one, whatever is wrong with others."""
    [found] = ciml.json("data", "status", path)["data"]
    return str(found["state"])


def test_a_manifest_is_read_once(added: Calls, tmp_path: Path) -> None:
    """Where it is known by its name and text, no YAML is read; an edit of it is seen all the same."""
    added.ok("data", "status")
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ciml", "data", "status"],
        cwd=added.path,
        env=environment(HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "up to date" in told.stdout
    imported = {line.rpartition("|")[2].strip() for line in told.stderr.splitlines()}
    assert "yaml" not in imported and "msgspec" in imported
    file = added.path / "data/raw.manifest.yaml"
    file.write_text(file.read_text().replace("files: 2", "files: 3"))
    assert state(added) == "misdescribed"
    file.write_text(file.read_text().replace("files: 3", "files: many"))
    assert added("data", "status").code == 3


# Adding.


def test_add(added: Calls) -> None:
    """The manifest says what it is, Git ignores the data and nothing else, and the tree is clean."""
    text = (added.path / "data/raw.manifest.yaml").read_text()
    assert text.startswith("# Stands for raw, whose bytes are not in Git.")
    assert "files: 2\ndirectory: true\n" in text
    assert (added.path / ".gitignore").read_text() == "/model.txt\n/data/raw\n"
    assert added.repo.git("status", "--porcelain") == ""
    assert added.json("plan")["dirty"] is False


def test_add_twice_changes_nothing(added: Calls) -> None:
    """The same bytes give the same manifest, and one line in .gitignore."""
    before = (added.path / "data/raw.manifest.yaml").read_bytes()
    added.ok("data", "add", "data/raw/")
    assert (added.path / "data/raw.manifest.yaml").read_bytes() == before
    assert added.repo.git("status", "--porcelain") == ""


def test_add_a_file_with_a_name_that_is_a_pattern(ciml: Calls) -> None:
    """The line in the nearest .gitignore means just this file, whatever Git would read into its name."""
    fill(ciml, {"data/.gitignore": "*.tmp", "data/!b[1] .csv": "1", "data/b1 .csv": "2"})
    assert "holds one of" in ciml("data", "add", "data/b*.csv").err
    ciml.ok("data", "add", "data/!b[1] .csv")
    assert (ciml.path / "data/.gitignore").read_text() == "*.tmp\n/!b\\[1] .csv\n"
    untracked = ciml.repo.git("ls-files", "-z", "--others", "--exclude-standard").split("\0")
    assert sorted(filter(None, untracked)) == ["data/!b[1] .csv.manifest.yaml", "data/.gitignore", "data/b1 .csv"]


def test_what_cannot_be_added(added: Calls) -> None:
    """Outside, tracked, made by a stage, part of other data, a link, nothing: what, where, what to do."""
    fill(added, {"code/train.py": "x", "data/raw/sub/x": "1", "model.txt": "1", "other/x": "1"})
    added.repo.stage("code/train.py")
    (added.path / "link").symlink_to("code")
    (added.path / "data/raw.manifest.yaml").chmod(0o644)
    expected = {
        "../outside": (3, "leaves the repository"),
        "/etc/passwd": (3, "leaves the repository"),
        ".": (3, "that is the whole repository"),
        ".git/config": (3, "lies inside .git"),
        "code/train.py": (4, "git rm -r --cached code/train.py"),
        "code": (4, "Git tracks code"),
        "model.txt": (3, "model.txt overlaps model.txt, which a stage writes"),
        "data/raw/sub": (3, "data/raw/sub overlaps data/raw, which data/raw.manifest.yaml stands for"),
        "data": (3, "data overlaps data/raw"),
        "link": (6, "link is a symbolic link"),
        "nothing": (3, "nothing does not exist"),
    }
    for path, (code, words) in expected.items():
        answer = added("data", "add", path)
        assert (answer.code, words in answer.err) == (code, True), (path, answer)
    assert added.repo.git("status", "--porcelain", "-uall").splitlines() == [
        "A  code/train.py",
        "?? link",
        "?? other/x",
    ]


def test_data_in_a_submodule(added: Calls, tmp_path: Path) -> None:
    """Its manifests are not ours, checked out or not, and one is written there alone: exit 4 says how."""
    inner = RepoBuilder(tmp_path / "inner")
    inner.commit({"a.csv.manifest.yaml": f"version: 1\nsha256: {'d' * 64}\nsize: 1\nfiles: 1\n"})
    added.repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner.path), "vendor/in ner")
    added.repo.git("commit", "-qm", "submodule")
    fill(added, {"vendor/in ner/b/c.csv": "id\n1\n"})
    assert [item["path"] for item in added.json("data", "status")["data"]] == ["data/raw"]
    answer = added("data", "add", "vendor/in ner/b/c.csv")
    assert answer.code == 4
    assert "vendor/in ner/b/c.csv lies in the submodule vendor/in ner" in answer.err
    assert "hint: ciml -C 'vendor/in ner' data add b/c.csv\n" in answer.err
    assert added.repo.git("-C", "vendor/in ner", "status", "--porcelain", "-uall") == "?? b/c.csv"
    assert added.repo.git("status", "--porcelain", "--ignore-submodules=untracked") == ""
    added.ok("-C", "vendor/in ner", "data", "add", "b/c.csv")
    added.repo.git("submodule", "--quiet", "deinit", "--force", "vendor/in ner")
    assert [item["path"] for item in added.json("data", "status")["data"]] == ["data/raw"]


def test_a_submodule_that_is_not_checked_out_is_in_nobodys_way(added: Calls, tmp_path: Path) -> None:
    """A collection keeps the data of the manifests that are here, and a failed stage is told as one."""
    inner = RepoBuilder(tmp_path / "inner")
    inner.commit({"x": "1"})
    added.repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner.path), "vendor")
    added.repo.git("commit", "-qm", "submodule")
    added.repo.git("submodule", "--quiet", "deinit", "--force", "vendor")
    added.ok("store", "gc", "--grace", "0")
    added.ok("store", "gc", "--grace", "0")
    shutil.rmtree(added.path / "data/raw")
    added.ok("data", "pull")
    added.repo.commit({"ciml.yaml": YAML.replace("cat data/raw/*.csv", "cat code/forgotten.py")})
    failed = added("run")
    assert failed.code == 11, failed


def test_names_that_differ_in_case_alone_are_told(added: Calls) -> None:
    """With an add and an update that takes them in, once; the data is taken all the same."""
    fill(added, {"data/raw/A.csv": "id,x\n", "data/new/x": "1", "data/new/X": "2"})
    words = "data/raw: A.csv and a.csv cannot lie side by side on macOS and Windows"
    assert f"warning: {words}" in added.ok("data", "update").err
    assert added.ok("data", "update").err == ""
    assert "data/new: X and x cannot" in added.ok("data", "add", "data/new").err
    assert added.ok("data", "add", "data/new").err == ""


def test_a_link_out_of_the_data(added: Calls) -> None:
    """A link in a data directory that leads out of it is exit 6, and nothing is written."""
    (added.path / "data/raw/out").symlink_to("/etc/passwd")
    before = (added.path / "data/raw.manifest.yaml").read_bytes()
    for words in (("add", "data/raw"), ("update",), ("status",)):
        answer = added("data", *words)
        assert (answer.code, "data/raw/out is a symbolic link that leaves data/raw" in answer.err) == (6, True)
    assert (added.path / "data/raw.manifest.yaml").read_bytes() == before


def test_a_manifest_that_would_be_ignored(ciml: Calls) -> None:
    """Nobody else would get it: exit 4 names the rule, and nothing is written."""
    fill(ciml, {".gitignore": "# data\ndata/\n", "data/raw/x": "1"})
    answer = ciml("data", "add", "data/raw")
    assert answer.code == 4
    assert "data/raw.manifest.yaml would be ignored by Git (.gitignore:2: data/)" in answer.err
    assert sorted(os.listdir(ciml.path / "data")) == ["raw"]


def test_c100_what_is_no_file(ciml: Calls) -> None:
    """A named pipe, a socket, a folder that cannot be read: exit 3 says what it is, at once; nothing is written."""
    for name in ("pipe", "socket", "closed"):
        (ciml.path / name).mkdir()
        (ciml.path / name / "a.csv").write_text("1")
    os.mkfifo(ciml.path / "pipe/x")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str((ciml.path / "socket/x").relative_to(os.getcwd())))
    (ciml.path / "closed/x").symlink_to("x")
    expected = {
        "pipe": (3, "pipe/x is a named pipe, not a file"),
        "pipe/x": (3, "pipe/x is a named pipe, not a file"),
        "socket": (3, "socket/x is a socket, not a file"),
    }
    for path, (code, words) in expected.items():
        answer = ciml("data", "add", path)
        assert (answer.code, words in answer.err) == (code, True), answer
    listening.close()
    assert not list(ciml.path.glob("*.manifest.yaml"))


def test_c59_a_pointer_of_git_lfs_is_no_data(ciml: Calls) -> None:
    """Exit 4 says `git lfs pull`; the pointer's text is never stored as data."""
    oid = "oid sha256:" + "4d7a" * 16
    fill(ciml, {"model.bin": f"version https://git-lfs.github.com/spec/v1\n{oid}\nsize 12345\n"})
    answer = ciml("data", "add", "model.bin")
    assert (answer.code, "git lfs pull" in answer.err) == (4, True)
    assert not (ciml.path / "model.bin.manifest.yaml").exists()


def test_c53_names_of_all_kinds(ciml: Calls) -> None:
    """Bytes that are not UTF-8, a newline, quotes, an option, a runner's command: each is kept, and shown harmless."""
    names = [
        b"caf\xe9.bin",
        b"new\nline",
        b'quo"te',
        b"-rf",
        b"::error::x",
        "\U0001f600".encode(),
        b"x" * 255,
        b"tab\t",
        b"Case",
        b"case",
    ]
    top = os.fsencode(ciml.path) + b"/data"
    os.mkdir(top)
    for name in names:
        with open(top + b"/" + name, "wb") as file:
            file.write(name)
    ciml.ok("data", "add", "data")
    assert ciml.json("data", "status")["data"][0]["files"] == len(names)
    ciml.repo.stage("data.manifest.yaml", ".gitignore")
    ciml.repo.git("commit", "-q", "-m", "data")
    shutil.rmtree(top)
    ciml.ok("data", "pull")
    assert sorted(os.listdir(top)) == sorted(names)
    for name in names:
        with open(top + b"/" + name, "ab") as file:
            file.write(b"!")
    ciml.ok("data", "update")
    out = ciml.ok("data", "diff", "HEAD").out
    assert "10 changed" in out
    assert "\n::error" not in out
    assert "new\nline" not in out
    assert len(ciml.json("data", "diff", "HEAD")["data"][0]["changes"]) == len(names)


def test_c97_data_that_became_a_link(added: Calls, tmp_path: Path) -> None:
    """`pull` writes through no link, and reads none: exit 6, and what is there stays as it is."""
    elsewhere = tmp_path / "elsewhere"
    shutil.move(added.path / "data/raw", elsewhere)
    (elsewhere / "a.csv").write_text("theirs")
    (added.path / "data/raw").symlink_to(elsewhere)
    for words in (("data", "pull", "--force"), ("data", "status"), ("data", "update"), ("plan",)):
        answer = added(*words)
        assert (answer.code, "data/raw is a symbolic link" in answer.err) == (6, True), answer
    assert (elsewhere / "a.csv").read_text() == "theirs"


def test_c99_pulled_files_are_the_users_own(added: Calls) -> None:
    """No file is a link into the store, so that an edit changes nothing there."""
    big = os.urandom(2 << 20)
    (added.path / "data/raw/big").write_bytes(big)
    added.ok("data", "update")
    shutil.rmtree(added.path / "data/raw")
    added.ok("data", "pull")
    for path in (added.path / "data/raw").iterdir():
        assert path.stat().st_nlink == 1
        path.write_bytes(b"edited")
    added.ok("store", "verify")


# Status and update.


def test_status_and_update(added: Calls) -> None:
    """An edit is seen with its files and bytes; `update` takes it, and takes back to what was."""
    assert state(added) == "up-to-date"
    fill(added, {"data/raw/b.csv": "id,x\n3,5\n", "data/raw/c.csv": "id,x\n"})
    (added.path / "data/raw/a.csv").unlink()
    [found] = added.json("data", "status")["data"]
    assert found["state"] == "edited"
    assert found["edited"] == {"added": 1, "removed": 1, "changed": 1, "bytes_added": 14, "bytes_removed": 18}
    assert "edited: 1 added, 1 removed, 1 changed (+14 bytes, -18 bytes)" in added.ok("data", "status").out

    [done] = added.json("data", "update")["data"]
    assert (done["changed"], done["files"]) == (True, 2)
    assert state(added) == "up-to-date"
    assert added.json("data", "update", "data/raw")["data"][0]["changed"] is False


def test_data_that_is_not_here(added: Calls) -> None:
    """Gone from disk and in the store, or in neither; an update from nothing is exit 4."""
    shutil.rmtree(added.path / "data/raw")
    assert state(added) == "not-here"
    assert added("data", "update", "data/raw").code == 4
    assert added.json("data", "update")["data"] == []
    shutil.rmtree(added.path / ".git/ciml/store")
    assert state(added) == "missing"


def test_adding_what_did_not_change(added: Calls) -> None:
    """It says that nothing changed, as an update does, and names nothing to commit."""
    assert added.json("data", "add", "data/raw")["data"][0]["changed"] is False
    answer = added.ok("data", "add", "data/raw")
    assert answer.out.endswith("data/raw.manifest.yaml (up to date)\n"), answer
    fill(added, {"data/raw/c.csv": "id,x\n5,6\n"})
    assert added.json("data", "add", "data/raw")["data"][0]["changed"] is True


def test_pull_after_git_brought_another_manifest(added: Calls) -> None:
    """Another version of data is replaced without --force where all its bytes are in the store."""
    fill(added, {"data/raw/c.csv": "id,x\n5,6\n"})
    added.ok("data", "update")
    added.repo.git("commit", "-q", "-a", "-m", "more data")
    added.repo.git("checkout", "-q", "HEAD~1")
    assert state(added) == "other-version"
    answer = added("data", "status")
    assert "another version, in the store: 1 added" in answer.out
    assert "`ciml data pull data/raw` puts what the manifest says" in answer.out
    assert "`ciml data pull data/raw` gets what it says" in added("plan").err
    refused = added("run")
    assert (refused.code, "`ciml data pull data/raw` gets what it says" in refused.err) == (4, True)
    added.ok("data", "pull")
    assert sorted(os.listdir(added.path / "data/raw")) == ["a.csv", "b.csv"]
    assert state(added) == "up-to-date"


def test_pull_after_git_does_not_replace_what_was_edited_since(added: Calls) -> None:
    """A version of which one file was edited and is nowhere else stays, exit 4."""
    fill(added, {"data/raw/c.csv": "id,x\n5,6\n"})
    added.ok("data", "update")
    added.repo.git("commit", "-q", "-a", "-m", "more data")
    added.repo.git("checkout", "-q", "HEAD~1")
    fill(added, {"data/raw/a.csv": "mine\n"})
    assert state(added) == "edited"
    answer = added("data", "pull")
    assert (answer.code, "would be replaced" in answer.err) == (4, True)
    assert (added.path / "data/raw/a.csv").read_text() == "mine\n"


@pytest.mark.parametrize(("key", "wrong"), [("size: 18", "size: 17"), ("files: 2", "files: 3")])
def test_a_manifest_whose_numbers_were_edited(added: Calls, key: str, wrong: str) -> None:
    """Status says that the manifest is wrong, and an update writes it anew."""
    file = added.path / "data/raw.manifest.yaml"
    right = file.read_text()
    assert key in right
    file.write_text(right.replace(key, wrong))
    assert state(added) == "misdescribed"
    assert "`ciml data update data/raw` writes the manifest anew" in added("data", "status").out
    added.ok("data", "update")
    assert file.read_text() == right


def test_a_file_whose_size_was_edited_in_its_manifest(added: Calls) -> None:
    """Exit 7 names the manifest where the data is not here: it is not called lost."""
    fill(added, {"one.csv": "id\n1\n"})
    added.ok("data", "add", "one.csv")
    file = added.path / "one.csv.manifest.yaml"
    file.write_text(file.read_text().replace("size: 5", "size: 6"))
    (added.path / "one.csv").unlink()
    answer = added("data", "pull", "one.csv")
    assert (answer.code, "one.csv.manifest.yaml says 6 bytes" in answer.err) == (7, True), answer
    assert not (added.path / "one.csv").exists()


def test_a_path_without_a_manifest(added: Calls) -> None:
    """Exit 2 says how to get one; a part of a directory is no manifest of its own."""
    assert "`ciml data add data/zz` writes one" in added("data", "status", "data/zz").err
    answer = added("data", "update", "data/raw/a.csv")
    assert (answer.code, "data/raw/a.csv is a part of data/raw" in answer.err) == (2, True)
    assert added.json("data", "status", "data/raw.manifest.yaml") == added.json("data", "status", "data")


def test_edited_data_is_dirty(added: Calls) -> None:
    """`plan` says dirty, `run` and `register` are exit 4 and say how to go on; an update makes it run."""
    added.ok("run")
    assert added.results() == {"train": "skipped"}
    fill(added, {"data/raw/b.csv": "id,x\n3,5\n"})

    assert added.json("plan")["dirty"] is True
    warning = added.ok("plan").err
    assert "warning: data/raw is not what its manifest says: before a run, `ciml data pull data/raw`" in warning
    assert "`ciml data update data/raw`" in warning
    answer = added("run")
    assert answer.code == 4
    assert "data/raw is not what the manifest says" in answer.err
    assert "`ciml data update data/raw`" in answer.err
    added.ok("data", "update")
    assert added.results() == {"train": "ran"}
    assert "3,5" in (added.path / "model.txt").read_text()


def test_edited_data_is_seen_after_a_run_with_nothing_to_do(added: Calls) -> None:
    """The answer that was left for the next call does not outlive an edit of the data."""
    added.ok("run")
    deadline = time.monotonic() + 5
    while not list((added.path / ".git/ciml/index").glob("receipts/*")) and time.monotonic() < deadline:
        assert "Nothing to do" in added.ok("run").out
    fill(added, {"data/raw/b.csv": "id,x\n3,5\n"})
    assert added("run").code == 4


# Differences.


def test_a_manifest_that_cannot_be_read_stops_no_other(added: Calls) -> None:
    """The others are shown, updated and pulled; the broken one is told with its line, stays as it is: exit 3."""
    fill(added, {"good.csv": "id\n1\n"})
    added.ok("data", "add", "good.csv")
    broken = added.path / "data/raw.manifest.yaml"
    text = broken.read_text().replace("size: ", "seize: ")
    broken.write_text(text)
    fill(added, {"good.csv": "id\n1\n2\n", "data/raw/c.csv": "id,x\n"})
    for words in (("status",), ("update",), ("pull",)):
        answer = added("--json", "data", *words)
        assert answer.code == 3, answer
        assert "error: data/raw.manifest.yaml:4:1: seize: unknown key" in answer.err
        [item] = answer.json["data"]
        assert item["path"] == "good.csv"
        [fault] = answer.json["faults"]
        assert (fault["manifest"], fault["exit_code"]) == ("data/raw.manifest.yaml", 3)
        assert fault["message"].startswith("data/raw.manifest.yaml:4:1")
        assert set(fields(answer.json)) >= {name for name in promised("Errors") if name.startswith("faults")}
    assert state_of(added, "good.csv") == "up-to-date"
    assert broken.read_text() == text
    assert (added.path / "data/raw/c.csv").exists()


def test_the_gravest_fault_decides(added: Calls) -> None:
    """Data that is gone is exit 4, and with bytes that are not what they must be exit 7; what is whole is put."""
    fill(added, {"good.csv": "id\n1\n", "bad.csv": "id\n2\n"})
    added.ok("data", "add", "good.csv", "bad.csv")
    added.repo.commit({"lost.csv.manifest.yaml": f"version: 1\nsha256: {'d' * 64}\nsize: 1\nfiles: 1\n"})
    for name in ("good.csv", "bad.csv"):
        (added.path / name).unlink()
    assert added("data", "pull", "good.csv", "lost.csv").code == 4
    digest = hashlib.sha256(b"id\n2\n").hexdigest()
    damaged = added.path / f".git/ciml/store/objects/{digest[:2]}/{digest[2:]}"
    damaged.chmod(0o644)
    damaged.write_text("id\n3\n")
    (added.path / "good.csv").unlink()
    answer = added("data", "pull")
    assert answer.code == 7, answer
    assert (added.path / "good.csv").read_text() == "id\n1\n"
    assert not (added.path / "bad.csv").exists()
    assert [line[:8] for line in answer.err.splitlines() if line.startswith("error: ")] == ["error: b", "error: t"]
    assert "the data lost.csv is not here" in answer.err
    assert "Clones share data by a `store` in ciml.yaml" in answer.err
    assert "lost.csv` fetches it from where it was pushed" in added("data", "status").out


def test_one_fault_of_many_manifests_is_told_once(added: Calls) -> None:
    """Where there is no shared store, that is one error with the names of all."""
    fill(added, {"good.csv": "id\n1\n"})
    added.ok("data", "add", "good.csv")
    answer = added("data", "push")
    assert answer.code == 3
    assert answer.out == ""
    assert answer.err.count("error: ") == answer.err.count("hint: ") == 1
    assert "data/raw.manifest.yaml, good.csv.manifest.yaml: there is no store that others use too" in answer.err


def test_diff(added: Calls) -> None:
    """Between two commits, and a commit and the work tree: files with their sizes; new and lost data."""
    fill(added, {"data/raw/b.csv": "id,x\n3,55\n", "data/one.csv": "1"})
    added.ok("data", "update")
    added.ok("data", "add", "data/one.csv")
    assert [item["path"] for item in added.json("data", "diff", "HEAD")["data"]] == ["data/one.csv", "data/raw"]
    added.repo.commit({name: (added.path / name).read_bytes() for name in ("data/raw.manifest.yaml",)})

    [found] = added.json("data", "diff", "HEAD~1", "HEAD", "data/raw")["data"]
    assert found["changes"] == [{"path": "data/raw/b.csv", "before": 9, "after": 10}]
    out = added.ok("data", "diff", "HEAD~1", "HEAD").out
    assert "data/raw: 1 changed (+10 bytes, -9 bytes)\n  ~ data/raw/b.csv  9 bytes -> 10 bytes" in out
    assert added.ok("data", "diff", "HEAD", "HEAD").out == "No data differs.\n"
    fill(added, {"data/one.csv": "12"})
    told = added.ok("data", "diff", "HEAD").err
    assert told == "warning: data/one.csv: edited on disk, which no manifest says yet: `ciml data update`\n"
    fill(added, {"data/one.csv": "1"})
    assert added.ok("data", "diff", "HEAD").err == ""
    assert "data/one.csv is new: 1 added" in added.ok("data", "diff", "HEAD").out


def test_commands_in_hints_can_be_typed(added: Calls) -> None:
    """From a sub-folder the paths are as seen from there; spaces are in quotes, and a dash begins no option."""
    fill(added, {"my data/a b.csv": "id\n1\n", "-x": "1"})
    answer = added.ok("-C", "my data", "data", "add", "a b.csv")
    assert "To commit it: git add ../.gitignore 'a b.csv.manifest.yaml'" in answer.out
    assert "git add ./-x.manifest.yaml .gitignore" in added.ok("data", "add", "--", "-x").out
    (added.path / "my data/a b.csv").unlink()
    assert "`ciml data pull 'my data/a b.csv'`" in added.ok("data", "status").out
    assert "`ciml data pull 'a b.csv'`" in added.ok("-C", "my data", "data", "status").out


def test_the_whole_repository_means_all_data(added: Calls) -> None:
    """`.` names what is below it."""
    assert added.json("data", "status", ".") == added.json("data", "status")


def test_diff_of_one_path(added: Calls) -> None:
    """A folder means all data below it; a part of data, or what nothing stands for, is exit 2."""
    fill(added, {"data/raw/c.csv": "id,x\n5,6\n"})
    added.ok("data", "update")
    assert [item["path"] for item in added.json("data", "diff", "HEAD", "HEAD", "data")["data"]] == []
    added.repo.git("commit", "-q", "-a", "-m", "more data")
    for name in ("data/raw", "data", "data/raw.manifest.yaml"):
        assert [item["path"] for item in added.json("data", "diff", "HEAD~1", "HEAD", name)["data"]] == ["data/raw"]
    answer = added("data", "diff", "HEAD~1", "HEAD", "data/raw/c.csv")
    assert (answer.code, "data/raw/c.csv is a part of data/raw" in answer.err) == (2, True)
    assert added("data", "diff", "HEAD~1", "HEAD", "nope").code == 2


def test_diff_of_one_path_past_a_manifest_that_was_broken(added: Calls) -> None:
    """Only the manifests of what is named are read: one that an old commit broke does not stand in the way."""
    added.repo.commit({"other.manifest.yaml": "<<<<<<< HEAD"})
    assert added("data", "diff", "HEAD~1", "HEAD").code == 3
    added.ok("data", "diff", "HEAD~1", "HEAD", "data")


def test_a_listing_that_cannot_be_had(added: Calls) -> None:
    """Exit 5, and not "everything changed"."""
    fill(added, {"data/raw/b.csv": "id,x\n3,55\n"})
    added.ok("data", "update")
    shutil.rmtree(added.path / ".git/ciml/store")
    answer = added("data", "diff", "HEAD")
    assert answer.code == 5
    assert "`ciml data push` where the data is" in answer.err


def test_rows_and_columns(added: Calls) -> None:
    """Of tables the rows and columns added and lost; of what is no table nothing."""
    for name in "ab":
        text = (added.path / f"data/raw/{name}.csv").read_text().replace("x", "y")
        fill(added, {f"data/raw/{name}.csv": f"{text}5,6\n"})
    fill(added, {"data/words.txt": "1"})
    added.ok("data", "update")
    added.ok("data", "add", "data/words.txt")
    table, words = added.json("data", "diff", "HEAD", "--tables")["data"]
    assert table["table"] == {"rows_before": 2, "rows_after": 4, "columns_added": ["y"], "columns_lost": ["x"]}
    assert words["table"] is None
    assert added.json("data", "diff", "HEAD")["data"][0]["table"] is None
    out = added.ok("data", "diff", "HEAD", "--tables").out
    assert "  rows 2 -> 4 (+2); columns added: y; lost: x\n" in out


def test_the_page_on_json_has_every_field(added: Calls) -> None:
    """docs/json.md names what `data status` and `data diff` print, and nothing else."""
    fill(added, {"data/raw/b.csv": "id,x\n3,55\n"})
    for words in (("data", "status"), ("data", "diff", "HEAD", "--tables")):
        if words[1] == "diff":
            added.ok("data", "update")
        inner = ("data[].edited.", "data[].files.", "data[].table.")
        printed = {name for name in fields(added.json(*words)) if not name.startswith(inner)}
        assert promised(" ".join(words[:2])) == printed - {"data"} - {"data[].changes"}


# What is made of data.


def test_the_log_has_what_commits_did_to_data(added: Calls) -> None:
    """Files and bytes, and how many more or less; nothing beside a commit that touched no data."""
    fill(added, {"data/raw/c.csv": "id,x\n"})
    added.ok("data", "update")
    added.repo.commit({"data/raw.manifest.yaml": (added.path / "data/raw.manifest.yaml").read_bytes()}, "more")
    added.repo.commit({"notes": "1"}, "words")
    added.repo.commit({"data/raw.manifest.yaml": None}, "none")

    out = added.ok("log").out
    assert "more\n    data data/raw: 3 files (+1), 23 bytes (+5 bytes)\n" in out
    assert "data/raw: new, 2 files, 18 bytes" in out
    assert "none\n    data data/raw: gone\n" in out
    rows = {row["commit"]["subject"]: row["data"] for row in added.json("log")["commits"]}
    assert rows["words"] == []
    assert rows["more"] == [{"path": "data/raw", "files": 3, "size": 23, "files_before": 2, "size_before": 18}]


def test_the_lineage_of_data(added: Calls) -> None:
    """What was made of it: by its path, its manifest, its digest; older versions as well."""
    added.ok("run")
    digest = added.json("data", "status")["data"][0]["digest"]
    fill(added, {"data/raw/c.csv": "id,x\n"})
    added.ok("data", "update")
    added.repo.commit({"data/raw.manifest.yaml": (added.path / "data/raw.manifest.yaml").read_bytes()})
    added.ok("run")

    for subject, versions in {"data/raw": 2, "data/raw.manifest.yaml": 2, digest: 1}.items():
        nodes = added.json("lineage", subject)["nodes"]
        assert len([node for node in nodes if node["kind"] == "data"]) == versions, subject
        assert len([node for node in nodes if node["label"] == "model.txt"]) == versions


def test_the_lineage_of_data_that_no_model_was_trained_on(added: Calls) -> None:
    """Its versions, the commits of its manifest, and that no model was trained on it: an answer, and no error."""
    first = added.repo.head()
    fill(added, {"data/raw/c.csv": "id,x\n"})
    added.ok("data", "update")
    added.repo.stage("data/raw.manifest.yaml")
    added.repo.git("commit", "-q", "-m", "more data")
    for subject in ("data/raw", "./data/raw/", "data/raw.manifest.yaml"):
        answer = added.ok("lineage", subject).out.splitlines()
        assert [line[:13] for line in answer if line.startswith("data")] == ["data data/raw"] * 2
        assert [line.split()[2] for line in answer if line.startswith("  in commit")] == [
            added.repo.head()[:7],
            first[:7],
        ]
        assert answer.count("  no model was trained on it") == 2
    nodes = added.json("lineage", "data/raw")["nodes"]
    assert [node["kind"] for node in nodes] == ["data", "commit", "data", "commit"]
    fill(added, {"new.csv": "id\n"})
    added.ok("data", "add", "new.csv")
    assert added.ok("lineage", "new.csv").out.splitlines()[1:] == ["  in no commit", "  no model was trained on it"]
    added.repo.commit({"bad.manifest.yaml": "version: 2\n"})
    for nothing in ("other", "../x", "data"):
        refused = added("lineage", nothing)
        assert (refused.code, "no lineage of" in refused.err) == (2, True), nothing
    broken = added("lineage", "bad")
    assert (broken.code, "bad.manifest.yaml:1" in broken.err) == (3, True)


def test_the_lineage_of_data_of_which_a_part_is_read(added: Calls) -> None:
    """A stage that reads a part was made from the whole, too."""
    added.repo.commit({"ciml.yaml": YAML.replace("inputs: [data/raw]", "inputs: [data/raw/a.csv]").replace("*", "a")})
    added.ok("run")
    labels = {node["label"] for node in added.json("lineage", "data/raw")["nodes"]}
    assert {"data/raw/a.csv", "train", "model.txt"} <= labels


def test_a_collection_keeps_data(added: Calls) -> None:
    """What a manifest of the work tree, a branch or a tag names is kept; what none names goes."""
    added.repo.tag("v1")
    fill(added, {"data/raw/a.csv": "second", "data/raw/b.csv": "second b"})
    added.ok("data", "update")
    added.repo.commit({"data/raw.manifest.yaml": (added.path / "data/raw.manifest.yaml").read_bytes()})
    fill(added, {"data/raw/a.csv": "not committed"})
    added.ok("data", "update")
    fill(added, {"data/raw/a.csv": "lost"})
    added.ok("data", "update")
    fill(added, {"data/raw/a.csv": "not committed"})
    added.ok("data", "update")
    for _ in range(3):
        added.ok("store", "gc", "--grace", "0")

    kept = {path.read_bytes() for path in (added.path / ".git/ciml/store/objects").glob("*/*")}
    assert {b"id,x\n1,2\n", b"second", b"second b", b"not committed"} <= kept
    assert b"lost" not in kept
    shutil.rmtree(added.path / "data/raw")
    added.ok("data", "pull")
    added.repo.git("checkout", "-q", "v1", "--force")
    added.ok("data", "pull", "--force")
    assert (added.path / "data/raw/a.csv").read_text() == "id,x\n1,2\n"


def test_a_collection_keeps_what_is_stashed_or_in_another_work_tree(added: Calls, tmp_path: Path) -> None:
    """A manifest that is not committed is kept from a collection wherever it lies; one that was dropped is not."""
    for text in ("dropped", "stashed"):
        fill(added, {"data/raw/a.csv": text})
        added.ok("data", "update")
        added.repo.git("stash")
    added.repo.git("stash", "drop", "stash@{1}")
    fill(added, {"new.csv": "stashed too"})
    added.ok("data", "add", "new.csv")
    added.repo.git("stash", "--include-untracked")
    other = tmp_path / "other"
    added.repo.git("worktree", "add", "-q", "--detach", str(other))
    fill(added, {"../other/data/raw/a.csv": "elsewhere"})
    added.ok("-C", str(other), "data", "update")
    fill(added, {"../other/b.csv": "elsewhere too"})
    added.ok("-C", str(other), "data", "add", "b.csv")
    for _ in range(3):
        added.ok("store", "gc", "--grace", "0")
    kept = {path.read_bytes() for path in (added.path / ".git/ciml/store/objects").glob("*/*")}
    assert {b"stashed", b"stashed too", b"elsewhere", b"elsewhere too"} <= kept
    assert b"dropped" not in kept
    shutil.rmtree(other)
    added.ok("store", "gc", "--grace", "0")


# Sharing.


def test_push_without_a_shared_store(added: Calls) -> None:
    """Exit 3 says what to write into ciml.yaml."""
    answer = added("data", "push")
    assert (answer.code, "`store: s3://BUCKET/PREFIX`" in answer.err) == (3, True)


def test_a_folder_that_several_clones_share(ciml: Calls, tmp_path: Path) -> None:
    """What one clone has added, another has: there is nothing to push."""
    ciml.repo.commit({"ciml.yaml": f"{YAML}store: {tmp_path / 'everybodys'}\n", ".gitignore": "/model.txt\n"})
    fill(ciml, {"data/raw/a.csv": "id\n1\n"})
    ciml.ok("data", "add", "data/raw")
    assert ciml.json("data", "status", "--remote")["data"][0]["shared"] is True
    assert ciml.json("data", "push")["objects"] == 0
    shutil.rmtree(ciml.path / ".git/ciml")
    shutil.rmtree(ciml.path / "data/raw")
    assert ciml.results() == {"train": "ran"}
    ciml.ok("data", "pull")
    assert (ciml.path / "data/raw/a.csv").read_text() == "id\n1\n"


# DVC.


def test_data_behind_a_pointer_of_dvc_runs(ciml: Calls) -> None:
    """A stage gets what DVC's cache has; `data pull` puts it in place; an edit is seen; the key is the pointer's."""
    data = b"id,x\n1,2\n"
    name = hashlib.md5(data, usedforsecurity=False).hexdigest()
    cached = ciml.path / ".dvc/cache/files/md5" / name[:2] / name[2:]
    cached.parent.mkdir(parents=True)
    cached.write_bytes(data)
    pointer = f"outs:\n- md5: {name}\n  size: 9\n  hash: md5\n  path: raw.csv\n"
    yaml = YAML.replace("data/raw/*.csv", "raw.csv").replace("data/raw", "raw.csv")
    ciml.repo.commit({"ciml.yaml": yaml, ".gitignore": "/raw.csv\n/.dvc/cache\n/model.txt\n", "raw.csv.dvc": pointer})
    before = ciml.json("plan")["stages"][0]["key"]
    assert ciml.results() == {"train": "ran"}
    assert ciml.json("plan")["stages"][0]["key"] == before
    assert (ciml.path / "model.txt").read_bytes() == data

    assert ciml.json("data", "status")["data"][0]["state"] == "not-here"
    ciml.ok("data", "pull")
    assert ciml.json("data", "status")["data"][0]["state"] == "up-to-date"
    assert ciml.json("plan")["dirty"] is False
    (ciml.path / "raw.csv").write_bytes(b"other")
    assert ciml.json("data", "status")["data"][0]["state"] == "edited"
    assert ciml.json("plan")["dirty"] is True
    refused = ciml("run")
    assert (refused.code, "`dvc add raw.csv` takes it as it is now" in refused.err) == (4, True)
    assert "`dvc add raw.csv` takes it as it is now" in ciml.ok("plan").err
    assert "dvc add raw.csv" in ciml("data", "update", "raw.csv").err
    assert "hint: `dvc add raw.csv` takes it as it is now" in ciml.ok("data", "status").out
    assert "`dvc add raw.csv` takes it as it is now" in ciml("data", "pull").err


def cached(ciml: Calls, data: bytes, suffix: str = "") -> str:
    """The name of what lies in DVC's cache from now on."""
    name = hashlib.md5(data, usedforsecurity=False).hexdigest()
    path = ciml.path / ".dvc/cache/files/md5" / name[:2] / f"{name[2:]}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return name + suffix


def point(ciml: Calls, files: Mapping[str, bytes]) -> None:
    """Commit a pointer of DVC's to a directory `dvc` with these files."""
    listed = [{"md5": cached(ciml, data), "relpath": name} for name, data in sorted(files.items())]
    name = cached(ciml, json.dumps(listed).encode(), ".dir")
    pointer = f"outs:\n- md5: {name}\n  size: 9\n  nfiles: {len(files)}\n  hash: md5\n  path: dvc\n"
    ciml.repo.commit({"ciml.yaml": YAML, ".gitignore": "/.dvc/cache\n", "dvc.dvc": pointer})


def test_data_behind_pointers_of_dvc_is_compared(ciml: Calls) -> None:
    """File by file, where DVC has both versions; where one is gone, `diff` says that they differ and no more."""
    point(ciml, {"a": b"1", "b/c": b"2", "d": b"3"})
    point(ciml, {"a": b"1", "b/c": b"22", "e": b"4"})
    for words in (("data", "diff"), ("diff",)):
        [found] = ciml.json(*words, "HEAD~1", "HEAD")["data"]
        assert [item["path"] for item in found["changes"]] == ["dvc/b/c", "dvc/d", "dvc/e"]
        assert found["files"] == {"added": 1, "removed": 1, "changed": 1, "bytes_added": 3, "bytes_removed": 2}
    shutil.rmtree(ciml.path / ".dvc/cache")
    shutil.rmtree(ciml.path / ".git/ciml")
    assert "dvc: differs; in no file that can be told" in ciml.ok("diff", "HEAD~1", "HEAD").out
    assert ciml("data", "diff", "HEAD~1", "HEAD").code == 4


def test_validate_reads_every_manifest(added: Calls) -> None:
    """Also one that no stage names: exit 3 with its line."""
    fill(added, {"data/other.manifest.yaml": "version: 1\nsha256: x\nsize: 1\nfiles: 1\n"})
    answer = added("validate")
    assert (answer.code, "data/other.manifest.yaml:2:9: sha256:" in answer.err) == (3, True), answer
