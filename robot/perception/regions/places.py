"""Where regions are over the table, by cameras that know where they stand (`Frame.viewpoint`).

What tells identical things apart in another camera is where they are. A region's outline in one
camera is a ray that meets the table; the place found there is projected into every other camera,
and refined by what each look shows. Table coordinates are those of `Viewpoint`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float64

from robot.types import Viewpoint

MIDDLE_M, MIDDLE_SIGMA_M = 0.02, 0.02  # height of a thing's middle over the table
OUTLINE_SIGMA = 0.15  # of an outline's half width: how far its middle may be off
PIXEL_SIGMA = 1.0  # of any outline's middle, in pixels at the head's size
DRIFT_M = 0.004  # what a look adds to the uncertainty of a place
NEAREST_M = 0.02  # before a camera


@dataclass(frozen=True)
class Place:
    """The middle of a thing, its covariance [m, m^2], and half of its width."""

    middle_m: Float64[np.ndarray, "3"]
    covariance: Float64[np.ndarray, "3 3"]
    radius_m: float


@dataclass(frozen=True)
class Outline:
    """The middle of what a mask covers, and half its larger side, in pixels."""

    x: float
    y: float
    half: float

    def inside(self, width: int, height: int) -> bool:
        """Return whether the border does not cut it off, so that its middle is seen."""
        return self.half < self.x < width - self.half and self.half < self.y < height - self.half


@dataclass(frozen=True)
class Spot:
    """Where a place is in a frame, in pixels: its middle, half its width, and the standard
    deviation of the middle; `per_m` pixels are a metre there.
    """

    x: float
    y: float
    radius: float
    sigma: float
    per_m: float

    @property
    def unlikely(self) -> float:
        """Return how far from it a mask's middle says that the thing was moved."""
        return 3.0 * (self.sigma + 0.2 * self.radius + 1)

    def inside(self, size: tuple[int, int]) -> bool:
        """Return whether any of it may be seen in a frame of (height, width)."""
        room = self.radius + self.sigma
        return -room < self.x < size[1] + room and -room < self.y < size[0] + room


def outline_of(mask: Float[np.ndarray, "h w"]) -> Outline | None:
    """Return where what a mask covers lies; None where that is nothing."""
    rows, columns = np.nonzero(mask > 0.5)
    if not len(rows):
        return None
    left, right, top, bottom = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
    half = max(right - left, bottom - top) / 2
    return Outline(x=float(left + right) / 2, y=float(top + bottom) / 2, half=float(half))


def place_on_table(outline: Outline, viewpoint: Viewpoint) -> Place | None:
    """Return the place of a thing that stands on the table, by one camera; None where the ray does
    not meet the table.
    """
    pixel = [outline.x, outline.y, 1.0]
    ray = viewpoint.T_table_camera[:3, :3] @ np.linalg.solve(viewpoint.K, pixel)
    eye = viewpoint.T_table_camera[:3, 3]
    depth = (MIDDLE_M - eye[2]) / ray[2] if abs(ray[2]) > 1e-6 else -1.0
    if depth <= 0:
        return None
    metres = depth / _focal(viewpoint)  # per pixel
    off = (_sigma(outline) * metres) ** 2 * np.eye(3)
    along = ray / ray[2] * MIDDLE_SIGMA_M
    return Place(eye + depth * ray, off + np.outer(along, along), outline.half * metres)


def project(place: Place, viewpoint: Viewpoint) -> Spot | None:
    """Return where a place is in a frame; None behind the camera."""
    u, jacobian, depth = _projection(place.middle_m, viewpoint)
    if depth < NEAREST_M:
        return None
    spread = jacobian @ place.covariance @ jacobian.T
    per_m = _focal(viewpoint) / depth
    sigma = float(np.sqrt(np.linalg.eigvalsh(spread)[-1]))
    return Spot(float(u[0]), float(u[1]), float(place.radius_m * per_m), sigma, per_m)


def refined(place: Place, outline: Outline, viewpoint: Viewpoint) -> Place:
    """Return a place by one more outline of it: a step of an extended Kalman filter."""
    u, jacobian, depth = _projection(place.middle_m, viewpoint)
    if depth < NEAREST_M:
        return place
    noise = _sigma(outline) ** 2 * np.eye(2)
    spread = jacobian @ place.covariance @ jacobian.T + noise
    gain = np.linalg.solve(spread, jacobian @ place.covariance).T
    middle = place.middle_m + gain @ (np.array([outline.x, outline.y]) - u)
    return replace(
        place, middle_m=middle, covariance=(np.eye(3) - gain @ jacobian) @ place.covariance
    )


def _sigma(outline: Outline) -> float:
    """Return how far the middle of an outline may be off, in pixels."""
    return PIXEL_SIGMA + OUTLINE_SIGMA * outline.half


def rested(place: Place) -> Place:
    """Return where a thing is a look later that nothing has moved."""
    return replace(place, covariance=place.covariance + DRIFT_M**2 * np.eye(3))


def carried(place: Place, before: Viewpoint, now: Viewpoint) -> Place:
    """Return where a thing is that moved as a camera on the hand did."""
    motion = now.T_table_camera @ np.linalg.inv(before.T_table_camera)
    turn = motion[:3, :3]
    return rested(
        replace(
            place,
            middle_m=turn @ place.middle_m + motion[:3, 3],
            covariance=turn @ place.covariance @ turn.T,
        )
    )


def warp_between(
    place: Place, before: Viewpoint, then: Place, now: Viewpoint
) -> Float64[np.ndarray, "2 3"] | None:
    """Return the affine map that takes a thing's pixels in a frame `before`, when it was at
    `place`, to where they are `now` that it is at `then`; None where it was or is behind the
    camera.
    """
    u, _, deep = _projection(place.middle_m, before)
    v, _, deep_now = _projection(then.middle_m, now)
    if min(deep, deep_now) < NEAREST_M:
        return None
    turn = now.T_table_camera[:3, :3].T @ before.T_table_camera[:3, :3]
    angle = np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1])  # about the optical axis
    cos, sin = np.cos(angle), np.sin(angle)
    turned = now.K[:2, :2] @ [[cos, -sin], [sin, cos]] @ np.linalg.inv(before.K[:2, :2])
    linear = deep / deep_now * turned
    return np.column_stack([linear, v - linear @ u])


def _focal(viewpoint: Viewpoint) -> float:
    """Return the focal length in pixels, also of a picture that was turned or mirrored."""
    return float(np.sqrt(abs(np.linalg.det(viewpoint.K[:2, :2]))))


def scaled(viewpoint: Viewpoint, *, own: tuple[int, int], size: tuple[int, int]) -> Viewpoint:
    """Return the viewpoint of a frame of `own` (height, width) resized to `size`."""
    change = np.diag([size[1] / own[1], size[0] / own[0], 1.0])
    return replace(viewpoint, K=change @ viewpoint.K)


def _projection(
    point: Float64[np.ndarray, "3"], viewpoint: Viewpoint
) -> tuple[Float64[np.ndarray, "2"], Float64[np.ndarray, "2 3"], float]:
    """Return the pixel of a point, its Jacobian, and the depth along the optical axis [m]."""
    rotation = viewpoint.T_table_camera[:3, :3].T
    seen = rotation @ (point - viewpoint.T_table_camera[:3, 3])
    depth = float(seen[2])
    pixel = (viewpoint.K @ seen)[:2] / depth
    jacobian = (viewpoint.K[:2] - np.outer(pixel, viewpoint.K[2])) / depth @ rotation
    return pixel, jacobian, depth
