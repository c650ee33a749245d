"""The agent of a checkpoint in a simulator, whose truth its masks may come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from robot.agent import Agent
from robot.checkpoint import check_robot
from robot.envs.simulated import SimulatedEnv
from robot.perception.compose.masking import Deployment
from robot.perception.registry import learned_masks, make_fault
from robot.perception.sources import CachedMasks, MaskSource, NoMask, OracleMasks
from robot.system.parse import Spec
from robot.types import InputError


@dataclass(frozen=True, kw_only=True)
class AgentSpec:
    """What an agent is made of: a policy, what it sees through, and what breaks its masks.

    `faults` are injected in order, the last outermost; a fresh mask comes every `mask_period`
    decisions. Comparisons do not `verify` masks unless they say so: they show what faults do.
    """

    policy: Path
    perception: str  # learned, oracle, none
    head: Path | None
    deployment: Deployment
    mask_period: int = 1
    faults: tuple[Spec, ...] = ()
    verify: bool = False


def make_agent(env: SimulatedEnv, spec: AgentSpec) -> Agent:
    """Return the agent, on the CPU: envs run in parallel processes. Faults draw from seed 0 until
    it is reset with a generator.

    Raises:
        InputError: the policy was made for another robot or other cameras.
    """
    source = make_source(spec, env)
    if spec.mask_period > 1:
        source = CachedMasks(source, spec.mask_period)
    for fault in spec.faults:
        source = make_fault(
            fault.kind,
            source,
            labels=env.other_object_maps,
            rng=np.random.default_rng(0),
            **fault.options,
        )
    check_robot(spec.policy, env.spaces)
    return Agent.load(
        spec.policy, device="cpu", masks=source, deployment=spec.deployment, verify=spec.verify
    )


def make_source(spec: AgentSpec, env: SimulatedEnv) -> MaskSource:
    """Return the mask source of an agent; the oracle reads `env`."""
    if spec.perception == "none":
        return NoMask()
    if spec.perception == "oracle":
        return OracleMasks(env.label_maps)
    if spec.head is None:
        raise InputError(
            "got perception learned without a mask head; pass head=<checkpoint> "
            "(launch/train_mask.py makes one)"
        )
    return learned_masks(spec.head, device=torch.device("cpu"))
