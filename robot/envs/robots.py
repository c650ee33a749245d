"""The arms that the simulator offers, and what robosuite's models of their grippers leave open.

Everything else (joints, rest pose, base, sites, cameras, finger geoms, controller limits) is read
from robosuite's own model. A new arm is one entry of ROBOTS.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float

from robot.envs.arm import PANDA_HAND, Arm, Finger, Gripper
from robot.errors import InputError, one_of

PREFIX = "gripper0_right_"  # robosuite's, of every part of the only gripper
REST_OPENING = 0.5


def _couple(root: ET.Element, fingers: tuple[Finger, ...]) -> None:
    """Make every joint a linear function of the first, in place of the tendons that did so."""
    for section, name in (("tendon", "name"), ("equality", "tendon1")):
        for parent in root.findall(section):
            for tendon in list(parent):
                if tendon.get(name, "").startswith(PREFIX):
                    parent.remove(tendon)
    driver, equality = fingers[0], _section(root, "equality")
    for follower in fingers[1:]:
        slope = (follower.closed - follower.open) / (driver.closed - driver.open)
        offset = follower.open - slope * driver.open
        ET.SubElement(
            equality,
            "joint",
            joint1=PREFIX + follower.joint,
            joint2=PREFIX + driver.joint,
            polycoef=f"{offset} {slope} 0 0 0",
            solref="0.005 1",
        )


def _ignore_contacts(root: ET.Element, pairs: Iterable[tuple[str, str]]) -> None:
    """Let the bodies of each pair pass through each other."""
    contact = _section(root, "contact")
    for one, other in pairs:
        ET.SubElement(contact, "exclude", body1=one, body2=other)


def _section(root: ET.Element, name: str) -> ET.Element:
    found = root.find(name)
    return ET.SubElement(root, name) if found is None else found


ROBOTIQ_85 = Gripper(
    fingers=(
        Finger("finger_joint", 0.8, 0.0),
        Finger("left_inner_finger_joint", -0.8, 0.0),
        Finger("left_inner_knuckle_joint", 0.8, 0.0),
        Finger("right_outer_knuckle_joint", 0.8, 0.0),
        Finger("right_inner_finger_joint", -0.8, 0.0),
        Finger("right_inner_knuckle_joint", 0.8, 0.0),
    ),
    stroke_m=0.085,
    grasp_m=0.006,
    linkage=True,
)
ROBOTIQ_140 = Gripper(
    fingers=(
        Finger("finger_joint", 0.7, 0.0),
        Finger("left_inner_finger_joint", 0.7, 0.0),
        Finger("left_inner_knuckle_joint", -0.7, 0.0),
        Finger("right_outer_knuckle_joint", -0.7, 0.0),
        Finger("right_inner_finger_joint", 0.7, 0.0),
        Finger("right_inner_knuckle_joint", -0.7, 0.0),
    ),
    stroke_m=0.14,
    grasp_m=0.010,
    close_steps=12,
    linkage=True,
)
# robosuite 1.5 has the control ranges of the two fingers interchanged: they open to 59 mm of 77.
RETHINK = Gripper(
    fingers=(
        Finger("l_finger_joint", -0.0115, 0.020833),
        Finger("r_finger_joint", 0.0115, -0.020833),
    ),
    stroke_m=0.077,
    grasp_m=0.005,
    control_ranges={
        "gripper_r_finger_joint": (-0.020833, 0.0115),
        "gripper_l_finger_joint": (-0.0115, 0.020833),
    },
)


# that a task brings along; LIBERO's arms have names of their own, and the Panda's hand
TOOLS = {"WipingGripper": Gripper(fingers=(), stroke_m=0.0), "PandaGripper": PANDA_HAND}


@dataclass(frozen=True)
class Robot:
    """One of robosuite's arms with the gripper that robosuite gives it.

    `rest_rad` replaces robosuite's rest pose where the hand would hang beside the table or out of
    the camera's sight: it brings the hand to where the Panda's rests.
    """

    name: str
    gripper: Gripper
    rest_rad: tuple[float, ...] | None = None
    no_contact: tuple[tuple[str, str], ...] = ()  # bodies whose collision geoms overlap by design

    def edit_xml(self, xml: str) -> str:
        """Return robosuite's model XML with what is stated here; unchanged where nothing is."""
        gripper = self.gripper
        if not (gripper.linkage or gripper.control_ranges or self.no_contact):
            return xml
        root = ET.fromstring(xml)
        joints = {joint.get("name") for joint in root.iter("joint")}
        for actuator in root.iter("position"):
            name = (actuator.get("name") or "").removeprefix(PREFIX)
            if name in gripper.control_ranges:
                actuator.set("ctrlrange", "{} {}".format(*gripper.control_ranges[name]))
        if gripper.linkage and PREFIX + gripper.fingers[0].joint in joints:
            _couple(root, gripper.fingers)
            bars = [
                name for b in root.iter("body") if (name := b.get("name", "")).startswith(PREFIX)
            ]
            _ignore_contacts(root, combinations(bars, 2))
        _ignore_contacts(root, self.no_contact)
        return ET.tostring(root, encoding="unicode")


