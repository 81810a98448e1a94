import argparse
import os
import random

from textio import write_rows

COMMON = "the a my please when after again still cannot page click team need today account update help".split()
BILLING = "invoice charged refund card payment subscription price receipt tax plan".split()
OTHER = "login crash slow export upload error password screen install version".split()

parser = argparse.ArgumentParser(description="make up support tickets")
parser.add_argument("output")
parser.add_argument("--rows", type=int, default=600)
parser.add_argument("--seed", type=int, default=1)
args = parser.parse_args()

rng = random.Random(args.seed)
rows = []
for i in range(args.rows):
    label = int(rng.random() < 0.4)
    own, foreign = (BILLING, OTHER) if label else (OTHER, BILLING)
    words = rng.choices(COMMON, k=12) + rng.choices(own, k=2) + rng.choices(foreign, k=1)
    rng.shuffle(words)
    rows.append({"id": i, "text": " ".join(words), "label": label})
os.makedirs(os.path.dirname(args.output) or ".", exist_ok=True)
write_rows(args.output, rows)
