"""Behaviour cloning on masked composites: diffusion, flow matching and chunk regression, one
signature.
"""

from functools import partial

from robot.policy.diffusion import DiffusionPolicy
from robot.policy.flow import FlowPolicy
from robot.policy.transformer import TransformerPolicy

POLICIES = {"diffusion": DiffusionPolicy, "flow": FlowPolicy, "transformer": TransformerPolicy}
UNSAID = {
    "vision": "cnn"
}  # options that older checkpoints do not name, with what all policies were then
SAVED_POLICIES = {
    kind: partial(policy, **UNSAID) for kind, policy in POLICIES.items()
}  # what checkpoints are rebuilt with

__all__ = [
    "POLICIES",
    "SAVED_POLICIES",
    "UNSAID",
    "DiffusionPolicy",
    "FlowPolicy",
    "TransformerPolicy",
]
