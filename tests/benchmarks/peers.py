"""The tools side by side: how each is given a DAG, told to run it, and made to forget it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path

from tests.benchmarks import dags
from tests.benchmarks.dags import Dag

PEERS = Path(__file__).parent.parent.parent / ".venv-bench" / "bin"


class Tool(ABC):
    """One tool; `up_to_date` and `parallel` are the command lines that a user would type."""

    name: str
    up_to_date: tuple[str, ...]
    parallel: tuple[str, ...]
    """With two workers, where the tool has any."""

    @abstractmethod
    def define(self, dag: Dag, directory: Path) -> None:
        """Write the tool's own file for the DAG."""

    @abstractmethod
    def finish(self, dag: Dag, directory: Path) -> None:
        """Bring the directory into the state in which nothing is to do."""

    @abstractmethod
    def forget(self, directory: Path) -> None:
        """Remove what the tool remembers; the caller removes the outputs."""


class Ciml(Tool):
    """The `ciml` that is first on the PATH."""

    name = "ciml"
    up_to_date = ("ciml", "run")
    parallel = ("ciml", "run", "--jobs", "2")

    def define(self, dag: Dag, directory: Path) -> None:
        stages = "".join(
            f"  {step.name}: {{run: {step.command}, inputs: [{step.input}], outputs: [{step.output}]}}\n"
            for step in dag.steps
        )
        (directory / "ciml.yaml").write_text(f"version: 1\nstages:\n{stages}")
        commit(directory)

    def finish(self, dag: Dag, directory: Path) -> None:
        call(self.parallel, directory)

    def forget(self, directory: Path) -> None:
        set_aside(directory, ".git/ciml")


class Make(Tool):
    """GNU make."""

    name = "make"
    up_to_date = ("make", "-s")
    parallel = ("make", "-s", "-j", "2")

    def define(self, dag: Dag, directory: Path) -> None:
        goals = " ".join(step.output for step in dag.steps)
        rules = "".join(f"{step.output}: {step.input}\n\t{step.command}\n" for step in dag.steps)
        (directory / "Makefile").write_text(f".PHONY: all\nall: {goals}\n{rules}")

    def finish(self, dag: Dag, directory: Path) -> None:
        dags.write_outputs(dag, directory)

    def forget(self, directory: Path) -> None:
        pass


class Doit(Tool):
    """doit with its default database."""

    name = "doit"
    up_to_date = ("doit", "-v", "0")
    parallel = ("doit", "-v", "0", "-n", "2")

    def define(self, dag: Dag, directory: Path) -> None:
        rows = ",\n".join(f"    {tuple(step)!r}" for step in dag.steps)
        (directory / "dodo.py").write_text(
            f"STEPS = [\n{rows},\n]\n\n\ndef task_all():\n    for name, source, target in STEPS:\n"
            "        yield {'name': name, 'actions': [f'cat {source} > {target}'], 'file_dep': [source],"
            " 'targets': [target]}\n"
        )

    def finish(self, dag: Dag, directory: Path) -> None:
        call(self.up_to_date, directory)

    def forget(self, directory: Path) -> None:
        set_aside(directory, *(path.name for path in directory.glob(".doit.db*")))


class Snakemake(Tool):
    """Snakemake, a rule per stage."""

    name = "snakemake"
    up_to_date = ("snakemake", "--cores", "2", "--quiet", "all")
    parallel = up_to_date

    def define(self, dag: Dag, directory: Path) -> None:
        goals = ", ".join(repr(step.output) for step in dag.steps)
        rules = "".join(
            f"rule {step.name}:\n    input: {step.input!r}\n    output: {step.output!r}\n    shell: {step.command!r}\n"
            for step in dag.steps
        )
        (directory / "Snakefile").write_text(f"rule all:\n    input: {goals}\n{rules}")

    def finish(self, dag: Dag, directory: Path) -> None:
        dags.write_outputs(dag, directory)

    def forget(self, directory: Path) -> None:
        set_aside(directory, ".snakemake")


