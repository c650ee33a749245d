"""Policies by name: built from the options of a YAML file, or loaded from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robot.checkpoint import load
from robot.policy.config import EncoderConfig
from robot.policy.diffusion import DiffusionPolicy
from robot.policy.flow import FlowPolicy
from robot.policy.normalize import Statistics
from robot.policy.sizes import ENCODER_OPTIONS
from robot.policy.transformer import TransformerPolicy

Policy = DiffusionPolicy | FlowPolicy | TransformerPolicy
POLICIES: dict[str, type[Policy]] = {
    "diffusion": DiffusionPolicy,
    "flow": FlowPolicy,
    "transformer": TransformerPolicy,
}


def make_policy(kind: str, *, statistics: Statistics, options: Mapping[str, Any]) -> Policy:
    """Build an untrained policy; `options` are flat, as in configs/policy."""
    return POLICIES[kind](statistics=statistics, **nest_encoder(options))


def nest_encoder(options: Mapping[str, Any]) -> dict[str, Any]:
    """Move the encoder's options, which YAML files and old checkpoints keep beside the policy's
    own, under `encoder`.
    """
    own = {name: value for name, value in options.items() if name not in ENCODER_OPTIONS}
    return own | {
        "encoder": {name: value for name, value in options.items() if name in ENCODER_OPTIONS}
    }


def encoder_of(options: Mapping[str, Any], *, cameras: int) -> EncoderConfig:
    """Return the encoder of a policy with these options, for as many cameras."""
    return EncoderConfig.of(nest_encoder({**options, "cameras": cameras})["encoder"])


def upgrade_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the constructor arguments of a checkpoint as this version spells them.

    Before `encoder` was one object its options stood beside the others; before `vision` was one of
    them, every policy had the CNN.
    """
    return dict(config) if "encoder" in config else nest_encoder({"vision": "cnn", **config})


def load_policy(path: Path | str) -> Policy:
    """Return the policy of a checkpoint, of this or an earlier version, in eval mode on the CPU."""
    return load(path, POLICIES, upgrade=upgrade_config)  # type: ignore[return-value]
