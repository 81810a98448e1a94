import argparse
import os
import pickle

import yaml
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from textio import read_rows


def save_matrix(rows, matrix, names, output):
    with open(output, "wb") as fd:
        pickle.dump((matrix, [int(r["label"]) for r in rows], [int(r["id"]) for r in rows], names), fd)


def main():
    parser = argparse.ArgumentParser(description="bags of words")
    parser.add_argument("input")
    parser.add_argument("output")
    args = parser.parse_args()

    params = yaml.safe_load(open("params.yaml"))["featurize"]
    bow = CountVectorizer(stop_words="english", max_features=params["max_features"], ngram_range=(1, params["ngrams"]))
    tfidf = TfidfTransformer(smooth_idf=False)

    train = read_rows(os.path.join(args.input, "train.csv"))
    test = read_rows(os.path.join(args.input, "test.csv"))

    os.makedirs(args.output, exist_ok=True)
    names = None
    for split, rows in (("train", train), ("test", test)):
        text = [r["text"] for r in rows]
        if split == "train":
            matrix = tfidf.fit_transform(bow.fit_transform(text))
            names = bow.get_feature_names_out().tolist()
        else:
            matrix = tfidf.transform(bow.transform(text))
        save_matrix(rows, matrix, names, os.path.join(args.output, split + ".pkl"))


if __name__ == "__main__":
    main()
