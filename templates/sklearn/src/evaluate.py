"""Judge the model on patients it has not seen: metrics, a curve, and a score per patient."""

import json
from pathlib import Path

import model
import numpy as np
import table
from sklearn.metrics import accuracy_score, log_loss, recall_score, roc_auc_score, roc_curve

test = table.read("build/test.csv")
label = test["malignant"].astype(int)
probability = model.predict("build/model", test)
found = probability >= 0.5

metrics = {
    "accuracy": accuracy_score(label, found),
    "auc": roc_auc_score(label, probability),
    "log-loss": log_loss(label, probability),
    "malignant": {"recall": recall_score(label, found), "patients": int(label.sum())},
}
Path("build/metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")

false_positives, true_positives, _ = roc_curve(label, probability)
table.write("build/roc.csv", {"false-positive-rate": false_positives, "true-positive-rate": true_positives})
# One line per patient lets the gate compare two models example by example.
table.write("build/scores.csv", {"id": test["id"].astype(int), "label": label, "prediction": np.round(probability, 9)})
print(f"accuracy {metrics['accuracy']:.3f}, AUC {metrics['auc']:.3f} on {len(label)} patients")
