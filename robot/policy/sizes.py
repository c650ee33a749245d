"""Which options make a policy: names and sizes that fit together, checked without torch.

The constructors call the same functions, so that a config and a program get the same sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from robot.errors import InputError, one_of
from robot.policy.config import EncoderConfig

KINDS = ("diffusion", "flow", "transformer")
DENOISERS = ("transformer", "unet")
PREDICTIONS = ("epsilon", "sample", "v_prediction")
DENOISER_HEADS = 4
GROUPS = 8  # of the U-Net's group norms
ENCODER_OPTIONS = frozenset(field.name for field in fields(EncoderConfig))


def check_kind(kind: str, *, at: str) -> None:
    """Raise InputError unless there is such a kind of policy."""
    if kind not in KINDS:
        known = one_of(kind, KINDS, do=f"pass {at}=<one of these>")
        raise InputError(f"got {at}.kind={kind}, {known}")


def check_policy(kind: str, options: Mapping[str, Any], *, at: str = "policy") -> None:
    """Raise InputError where options, flat as in configs/policy, make no policy of this kind."""
    check_kind(kind, at=at)
    encoder = EncoderConfig(
        **{name: value for name, value in options.items() if name in ENCODER_OPTIONS}
    )
    if kind == "transformer":
        check_heads(encoder.dim, options.get("heads", 4))
        return
    if kind == "diffusion":
        check_prediction(options.get("prediction", "sample"))
        check_sampling(
            sample_steps=options.get("sample_steps", 3), train_steps=options.get("train_steps", 100)
        )
    check_denoiser(
        options.get("denoiser", "transformer"),
        horizon=options.get("horizon", 16),
        dim=encoder.dim,
        depth=options.get("depth", 4),
    )


def check_prediction(prediction: str) -> None:
    """Raise InputError unless a denoiser can predict this."""
    if prediction not in PREDICTIONS:
        raise InputError(
            f"got prediction {prediction!r}, expected one of {', '.join(PREDICTIONS)}; choose one "
            "of these"
        )


def check_sampling(*, sample_steps: int, train_steps: int) -> None:
    """Raise InputError unless an inference visits some of the noise levels."""
    if not 1 <= sample_steps <= train_steps:
        raise InputError(
            f"got {sample_steps} sample_steps of {train_steps} train_steps, expected 1 to "
            f"{train_steps}; change one of the two"
        )


def check_denoiser(name: str, *, horizon: int, dim: int, depth: int) -> None:
    """Raise InputError unless there is such a denoiser, and of these sizes."""
    if name not in DENOISERS:
        raise InputError(
            f"got denoiser {name!r}, expected one of {', '.join(DENOISERS)}; choose one of these"
        )
    if name == "transformer":
        check_heads(dim, DENOISER_HEADS)
        return
    if horizon % 2 ** (depth - 1):
        raise InputError(
            f"got horizon {horizon} for {depth} U-Net levels, expected a multiple of "
            f"{2 ** (depth - 1)}; change one of the two"
        )
    if dim % GROUPS:
        raise InputError(
            f"got dim {dim} for a U-Net, expected a multiple of {GROUPS}, its groups; pass dim=128"
        )


def check_heads(dim: int, heads: int) -> None:
    """Raise InputError unless the heads share the channels evenly."""
    if dim % heads:
        raise InputError(
            f"got dim {dim} and {heads} heads, expected a dim that the number of heads divides; "
            "change one of the two"
        )
