"""Presence logits -> calibrated probability -> one status per call."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from robot.calibration import platt
from robot.types import InputError, MaskStatus

FOUND_ABOVE, ABSENT_BELOW = 0.8, 0.5  # presence, calibrated; between the two a target is uncertain
LARGEST_TEMPERATURE = 150.0  # logits that know nothing want an infinite one


class CalibratedPresence(nn.Module):
    """A module whose presence logits, (N, 2), mean probabilities once they are calibrated."""

    presence_temperature: Tensor
    presence_bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("presence_temperature", torch.ones(2))
        self.register_buffer("presence_bias", torch.zeros(2))

    @property
    def device(self) -> torch.device:
        return self.presence_bias.device

    def presence_probability(self, presence_logits: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """Apply the stored calibration: sigmoid(logit / temperature + bias)."""
        temperature, bias = (
            buffer.to(presence_logits) for buffer in (self.presence_temperature, self.presence_bias)
        )
        return torch.sigmoid(presence_logits / temperature + bias)

    def calibrate_presence(
        self, presence_logits: Float[Tensor, "n 2"], truth: Float[Tensor, "n 2"]
    ) -> None:
        """Fit the calibration to logits of held-out frames."""
        with torch.inference_mode(False):
            temperature, bias = calibrate(presence_logits.clone(), truth.clone())
        self.presence_temperature.copy_(temperature)
        self.presence_bias.copy_(bias)


def calibrate(
    presence_logits: Float[Tensor, "n _"], truth: Float[Tensor, "m _"]
) -> tuple[Float[Tensor, "2"], Float[Tensor, "2"]]:
    """Fit sigmoid(logit / temperature + bias) to held-out frames, for target and destination apart.

    A channel whose truth never varies cannot be fitted and keeps temperature 1, bias 0.
    """
    if presence_logits.shape != truth.shape or presence_logits.ndim != 2 or not len(truth):
        raise InputError(
            f"got logits {tuple(presence_logits.shape)} and truth {tuple(truth.shape)}, expected "
            "both (N, 2) with N >= 1, "
            "calibrate on the head's outputs for labelled held-out frames"
        )
    fits = [_fit(logits, label) for logits, label in zip(presence_logits.T, truth.T, strict=True)]
    return torch.tensor([fit[0] for fit in fits]), torch.tensor([fit[1] for fit in fits])


def _fit(logits: Float[Tensor, " n"], truth: Float[Tensor, " n"]) -> tuple[float, float]:
    if not 0 < truth.sum() < len(truth):
        return 1.0, 0.0
    slope, bias = platt(logits, truth)
    return 1 / min(max(slope, 1 / LARGEST_TEMPERATURE), LARGEST_TEMPERATURE), bias


def status_of(
    target_presence: float,
    *,
    found_above: float = FOUND_ABOVE,
    absent_below: float = ABSENT_BELOW,
    chances: int = 1,
) -> MaskStatus:
    """Turn the probability that any camera sees the target into a status. The best of several
    sentences has so many `chances` to be found by mistake, and must be the surer.
    """
    if target_presence >= 1 - (1 - found_above) / chances:
        return MaskStatus.FOUND
    surely_absent = target_presence <= 1 - (1 - absent_below) / chances
    return MaskStatus.ABSENT if surely_absent else MaskStatus.UNCERTAIN


def likeliness(presence: Float[np.ndarray, "*n 2"]) -> float:
    """Return how sure a head is of the target in any camera; of two alike, the destination
    decides.
    """
    target, destination = presence.reshape(-1, 2).max(axis=0)
    return float(target) + 0.1 * float(destination)
