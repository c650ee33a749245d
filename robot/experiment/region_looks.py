"""Looks for the region reader: whatever the store lacks, in parallel processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from robot.data.scene_looks import SceneLooks, SceneLookStore
from robot.envs.gl import require_gl
from robot.envs.registry import check_scene
from robot.system.cache import key
from robot.system.command import require_free_space, require_writable
from robot.system.folder_lock import locked
from robot.system.parallel import parallel_map
from robot.system.parse import Count, Seed, options

BYTES_PER_LOOK = 60_000  # of two 128-px frames with their maps, generous


@options
class LookOptions:
    """`shards` shards of `looks_per_shard` looks of these conditions, by their shares;
    `held_out` says whether they show the combinations that are kept from training.
    """

    scenes: Mapping[str, float]
    shards: Count
    looks_per_shard: Count
    seed: Seed
    held_out: bool
    image_size: Count

    def __post_init__(self) -> None:
        for scene in self.scenes:
            check_scene("pick", scene)


def collect_region_looks(
    looks: LookOptions, *, root: Path, workers: int, progress: Callable[[int, int], None]
) -> SceneLooks:
    """Return the looks with these options, made where they are not there yet."""
    from robot.rollout.region_looks import make_region_looks  # loads the simulator

    require_gl()
    content: dict[str, Any] = {
        name: value for name, value in vars(looks).items() if name != "shards"
    } | {"scenes": dict(looks.scenes)}
    directory = root / key("region-looks", content)
    require_writable(root)
    store, numbers = SceneLookStore(directory), range(looks.shards)
    missing = sorted(set(numbers) - set(store.shards()))
    require_free_space(root, len(missing) * looks.looks_per_shard * BYTES_PER_LOOK)
    with locked(directory):
        missing = sorted(set(numbers) - set(store.shards()))  # another command may have made some
        progress(looks.shards - len(missing), looks.shards)
        make = partial(make_region_looks, root=directory, **content)
        for done, _ in enumerate(parallel_map(make, missing, workers=workers), start=1):
            progress(looks.shards - len(missing) + done, looks.shards)
    return store.load(shards=list(numbers))
