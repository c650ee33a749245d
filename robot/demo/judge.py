"""What the simulator knows of a goal that a person points at: which bodies its regions show, so
that success can be told. The agent sees none of this.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Shaped

from robot.envs.simulated import SimulatedEnv
from robot.envs.tabletop.task import TabletopTask
from robot.envs.task import FollowsGoals
from robot.perception.regions.goals import read_goal, regions_of
from robot.types import Goal, Region
from robot.words.reader import GoalReader

SMALLEST_OVERLAP = 0.2  # IoU of a region with a body that it is about
NEAR_PX = 3.0  # of a click from the body that it is about


def judge(env: SimulatedEnv, goal: Goal) -> bool:
    """Make a goal what the env's success is about, in the world as it is; return whether it can be
    told, that is, whether words and regions mean objects that are there.
    """
    task = env.task
    if not isinstance(task, FollowsGoals):
        return goal.text == env.goal
    if not goal.regions:
        return task.follow(goal.text)
    if not isinstance(task, TabletopTask):
        return False
    read = read_goal(goal, GoalReader.of("tabletop"))
    if not read.sentences:
        return False
    roles = (read.target, read.destination)
    pointed_at = [body_at(env, goal, index) for index in roles]
    if any(index and not body for index, body in zip(roles, pointed_at, strict=True)):
        return False
    task.follow(read.sentences[0])  # what words name; regions say the rest
    return task.follow_bodies(target=pointed_at[0], destination=pointed_at[1])


def body_at(env: SimulatedEnv, goal: Goal, index: int | None) -> str | None:
    """Return the object that a region of a goal shows, in the camera that shows it best; None where
    it shows none.
    """
    if index is None:
        return None
    instances = env.instance_maps()
    names = {env.sim.bodies[name].body_id: name for name in env.sim.bodies}
    scores = [
        (score, body)
        for camera, region in regions_of(goal, index).items()
        for body in np.unique(instances[camera]).tolist()
        if body in names
        and (score := overlap(region, instances[camera] == body)) >= SMALLEST_OVERLAP
    ]
    return names[max(scores)[1]] if scores else None


def overlap(region: Region, seen: Bool[np.ndarray, "h w"]) -> float:
    """Return how well a region fits the pixels of a body, 0 to 1: the IoU of masks, or that of
    boxes; for a click, how near it is to them.
    """
    if region.mask is not None:
        return float((region.mask & seen).sum() / (region.mask | seen).sum())
    rows, columns = np.nonzero(seen)
    if region.box is not None:
        ends = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        return box_iou(np.array(region.box), np.array(ends))
    assert region.click is not None
    x, y = np.floor(region.click)
    distance = np.hypot(columns - x, rows - y).min()
    return float(max(0.0, 1.0 - distance / NEAR_PX))


def box_iou(one: Shaped[np.ndarray, "4"], other: Shaped[np.ndarray, "4"]) -> float:
    """Return the IoU of two boxes (x0, y0, x1, y1)."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    both = np.prod(np.clip(high - low, 0, None))
    areas = np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])
    return float(both / (areas - both))
