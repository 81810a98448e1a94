"""A table of numbers as CSV: one header line, one row per example."""

import csv
from pathlib import Path

import numpy as np


def read(path):
    """Columns by name, as arrays of floats."""
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    return dict(zip(header, np.array(rows, dtype=float).T))


def write(path, columns):
    """Write columns by name; floats in the shortest form that reads back exactly."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(np.asarray(column).tolist() for column in columns.values())))
