"""Behaviour cloning on masked composites: diffusion, flow matching and chunk regression, one
signature.

What is named here is imported when it is used: sizes and names (robot.policy.sizes) are checked
without torch, which takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
_MODULES = {
    "EncoderConfig": "config",
    "DiffusionPolicy": "diffusion",
    "FlowPolicy": "flow",
    "TransformerPolicy": "transformer",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'registry')}"), name)
