"""`ciml init --from dvc.yaml`: another tool's pipeline as ciml.yaml."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ciml.app.data import all_files
from ciml.app.plan import prepare
from ciml.cli.console import Console
from ciml.cli.invocation import Invocation
from ciml.cli.wiring import Place, open_place, project_at
from ciml.core.changes import CONFIGURATION
from ciml.core.errors import ConfigurationError, ExitCode, RepositoryError, UsageError
from ciml.core.ids import RepoPath

if TYPE_CHECKING:
    from ciml.core.dvc.document import Converted


def convert(invocation: Invocation, given: str) -> ExitCode:
    """Write ciml.yaml from a dvc.yaml, say what it could not carry over, and check what was written.

    Raises:
        UsageError: it is no dvc.yaml.
        RepositoryError: there is a ciml.yaml already.
    """
    from ciml.adapters.dvc import convert_text

    console = Console(invocation)
    with open_place(invocation) as place:
        root, file = _file(place, invocation, given)
        tree = place.repository.work_tree()
        text = tree.read(file)
        if text is None:
            raise UsageError(f"there is no {given}", hint="Name the dvc.yaml to convert.")
        if os.path.lexists(f"{root}/{CONFIGURATION}"):
            raise RepositoryError(
                f"there is a {CONFIGURATION} already; nothing was written", hint="Move it away, or name it otherwise."
            )
        files = all_files(tree)
        made = convert_text(text, file=file, files=files, read=tree.read)
        others = sorted(path for path in files if path != file and os.path.basename(path) == "dvc.yaml")
        with open(f"{root}/{CONFIGURATION}", "x", encoding="utf-8") as target:
            target.write(made.text)
    _tell(console, file, made, _problems(invocation), others)
    return ExitCode.OK


def _tell(
    console: Console, file: RepoPath, made: Converted, problems: Sequence[str], others: Sequence[RepoPath]
) -> None:
    console.document(
        {
            "from": file,
            "created": [CONFIGURATION],
            "stages": made.stages,
            "notes": [
                {"file": note.file, "line": note.line, "about": note.about, "note": note.text, "do": note.do}
                for note in made.notes
            ],
            "problems": problems,
            "others": others,
        }
    )
    console.line(f"wrote     {CONFIGURATION} ({made.stages} stages)")
    _paragraph(console, "Not carried over, or not as it was:", made.notes)
    _paragraph(console, "To be put right before it runs:", problems)
    title = "Files of DVC's that this did not convert (move ciml.yaml away, convert each, join the stages):"
    _paragraph(console, title, others)
    next_ = ("ciml validate", "git add ciml.yaml && git commit -m 'Run by ciml'", "ciml run")
    _paragraph(console, "Next:", next_)


def _paragraph(console: Console, title: str, lines: Sequence[object]) -> None:
    if lines:
        console.line()
        console.line(title)
        for line in lines:
            console.line(f"  {line}")


def _file(place: Place, invocation: Invocation, given: str) -> tuple[str, RepoPath]:
    """The work tree's root, and the file's path in it."""
    root = place.work_tree()
    full = os.path.realpath(os.path.join(invocation.directory, given))
    base = os.path.realpath(root)
    if not full.startswith(f"{base}/") or os.path.basename(full) != "dvc.yaml":
        raise UsageError(f"{given} is no dvc.yaml of this repository", hint="ciml init --from dvc.yaml")
    return root, RepoPath(full[len(base) + 1 :])


def _problems(invocation: Invocation) -> list[str]:
    """What `ciml validate` would say of what was written."""
    try:
        with open_place(invocation) as place:
            prepare(project_at(place, invocation, {}))
    except ConfigurationError as error:
        return [str(problem) for problem in error.problems] or [error.message]
    return []
