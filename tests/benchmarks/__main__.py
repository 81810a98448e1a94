"""`python -m tests.benchmarks`: one table of what ciml takes beside its peers, measured now on this machine."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import peers, table
from tests.benchmarks.cases import CASES, Size
from tests.benchmarks.table import Row


def main() -> int:
    """Exit code 0 when all was measured, whether or not a goal was reached; 1 when something could not be."""
    arguments = _arguments()
    print(_machine(), flush=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="ciml-bench-") as scratch:
        for name in arguments.case or CASES:
            made = list(_measured(name, Path(scratch) / name, Size(full=arguments.full, runs=arguments.runs)))
            print(f"\n{table.text(made)}\n", flush=True)
            rows += made
    print(table.summary(rows))
    return 1 if any(row.problem for row in rows) else 0


def _measured(name: str, scratch: Path, size: Size) -> Iterator[Row]:
    started = time.monotonic()
    print(CASES[name].__doc__, end=" ", flush=True)
    scratch.mkdir()
    try:
        yield from CASES[name](scratch, size)
    except RuntimeError as error:
        yield Row(name, "", "", "", None, None, str(error))
        print(f"\n{error}", end=" ")
    print(f"[{time.monotonic() - started:.0f} s]")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--full", action="store_true", help="5,000 stages too, and every command as often as --runs")
    parser.add_argument("--runs", type=int, default=5, help="runs a command, of which the median counts (default 5)")
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this case; may be repeated")
    return parser.parse_args()


def _machine() -> str:
    versions = [
        f"{tool} {peers.call((tool, '--version'), Path.cwd()).split(chr(10), 1)[0].split()[-1]}"
        for tool in ("make", "doit", "snakemake", "dvc", "git")
    ]
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {', '.join(versions)}"


if __name__ == "__main__":
    sys.exit(main())
