"""Draw docs/masked.webp, the picture in README.md: one moment in tidier and messier scenes, with
the shipped mask head.

python tools/readme_picture.py [--seed 7000] [--index 3]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from robot.envs.robosuite import RobosuiteEnv
from robot.language import LanguageEncoder
from robot.perception.compose.masking import Overlay, compose
from robot.perception.head.base import Head
from robot.perception.sources import LearnedMasks
from robot.report.pictures import GAP, GAP_GREY, overlay, save_picture, write_on
from robot.types import Observation

SCENES = ("clean", "lookalike", "messy")
PICTURE = Path(__file__).resolve().parent.parent / "docs" / "masked.webp"
POLICY_SIZE = 64  # pixels


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=7000)
    parser.add_argument("--index", type=int, default=3)
    options = parser.parse_args()
    head = Head.resolve("tabletop")
    assert head is not None
    env, masks = (
        RobosuiteEnv(task="pick", samples=4),
        LearnedMasks(Head.load(head), LanguageEncoder()),
    )
    rows = []
    for scene in SCENES:
        raw, _ = env.reset(seed=options.seed, options={"episode": options.index, "scene": scene})
        seen = Observation.from_env(raw, env.spaces)
        mask = masks(seen.frames, seen.goal)
        composite = compose(
            np.stack([frame.image for frame in seen.frames]),
            np.stack(mask.probability),
            deployment=Overlay(),
            size=POLICY_SIZE,
        )
        row = overlay(seen.frames[0].image, mask.probability[0], composite[0].numpy())
        rows.append(write_on(row, scene, corner="right"))
    gap = np.full((GAP, *rows[0].shape[1:]), GAP_GREY, np.uint8)
    save_picture(str(PICTURE), np.concatenate([part for row in rows for part in (row, gap)][:-1]))
    print(PICTURE)


if __name__ == "__main__":
    main()
