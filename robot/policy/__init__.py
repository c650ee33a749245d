"""Behaviour cloning on masked composites: diffusion, flow matching and chunk regression, one
signature.
"""

from robot.policy.config import EncoderConfig
from robot.policy.diffusion import DiffusionPolicy
from robot.policy.flow import FlowPolicy
from robot.policy.registry import POLICIES, load_policy, make_policy
from robot.policy.transformer import TransformerPolicy

__all__ = [
    "POLICIES",
    "DiffusionPolicy",
    "EncoderConfig",
    "FlowPolicy",
    "TransformerPolicy",
    "load_policy",
    "make_policy",
]
