"""What is remembered between two calls, and forgotten without harm."""

from __future__ import annotations

import os
from pathlib import Path

from ciml.adapters.index import CompiledPipeline, Index
from ciml.core.ids import Digest, GitOid, RepoPath, StageName
from ciml.core.imports import ImportedName
from ciml.core.manifest import Manifest
from ciml.core.pipeline import Pipeline, Stage

NAME, A, B = Digest("1" * 64), Digest("a" * 64), Digest("b" * 64)
MANIFEST = Manifest(file=RepoPath("d.manifest.yaml"), path=RepoPath("d"), digest=B, size=1, files=1, directory=False)


def index(tmp_path: Path, tree: str = "tree") -> Index:
    return Index(str(tmp_path / "index"), str(tmp_path / tree))


def placed(tmp_path: Path, text: str = "x") -> Path:
    """An output that was placed and remembered."""
    path = tmp_path / "out"
    path.write_text(text)
    memory = index(tmp_path)
    memory.place(str(path), A)
    memory.flush()
    return path


def test_a_pipeline_comes_back_as_it_was(tmp_path: Path) -> None:
    """With the params files that went into it; another name holds nothing."""
    name = StageName("train")
    kept = CompiledPipeline(
        params_files={RepoPath("params.yaml"): A, RepoPath("none.yaml"): None},
        pipeline=Pipeline(stages={name: Stage(name=name, template=name, params={"a": [1, {"b": None}]})}),
    )
    index(tmp_path).keep_pipeline(NAME, kept)
    assert index(tmp_path).pipeline(NAME) == kept
    assert index(tmp_path).pipeline(A) is None


def test_imports_and_digests_are_kept_by_flush(tmp_path: Path) -> None:
    """What was added is there for the next call, and only after it was flushed."""
    memory = index(tmp_path)
    oid = GitOid("c" * 40)
    memory.imports[oid] = (ImportedName("os"), ImportedName("net", 1, True))
    memory.digests[oid] = (A, 7)
    memory.manifests[A] = MANIFEST
    assert index(tmp_path).imports == {}
    memory.flush()
    assert index(tmp_path).manifests == {A: MANIFEST}
    assert index(tmp_path).imports == {oid: (ImportedName("os"), ImportedName("net", 1, True))}
    assert index(tmp_path).digests == {oid: (A, 7)}


def test_an_output_is_known_while_nothing_about_it_changed(tmp_path: Path) -> None:
    """Its bytes are not read again."""
    path = placed(tmp_path)
    assert index(tmp_path).placed(str(path)) == A
    assert index(tmp_path).placed(str(tmp_path / "other")) is None


def test_any_change_of_an_output_is_seen(tmp_path: Path) -> None:
    """Other bytes, the same bytes written again, another file in its place, none at all, or a link."""
    path = placed(tmp_path)
    path.write_text("y")
    assert index(tmp_path).placed(str(path)) is None
    path = placed(tmp_path)
    (tmp_path / "twin").write_text("x")
    os.replace(tmp_path / "twin", path)
    assert index(tmp_path).placed(str(path)) is None
    path = placed(tmp_path)
    path.unlink()
    assert index(tmp_path).placed(str(path)) is None
    path = placed(tmp_path)
    path.rename(tmp_path / "moved")
    path.symlink_to("moved")
    assert index(tmp_path).placed(str(path)) is None


def test_every_file_of_a_folder_counts(tmp_path: Path) -> None:
    """One deep in it that changed, came or went; names need not be UTF-8."""
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    deep = os.fsencode(out / "deep")
    strange = deep + b"/caf\xe9"
    for name in (strange, deep + b"/b"):
        with open(name, "w") as file:
            file.write("1")
    memory = index(tmp_path)
    memory.place(str(out), A)
    memory.flush()
    assert index(tmp_path).placed(str(out)) == A
    assert os.fsdecode(strange) in index(tmp_path).watched([str(out)])
    with open(strange, "a") as file:
        file.write("2")
    assert index(tmp_path).placed(str(out)) is None
    memory.place(str(out), A)
    os.unlink(deep + b"/b")
    assert memory.placed(str(out)) is None
    memory.place(str(out), A)
    (out / "new").write_text("")
    assert memory.placed(str(out)) is None


def test_signatures_from_before_the_bytes_were_read(tmp_path: Path) -> None:
    """A file that changed while it was hashed is not believed to have the bytes that were hashed."""
    path = placed(tmp_path)
    memory = index(tmp_path)
    before = [(b"", (1, 2, 3, 4))]
    memory.place(str(path), B, signatures=before)
    assert memory.placed(str(path)) is None


def test_work_trees_have_their_own_outputs(tmp_path: Path) -> None:
    """Two work trees of one repository share the memory of files, not that of outputs."""
    path = placed(tmp_path)
    assert index(tmp_path, "other").placed(str(path)) is None


def test_what_cannot_be_read_counts_as_nothing(tmp_path: Path) -> None:
    """Torn, empty, a folder, another version's: nothing is remembered, and nothing fails."""
    path = placed(tmp_path)
    [file] = (tmp_path / "index").glob("*/placed")
    whole = file.read_bytes()
    for damaged in (b"", whole[:-1], b"\x00" + whole, b"0.0.0\n" + whole.partition(b"\n")[2], b"\xff\n\x80"):
        file.write_bytes(damaged)
        assert index(tmp_path).placed(str(path)) is None
    file.unlink()
    file.mkdir()
    memory = index(tmp_path)
    assert memory.placed(str(path)) is None
    memory.place(str(path), A)
    memory.flush()


def test_a_memory_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    """A state directory that is a file: everything works, a little slower."""
    (tmp_path / "index").write_text("")
    memory = index(tmp_path)
    memory.keep_pipeline(NAME, CompiledPipeline(params_files={}, pipeline=Pipeline(stages={})))
    memory.imports[GitOid("c" * 40)] = ()
    memory.flush()
    assert index(tmp_path).pipeline(NAME) is None
