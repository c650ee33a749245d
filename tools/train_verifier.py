"""Train the verifier on staged looks: what robot/weights/tabletop/verifier came from.

    python tools/train_verifier.py [--looks data/scene_looks] [--steps 4000]
        [--directory data/models/verifier]

`tools/train_region_head.py` makes the looks; every tenth shard is held out, and measured. A killed
run resumes. The last line on stdout is the path of the checkpoint, whose JSON holds the figures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# the packages of this checkout, whether or not, and wherever, they are installed
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console

from robot.system.command import main_guard
from robot.train.options import Training
from robot.train.verifier import train_verifier

SEED = 0
CONSOLE = Console(stderr=True)


@main_guard
def main(arguments: Sequence[str] | None = None) -> None:
    """Train on the looks that exist."""
    options = _options(arguments)
    file = train_verifier(
        Training(steps=options.steps, log_every=100),
        looks=options.looks,
        directory=options.directory,
        seed=SEED,
        log=lambda step, values: CONSOLE.print(f"{step}: {values}"),
    )
    print(file)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--looks", type=Path, default=Path("data/scene_looks"))
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--directory", type=Path, default=Path("data/models/verifier"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
