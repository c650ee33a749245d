"""Does the reader alone, no head and no picture, read sentences as they are meant?

    python benchmarks/read_sentences.py --sentences benchmarks/sentences_third.yaml

Every sentence is filled `--drawings` times with two objects drawn from the known ones. Right is the
target alone ("colourless": among those it may be), and for kinds of `not_found` nothing at all.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import yaml

from benchmarks.read_goals import SENTENCES, filled
from robot.words.reader import GoalReader

SHAPES, COLOURS = ("cube", "ball", "cylinder", "cup"), ("red", "green", "blue", "yellow")
SEED = 5


@dataclass(frozen=True)
class Noun:
    shape: str
    colour: str


@dataclass(frozen=True)
class Placed:
    noun: Noun


@dataclass(frozen=True)
class Table:
    """A target and another object: what a sentence is filled from."""

    target_noun: Noun
    placements: tuple[Placed, ...]


def right(text: str, *, reader: GoalReader, target: Noun | None, alone: bool) -> bool:
    """Return whether a sentence is read as the target; without a target, as no request at all."""
    read = reader.read(text)
    if target is None:
        return not read.sentences
    named = (target.shape, target.colour) in read.targets
    return named and not any(read.destinations) and (not alone or len(read.targets) == 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=Path, default=SENTENCES)
    parser.add_argument("--drawings", type=int, default=4)
    asked = parser.parse_args()
    reader, nouns = GoalReader.of("tabletop"), [Noun(*n) for n in product(SHAPES, COLOURS)]
    for group, kinds in yaml.safe_load(asked.sentences.read_text()).items():
        for kind, sentences in kinds.items():
            rows = []
            for number, sentence in enumerate(sentences):
                if group == "words" or "{missing}" in sentence:
                    continue
                for drawing in range(asked.drawings if "{" in sentence else 1):
                    rng = np.random.default_rng([SEED, drawing, number])
                    target, other = (nouns[k] for k in rng.permutation(len(nouns))[:2])
                    table = Table(target, (Placed(target), Placed(other)))
                    text = filled(sentence, episode=table, rng=rng, missing=())
                    meant = target if group == "found" else None
                    alone = kind != "colourless"
                    rows.append(right(text, reader=reader, target=meant, alone=alone))
            if rows:
                print(f"{kind:12} {np.mean(rows):6.1%} of {len(rows)}")


if __name__ == "__main__":
    main()
