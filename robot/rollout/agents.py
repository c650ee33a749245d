"""The agent of a checkpoint, in a simulator: its masks may come from the simulator's truth, whole
or broken on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from robot.agent import Agent
from robot.checkpoint import describe_action_space, load
from robot.envs.env import action_space
from robot.envs.robosuite import MAX_DELTA_M, MAX_DELTA_RAD, RobosuiteEnv
from robot.language import LanguageEncoder
from robot.perception.head.base import Head
from robot.perception.registry import SOURCES, make_deployment, make_fault
from robot.perception.sources import CachedMasks, LearnedMasks, MaskSource, NoMask, OracleMasks
from robot.policy import SAVED_POLICIES
from robot.types import InputError


def robosuite_action_space(*, control_dt_s: float) -> dict[str, Any]:
    """Describe the actions of RobosuiteEnv, as a checkpoint records them."""
    space = action_space(max_delta_m=MAX_DELTA_M, max_delta_rad=MAX_DELTA_RAD)
    return describe_action_space(
        low=space.low.tolist(), high=space.high.tolist(), control_dt_s=control_dt_s
    )


def load_policy(path: Path, *, control_dt_s: float) -> nn.Module:
    """Return a policy made for RobosuiteEnv's action space, or refuse."""
    return load(
        path, SAVED_POLICIES, action_space=robosuite_action_space(control_dt_s=control_dt_s)
    )


def make_source(
    name: str, *, head: Path | None, language: LanguageEncoder, env: RobosuiteEnv | None
) -> MaskSource:
    """Return the mask source `name`; the oracle reads `env`."""
    if name == "none":
        return NoMask()
    if name == "oracle":
        assert env is not None, "an oracle needs a simulator"
        return OracleMasks(env.label_maps)
    if name != "learned":
        raise InputError(
            f"got perception {name!r}, expected one of {', '.join(SOURCES)}; pass perception=<one "
            "of these>"
        )
    if head is None:
        raise InputError(
            "got perception learned without a mask head; pass head=<checkpoint> "
            "(launch/train_mask.py makes one)"
        )
    loaded = Head.load(head)
    return LearnedMasks(loaded, loaded.word_encoder(language))


def make_agent(
    env: RobosuiteEnv,
    *,
    policy: Path,
    perception: str,
    head: Path | None,
    deployment: Mapping[str, Any],
    mask_period: int,
    faults: Sequence[Mapping[str, Any]] = (),
) -> Agent:
    """Return the agent of a policy checkpoint, seeing through `perception`; `faults` are injected
    in order, the last outermost.

    Faults draw from seed 0 until the agent is reset with a generator.
    """
    language = LanguageEncoder()
    source = make_source(perception, head=head, language=language, env=env)
    source = source if mask_period == 1 else CachedMasks(source, mask_period)
    for fault in faults:
        source = make_fault(
            source=source, labels=env.other_object_maps, rng=np.random.default_rng(0), **fault
        )
    loaded = load_policy(policy, control_dt_s=env.control_dt_s)
    return Agent(
        masks=source,
        deployment=make_deployment(**deployment),
        policy=loaded,  # type: ignore[arg-type]
        language=language,
        image_size=loaded.config()["image_size"],  # type: ignore[operator]
        control_dt_s=env.control_dt_s,
    )