ROBOTS = {
    robot.name: robot
    for robot in (
        Robot("Panda", PANDA_HAND),
        Robot("UR5e", ROBOTIQ_85, rest_rad=(-0.298, -1.510, 2.167, -2.227, -1.571, -1.868)),
        Robot(
            "Sawyer",
            RETHINK,
            rest_rad=(-0.326, -1.194, -0.046, 2.236, 0.034, 0.530, -1.794),
            no_contact=(("robot0_right_arm_base_link", "robot0_right_l0"),),
        ),
        Robot("IIWA", ROBOTIQ_140),
        Robot("Kinova3", ROBOTIQ_85),
    )
}


def check_robot(name: str) -> Robot:
    """Return an arm by name, or say which there are."""
    if name not in ROBOTS:
        raise InputError(f"got robot {name!r}, {one_of(name, ROBOTS, do='pass env.robot=UR5e')}")
    return ROBOTS[name]


# --- of a live robosuite environment


def gripper_of(env: Any) -> Gripper:
    """Return the gripper that a robosuite environment gave the arm; some tasks bring their own."""
    arm = env.robots[0]
    own = type(arm.gripper["right"]).__name__
    return TOOLS[own] if own in TOOLS else ROBOTS[arm.name].gripper


def rest_joints(env: Any) -> Float[np.ndarray, " j"]:
    """Return the joints [rad] in which the arm rests."""
    arm = env.robots[0]
    own = ROBOTS[arm.name].rest_rad
    return np.array(arm.robot_model.init_qpos if own is None else own)


def finger_addresses(env: Any) -> list[int]:
    """Return where the finger joints stand in qpos, in the order of `Gripper.fingers`."""
    model = env.sim.model._model
    return [int(model.joint(PREFIX + f.joint).qposadr[0]) for f in gripper_of(env).fingers]


def finger_bodies(env: Any) -> set[int]:
    """Return the bodies that carry robosuite's finger geoms."""
    model = env.sim.model._model
    geoms = env.robots[0].gripper["right"].important_geoms
    # a tool of a task, such as a wiper, has none
    named = [name for side in ("left_finger", "right_finger") for name in geoms.get(side, ())]
    return {int(model.geom(name).bodyid[0]) for name in named}


def arm_of(env: Any) -> Arm:
    """Return where the parts of the arm are in the model of a robosuite environment."""
    arm, model = env.robots[0], env.sim.model._model
    return Arm(
        gripper=gripper_of(env),
        rest_rad=rest_joints(env),
        base=int(model.body("robot0_base").id),
        site=int(arm.eef_site_id["right"]),
        joints=[int(a) for a in arm._ref_joint_pos_indexes],
        dofs=[int(a) for a in arm._ref_joint_vel_indexes],
        fingers=finger_addresses(env),
        finger_bodies=frozenset(finger_bodies(env)),
    )


def rest_fingers(env: Any) -> None:
    """Open a linkage halfway after a reset, where its controller starts.

    robosuite's own initial joints of a linkage contradict each other.
    """
    gripper = gripper_of(env)
    if gripper.linkage:
        env.sim.data._data.qpos[finger_addresses(env)] = gripper.joints(REST_OPENING)
        env.sim.forward()


def grasp_point(env: Any) -> Float[np.ndarray, "3"]:
    """Return the point between the fingers that grasps, in the world [m]."""
    site, data = env.robots[0].eef_site_id["right"], env.sim.data._data
    palm = data.site_xmat[site].reshape(3, 3)[:, 2]
    return data.site_xpos[site] + gripper_of(env).grasp_m * palm
