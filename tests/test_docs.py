"""The docs: nothing is missing, nothing is made up, no link is dead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ciml.adapters.documents import load
from ciml.cli.group import COMMANDS
from ciml.core.errors import ExitCode
from ciml.core.ids import RepoPath
from ciml.core.unheeded import NOT_ACTED_ON
from tests import reference

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("requirements/*.md")])

_PARAMS = b"train: {lr: 0.1}\n"
_GATE = """\
version: 1
params: {{min-accuracy: 0.8}}
stages:
  train: {{run: train, outputs: [model]}}
  evaluate: {{run: evaluate, inputs: [model], metrics: [build/metrics.json], outputs: [build/scores.csv]}}
models:
  m:
    path: model
    gate:
      - {check}
"""


def part(heading: str) -> str:
    """The README from a heading to the next one of its level."""
    return README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows, headings and rules left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if "---" not in line][1:]


def anchors(page: str) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    text = re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def read(path: RepoPath) -> bytes | None:
    return _PARAMS if path == "params.yaml" else None


def test_every_key_has_its_row() -> None:
    """docs/ciml-yaml.md has a table for every type of `ciml.yaml`, each as the definitions have it now."""
    page = reference.YAML.read_text()

    assert sorted(reference.described(page)) == sorted(reference.definitions())
    assert page == reference.with_tables(page), "`make readme` writes the tables anew"


def test_every_type_is_under_its_heading() -> None:
    """A table stands where links to its type lead."""
    page = reference.YAML.read_text()
    for name in reference.definitions():
        before = page.partition(f"<!-- keys of {name} -->")[0]
        assert re.findall(r"^#+ (.+)$", before, re.MULTILINE)[-1] == reference.section(name)


def test_every_key_says_what_it_is() -> None:
    """No key is without a description."""
    silent = [
        f"{name}.{key}"
        for name, definition in reference.definitions().items()
        for key, form in definition["properties"].items()
        if not form.get("description")
    ]
    assert silent == []


def test_marks_are_of_keys_that_exist() -> None:
    """What is marked as not acted on is a key."""
    for name, keys in NOT_ACTED_ON.items():
        assert keys <= set(reference.definitions()[name]["properties"])


def test_every_command_and_option_has_its_place() -> None:
    """docs/commands.md is what the commands' help says."""
    assert reference.COMMAND_PAGE.read_text() == reference.command_page(), "`make readme` writes the page anew"


def test_every_input_and_output_of_the_action_has_its_row() -> None:
    """docs/github.md has the tables of action.yml as it is now."""
    page = reference.ACTION_PAGE.read_text()
    assert page == reference.with_action(page), "`make readme` writes the tables anew"


def test_every_option_says_what_it_does() -> None:
    """No option is without a line of help."""
    silent = [
        f"{name} {parameter.name}"
        for name, command in reference.commands()
        for parameter in command.params
        if parameter.param_type_name == "option" and not getattr(parameter, "help", None)
    ]
    assert silent == []


def test_the_readme_has_every_command() -> None:
    """Its table names all commands, and no other."""
    named = [name for row in rows(part("Commands")) for name in re.findall(r"`(\w+)`", row[0])]
    assert named == list(COMMANDS)


def test_the_readme_has_every_exit_code() -> None:
    """Its table has all exit codes, in order."""
    assert [int(row[0]) for row in rows(part("Exit codes"))] == [code.value for code in ExitCode]


@pytest.mark.parametrize("check", [row[0].strip("`") for row in rows(part("The gate"))])
def test_every_form_of_check_is_one(check: str) -> None:
    """What the README's table of checks shows is read as a check."""
    pipeline = load(_GATE.format(check=check).encode(), file="README.md", read=read, overrides={}, profile=None)
    assert len(pipeline.models) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_example_is_valid(page: Path) -> None:
    """A whole `ciml.yaml` on a page is one that ciml reads without a warning about it."""
    for text in re.findall(r"^```yaml\n(version: 1\n.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE):
        assert load(text.encode(), file=page.name, read=read, overrides={}, profile=None).warnings == ()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_is_dead(page: Path) -> None:
    """Links inside the repository lead to a file, and to a heading of it."""
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        goal = (page.parent / file).resolve() if file else page
        assert goal.exists(), target
        assert not anchor or anchor in anchors(goal.read_text()), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_is_named_exists(page: Path) -> None:
    """A module of ciml that a page points to is there."""
    named = re.findall(r"`(ciml/[\w/]+\.py|ciml/[\w/]+|tests/[\w/]+\.py|docs/[\w-]+\.md)`", page.read_text())
    made_up = ("ciml/ledger/", "ciml/data/", "ciml/LAYER/", "tests/LAYER/")  # branches, and the form of a path
    missing = [name for name in named if not name.startswith(made_up) and not (ROOT / name).exists()]
    assert missing == []
