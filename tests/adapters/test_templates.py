"""`ciml.adapters.templates`, and the templates themselves."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from ciml.adapters import templates
from ciml.core.errors import RepositoryError, UsageError

WORSE = ("C: 1.0", "C: 0.005")
BETTER = ("features: [mean]", "features: [mean, error, worst]")


def test_sklearn_is_a_template() -> None:
    """`ciml init --template sklearn` has something to write."""
    assert "sklearn" in templates.names()


def test_all_files_are_written(tmp_path: Path) -> None:
    """A template arrives whole, hidden files included, and nothing else does."""
    written = templates.write("sklearn", tmp_path / "new")

    on_disk = {
        path.relative_to(tmp_path / "new").as_posix() for path in (tmp_path / "new").rglob("*") if path.is_file()
    }
    assert on_disk == set(written.created)
    assert {"ciml.yaml", "params.yaml", "requirements.txt", ".gitignore", "README.md", "src/train.py"} <= on_disk
    assert not [path for path in on_disk if "__pycache__" in path]


def test_a_file_of_the_users_is_never_replaced(tmp_path: Path) -> None:
    """One file in the way: nothing is written at all, and the message names it."""
    (tmp_path / "params.yaml").write_text("mine: 1\n")

    with pytest.raises(RepositoryError, match=r"params\.yaml"):
        templates.write("sklearn", tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
    assert (tmp_path / "params.yaml").read_text() == "mine: 1\n"


def test_a_dangling_link_is_in_the_way_too(tmp_path: Path) -> None:
    """A link that leads nowhere is not written through."""
    (tmp_path / "ciml.yaml").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(RepositoryError, match=r"ciml\.yaml"):
        templates.write("sklearn", tmp_path)

    assert not (tmp_path / "elsewhere").exists()


def test_a_new_repository_with_a_readme_and_gitignore_is_fine(tmp_path: Path) -> None:
    """What a forge puts into a new repository stays: README as it is, .gitignore with the lines it lacked."""
    (tmp_path / "README.md").write_text("# Mine\n")
    (tmp_path / ".gitignore").write_text("*.log\n__pycache__/")

    written = templates.write("sklearn", tmp_path)

    assert written.extended == (".gitignore",)
    assert (tmp_path / "README.md").read_text() == "# Mine\n"
    assert (tmp_path / ".gitignore").read_text() == "*.log\n__pycache__/\n/build/\n"


def test_an_unknown_template_names_those_there_are(tmp_path: Path) -> None:
    """The hint of the error is the list."""
    with pytest.raises(UsageError) as caught:
        templates.write("../secrets", tmp_path)

    assert "sklearn" in (caught.value.hint or "")
    assert not list(tmp_path.iterdir())


def run(project: Path, *stages: str) -> None:
    for stage in stages:
        subprocess.run([sys.executable, f"src/{stage}.py"], cwd=project, check=True, capture_output=True)


def edit(project: Path, change: tuple[str, str]) -> None:
    params = project / "params.yaml"
    before, after = change
    assert before in params.read_text()
    params.write_text(params.read_text().replace(before, after))


def hits(project: Path) -> list[bool]:
    """Per patient, whether the model was right."""
    with (project / "build/scores.csv").open(newline="") as file:
        return [(float(row["prediction"]) >= 0.5) == (row["label"] == "1") for row in csv.DictReader(file)]


def interval(candidate: list[bool], champion: list[bool]) -> tuple[float, float]:
    """The middle 95 % of the mean gain over 4,000 resamples of the patients."""
    gains = [int(new) - int(old) for new, old in zip(candidate, champion, strict=True)]
    draw = random.Random(1)
    means = sorted(sum(draw.choices(gains, k=len(gains))) / len(gains) for _ in range(4000))
    return means[100], means[3900]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sklearn template, prepared, trained and evaluated once."""
    target = tmp_path_factory.mktemp("template") / "project"
    templates.write("sklearn", target)
    run(target, "prepare", "train", "evaluate")
    return target


def test_the_same_bytes_twice(project: Path) -> None:
    """Every file that the template's stages make has the same digest when they run again."""

    def digests() -> dict[str, str]:
        made = sorted(path for path in (project / "build").rglob("*") if path.is_file())
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made}

    first = digests()
    run(project, "prepare", "train", "evaluate")

    assert set(first) == {"train.csv", "test.csv", "weights.json", "metrics.json", "roc.csv", "scores.csv"}
    assert digests() == first


def test_what_the_readme_says_of_the_changes(project: Path) -> None:
    """The worse change is worse and the better one better, with 95 % confidence, patient by patient."""
    original = (project / "params.yaml").read_text()
    first = hits(project)
    results: dict[str, tuple[float, float]] = {}
    for name, change in (("worse", WORSE), ("better", BETTER)):
        edit(project, change)
        run(project, "train", "evaluate")
        results[name] = interval(hits(project), first)
        (project / "params.yaml").write_text(original)
    run(project, "train", "evaluate")

    assert results["worse"][1] < 0
    assert results["better"][0] > 0
    assert json.loads((project / "build/metrics.json").read_text())["accuracy"] == pytest.approx(0.940, abs=0.001)
