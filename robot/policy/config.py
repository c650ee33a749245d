"""What every policy's observation encoder is built from: one object instead of eight keywords."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from robot.errors import InputError

VISIONS = ("cnn", "tokens")
PATCH = 4  # pixels on a side that are folded into channels, or into one token
HEADS = 4  # of attention between tokens, and of what pools the words of a goal


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Sizes of an observation encoder; `config()` of a policy writes it out as JSON.

    `vision` is "cnn", on the whole picture, or "tokens", on the patches that the mask keeps.
    `stride` is that of the CNN's first convolution: 1 works on maps of image_size / 4, 2 on maps
    of half that side, at a quarter of the cost per layer.
    """

    cameras: int = 2
    in_channels: int = 5  # of a composite: 3 RGB, 5 + coverage of target, destination, 6 + gripper
    image_size: int = 64  # pixels, a multiple of PATCH
    width: int = 64  # channels of the CNN, or of a token
    layers: int = 4  # convolutions, or transformer blocks, per camera
    keypoints: int = 32  # spatial-softmax points per camera
    vision: str = "tokens"
    stride: int = 1
    dim: int = 128  # of the goal's vector and of a policy's denoiser; a context has twice as many

    def __post_init__(self) -> None:
        if self.vision not in VISIONS:
            raise InputError(
                f"got vision {self.vision!r}, expected one of {', '.join(VISIONS)}; pass "
                "policy.vision=<one of these>"
            )
        if not 1 <= self.in_channels <= 6:
            raise InputError(
                f"got in_channels {self.in_channels}, expected 3 (RGB), 5 (+ target, destination) "
                "or 6 (+ gripper)"
            )
        if self.dim % HEADS:
            raise InputError(
                f"got dim {self.dim}, expected a multiple of {HEADS}, the heads on the goal; "
                "pass policy.dim=128"
            )
        if self.image_size % (PATCH * self.stride):
            raise InputError(
                f"got image_size {self.image_size}, expected a multiple of {PATCH * self.stride}: "
                "use 64 or 96"
            )
        if self.vision == "tokens" and (self.width % HEADS or self.stride != 1):
            raise InputError(
                f"got width {self.width} and stride {self.stride} for tokens, expected a multiple "
                f"of {HEADS} and stride 1: use 64 and 1"
            )

    @property
    def features(self) -> int:
        """Features per camera: two coordinates per keypoint, and one vector."""
        return 2 * self.keypoints + self.width

    @staticmethod
    def of(value: EncoderConfig | Mapping[str, Any]) -> EncoderConfig:
        """Return `value` itself, or the config that its keywords describe."""
        return value if isinstance(value, EncoderConfig) else EncoderConfig(**value)

    def to_json(self) -> dict[str, Any]:
        """Return the keyword arguments that rebuild this config."""
        return asdict(self)


DEFAULT_ENCODER = EncoderConfig()
