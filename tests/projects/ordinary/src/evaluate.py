import json
import os
import pickle
import sys

from sklearn import metrics


def evaluate(model, matrix, labels, split, report):
    """Metrics for one split, and the points of its ROC curve."""
    predictions = model.predict_proba(matrix)[:, 1]
    report["avg_prec"][split] = metrics.average_precision_score(labels, predictions)
    report["roc_auc"][split] = metrics.roc_auc_score(labels, predictions)
    report["accuracy"][split] = metrics.accuracy_score(labels, predictions >= 0.5)

    fpr, tpr, thresholds = metrics.roc_curve(labels, predictions, drop_intermediate=False)
    points = [{"fpr": f, "tpr": t} for f, t in zip(fpr.tolist(), tpr.tolist())]
    with open(os.path.join("eval", "plots", split + ".json"), "w") as fd:
        json.dump({"roc": points}, fd, indent=4)


def main():
    if len(sys.argv) != 3:
        sys.stderr.write("Arguments error. Usage:\n\tpython evaluate.py model features\n")
        sys.exit(1)
    with open(sys.argv[1], "rb") as fd:
        model = pickle.load(fd)

    os.makedirs(os.path.join("eval", "plots"), exist_ok=True)
    report = {"avg_prec": {}, "roc_auc": {}, "accuracy": {}}
    for split in ("train", "test"):
        with open(os.path.join(sys.argv[2], split + ".pkl"), "rb") as fd:
            matrix, labels, _, names = pickle.load(fd)
        evaluate(model, matrix, labels, split, report)

    with open(os.path.join("eval", "metrics.json"), "w") as fd:
        json.dump(report, fd, indent=4)


if __name__ == "__main__":
    main()
