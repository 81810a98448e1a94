"""Manifests and DVC pointers, from bytes to values."""

from __future__ import annotations

from typing import Any

import pytest

from ciml.adapters.manifests import dump, parse
from ciml.core.errors import ConfigurationError
from ciml.core.ids import Digest, RepoPath
from ciml.core.manifest import Manifest

OWN, POINTER = RepoPath("data/raw.manifest.yaml"), RepoPath("data/raw.dvc")
SHA = "d" * 64


def manifest(text: str, file: RepoPath = OWN) -> Manifest:
    return parse(text.encode(), file)


def problem(text: str, file: RepoPath = OWN) -> str:
    with pytest.raises(ConfigurationError) as caught:
        manifest(text, file)
    return str(caught.value)


def test_a_manifest() -> None:
    """Digest, size, number of files, and where the data comes from."""
    found = manifest(f"version: 1\nsha256: {SHA}\nsize: 12\nfiles: 3\ndirectory: true\nsource: s3://bucket/raw/\n")
    assert found == Manifest(
        file=OWN,
        path=RepoPath("data/raw"),
        digest=found.digest,
        size=12,
        files=3,
        directory=True,
        source="s3://bucket/raw/",
    )
    assert found.digest == SHA


def test_what_may_be_left_out() -> None:
    """A single file that comes from nowhere else."""
    found = manifest(f"version: 1\nsha256: {SHA}\nsize: 0\nfiles: 1\n")
    assert (found.directory, found.source) == (False, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "raw.manifest.yaml"),
        ("version: 1\nsha256: abc\nsize: 1\nfiles: 1\n", "a SHA-256 in 64 hex digits"),
        (f"version: 1\nsha256: {SHA}\nsize: -1\nfiles: 1\n", "a whole number from 0"),
        (f"version: 1\nsha256: {SHA}\nsize: 1\n", "files"),
        (f"version: 1\nsha256: {SHA}\nsize: 1\nfiles: 1\nsise: 2\n", "unknown key 'sise'"),
        (f"version: 2\nsha256: {SHA}\nsize: 1\nfiles: 1\n", "version 2 is unknown"),
        (f"version: 1\nsha256: {SHA}\nsha256: {SHA}\nsize: 1\nfiles: 1\n", "duplicate key"),
        ("[1, 2]", "raw.manifest.yaml"),
    ],
)
def test_what_is_wrong_is_located(text: str, words: str) -> None:
    """A manifest that says less, more or something else is an error that names the file."""
    text = problem(text)
    assert words in text
    assert text.startswith("data/raw.manifest.yaml")


@pytest.mark.parametrize("size", ["014", "1_000", "12:30", "1e3", "yes", "2026-11-20", "'7'", "-1", "~", "1.0"])
def test_c77_a_size_that_is_no_plain_number(size: str) -> None:
    """What YAML 1.1 would read as another number, a date or a truth is an error with its line."""
    text = problem(f"version: 1\nsha256: {SHA}\nsize: {size}\nfiles: 1\n")
    assert text.startswith("data/raw.manifest.yaml:3:7: size:"), text


def test_all_problems_of_a_manifest_at_once() -> None:
    """Each line that is wrong has its own line."""
    assert len(problem("version: 1\nsha256: x\nsize: x\nfiles: x\n").splitlines()) == 3


def test_a_dvc_pointer() -> None:
    """What another tool writes beside is passed over; `.dir` in the digest means a folder."""
    text = (
        "md5: 0a\nframe: true\nouts:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  size: 7\n  nfiles: 2\n"
        "  hash: md5\n  path: raw\nmeta: {team: x}\n"
    )
    found = manifest(text, POINTER)
    assert (found.path, found.size, found.files, found.directory, found.source) == ("data/raw", 7, 2, True, None)
    other = manifest(text.replace("0123", "1123"), POINTER)
    assert found.digest != other.digest


