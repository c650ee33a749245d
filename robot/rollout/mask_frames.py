"""Frames that teach the mask head words: randomised scenes, an expert at work in them, several goals for every picture.

One simulated state is cheap to look at again: every snapshot gets a new look (textures, light, camera), and labels for the
episode's own goal and for others, some of which name an object that is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from robot.data.mask_frames import MaskFrameStore, MaskRecord
from robot.envs.robosuite import RobosuiteEnv
from robot.envs.tabletop.scene import other_goal, restyled
from robot.envs.tabletop.task import TabletopTask
from robot.envs.tabletop.world import TabletopWorld
from robot.rollout.demonstrate import Disturbance
from robot.types import Label

LOOK_SHARE = 0.45  # of the horizon: the expert is done by then
VISIBLE_PIXELS = 6  # fewer than this is not there


def make_mask_frames(
    *,
    root: Path,
    tasks: Sequence[str],
    scenes: Mapping[str, float],
    seed: int,
    image_size: int,
    scenes_per_shard: int,
    snapshots: int,
    goals: int,
    absent_share: float,
) -> Callable[[int], int]:
    """Return work for `parallel_map`: make shard `index` of the store at `root`, return its number of records.

    `scenes` are conditions with their shares; every record's scene is a function of (seed, shard, position in it).
    """
    envs: dict[str, RobosuiteEnv] = {}
    options = {"snapshots": snapshots, "goals": goals, "absent_share": absent_share}
    return partial(
        _shard,
        envs=envs,
        root=root,
        tasks=tasks,
        scenes=scenes,
        seed=seed,
        size=image_size,
        count=scenes_per_shard,
        options=options,
    )


def _shard(
    index: int,
    *,
    envs: dict[str, RobosuiteEnv],
    root: Path,
    tasks: Sequence[str],
    scenes: Mapping[str, float],
    seed: int,
    size: int,
    count: int,
    options: dict,
) -> int:
    if not envs:  # one env serves all tabletop tasks: they share a world
        envs["world"] = RobosuiteEnv(task=tasks[0], image_size=size)
    env, records = envs["world"], []
    shares = np.array(list(scenes.values())) / sum(scenes.values())
    for k in range(index * count, (index + 1) * count):
        rng = np.random.default_rng([seed, k, 11])
        env.switch_task(tasks[k % len(tasks)])
        scene = str(rng.choice(list(scenes), p=shares))
        records += _records_of_scene(env, scene=scene, seed=seed, episode=k, rng=rng, **options)
    MaskFrameStore(root).append_shard(index, records)
    return len(records)


def _records_of_scene(
    env: RobosuiteEnv,
    *,
    scene: str,
    seed: int,
    episode: int,
    rng: np.random.Generator,
    snapshots: int,
    goals: int,
    absent_share: float,
) -> Iterator[MaskRecord]:
    env.reset(seed=seed, options={"episode": episode, "scene": scene})
    task, world = env.task, env.sim
    assert isinstance(task, TabletopTask) and isinstance(world, TabletopWorld) and task.scene is not None
    expert, disturbance = env.expert(rng=rng), Disturbance(rng)
    for action in expert.astray():
        world.step(env.to_robosuite(action))
    moments = set(rng.choice(round(LOOK_SHARE * task.horizon), snapshots, replace=False))
    for step in range(max(moments) + 1):
        if step in moments:
            if scene == "randomised":
                world.restyle(restyled(task.scene, condition_name=scene, rng=rng))
            others = [other_goal(task.scene, absent_share=absent_share, rng=rng) for _ in range(goals - 1)]
            named = [(env.goal, task.scene.target, task.scene.destination), *others]
            yield from _look(env, world, named=named, scene=scene, seed=seed)
        world.step(env.to_robosuite(disturbance(expert.act())))


def _look(
    env: RobosuiteEnv,
    world: TabletopWorld,
    *,
    named: Sequence[tuple[str, str | None, str | None]],
    scene: str,
    seed: int,
) -> Iterator[MaskRecord]:
    """Yield a record for every camera and goal from one look at the current state."""
    images = env.observe()["images"]
    roles = [_roles(world, target=target, destination=destination) for _, target, destination in named]
    for (goal, _, _), maps in zip(named, env.label_maps_for(roles), strict=True):
        for camera in env.cameras:
            label = maps[camera]
            yield MaskRecord(
                image=images[camera],
                label=label,
                goal=goal,
                target_visible=int((label == Label.TARGET).sum()) >= VISIBLE_PIXELS,
                destination_visible=int((label == Label.DESTINATION).sum()) >= VISIBLE_PIXELS,
                camera=camera,
                scene=scene,
                seed=seed,
            )


def _roles(world: TabletopWorld, *, target: str | None, destination: str | None) -> dict[str, Label]:
    named = {target: Label.TARGET, destination: Label.DESTINATION}
    return {world.root_body(body): label for body, label in named.items() if body is not None}
