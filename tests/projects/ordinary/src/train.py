import os
import pickle
import sys

import yaml
from sklearn.ensemble import RandomForestClassifier


def train(seed, n_est, min_split, matrix, labels):
    sys.stderr.write("X matrix size {}\n".format(matrix.shape))
    clf = RandomForestClassifier(n_estimators=n_est, min_samples_split=min_split, random_state=seed)
    clf.fit(matrix, labels)
    return clf


def main():
    params = yaml.safe_load(open("params.yaml"))["train"]

    if len(sys.argv) != 3:
        sys.stderr.write("Arguments error. Usage:\n")
        sys.stderr.write("\tpython train.py features model\n")
        sys.exit(1)

    with open(os.path.join(sys.argv[1], "train.pkl"), "rb") as fd:
        matrix, labels, _, _ = pickle.load(fd)

    clf = train(params["seed"], params["n_est"], params["min_split"], matrix, labels)

    with open(sys.argv[2], "wb") as fd:
        pickle.dump(clf, fd)


if __name__ == "__main__":
    main()
