"""Cameras, state and actions of the simulated arms."""

from __future__ import annotations

from robot.end_effector import end_effector_action, end_effector_state
from robot.spaces import Camera, Spaces

MAX_DELTA_M, MAX_DELTA_RAD = 0.05, 0.5  # per control step: OSC_POSE's output limits
CAMERAS = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}  # ours: the model's
CONTROL_DT_S = 0.05  # of demonstrations, and wherever nothing else is said
DEFAULT_ROBOT = "Panda"


def arm_spaces(
    *, image_size: int = 128, control_dt_s: float = CONTROL_DT_S, robot: str = DEFAULT_ROBOT
) -> Spaces:
    """Return the spaces of a simulated arm without making one."""
    return Spaces(
        state=end_effector_state(),
        action=end_effector_action(max_delta_m=MAX_DELTA_M, max_delta_rad=MAX_DELTA_RAD),
        cameras=tuple(Camera(name, height=image_size, width=image_size) for name in CAMERAS),
        control_dt_s=control_dt_s,
        robot_type=robot.lower(),
    )
