"""The model as a file: weights in JSON.

Training twice gives the same bytes, opening it runs no code (a pickle does), and it can be read in a diff. For other
estimators change this file alone; skops and ONNX are safe to open as well.
"""

import json
from pathlib import Path

import numpy as np


def save(directory, *, features, mean, scale, weights, bias):
    """Write a logistic model on standardised features."""
    content = {
        "features": list(features),
        "mean": mean.tolist(),
        "scale": scale.tolist(),
        "weights": weights.tolist(),
        "bias": float(bias),
    }
    Path(directory).mkdir(parents=True, exist_ok=True)
    Path(directory, "weights.json").write_text(json.dumps(content, indent=1) + "\n")


def predict(directory, table):
    """The probability of a malignant tumour, per row of `table`.

    The model says itself which columns it reads, so that an older model can be scored on today's table.
    """
    model = json.loads(Path(directory, "weights.json").read_text())
    x = np.column_stack([table[name] for name in model["features"]])
    z = (x - np.array(model["mean"])) / np.array(model["scale"]) @ np.array(model["weights"]) + model["bias"]
    return 1 / (1 + np.exp(-z))
