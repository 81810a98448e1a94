"""Fit a logistic regression on some of the measurements."""

import model
import numpy as np
import table
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

with open("params.yaml") as file:
    params = yaml.safe_load(file)["train"]


def wanted(column):
    """Whether a column, such as `mean radius` or `radius error`, is among the features asked for."""
    return any(kind in column.split() for kind in params["features"])


train = table.read("build/train.csv")
features = [column for column in train if wanted(column)]
scaler = StandardScaler()
x = scaler.fit_transform(np.column_stack([train[name] for name in features]))
classifier = LogisticRegression(C=params["C"], max_iter=1000).fit(x, train["malignant"])

model.save(
    "build/model",
    features=features,
    mean=scaler.mean_,
    scale=scaler.scale_,
    weights=classifier.coef_[0],
    bias=classifier.intercept_[0],
)
print(f"{len(features)} features, C={params['C']}: accuracy on the training data {classifier.score(x, train['malignant']):.3f}")
