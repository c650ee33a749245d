"""Looks at scenes with every object's pixels, shape, colour, size and place: the simulator's truth
as data for heads that follow, segment and name regions (robot.data.scene_looks holds them).

work = make_scene_looks(root=folder, scenes={"randomised_duplicates": 1.0}, seed=0)
work(0)  # writes shard 0: 100 scenes of 3 looks each, 5 s on one core
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from robot.data.scene_looks import FIRST_OBJECT, GRIPPER, SceneLook, SceneLookStore, SeenObject
from robot.envs.labels import geom_labels
from robot.envs.make import EnvOptions, make_env
from robot.envs.simulated import SimulatedEnv
from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.bodies import SHAPES
from robot.envs.tabletop.placing import Placement
from robot.envs.tabletop.scene import DISTINCT_COLOURS, Scene, sample_scene
from robot.envs.tabletop.sequences import stage_sequence
from robot.envs.tabletop.task import TabletopTask
from robot.envs.tabletop.world import TABLE_TOP_M, TabletopWorld
from robot.rollout.looks import scene_of
from robot.types import Label

TASKS = ("pick", "place_any")
HELD_M = 0.02  # above where it stands: things are held, or stand in a receptacle below that


def make_scene_looks(
    *,
    root: Path,
    scenes: Mapping[str, float],
    seed: int,
    image_size: int = 128,
    sequences_per_shard: int = 100,
    tasks: Sequence[str] = TASKS,
    env: EnvOptions | None = None,
) -> Callable[[int], int]:
    """Return work for `parallel_map`: make shard `index` of the store at `root`, return its number
    of looks. Every sequence's scene is a function of (seed, shard, position in it).
    """
    return partial(
        _shard,
        envs={},
        options=env or EnvOptions(backend="mujoco", image_size=image_size),
        root=root,
        scenes=scenes,
        seed=seed,
        count=sequences_per_shard,
        tasks=tasks,
    )


def _shard(
    index: int,
    *,
    envs: dict[str, SimulatedEnv],
    options: EnvOptions,
    root: Path,
    scenes: Mapping[str, float],
    seed: int,
    count: int,
    tasks: Sequence[str],
) -> int:
    if not envs:  # one env serves all tabletop tasks: they share a world
        envs["world"] = make_env(tasks[0], options)
        envs["world"].reset(seed=seed)  # staged moments need an episode to have begun
    env = envs["world"]
    looks = [
        look
        for k in range(index * count, (index + 1) * count)
        for look in sequence_of(
            env, task=tasks[k % len(tasks)], scene=scene_of(k, scenes), seed=seed, index=k
        )
    ]
    SceneLookStore(root).append_shard(index, looks)
    return len(looks)


def sequence_of(
    env: SimulatedEnv, *, task: str, scene: str, seed: int, index: int
) -> Iterator[SceneLook]:
    """Yield the looks of one sequence."""
    rng = np.random.default_rng([seed, index, 13])
    env.switch_task(task)
    drawn = sample_scene(task=task, scene=scene, seed=seed, index=index)
    assert isinstance(env.task, TabletopTask) and isinstance(env.sim, TabletopWorld)
    env.task.scene = drawn
    for step, (_, moment) in enumerate(stage_sequence(env.sim, scene=drawn, rng=rng)):
        yield look_at(env, drawn, scene=scene, moment=moment, sequence=index, step=step)


def look_at(
    env: SimulatedEnv, drawn: Scene, *, scene: str, moment: str, sequence: int, step: int
) -> SceneLook:
    """Return what the env shows now of the objects of a scene."""
    world = env.sim
    assert isinstance(world, TabletopWorld)
    instances, parts = _tables(env, world, drawn)
    images, ids = env.observe()["images"], {name: env.geom_ids(name) for name in env.cameras}
    return SceneLook(
        images=np.stack([images[name] for name in env.cameras]),
        instances=np.stack([instances[ids[name]] for name in env.cameras]),
        parts=np.stack([parts[ids[name]] for name in env.cameras]),
        objects=tuple(_seen(world, placement, drawn) for placement in drawn.placements),
        cameras=tuple(env.cameras),
        scene=scene,
        moment=moment,
        sequence=sequence,
        step=step,
    )


def _tables(env: SimulatedEnv, world: TabletopWorld, drawn: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Return instance and part of every geom; the last entries are for pixels that show nothing."""
    gripper = geom_labels(env.model, {}) == Label.GRIPPER
    instances = np.where(gripper, GRIPPER, 0).astype(np.uint8)
    parts = np.zeros_like(instances)
    for k, placement in enumerate(drawn.placements):
        ref = world.bodies[placement.body]
        instances[ref.geoms] = FIRST_OBJECT + k
        parts[ref.seen] = 1 + np.arange(len(ref.seen))
    return instances, parts


def _seen(world: TabletopWorld, placement: Placement, drawn: Scene) -> SeenObject:
    shape, ref = cat.body_names()[placement.body], world.bodies[placement.body]
    pose = world.mj_data.qpos[ref.qpos_address : ref.qpos_address + 7]
    known = SHAPES.get(shape)
    height = known.height if known else 2 * cat.rest_height_m(shape)
    roles = {drawn.target: "target", drawn.destination: "destination"}
    position, quaternion = pose[:3], pose[3:]
    above_m = position[2] - cat.rest_height_m(shape) - TABLE_TOP_M
    return SeenObject(
        body=placement.body,
        shape=shape,
        colour=_colour_name(placement),
        rgb=placement.colour,
        radius_m=cat.footprint_m(shape) * max(placement.stretch[:2]),
        height_m=height * placement.stretch[2],
        position_m=tuple(float(v) for v in position),  # type: ignore[arg-type]
        quaternion=tuple(float(v) for v in quaternion),  # type: ignore[arg-type]
        role=roles.get(placement.body, ""),
        held=bool(above_m > HELD_M),
        patterned=placement.pattern is not None,
    )


def _colour_name(placement: Placement) -> str | None:
    """Return the named colour nearest to what an object is painted in; None where none is near."""
    if placement.noun is not None:
        return placement.noun.colour
    if placement.colour is None:
        return None
    named = {**cat.catalogue()["colours"], **cat.catalogue()["unseen_colours"]}
    distances = {
        name: float(np.linalg.norm(np.array(placement.colour) - rgb)) for name, rgb in named.items()
    }
    nearest = min(distances, key=lambda name: distances[name])
    return nearest if distances[nearest] < DISTINCT_COLOURS / 3 else None
