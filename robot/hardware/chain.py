"""The pose of an arm's end effector from its joint positions, for chains of hinges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from robot.hardware.arm import JointLimits


@dataclass(frozen=True)
class Link:
    """A hinge: where it lies on the link before it, and the axis that it turns about there."""

    name: str
    position: Float64[np.ndarray, "3"]  # m
    rotation: Float64[np.ndarray, "3 3"]
    axis: Float64[np.ndarray, "3"]


@dataclass(frozen=True)
class Chain:
    """Hinges from the base to the tip, the frame of the end effector on the last link."""

    links: Sequence[Link]
    tip_position: Float64[np.ndarray, "3"]
    tip_rotation: Float64[np.ndarray, "3 3"]
    limits: JointLimits

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(link.name for link in self.links)

    def forward(
        self, joints: Float64[np.ndarray, " j"]
    ) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3 3"]]:
        """Return position [m] and rotation of the tip in the base frame."""
        sine, cosine = np.sin(joints)[:, None, None], np.cos(joints)[:, None, None]
        turns = self._fixed @ (np.eye(3) + sine * self._cross + (1 - cosine) * self._cross_square)
        position, rotation = np.zeros(3), np.eye(3)
        for link, turn in zip(self.links, turns, strict=True):
            position = position + rotation @ link.position
            rotation = rotation @ turn
        return position + rotation @ self.tip_position, rotation @ self.tip_rotation

    # A safety layer asks for hundreds of poses per control step: made once (Rodrigues' formula).

    @cached_property
    def _fixed(self) -> np.ndarray:
        return np.stack([link.rotation for link in self.links])

    @cached_property
    def _cross(self) -> np.ndarray:
        return np.stack([np.cross(np.eye(3), link.axis) for link in self.links])

    @cached_property
    def _cross_square(self) -> np.ndarray:
        return self._cross @ self._cross


def read_chain(path: Path, name: str) -> Chain:
    """Return the chain of one robot of a YAML file."""
    content: Mapping[str, Any] = yaml.safe_load(path.read_text())[name]
    links, tip = content["links"], content["tip"]
    bounds = {
        key: np.array([link[key] for link in links], float) for key in ("low", "high", "velocity")
    }
    return Chain(
        links=tuple(
            Link(
                name=link["joint"],
                position=np.array(link["position"], float),
                rotation=_rotation(link["rotation"]),
                axis=np.array(link["axis"], float),
            )
            for link in links
        ),
        tip_position=np.array(tip["position"], float),
        tip_rotation=_rotation(tip["rotation"]),
        limits=JointLimits(**bounds),
    )


def _rotation(wxyz: Sequence[float]) -> Float64[np.ndarray, "3 3"]:
    return Rotation.from_quat([*wxyz[1:], wxyz[0]]).as_matrix()
