"""Move demonstrations inside their masks: the target elsewhere on the table, the approach with it.

A masked frame holds target, destination and gripper only, and each can be cut out and put where a
calibrated camera would see it. From demonstrations whose targets all stood in one place come
demonstrations for the whole table, without a simulator: MimicGen's idea, in mask space.

`relocated(windows, relocation)` adds copies. In a copy the target stands somewhere else; the
hand starts where it did, ends its approach at the target's new place and, where the goal names a
destination, brings it to the old one. In between the displacement grows with the way that the hand
has travelled, and the way takes as many steps more as it is longer. What moves is assumed to turn
and change its outline little: a role's pixels are moved and scaled, not drawn anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from robot.data.windows import NOT_LOOKED_AT, Windows, join
from robot.perception.compose.masking import Deployment, Overlay
from robot.perception.compose.redraw import DESTINATION, HAND, TARGET, redrawn
from robot.spaces import GRIPPER
from robot.train.options import Relocation
from robot.types import InputError

ARRIVED_M = 0.02  # from above the target, on the table's plane
SHORT_M = 0.04  # an approach that travels less starts beside its target and is moved as a whole
STRETCHED = (0.5, 4.0)  # at least and at most, of a phase's steps
MOVES, POSE = ("delta_position", "delta_rotation"), ("ee_position", "ee_rotation")
CLOSED = 0.5  # of a gripper's range, 0 closed to 1 open


@dataclass(frozen=True, eq=False)
class Eye:
    """A calibrated camera. `K` is in shares of the picture's width and height; `pose` maps the
    camera's points (x right, y down, z forward) into the base frame or, `on_hand`, into the hand's.
    """

    K: Float[np.ndarray, "3 3"]
    pose: Float[np.ndarray, "4 4"]
    on_hand: bool


@dataclass(frozen=True, eq=False)
class Demonstration:
    """One episode of T steps, L of them looked at (`looks`, ascending), in the base frame."""

    composites: UInt8[np.ndarray, "l n 6 h w"]
    looks: Int[np.ndarray, " l"]
    position: Float[np.ndarray, "t 3"]
    rotation: Float[np.ndarray, "t 3 3"]
    proprio: Float[np.ndarray, "t s"]
    actions: Float[np.ndarray, "t a"]
    grasp: int  # the step at which the gripper closes
    release: int | None  # and that at which it opens over a destination

    @property
    def place(self) -> Float[np.ndarray, "3"]:
        """Where the target stands: where the hand closes on it."""
        return self.position[self.grasp]


def relocated(
    windows: Windows,
    relocation: Relocation,
    *,
    eyes: Sequence[Eye],
    deployment: Deployment,
    look_every: int,
) -> Windows:
    """Return the windows and `copies` of each of their episodes with the target elsewhere.
    Episodes that take nothing, or let go of it on the way, are not copied.
    """
    if type(deployment) is not Overlay:  # one that crops shows no camera's whole view
        raise InputError(
            f"got relocate for {type(deployment).__name__}, expected overlay: only what is painted "
            "over, and not cropped, can be moved; choose another deployment"
        )
    if len(eyes) != len(windows.spaces.cameras):
        raise InputError(
            f"got {len(eyes)} calibrated cameras for relocate, expected "
            f"{list(windows.spaces.camera_names)}; calibrate each"
        )
    rng = np.random.default_rng(relocation.seed)
    fill = round(255 * deployment.fill)
    copies = []
    for episode in range(len(windows.starts)):
        if (demonstration := demonstration_of(windows, episode)) is None:
            continue
        for _ in range(relocation.copies):
            goal = np.array([rng.uniform(*relocation.x_m), rng.uniform(*relocation.y_m)])
            shift = goal - demonstration.place[:2]
            moved = moved_by(demonstration, shift, eyes=eyes, fill=fill, every=look_every)
            copies.append((episode, moved))
    return join([windows, _as_windows(copies, windows)]) if copies else windows


def demonstration_of(windows: Windows, episode: int) -> Demonstration | None:
    """Return an episode, None where it grasps nothing or grasps more than once."""
    start, length = int(windows.starts[episode]), int(windows.lengths[episode])
    frames = slice(start, start + length)
    proprio, actions = windows.proprio[frames].numpy(), windows.actions[frames].numpy()
    action, state = windows.spaces.action.columns(), windows.spaces.state.columns()
    if list(action)[:2] != list(MOVES) or list(state)[:2] != list(POSE) or GRIPPER not in action:
        raise InputError(
            f"got actions {list(action)} and state {list(state)} for relocate, expected them to "
            f"begin with {list(MOVES)} and {list(POSE)}, and a {GRIPPER}; train without relocate"
        )
    closed = actions[:, action[GRIPPER]][:, 0] < CLOSED
    closings = np.flatnonzero(closed & ~np.append(False, closed[:-1]))
    openings = np.flatnonzero(~closed & np.append(False, closed[:-1]))
    if len(closings) != 1 or closings[0] == 0 or len(openings) > 1:
        return None
    rows = (
        torch.arange(start, start + length)
        if windows.look_of is None
        else windows.look_of[start : start + length]
    )
    looks = np.flatnonzero(rows.numpy() != NOT_LOOKED_AT)
    composites = windows.composites[rows[torch.from_numpy(looks)]].numpy()
    if len(openings) and not (composites[:, :, 3 + DESTINATION] > 127).any():
        return None  # dropped
    return Demonstration(
        composites=composites,
        looks=looks,
        position=proprio[:, state["ee_position"]].astype(np.float64),
        rotation=rotations(proprio[:, state["ee_rotation"]]),
        proprio=proprio,
        actions=actions,
        grasp=int(closings[0]),
        release=int(openings[0]) if len(openings) else None,
    )


def rotations(columns: Float[np.ndarray, "t 6"]) -> Float[np.ndarray, "t 3 3"]:
    """Return rotation matrices from their first two columns, made orthonormal (Gram-Schmidt)."""
    first = columns[:, :3] / np.linalg.norm(columns[:, :3], axis=1, keepdims=True)
    second = columns[:, 3:] - (first * columns[:, 3:]).sum(axis=1, keepdims=True) * first
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], axis=2).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Plan:
    """The steps of a copy: which step of the original each shows, where its hand is, which share
    of the target's displacement that has, and how fast the original's motion goes by.
    """

    source: Int[np.ndarray, " t"]
    position: Float[np.ndarray, "t 3"]
    share: Float[np.ndarray, " t"]
    pace: Float[np.ndarray, " t"]


def plan(demonstration: Demonstration, away: Float[np.ndarray, "3"]) -> Plan:
    """Return how the hand goes in a copy whose target stands `away` [m] from the original's."""
    share, position = shares(demonstration), demonstration.position
    path = position + share[:, None] * away
    stretch = np.ones(len(share))
    for phase in _phases(demonstration):
        before, after = _length(position[phase]), _length(path[phase])
        stretch[phase] = np.clip(after / max(before, 1e-6), *STRETCHED)
    reached = np.concatenate([[0.0], np.cumsum(stretch[:-1])])  # step of the copy, for each one
    at = np.interp(np.arange(round(reached[-1]) + 1), reached, np.arange(len(share)))
    source = np.round(at).astype(int)
    return Plan(
        source=source,
        position=_between(path, at),
        share=np.interp(at, np.arange(len(share)), share),
        pace=1 / stretch[source],
    )


