"""The agent of a checkpoint in a simulator, whose truth its masks may come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from robot.agent import Agent, StateRange
from robot.checkpoint import spaces_of
from robot.envs.robosuite import RobosuiteEnv
from robot.language import LanguageEncoder
from robot.perception.compose.masking import Deployment
from robot.perception.registry import load_head, make_fault, words_for
from robot.perception.sources import CachedMasks, LearnedMasks, MaskSource, NoMask, OracleMasks
from robot.policy import registry as policies
from robot.spaces import Spaces, check_spaces
from robot.system.device import has_bf16
from robot.system.parse import Spec
from robot.types import InputError


@dataclass(frozen=True, kw_only=True)
class AgentSpec:
    """What an agent is made of: a policy, what it sees through, and what breaks its masks.

    `faults` are injected in order, the last outermost; a fresh mask comes every `mask_period`
    decisions.
    """

    policy: Path
    perception: str  # learned, oracle, none
    head: Path | None
    deployment: Deployment
    mask_period: int = 1
    faults: tuple[Spec, ...] = ()


def make_agent(env: RobosuiteEnv, spec: AgentSpec) -> Agent:
    """Return the agent; faults draw from seed 0 until it is reset with a generator."""
    language = LanguageEncoder()
    source = make_source(spec.perception, head=spec.head, language=language, env=env)
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
    policy = load_policy(spec.policy, spaces=env.spaces)
    return Agent(
        masks=source,
        deployment=spec.deployment,
        policy=policy,
        language=language,
        image_size=policy.encoder.config.image_size,
        spaces=env.spaces,
        trained_range=StateRange.of(policy.config()["statistics"]),
    )


def make_source(
    perception: str, *, head: Path | None, language: LanguageEncoder, env: RobosuiteEnv
) -> MaskSource:
    """Return the mask source of a perception; the oracle reads `env`."""
    if perception == "none":
        return NoMask()
    if perception == "oracle":
        return OracleMasks(env.label_maps)
    if head is None:
        raise InputError(
            "got perception learned without a mask head; pass head=<checkpoint> "
            "(launch/train_mask.py makes one)"
        )
    loaded = load_head(head)
    return LearnedMasks(loaded, words_for(loaded, language), bfloat16=has_bf16(torch.device("cpu")))


def load_policy(path: Path, *, spaces: Spaces) -> policies.Policy:
    """Return a policy made for the spaces at hand; raise InputError, naming what differs, for
    others.
    """
    policy = policies.load_policy(path)
    check_spaces(
        spaces_of(path),
        spaces,
        what=f"a robot for the policy {path}",
        remedy="Use a policy that was trained for this robot and its cameras",
    )
    return policy
