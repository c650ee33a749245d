"""Frames that teach the mask head words, and frames that measure it: several goals for every
picture.

`staged` looks are moments posed without physics, each with a scene of its own: many objects, places
and poses for little time. `expert` looks come from an expert at work in one scene: what an episode
shows, to measure on. Besides the scene's own goal a look is labelled for others, some of which name
an object that is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from robot.data.mask_frames import MaskFrameStore, MaskRecord
from robot.envs.arm_spaces import DEFAULT_ROBOT
from robot.envs.libero.env import LiberoEnv
from robot.envs.make import DEFAULT_BACKEND, Backend, EnvOptions, make_env
from robot.envs.simulated import SimulatedEnv
from robot.envs.tabletop.other_goals import other_goal
from robot.envs.tabletop.scene import Scene, restyled, sample_scene
from robot.envs.tabletop.staging import stage
from robot.envs.tabletop.task import TabletopTask
from robot.envs.tabletop.world import TabletopWorld
from robot.rollout.demonstrate import Disturbance
from robot.rollout.libero_frames import libero_records
from robot.rollout.looks import records_of_look, scene_of
from robot.types import InputError, Label

LOOK_SHARE = 0.45  # of the horizon: the expert is done by then
MOMENTS = ("staged", "expert")


def make_mask_frames(
    *,
    root: Path,
    tasks: Sequence[str],
    scenes: Mapping[str, float],
    moments: str,
    seed: int,
    image_size: int,
    scenes_per_shard: int,
    snapshots: int,
    goals: int,
    absent_share: float,
    hard_share: float,
    robot: str = DEFAULT_ROBOT,
    backend: Backend = DEFAULT_BACKEND,
) -> Callable[[int], int]:
    """Return work for `parallel_map`: make shard `index` of the store at `root`, return its number
    of records.

    `scenes` are conditions with their shares; every record's scene is a function of (seed, shard,
    position in it). `moments` says whether its `snapshots` looks are staged or taken from an
    expert's episode.
    """
    if moments not in MOMENTS:
        raise InputError(
            f"got moments {moments!r}, expected one of {', '.join(MOMENTS)}; pass moments=<one of "
            "these>"
        )
    envs: dict[str, SimulatedEnv] = {}
    options = {
        "moments": moments,
        "snapshots": snapshots,
        "goals": goals,
        "absent_share": absent_share,
        "hard_share": hard_share,
    }
    return partial(
        _shard,
        envs=envs,
        root=root,
        tasks=tasks,
        scenes=scenes,
        seed=seed,
        size=image_size,
        robot=robot,
        backend=backend,
        count=scenes_per_shard,
        options=options,
    )


def _shard(
    index: int,
    *,
    envs: dict[str, SimulatedEnv],
    root: Path,
    tasks: Sequence[str],
    scenes: Mapping[str, float],
    seed: int,
    size: int,
    robot: str,
    backend: Backend,
    count: int,
    options: dict,
) -> int:
    if not envs:  # one env serves all tabletop tasks: they share a world
        envs["world"] = make_env(
            tasks[0], EnvOptions(backend=backend, robot=robot, image_size=size)
        )
        envs["world"].reset(seed=seed)  # staged moments need an episode to have begun
    env, records = envs["world"], []
    if isinstance(env, LiberoEnv):
        asked = {name: options[name] for name in ("snapshots", "goals", "absent_share")}
        numbers = range(index * count, (index + 1) * count)
        made = libero_records(env, numbers=numbers, tasks=tasks, scenes=scenes, seed=seed, **asked)
        records = list(made)
        MaskFrameStore(root).append_shard(index, records)
        return len(records)
    for k in range(index * count, (index + 1) * count):
        rng = np.random.default_rng([seed, k, 11])
        env.switch_task(tasks[k % len(tasks)])
        scene = scene_of(k, scenes)
        records += _records_of_scene(env, scene=scene, seed=seed, episode=k, rng=rng, **options)
    MaskFrameStore(root).append_shard(index, records)
    return len(records)


def _records_of_scene(
    env: SimulatedEnv,
    *,
    scene: str,
    seed: int,
    episode: int,
    rng: np.random.Generator,
    moments: str,
    snapshots: int,
    goals: int,
    absent_share: float,
    hard_share: float,
) -> Iterator[MaskRecord]:
    task, world = env.task, env.sim
    assert isinstance(task, TabletopTask) and isinstance(world, TabletopWorld)
    if moments == "staged":
        states = _staged(
            task, world, scene=scene, seed=seed, episode=episode, snapshots=snapshots, rng=rng
        )
    else:
        states = _at_work(
            env, task, world, scene=scene, seed=seed, episode=episode, snapshots=snapshots, rng=rng
        )
    for shown in states:
        others = [
            other_goal(shown, absent_share=absent_share, hard_share=hard_share, rng=rng)
            for _ in range(goals - 1)
        ]
        named = [(shown.goal, shown.target, shown.destination), *others]
        labelled = [
            (words, _roles(world, target=target, destination=destination))
            for words, target, destination in named
        ]
        yield from records_of_look(env, named=labelled, scene=scene, seed=seed)


def _staged(
    task: TabletopTask,
    world: TabletopWorld,
    *,
    scene: str,
    seed: int,
    episode: int,
    snapshots: int,
    rng: np.random.Generator,
) -> Iterator[Scene]:
    """Pose moments; every one has a scene of its own."""
    for k in range(snapshots):
        task.scene = sample_scene(
            task=task.name, scene=scene, seed=seed, index=episode * snapshots + k
        )
        stage(world, scene=task.scene, rng=rng)
        yield task.scene


def _at_work(
    env: SimulatedEnv,
    task: TabletopTask,
    world: TabletopWorld,
    *,
    scene: str,
    seed: int,
    episode: int,
    snapshots: int,
    rng: np.random.Generator,
) -> Iterator[Scene]:
    """Stop an expert's episode at random moments; a randomised scene looks different at
    every one.
    """
    env.reset(seed=seed, options={"episode": episode, "scene": scene})
    assert task.scene is not None
    expert, disturbance = env.expert(rng=rng), Disturbance(rng)
    for action in expert.perturbed_start():
        env.move(action)
    moments = set(rng.choice(round(LOOK_SHARE * task.horizon), snapshots, replace=False))
    for step in range(max(moments) + 1):
        if step in moments:
            if scene == "randomised":
                world.restyle(restyled(task.scene, condition_name=scene, rng=rng))
            yield task.scene
        env.move(disturbance(expert.act()))


def _roles(
    world: TabletopWorld, *, target: str | None, destination: str | None
) -> dict[str, Label]:
    named = {target: Label.TARGET, destination: Label.DESTINATION}
    return {world.root_body(body): label for body, label in named.items() if body is not None}
