"""Frames of LIBERO's scenes that teach the mask head words: base scenes and scenes of our own
making, posed without physics, never a perturbed one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from robot.data.mask_frames import MaskRecord
from robot.envs.libero.arranging import pose_hand
from robot.envs.libero.env import LiberoEnv
from robot.envs.libero.names import TaskName
from robot.envs.libero.other_goals import other_goals
from robot.envs.libero.task import LiberoTask
from robot.rollout.looks import records_of_look, scene_of
from robot.types import Label


def libero_records(
    env: LiberoEnv,
    *,
    numbers: Sequence[int],
    tasks: Sequence[str],
    scenes: Mapping[str, float],
    seed: int,
    snapshots: int,
    goals: int,
    absent_share: float,
) -> Iterator[MaskRecord]:
    """Yield the records of scenes with these numbers, `snapshots` looks each, every one with an
    initial state of its own and labelled for `goals` sentences where the suite has as many.

    Number k shows suite k % len(tasks); those of one problem follow each other, as compiling its
    scene takes longer than many looks.
    """

    def problem(k: int) -> tuple[str, int, int]:
        suite = tasks[k % len(tasks)]
        return suite, *TaskName.of(suite).episode(k // len(tasks))

    for k in sorted(numbers, key=problem):
        suite, _, _ = problem(k)
        env.switch_task(suite)
        task, scene = env.task, scene_of(k, scenes)
        assert isinstance(task, LiberoTask)
        for look in range(snapshots):
            rng = np.random.default_rng([seed, k, 11, look])
            words = task.draw(
                env.sim, scene=scene, seed=seed + look * len(numbers), index=k // len(tasks)
            )
            roles = task.roles(env.sim)
            target = next((body for body, role in roles.items() if role == Label.TARGET), None)
            pose_hand(env.sim, target=target, rng=rng)
            others = other_goals(
                env.sim, suite=suite, count=goals - 1, absent_share=absent_share, rng=rng
            )
            yield from records_of_look(env, named=[(words, roles), *others], scene=scene, seed=seed)