def test_a_dvc_pointer_that_is_none() -> None:
    """No output, several, or no digest of a known kind."""
    assert "it names 0 outputs, not one" in problem("outs: []\n", POINTER)
    two = "outs:\n" + "- {md5: 0123456789abcdef0123456789abcdef, path: x}\n" * 2
    assert "it names 2 outputs, not one" in problem(two, POINTER)
    assert "an MD5" in problem("outs:\n- {md5: zz, path: x}\n", POINTER)
    versioned = "outs:\n- path: raw\n  files:\n  - {relpath: a, md5: 0123456789abcdef0123456789abcdef, size: 1}\n"
    assert "has no MD5 of the data, which DVC finds by versions in the cloud" in problem(versioned, POINTER)
    assert "data/raw.dvc" in problem("deps: []\n", POINTER)


@pytest.mark.parametrize(
    ("folder", "path", "meant"), [(".", "other", "data/other"), ("..", "raw", "raw"), (".", "s3://b/raw", "s3://b/raw")]
)
def test_a_dvc_pointer_for_another_path(folder: str, path: str, meant: str) -> None:
    """`dvc add --file` and `wdir` can let a pointer stand for something else than what lies beside it."""
    text = f"wdir: {folder}\nouts:\n- {{md5: 0123456789abcdef0123456789abcdef, path: '{path}'}}\n"
    assert f"stands for {meant}, and not for data/raw beside it" in problem(text, POINTER)


def test_a_dvc_pointer_with_a_folder_of_its_own() -> None:
    """`wdir` and the path together are the path beside it."""
    text = "wdir: ..\nouts:\n- {md5: 0123456789abcdef0123456789abcdef, path: data/raw}\n"
    assert manifest(text, POINTER).path == "data/raw"


def test_an_empty_manifest() -> None:
    """The hint is how data gets a manifest again, not how a project is begun."""
    assert "`ciml data add data/raw` writes it anew" in problem("\n")


def test_a_conflict_in_a_manifest() -> None:
    """What Git leaves after a merge is named as that, with the line."""
    text = problem(f"version: 1\n<<<<<<< HEAD\nsha256: {SHA}\n=======\nsha256: {'e' * 64}\n>>>>>>> other\nsize: 1\n")
    assert "data/raw.manifest.yaml:2:1: holds a conflict of Git's" in text
    assert "git checkout --ours data/raw.manifest.yaml" in text


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"directory": True, "files": 3},
        {"source": "s3://bucket/raw.csv", "etag": "0f", "object_version": "a/b+c="},
        {"source": "s3://bucket/a b/", "directory": True, "index": Digest("e" * 64)},
        {"source": "s3://bucket/raw", "etag": 'yes: "x"#'},
    ],
)
def test_what_is_written_is_read(values: dict[str, Any]) -> None:
    """The same bytes whoever writes them, and the same manifest back."""
    plain: dict[str, Any] = {"file": OWN, "path": RepoPath("data/raw"), "digest": Digest(SHA), "size": 12}
    made = Manifest(**{**plain, "files": 1, "directory": False, **values})
    assert dump(made) == dump(made)
    assert parse(dump(made), OWN) == made
    assert dump(made).startswith(b"# Stands for raw, whose bytes are not in Git.")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("source: s3://bucket/raw/\n", "names many objects, and `directory` says otherwise"),
        ("directory: true\nsource: s3://bucket/raw\n", "names one object, and `directory` says otherwise"),
        ("source: /etc/passwd\n", "does not start with s3://"),
        ("source: s3://bucket/../x\n", "holds `.` or `..`"),
        ("etag: x\n", "pins a `source` that is not named"),
        (f"index: {SHA}\n", "pins a `source` that is not named"),
    ],
)
def test_a_source_that_is_wrong(more: str, words: str) -> None:
    """Where the data comes from is an address of S3 that fits the data."""
    assert words in problem(f"version: 1\nsha256: {SHA}\nsize: 1\nfiles: 1\n{more}")
