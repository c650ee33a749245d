"""What the safety layer holds an arm to, as a section of a config: `configs/robot/*.yaml`."""

from __future__ import annotations

import math
from pathlib import Path

import yaml

from robot.errors import InputError
from robot.system.parse import Positive, Share, options, parse

Corner = tuple[float, float, float]


@options
class SafetyLimits:
    """Limits of one arm at one place. Lengths of vectors are Euclidean, not per axis.

    Speed, acceleration and jerk are those of the commanded path: differences of successive sent
    poses, each to be reached one control period after the one before.
    """

    workspace_low_m: Corner  # a box for the end effector, in the base frame
    workspace_high_m: Corner
    max_step_m: Positive  # between two sent commands
    max_step_rad: Positive
    max_speed_m_s: Positive
    max_speed_rad_s: Positive
    max_acceleration_m_s2: Positive
    max_acceleration_rad_s2: Positive
    max_jerk_m_s3: Positive
    max_jerk_rad_s3: Positive
    recovery_speed: Share  # of the speed limit, while outside of the box
    joint_margin_rad: Positive  # kept from both ends of every joint's range
    joint_velocity_fraction: Share  # of the vendor's limit
    gripper_speed_1_s: Positive  # of the target; 1 is from closed to open in a second
    max_lead_m: Positive  # how far a commanded pose may be ahead of the measured one
    max_lead_rad: Positive
    max_reach_error_m: Positive  # between a pose and the nearest that the joints can take
    max_frame_age_s: Positive
    max_state_age_s: Positive
    max_mask_age_s: Positive
    max_command_age_s: Positive
    watchdog_periods: Positive  # control periods without a command until the arm is stopped
    soft_start_s: Positive  # until full speed is allowed after a start or a hold
    soft_start_speed: Share  # of the speed limit, at its beginning

    def __post_init__(self) -> None:
        for low, high, axis in zip(self.workspace_low_m, self.workspace_high_m, "xyz", strict=True):
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise InputError(
                    f"got a workspace from {low:g} to {high:g} m along {axis}, expected low < high;"
                    " correct workspace_low_m and workspace_high_m"
                )
        for name in ("recovery_speed", "joint_velocity_fraction", "soft_start_speed"):
            if not getattr(self, name) > 0:
                raise InputError(
                    f"got {name}={getattr(self, name):g}, with which the arm never moves, expected "
                    "above 0 and at most 1; raise it"
                )
        if self.watchdog_periods < 1.5:
            raise InputError(
                f"got watchdog_periods={self.watchdog_periods:g}, with which a loop on time is "
                "stopped, expected at least 1.5; raise it"
            )


def read_limits(path: Path) -> SafetyLimits:
    """Read the section `safety` of a robot's YAML file."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"got {path}, expected a robot's YAML file with a section safety; correct the path or "
            "the file"
        ) from error
    section = content.get("safety") if isinstance(content, dict) else None
    if not isinstance(section, dict):
        raise InputError(
            f"got {path} without a section safety, expected the limits of that arm; copy the "
            "section from configs/robot/franka.yaml and adapt it"
        )
    return parse(SafetyLimits, section, at="safety")
