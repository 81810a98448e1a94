"""Plots of a run as curves, from real runs."""

from __future__ import annotations

import pytest

from ciml.app.curves import LARGEST, POINTS, curves
from ciml.core.report import Curve
from tests.repobuilder import RepoBuilder
from tests.workspace import Workspace

CIML = """\
version: 1
stages:
  train:
    run: |
      cp drawn plot.csv
      cp drawn other.txt
      cp drawn undrawn.csv
    inputs: [drawn]
    outputs: [undrawn.csv]
    plots: [plot.csv, other.txt]
"""
ROC = "fpr,tpr\n0,0\n0.5,0.8\n1,1\n"


def drawn(repo: RepoBuilder, text: str) -> tuple[Curve, ...]:
    """The curves of a run whose stage writes this text into each of its plots."""
    repo.commit({"ciml.yaml": CIML, "drawn": text})
    space = Workspace(repo)
    made = space.run()
    with space.project() as (place, _):
        return curves(made, place.store)


def test_a_plot_of_two_columns_is_a_curve(repo: RepoBuilder) -> None:
    """One curve for the CSV that is declared as a plot: not for other files, nor for an output that is none."""
    [curve] = drawn(repo, ROC)
    assert (curve.path, curve.x, curve.y) == ("plot.csv", "fpr", "tpr")
    assert curve.points == ((0.0, 0.0), (0.5, 0.8), (1.0, 1.0))


def test_rows_that_are_no_numbers_are_left_out(repo: RepoBuilder) -> None:
    """A header again, a cell that is missing or infinite: the rest is drawn."""
    [curve] = drawn(repo, f"{ROC}fpr,tpr\n2\nnan,1\ninf,1\n")
    assert curve.points == ((0.0, 0.0), (0.5, 0.8), (1.0, 1.0))


def test_a_long_curve_is_thinned(repo: RepoBuilder) -> None:
    """A report has a few points of it, the first and the last among them."""
    [curve] = drawn(repo, "x,y\n" + "".join(f"{number},{number}\n" for number in range(10_000)))
    assert len(curve.points) <= POINTS
    assert (curve.points[0], curve.points[-1]) == ((0.0, 0.0), (9999.0, 9999.0))


@pytest.mark.parametrize("text", ["", "x,y\n", "x,y\n1,2\n", "x\n1\n2\n", "x,y\na,b\nc,d\n", "x,y\n1,\xff\n\0\n" * 3])
def test_what_cannot_be_drawn_is_nobodys_failure(repo: RepoBuilder, text: str) -> None:
    """No numbers, one column or too few rows: no curve, and the run goes on."""
    assert drawn(repo, text) == ()


def test_a_large_file_is_not_read(repo: RepoBuilder) -> None:
    """A plot beyond a size is not drawn."""
    assert drawn(repo, "x,y\n" + "1,2\n" * (LARGEST // 4 + 1)) == ()