def shares(demonstration: Demonstration) -> Float[np.ndarray, " t"]:
    """Return how much of the target's displacement the hand has at each step: growing from 0 to 1
    over the approach, and back to 0 on the way to a destination.
    """
    approach, *carries = _phases(demonstration)
    share = np.ones(len(demonstration.position))
    travelled = _travelled(demonstration.position[approach])
    if len(travelled) and travelled[-1] > SHORT_M:
        share[approach] = travelled / travelled[-1]
    for carry in carries:
        travelled = _travelled(demonstration.position[carry])
        share[carry] = 1 - travelled / max(float(travelled[-1]), 1e-6)
        share[carry.stop :] = 0.0
    return share


def _phases(demonstration: Demonstration) -> list[slice]:
    """Return the steps of the approach, until the hand stays above the target, and with a
    destination those of the way there.
    """
    grasp, release = demonstration.grasp, demonstration.release
    off = np.linalg.norm((demonstration.position - demonstration.place)[: grasp + 1, :2], axis=1)
    away = np.flatnonzero(off > ARRIVED_M)
    approach = slice(0, int(away[-1]) + 2 if len(away) else 0)
    return [approach] if release is None else [approach, slice(grasp, release + 1)]


def _travelled(position: Float[np.ndarray, "t 3"]) -> Float[np.ndarray, " t"]:
    """Return the way along the table's plane [m] up to each step."""
    steps = np.linalg.norm(np.diff(position[:, :2], axis=0), axis=1)
    return np.concatenate([np.zeros(min(1, len(position))), np.cumsum(steps)])


