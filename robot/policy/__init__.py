"""Behaviour cloning on masked composites: diffusion, flow matching and chunk regression, one signature."""

from robot.policy.diffusion import DiffusionPolicy
from robot.policy.flow import FlowPolicy
from robot.policy.transformer import TransformerPolicy

POLICIES = {"diffusion": DiffusionPolicy, "flow": FlowPolicy, "transformer": TransformerPolicy}

__all__ = ["POLICIES", "DiffusionPolicy", "FlowPolicy", "TransformerPolicy"]
