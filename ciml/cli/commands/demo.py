"""`ciml demo`: a real repository, walked with the commands that a user would type."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import click
import git

from ciml.adapters import templates
from ciml.cli.invocation import Invocation
from ciml.core.errors import CimlError, ConfigurationError, ExitCode

MODEL = "tumour"


class Change(NamedTuple):
    """An edit of `params.yaml`, committed."""

    message: str
    before: str
    after: str


class Call(NamedTuple):
    """A ciml command and the exit code that it must end with."""

    arguments: tuple[str, ...]
    expected: ExitCode = ExitCode.OK


class Chapter(NamedTuple):
    """What the reader is told, and what is done."""

    title: str
    steps: tuple[Change | Call, ...]


CHAPTERS = (
    Chapter(
        "The first version: there is no champion yet, so the absolute checks decide.",
        (Call(("plan",)), Call(("run",)), Call(("register",))),
    ),
    Chapter(
        "A worse change: the weights are shrunk too far. The gate says no, and nothing is registered.",
        (
            Change("shrink the weights", "C: 1.0", "C: 0.005"),
            Call(("plan",)),
            Call(("run",), ExitCode.REJECTED),
            Call(("register",), ExitCode.REJECTED),
        ),
    ),
    Chapter(
        "A better change: all thirty measurements. The champion sits the same exam and loses.",
        (
            Change("take it back", "C: 0.005", "C: 1.0"),
            Change("use all measurements", "features: [mean]", "features: [mean, error, worst]"),
            Call(("run",)),
            Call(("register",)),
            Call(("status",)),
        ),
    ),
    Chapter(
        "Where version 2 comes from.",
        (Call(("lineage", f"{MODEL}/2")), Call(("log",))),
    ),
    Chapter(
        "Second thoughts: the first version is champion again, and the ledger says why.",
        (Call(("rollback", MODEL, "--reason", "the demo ends here")), Call(("status",))),
    ),
)


@click.command("demo")
@click.option("--directory", metavar="DIR", help="Where to build it; default: a new temporary directory, which stays.")
@click.pass_obj
def command(invocation: Invocation, directory: str | None) -> int:
    """Build a real repository and walk it: register, reject, promote, roll back."""
    place = Path(directory or tempfile.mkdtemp(prefix="ciml-demo-")).absolute()
    with _alert_receiver() as (address, alerts):
        demo = Demo(place, _environment(invocation.environ, address))
        demo.start()
        for number, chapter in enumerate(CHAPTERS, 1):
            click.secho(f"\n{number}. {chapter.title}", bold=True)
            for step in chapter.steps:
                demo.take(step)
            while alerts:
                click.echo(f"An alert arrived: {alerts.pop(0)}")
    _farewell(place)
    return ExitCode.OK


class Demo:
    """The repository of the demo."""

    def __init__(self, place: Path, env: dict[str, str]) -> None:
        self._place = place
        self._env = env

    def start(self) -> None:
        """Write the template and commit it."""
        _need_scikit_learn(self._env)
        templates.write("sklearn", self._place)
        click.echo(f"A small scikit-learn project, in a Git repository of its own: {self._place}")
        git.Repo.init(self._place, initial_branch="main").close()
        self._commit("a first model")

    def take(self, step: Change | Call) -> None:
        """Do one step and show it. Raises CimlError when a command ends other than it must."""
        match step:
            case Change(message, before, after):
                self._edit(before, after)
                self._commit(message)
            case Call(arguments, expected):
                self._ciml(arguments, expected)

    def _edit(self, before: str, after: str) -> None:
        params = self._place / "params.yaml"
        params.write_text(params.read_text().replace(before, after))
        click.secho(f"\n$ sed -i 's/{before}/{after}/' params.yaml", fg="cyan")

    def _commit(self, message: str) -> None:
        click.secho(f"$ git commit -am '{message}'", fg="cyan")
        author = git.Actor(_WHO["NAME"], _WHO["EMAIL"])
        with git.Repo(self._place) as repository:
            repository.git.add("--all")
            repository.index.commit(message, author=author, committer=author)

    def _ciml(self, arguments: tuple[str, ...], expected: ExitCode) -> None:
        words = " ".join(f"'{word}'" if " " in word else word for word in arguments)
        click.secho(f"\n$ ciml {words}", fg="cyan")
        # As a process of its own, on the same terminal: what is shown is what a user gets.
        done = subprocess.run([sys.executable, "-m", "ciml", *arguments], cwd=self._place, env=self._env, check=False)
        if done.returncode != expected:
            raise CimlError(
                f"the demo's `ciml {words}` ended with exit code {done.returncode} in place of {int(expected)}",
                hint=f"Its repository is still there: {self._place}",
            )
        if expected is not ExitCode.OK:
            click.echo(f"(exit code {int(expected)}, as it should be)")


def _environment(environ: dict[str, str], alerts: str) -> dict[str, str]:
    """The caller's, without what would point the demo at real services, with this Python first on the PATH."""
    elsewhere = ("CI", "CIML_", "GIT_", "GITHUB_", "MLFLOW_")
    kept = {name: value for name, value in environ.items() if not name.startswith(elsewhere)}
    who = {f"GIT_{role}_{part}": text for role in ("AUTHOR", "COMMITTER") for part, text in _WHO.items()}
    path = f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', os.defpath)}"
    return {**kept, **who, "PATH": path, "CIML_ALERT_URLS": alerts}


_WHO = {"NAME": "Ada", "EMAIL": "ada@example.org"}


def _need_scikit_learn(env: dict[str, str]) -> None:
    code = "import sklearn, yaml"
    found = subprocess.run(["python", "-c", code], env=env, capture_output=True, check=False)
    if found.returncode != 0:
        raise ConfigurationError(
            "the demo trains a scikit-learn model, and scikit-learn is not installed beside ciml",
            hint="pip install scikit-learn",
        )


@contextmanager
def _alert_receiver() -> Iterator[tuple[str, list[str]]]:
    """An address that takes alerts as JSON, and the list in which their titles appear."""
    received: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            received.append(" ".join(str(body.get("title") or body.get("message")).split()))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"json://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


def _farewell(place: Path) -> None:
    registry = place / ".git" / "ciml" / "registry" / "mlflow.db"
    click.secho("\nThat was it. All of it is still there:", bold=True)
    click.echo(f"  the repository   cd {place}")
    click.echo(f"  the ledger       git -C {place} log ciml/ledger/{MODEL}")
    click.echo(f"  the registry     mlflow ui --backend-store-uri sqlite:///{registry}")
