"""Staged moments as frames with regions and true answers: what the claim network learns from.

work = make_claim_frames(root=folder, scenes={"randomised": 1.0}, seed=0)
work(0)  # writes shard 0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from robot.data.claim_frames import (
    UNKNOWN,
    ClaimFrames,
    claim_frames_path,
    packed,
    save_claim_frames,
)
from robot.envs.make import EnvOptions, make_env
from robot.envs.simulated import SimulatedEnv
from robot.envs.tabletop.staging import stage
from robot.envs.tabletop.task import TabletopTask
from robot.envs.tabletop.world import TabletopWorld
from robot.instruct.build import build_graph
from robot.instruct.claims import answers, counted, shown_by, true_relation, true_word
from robot.instruct.graph import Object, SceneGraph
from robot.instruct.raw import RawFrame
from robot.perception.claims.words import OF_ONE, OF_TWO, answer_index
from robot.perception.regions.everything import segment_everything
from robot.perception.regions.reader import RegionReader, shipped_reader
from robot.rollout.mask_frames import scene_of
from robot.rollout.raw_frames import raw_frames
from robot.rollout.region_looks import repainted, with_something_inside
from robot.types import Frame

TASKS = ("pick", "place_any", "place_any")
PROPOSED, TRUE = 12, 12  # regions of a frame, at most: as a reader proposes them, and as they are
REPAINTED_SHARE = 0.5  # of the looks: their goals' words then say nothing
COVERED = 0.4  # of a coarse pixel, from where it is the mask's


def make_claim_frames(
    *,
    root: Path,
    scenes: Mapping[str, float],
    seed: int,
    image_size: int = 256,
    looks_per_shard: int = 100,
) -> Callable[[int], int]:
    """Return work for `parallel_map`: make shard `index` of the frames in `root`, return their
    number. A frame is a function of (seed, shard, position in it).
    """
    return partial(
        _shard,
        kept={},
        root=root,
        scenes=scenes,
        seed=seed,
        image_size=image_size,
        count=looks_per_shard,
    )


def _shard(
    index: int,
    *,
    kept: dict[str, SimulatedEnv],
    root: Path,
    scenes: Mapping[str, float],
    seed: int,
    image_size: int,
    count: int,
) -> int:
    path = claim_frames_path(root, index)
    if path.is_file():
        return 0
    if not kept:
        kept["env"] = make_env(TASKS[0], EnvOptions(backend="mujoco", image_size=image_size))
    reader, rows = shipped_reader(), []
    for k in range(index * count, (index + 1) * count):
        for raw, with_goal in staged_look(kept["env"], scenes=scenes, seed=seed, index=k):
            rows.append(_row(raw, reader, with_goal=with_goal))
    save_claim_frames(path, ClaimFrames(**{n: np.stack([r[n] for r in rows]) for n in rows[0]}))
    return len(rows)


def staged_look(
    env: SimulatedEnv, *, scenes: Mapping[str, float], seed: int, index: int
) -> list[tuple[RawFrame, bool]]:
    """Return what all cameras show of one staged moment, and whether the goal's words fit it."""
    rng = np.random.default_rng([seed, index, 19])
    env.switch_task(TASKS[index % len(TASKS)])
    env.reset(seed=seed, options={"episode": index, "scene": scene_of(index, scenes)})
    assert isinstance(env.task, TabletopTask) and isinstance(env.sim, TabletopWorld)
    scene, with_goal = env.task.scene, rng.random() >= REPAINTED_SHARE
    assert scene is not None
    if not with_goal:
        scene = repainted(scene, held_out=True, rng=rng)
    scene = with_something_inside(scene, rng=rng)
    env.task.scene = scene
    stage(env.sim, scene=scene, rng=rng)
    frames = raw_frames(env, episode=f"staged-{seed}-{index}", frame=0)
    return [(raw, with_goal) for raw in frames]


def _row(raw: RawFrame, reader: RegionReader, *, with_goal: bool) -> dict[str, np.ndarray]:
    """Return one frame as arrays."""
    graph = build_graph(raw)
    assert raw.image is not None
    frame = Frame(raw.camera, raw.image)
    segments = segment_everything(frame, reader, granularities=("object",))[:PROPOSED]
    proposed = [s.region.mask for s in segments if s.region.mask is not None]
    shown: list[Object | None] = [shown_by(mask, graph) for mask in proposed]
    things = [o for o in graph.objects if o.mask is not None and o.pixels]
    things = [o for o in things if o.kind not in ("surface", "robot", "marker")][:TRUE]
    masks = [*proposed, *(o.mask for o in things)]
    shown += things
    rows, most = len(masks), PROPOSED + TRUE
    height, width = raw.image.shape[:2]
    small = np.zeros((most, height // 2, width // 2), bool)
    for k, mask in enumerate(masks):
        cover = cv2.resize(
            np.asarray(mask, np.float32), (width // 2, height // 2), interpolation=cv2.INTER_AREA
        )
        small[k] = cover >= min(COVERED, float(cover.max()))
    of_one = np.full((most, len(OF_ONE)), UNKNOWN, np.int16)
    of_two = np.full((most, most, len(OF_TWO)), UNKNOWN, np.int16)
    for k, thing in enumerate(shown):
        of_one[k] = _answers(thing, graph, with_goal=with_goal)
        for j, tail in enumerate(shown):
            if thing is not None and tail is not None and thing is not tail:
                of_two[k, j] = [
                    _number(topic, true_relation(topic, thing, tail, graph)) for topic in OF_TWO
                ]
    satisfied = None if graph.goal is None or not with_goal else graph.goal.satisfied
    reached = None if satisfied is None else ("yes" if satisfied else "no")
    return {
        "images": raw.image,
        "masks": packed(small),
        "valid": np.arange(most) < rows,
        "objects": (np.arange(most) >= len(proposed)) & (np.arange(most) < rows),
        "answers": of_one,
        "relations": of_two,
        "counts": np.array([_count(noun, graph) for noun in answers("name")[1:]], np.int16),
        "reached": np.array(_number("reached", reached), np.int16),
        "goals": np.array(graph.goal.text if graph.goal and with_goal else "", dtype="U120"),
    }


def _answers(thing: Object | None, graph: SceneGraph, *, with_goal: bool) -> list[int]:
    if thing is None:
        return [answer_index(t, "") if t == "name" else UNKNOWN for t in OF_ONE]
    known = {topic: true_word(topic, thing, graph) for topic in OF_ONE}
    if not with_goal:
        known["role"] = None
    return [_number(topic, word) for topic, word in known.items()]


def _number(topic: str, word: str | None) -> int:
    """Return where a word stands in the row of all answers; UNKNOWN without it."""
    return answer_index(topic, word) if word is not None and word in answers(topic) else UNKNOWN


def _count(noun: str, graph: SceneGraph) -> int:
    number = counted(noun, graph)
    if number is None:
        return UNKNOWN
    return _number("count", "" if number == 0 else str(number))
