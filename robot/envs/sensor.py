"""What a poor camera does to a frame: exposure, blur, noise. Pure functions."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8


def degrade(
    image: UInt8[np.ndarray, "h w 3"],
    *,
    noise_sigma: float,
    blur_sigma: float,
    exposure: float,
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the frame with `exposure` as a factor, Gaussian blur [px] and noise [grey levels];
    unchanged at 0, 0, 1.
    """
    if noise_sigma == 0.0 and blur_sigma == 0.0 and exposure == 1.0:
        return image
    seen = image.astype(np.float32) * exposure
    if blur_sigma > 0.05:
        seen = cv2.GaussianBlur(seen, (0, 0), blur_sigma)
    return np.clip(seen + rng.normal(0.0, max(noise_sigma, 1e-9), seen.shape), 0, 255).astype(
        np.uint8
    )
