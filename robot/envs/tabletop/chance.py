"""How often a hand that ignores the sentence would be right: the floor below any success rate."""

from __future__ import annotations

from robot.envs.tabletop.goals import RELATED
from robot.envs.tabletop.scene import sample_scene


def chance(*, task: str, scene: str, seed: int, episodes: int) -> float | None:
    """Return the expected success of a hand that picks any object that stands there, on the initial
    states of an evaluation; None for tasks that place, where an object is not all.
    """
    if task not in ("pick", RELATED):
        return None
    states = (
        sample_scene(task=task, scene=scene, seed=seed, index=index) for index in range(episodes)
    )
    return sum((s.target is not None) / max(len(s.placements), 1) for s in states) / episodes
