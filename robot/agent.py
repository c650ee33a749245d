"""The data flow, as one object: frames and a goal -> masks -> composites -> policy -> a chunk of
actions.

Whoever acts calls this; nothing else knows all the stages.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from robot.batch import PolicyObservation
from robot.language import LanguageEncoder
from robot.perception.compose.masking import Deployment, compose_cameras
from robot.perception.sources import MaskSource, RandomMasks
from robot.types import ActionChunk, Mask, MaskStatus, Observation

OPEN_GRIPPER = 1.0


class Policy(Protocol):
    def sample(
        self, observation: PolicyObservation, generator: torch.Generator | None = None
    ) -> Tensor: ...


@dataclass(frozen=True)
class Plan:
    """What the agent decided at one observation, and what it saw: for executors, recorders and
    reports.
    """

    chunk: ActionChunk
    mask: Mask
    composites: Tensor  # (N, 6, h, w)
    mask_ms: float
    policy_ms: float


class Agent:
    """Holds still until the goal's object is found, acts from then on.

    An `absent` object is waited for (`hold_when_absent`); at an `uncertain` one the agent looks
    again, `looks_again` times, then acts on what it has. What was found once and is seen no longer
    is behind the hand, not gone: `reset` forgets it for the next episode.
    """

    def __init__(
        self,
        *,
        masks: MaskSource,
        deployment: Deployment,
        policy: Policy,
        language: LanguageEncoder,
        image_size: int,
        control_dt_s: float,
        hold_when_absent: bool = True,
        looks_again: int = 2,
    ) -> None:
        self.masks, self.deployment, self.policy, self.language = (
            masks,
            deployment,
            policy,
            language,
        )
        self.image_size, self.control_dt_s, self.hold_when_absent = (
            image_size,
            control_dt_s,
            hold_when_absent,
        )
        self.looks_again = looks_again
        self._found, self._unsure = False, 0

    def reset(self, *, rng: np.random.Generator | None = None) -> None:
        """Begin a new episode, or a new goal; mask sources that are random draw from `rng` from
        here on.
        """
        self._found, self._unsure = False, 0
        if rng is not None and isinstance(self.masks, RandomMasks):
            self.masks.reseed(rng)

    @torch.inference_mode()
    def plan(self, observation: Observation, *, generator: torch.Generator | None = None) -> Plan:
        """Return the next chunk of actions for what is seen now."""
        began = perf_counter()
        mask = self.masks(observation.frames, observation.goal)
        composites = compose_cameras(
            [frame.image[None] for frame in observation.frames],
            [roles[None] for roles in mask.probability],
            deployment=self.deployment,
            size=self.image_size,
        )[0]
        masked = perf_counter()
        seen = PolicyObservation(
            images=composites[None],
            proprio=torch.from_numpy(observation.proprio)[None],
            language=self.language.encode([observation.goal.text]),
        )
        actions = self.policy.sample(seen, generator)[0].float().numpy()
        if self._waits(mask.status[0]):
            actions = _hold(actions)
        return Plan(
            chunk=ActionChunk(
                actions=actions, control_dt_s=self.control_dt_s, time_s=observation.time_s
            ),
            mask=mask,
            composites=composites,
            mask_ms=1e3 * (masked - began),
            policy_ms=1e3 * (perf_counter() - masked),
        )

    def _waits(self, status: MaskStatus) -> bool:
        """Take note of a look; tell whether it is one to wait at."""
        self._unsure += status is MaskStatus.UNCERTAIN
        self._found |= status is MaskStatus.FOUND or self._unsure > self.looks_again
        return not self._found and (status is MaskStatus.UNCERTAIN or self.hold_when_absent)


def _hold(actions: np.ndarray) -> np.ndarray:
    """Return a chunk as long as `actions` that stays where it is with the gripper open: nothing to
    grasp is there.
    """
    still = np.zeros_like(actions)
    still[:, -1] = OPEN_GRIPPER
    return still
