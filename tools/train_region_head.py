"""Make the looks and train the region head on them: what robot/weights/tabletop/region_head came
from.

    python tools/train_region_head.py [--shards 44] [--steps 1500] [--looks data/scene_looks]
        [--directory data/models/region_head]

44 shards are 13,200 looks at 4,400 staged scenes of env=mujoco, 70 % of them with identical
copies; every tenth shard is held out, and measured. A killed run resumes. The last line on
stdout is the path of the checkpoint, whose JSON holds the figures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# the packages of this checkout, whether or not, and wherever, they are installed
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console

from robot.data.scene_looks import SceneLookStore
from robot.rollout.scene_looks import make_scene_looks
from robot.system.command import main_guard
from robot.train.options import Training
from robot.train.region_head import RegionTraining, train_region_head

SCENES = {"randomised_duplicates": 0.7, "randomised": 0.3}
LOOKS_SEED, SEED, BATCH_SIZE = 11, 0, 16
CONSOLE = Console(stderr=True)


@main_guard
def main(arguments: Sequence[str] | None = None) -> None:
    """Collect what is missing, then train."""
    options = _options(arguments)
    make_shard = make_scene_looks(root=options.looks, scenes=SCENES, seed=LOOKS_SEED)
    for shard in range(options.shards):
        if shard not in SceneLookStore(options.looks).shards():
            CONSOLE.print(f"shard {shard}: {make_shard(shard)} looks")
    training = RegionTraining(
        training=Training(steps=options.steps, warmup_steps=50, log_every=25),
        batch_size=BATCH_SIZE,
        seed=SEED,
    )
    file = train_region_head(
        training,
        looks=options.looks,
        directory=options.directory,
        start="tabletop",
        log=lambda step, values: CONSOLE.print(f"{step}: {values}"),
        announce=CONSOLE.print,
    )
    print(file)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shards", type=int, default=44)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--looks", type=Path, default=Path("data/scene_looks"))
    parser.add_argument("--directory", type=Path, default=Path("data/models/region_head"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