class Dvc(Tool):
    """DVC in a Git repository, with its cache beside it."""

    name = "dvc"
    up_to_date = ("dvc", "repro", "-q")
    parallel = up_to_date

    def define(self, dag: Dag, directory: Path) -> None:
        stages = "".join(
            f"  {step.name}:\n    cmd: {step.command}\n    deps: [{step.input}]\n    outs: [{step.output}]\n"
            for step in dag.steps
        )
        (directory / "dvc.yaml").write_text(f"stages:\n{stages}")
        call(("git", "init", "-q"), directory)
        call(("dvc", "init", "-q"), directory)
        call(("dvc", "config", "core.analytics", "false"), directory)
        call(("dvc", "config", "core.check_update", "false"), directory)
        commit(directory)

    def finish(self, dag: Dag, directory: Path) -> None:
        """Write the lock and the cache that `dvc repro` would write, which takes it minutes for a thousand stages."""
        dags.write_outputs(dag, directory)
        for step in dag.steps:
            _cache(directory, step.output)
        stages = "".join(
            f"  {step.name}:\n    cmd: {step.command}\n    deps:\n{_locked(directory, step.input)}"
            f"    outs:\n{_locked(directory, step.output)}"
            for step in dag.steps
        )
        (directory / "dvc.lock").write_text(f"schema: '2.0'\nstages:\n{stages}")

    def forget(self, directory: Path) -> None:
        set_aside(directory, "dvc.lock", ".dvc/cache", ".dvc/tmp")


def environment() -> dict[str, str]:
    """What every command gets: its PATH, the peers' last, and nothing that slows a start or reports usage."""
    keep = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR", "USER") if name in os.environ}
    path = f"{os.environ['PATH']}:{PEERS}"
    return {**keep, "PATH": path, "DVC_NO_ANALYTICS": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def call(argv: tuple[str, ...], directory: Path) -> str:
    """What a command that is not measured prints. Raises RuntimeError when it fails."""
    try:
        done = subprocess.run(argv, cwd=directory, env=environment(), capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise RuntimeError(f"{argv[0]} is not installed") from error
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout[-500:]}{done.stderr[-1500:]}")
    return done.stdout


def commit(directory: Path) -> None:
    """All files that are not outputs, in one commit."""
    (directory / ".gitignore").write_text("/out/\n")
    call(("git", "init", "-q", "-b", "main"), directory)
    call(("git", "add", "-A"), directory)
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
    call(("git", *identity, "commit", "-q", "-m", "the pipeline"), directory)


def set_aside(directory: Path, *paths: str) -> None:
    """Move what lies at these paths below a directory out of it, to a hidden folder beside it.

    It is not deleted, since the next command would pay for that: an ext4 without a journal looks at every
    inode that was freed in the last minutes before it takes one (`recently_deleted` in fs/ext4/ialloc.c),
    which makes a new file several times slower after a few thousand were removed.
    """
    aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    for number, path in enumerate(paths):
        if os.path.lexists(directory / path):
            (directory / path).rename(aside / str(number))
    os.sync()  # nor for what the last one left to be written


def _locked(directory: Path, path: str) -> str:
    content = (directory / path).read_bytes()
    return f"    - path: {path}\n      hash: md5\n      md5: {_md5(content)}\n      size: {len(content)}\n"


def _cache(directory: Path, path: str) -> None:
    content = (directory / path).read_bytes()
    name = _md5(content)
    place = directory / ".dvc" / "cache" / "files" / "md5" / name[:2] / name[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        place.write_bytes(content)
        place.chmod(0o444)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def writable_again(function: object, path: str, error: object) -> None:
    """A read-only folder of a store is opened and its removal tried once more; what is gone is gone."""
    parent = Path(path).parent
    if not parent.exists():
        return
    parent.chmod(0o755)
    if Path(path).is_dir():
        Path(path).chmod(0o755)
        shutil.rmtree(path, ignore_errors=True)
    else:
        Path(path).unlink(missing_ok=True)
