"""What tests of workflows share: GitHub's language in one process, and repositories on GitHub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.harness.hub import Hub
from tests.harness.language import Language
from tests.harness.run import Run
from tests.repobuilder import Files

NewHub = Callable[..., Hub]


@pytest.fixture(scope="module")
def language() -> Iterator[Language]:
    """GitHub's parser and evaluator."""
    with Language() as started:
        yield started


@pytest.fixture
def new_hub(tmp_path: Path, language: Language) -> Iterator[NewHub]:
    """Makes repositories on GitHub."""
    with ExitStack() as open_:

        def made(**how: Any) -> Hub:
            number = len(list(tmp_path.glob("hub-*")))
            return open_.enter_context(Hub(tmp_path / f"hub-{number}", language=language, **how))

        yield made


@pytest.fixture
def hub(new_hub: NewHub) -> Hub:
    """An empty repository on GitHub."""
    return new_hub()


def pushed(hub: Hub, workflow: str, files: Files | None = None) -> Run:
    """The run of a first push with a workflow, which a push starts where it does not say what does."""
    head = "" if "\non:" in f"\n{workflow}" else "on: push\n"
    hub.work.commit({".github/workflows/test.yml": head + workflow, **(files or {})})
    [run] = hub.push()
    return run
