"""From what a goal's objects are to the label of every geom."""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np
from jaxtyping import UInt8

from robot.types import Label


def geom_labels(model: mujoco.MjModel, roles: Mapping[str, Label]) -> UInt8[np.ndarray, " g"]:
    """Return the Label of every geom for roles of bodies; the last entry is for pixels that show
    nothing (geom id -1).
    """
    of_body = np.array([_label(model, body, roles) for body in range(model.nbody)], dtype=np.uint8)
    return np.append(of_body[model.geom_bodyid], np.uint8(Label.BACKGROUND))


def _label(model: mujoco.MjModel, body: int, roles: Mapping[str, Label]) -> int:
    """Return the role of a body: its own name's, or the nearest ancestor's."""
    while body > 0:
        name = model.body(body).name
        if name in roles:
            return int(roles[name])
        if name.startswith("gripper0") or name == "robot0_right_hand":
            return int(Label.GRIPPER)
        body = model.body_parentid[body]
    return int(Label.BACKGROUND)