def _length(path: Float[np.ndarray, "t 3"]) -> float:
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def _between(values: Float[np.ndarray, "t d"], at: Float[np.ndarray, " n"]) -> np.ndarray:
    steps = np.arange(len(values))
    return np.stack([np.interp(at, steps, column) for column in values.T], axis=1)


def moved_by(
    demonstration: Demonstration,
    shift: Float[np.ndarray, "2"],
    *,
    eyes: Sequence[Eye],
    fill: int,
    every: int,
) -> Demonstration:
    """Return a copy whose target stands `shift` [m] away on the table, every `every`-th step of it
    looked at.
    """
    away = np.array([*shift, 0.0])
    planned = plan(demonstration, away)
    source = planned.source
    proprio, actions = demonstration.proprio[source].copy(), demonstration.actions[source].copy()
    proprio[:, :3] += planned.position - demonstration.position[source]
    drift = np.diff(planned.share, append=planned.share[-1:])[:, None] * away
    actions[:, :6] *= planned.pace[:, None]
    actions[:, :3] += response(demonstration) * drift
    looks = np.arange(0, len(source), every)
    return Demonstration(
        composites=np.stack(
            [_drawn(demonstration, planned, int(t), away, eyes, fill) for t in looks]
        ),
        looks=looks,
        position=planned.position,
        rotation=demonstration.rotation[source],
        proprio=proprio,
        actions=actions,
        grasp=int(np.searchsorted(source, demonstration.grasp)),
        release=None
        if demonstration.release is None
        else int(np.searchsorted(source, demonstration.release)),
    )


def response(demonstration: Demonstration) -> float:
    """Return how much change an arm must be asked for to make one of 1 m: it lags behind."""
    made = np.diff(demonstration.position, axis=0)[: demonstration.grasp]
    asked = demonstration.actions[: len(made), :3]
    return float((made * asked).sum() / max((made * made).sum(), 1e-9))


def _drawn(
    demonstration: Demonstration,
    planned: Plan,
    step: int,
    away: Float[np.ndarray, "3"],
    eyes: Sequence[Eye],
    fill: int,
) -> UInt8[np.ndarray, "n 6 h w"]:
    """Return what the cameras see at a step of a copy, from the nearest look of the original."""
    source = int(planned.source[step])
    row = int(np.abs(demonstration.looks - source).argmin())
    look = int(demonstration.looks[row])
    hand = demonstration.position[look]
    follows = planned.position[step] - hand
    taken = source >= demonstration.grasp
    put = demonstration.release is not None and source >= demonstration.release
    end = hand if demonstration.release is None else demonstration.position[demonstration.release]
    still = np.zeros(3)
    moves = {
        HAND: (hand, follows),
        TARGET: (end, still) if put else (hand, follows) if taken else (demonstration.place, away),
        DESTINATION: (end, still),
    }
    T_base_hand = np.eye(4)
    T_base_hand[:3, :3], T_base_hand[:3, 3] = demonstration.rotation[look], hand
    pictures = []
    for eye, picture in zip(eyes, demonstration.composites[row], strict=True):
        camera = T_base_hand @ eye.pose if eye.on_hand else eye.pose
        seen = {role: (at, by - follows if eye.on_hand else by) for role, (at, by) in moves.items()}
        pictures.append(redrawn(picture, seen, K=eye.K, T_base_camera=camera, fill=fill))
    return np.stack(pictures)


def _as_windows(copies: Sequence[tuple[int, Demonstration]], windows: Windows) -> Windows:
    """Lay copies, each with the episode that it was made from, end to end."""
    lengths = torch.tensor([len(copy.actions) for _, copy in copies])
    episodes = torch.tensor([episode for episode, _ in copies])
    look_of = torch.full((int(lengths.sum()),), NOT_LOOKED_AT)
    starts = lengths.cumsum(0) - lengths
    looked_at = np.concatenate(
        [start + copy.looks for start, (_, copy) in zip(starts.tolist(), copies, strict=True)]
    )
    look_of[torch.from_numpy(looked_at)] = torch.arange(len(looked_at))
    return Windows(
        composites=torch.from_numpy(np.concatenate([copy.composites for _, copy in copies])),
        proprio=torch.from_numpy(np.concatenate([copy.proprio for _, copy in copies])),
        actions=torch.from_numpy(np.concatenate([copy.actions for _, copy in copies])),
        goal_ids=windows.goal_ids[windows.starts[episodes]].repeat_interleave(lengths),
        starts=starts,
        lengths=lengths,
        weights=windows.weights[episodes],
        language=windows.language,
        spaces=windows.spaces,
        look_of=look_of,
    )
