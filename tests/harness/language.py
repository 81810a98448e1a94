"""GitHub's own parser of workflows and evaluator of expressions, in one Node process."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.nodejs import ROOT, package

JSON = dict[str, Any]

_SOURCE = Path(__file__).with_name("language.mjs")


class WorkflowError(Exception):
    """GitHub would not take a file, or could not evaluate an expression in it."""


class Language:
    """Parses and evaluates as GitHub does; questions of several threads are answered one after the other."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._parsed: dict[tuple[str, str], JSON] = {}
        self._node = subprocess.Popen(
            ["node", "--enable-source-maps", str(_bundle())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        assert self._node.stdin is not None and self._node.stdout is not None
        self._node.stdin.close()
        self._node.wait(timeout=10)
        self._node.stdout.close()

    def workflow(self, name: str, content: str) -> JSON:
        """`root`, the file as plain values in which an expression is `{"${{": text}`, and its `events`.

        Raises:
            WorkflowError: with everything that GitHub has against it.
        """
        return self._file("workflow", name, content)

    def action(self, name: str, content: str) -> JSON:
        """The `root` of an action.yml.

        Raises:
            WorkflowError: with everything that GitHub has against it.
        """
        return self._file("action", name, content)

    def resolve(self, value: Any, contexts: JSON, *, status: Mapping[str, bool], workspace: str = "") -> Any:
        """The value with every expression in it evaluated.

        Args:
            value: plain values and expressions.
            contexts: `github`, `needs` and so on; those that are not there are empty.
            status: what `success()`, `failure()` and `cancelled()` say.
            workspace: where `hashFiles()` looks.

        Raises:
            WorkflowError: an expression cannot be evaluated.
        """
        if not _has_expression(value):
            return value
        told = {**status, "always": True}
        answer = self._ask(question="resolve", value=value, contexts=contexts, status=told, workspace=workspace)
        return answer["value"]

    def _file(self, question: str, name: str, content: str) -> JSON:
        known = self._parsed.get((question, content))
        if known is None:
            known = self._parsed[question, content] = self._ask(question=question, name=name, content=content)
        if known["errors"]:
            raise WorkflowError(f"{name}: " + "; ".join(known["errors"]))
        return known

    def _ask(self, **asked: Any) -> JSON:
        with self._guard:
            assert self._node.stdin is not None and self._node.stdout is not None
            self._node.stdin.write(json.dumps(asked) + "\n")
            self._node.stdin.flush()
            line = self._node.stdout.readline()
        assert line, "Node ended: what it said stands above"
        answer: JSON = json.loads(line)
        if "failed" in answer:
            raise WorkflowError(answer["failed"])
        return answer


def _has_expression(value: Any) -> bool:
    if isinstance(value, dict):
        return "${{" in value or any(map(_has_expression, value.values()))
    return isinstance(value, list) and any(map(_has_expression, value))


def _bundle() -> Path:
    """The program in one file, made anew when it or a package has changed: plain Node 20 cannot import their JSON."""
    package("@actions/workflow-parser"), package("@actions/expressions")
    lock = (ROOT / "package-lock.json").read_bytes()
    name = hashlib.sha256(_SOURCE.read_bytes() + lock).hexdigest()[:16]
    made = ROOT / "node_modules/.cache" / f"language-{name}.cjs"
    if not made.exists():
        made.parent.mkdir(exist_ok=True)
        unfinished = made.with_suffix(f".{os.getpid()}")
        options = ["--bundle", "--platform=node", "--format=cjs", "--log-level=error", f"--outfile={unfinished}"]
        subprocess.run(
            [str(package("esbuild") / "bin/esbuild"), str(_SOURCE), *options],
            env={**os.environ, "NODE_PATH": str(ROOT / "node_modules")},
            check=True,
        )
        unfinished.replace(made)
    return made


def text(value: Any) -> str:
    """A value as it stands in a text or a variable."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict | list):
        return "Object" if isinstance(value, dict) else "Array"
    return str(value)


def truthy(value: Any) -> bool:
    """Whether an `if` holds: all but false, null, zero and the empty text."""
    return isinstance(value, dict | list) or bool(value)
