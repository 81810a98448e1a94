"""Split scikit-learn's breast cancer data into what trains the model and what judges it."""

import numpy as np
import table
import yaml
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

with open("params.yaml") as file:
    params = yaml.safe_load(file)["prepare"]

data = load_breast_cancer()
malignant = 1 - data.target  # there 0 is malignant
train, test = train_test_split(
    np.arange(len(malignant)), test_size=params["test-size"], random_state=params["seed"], stratify=malignant
)
for name, rows in (("train", np.sort(train)), ("test", np.sort(test))):
    columns = dict(zip(data.feature_names, data.data[rows].T))
    table.write(f"build/{name}.csv", {"id": rows, "malignant": malignant[rows], **columns})
    print(f"{name}: {len(rows)} patients, {malignant[rows].mean():.1%} malignant")
