from __future__ import annotations

import os
import random
from pathlib import Path

from ciml.adapters.documents import load
from ciml.core.errors import ConfigurationError

FULL = (Path(__file__).parent / "documents" / "full.yaml").read_text()
MATRIX = """\
version: 1
stages:
  train: {run: "x ${{ matrix.lr }}", outputs: [m], matrix: {lr: [1, 2]}, pick: {max: auc}, needs: [prep]}
  prep: {run: [a, "${{ params.lr }}"], when: params.lr > 0, checkpoint: c}
  evaluate: {run: x, inputs: [m], metrics: [e.json]}
params: {lr: {type: float, default: 0.1, min: 0}}
models: {m: {path: m, gate: [auc > 0.5]}}
"""
PIECES = [
    *"[]{}:,'\"#|>~@*?\\/\n\t\x00\x85\u202e\ufeffé",
    *("  ", "- ", "&a ", "*a", "!x ", "<<: ", "---\n", "null", "true", "no", "014", ".inf", "-1", "1e999", "9" * 30),
    *("${{ params.x }}", "${{", "}}", "${{ matrix.lr }}", "../", "10%", "a.b", "params.", "m", "e.json"),
    *("run", "stages", "train", "inputs: [a]"),
]
ROUNDS = int(os.environ.get("CIML_TEST_ROUNDS", "1200"))


def mutated(text: str, draw: random.Random) -> str:
    """The text with a few small damages: pieces put in, taken out, doubled, or lines exchanged."""
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(text) + 1)
        end = min(len(text), at + draw.randint(0, 12))
        match draw.randrange(5):
            case 0:
                text = text[:at] + draw.choice(PIECES) + text[at:]
            case 1:
                text = text[:at] + text[end:]
            case 2:
                text = text[:at] + draw.choice(PIECES) + text[end:]
            case 3:
                text = text[:end] + text[at:end] + text[end:]
            case 4:
                lines = text.split("\n")
                one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
                lines[one], lines[other] = lines[other], lines[one]
                text = "\n".join(lines)
    return text


def test_damaged_documents_are_read_or_refused_with_a_place() -> None:
    """Whatever is typed, the answer is a pipeline or problems that each have a line."""
    draw = random.Random(20261121)
    refused = 0
    for _ in range(ROUNDS):
        text = mutated(draw.choice([FULL, MATRIX]), draw)
        params = (
            mutated("train: {lr: 0.1, epochs: 3}\nname: x\n", draw) if draw.random() < 0.3 else "train: {lr: 0.1}\n"
        )
        given = draw.choice([{}, {}, {"train.lr": "0.2"}, {"min-auc": draw.choice(PIECES)}])
        try:
            load(text.encode(errors="replace"), file="ciml.yaml", read=lambda _, p=params: p.encode(), overrides=given)  # type: ignore[misc]
        except ConfigurationError as error:
            refused += 1
            assert error.problems, text
            assert all(problem.line is not None for problem in error.problems), (text, error.problems)
    assert 0.3 < refused / ROUNDS < 1


def test_damaged_bytes_are_refused_with_a_place() -> None:
    """Bytes that are no text at all are refused just so."""
    draw = random.Random(7)
    for _ in range(ROUNDS // 4):
        data = bytearray(FULL.encode())
        for _ in range(draw.randint(1, 5)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            load(bytes(data), file="ciml.yaml", read=lambda _: b"train: {lr: 1}")
        except ConfigurationError as error:
            assert error.problems
            assert all(problem.line is not None for problem in error.problems)
