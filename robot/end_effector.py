"""The spaces of an arm with a gripper under end-effector control in the base frame: those of the
simulated arms here, and of all that was recorded and trained before spaces were data.
"""

from __future__ import annotations

from collections.abc import Sequence

from robot.spaces import GRIPPER, Camera, Spaces, Vector


def end_effector_state() -> Vector:
    """Return the state of an arm with a gripper: position [m], the first two columns of the
    rotation matrix, opening (0 closed .. 1 open), in the base frame.
    """
    return Vector(
        names=(
            *("ee_position_x", "ee_position_y", "ee_position_z"),
            *(f"ee_rotation_{k}" for k in range(6)),
            "gripper_opening",
        ),
        units=("m",) * 3 + ("1",) * 7,
        low=(-2.0,) * 3 + (-1.0,) * 6 + (0.0,),
        high=(2.0,) * 3 + (1.0,) * 7,
        groups=(("ee_position", 3), ("ee_rotation", 6), (GRIPPER, 1)),
        relative=(False,) * 10,
    )


def end_effector_action(*, max_delta_m: float, max_delta_rad: float) -> Vector:
    """Return the action of an arm with a gripper: position delta [m] and rotation-vector delta
    [rad] per control step in the base frame, gripper target (0 closed .. 1 open).
    """
    high = (max_delta_m,) * 3 + (max_delta_rad,) * 3
    return Vector(
        names=("delta_x", "delta_y", "delta_z", "delta_rx", "delta_ry", "delta_rz")
        + ("gripper_target",),
        units=("m",) * 3 + ("rad",) * 3 + ("1",),
        low=(*(-x for x in high), 0.0),
        high=(*high, 1.0),
        groups=(("delta_position", 3), ("delta_rotation", 3), (GRIPPER, 1)),
        relative=(True,) * 6 + (False,),
    )


def panda_spaces(*, cameras: Sequence[Camera], control_dt_s: float) -> Spaces:
    """Return what episodes and checkpoints that do not say were made for: robosuite's Panda under
    OSC_POSE.
    """
    return Spaces(
        state=end_effector_state(),
        action=end_effector_action(max_delta_m=0.05, max_delta_rad=0.5),
        cameras=tuple(cameras),
        control_dt_s=control_dt_s,
        robot_type="panda",
    )
