import argparse
import os
import random

import yaml
from textio import read_rows, write_rows

parser = argparse.ArgumentParser(description="split tickets into train and test")
parser.add_argument("input")
args = parser.parse_args()

params = yaml.safe_load(open("params.yaml"))["prepare"]
random.seed(params["seed"])

train, test = [], []
for row in read_rows(args.input):
    (test if random.random() < params["split"] else train).append(row)

os.makedirs(os.path.join("data", "prepared"), exist_ok=True)
write_rows(os.path.join("data", "prepared", "train.csv"), train)
write_rows(os.path.join("data", "prepared", "test.csv"), test)
