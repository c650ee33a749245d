"""What the Franka driver knows without a robot: kinematics, features, what is missing."""

import importlib
from pathlib import Path

import mujoco
import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from launch.options import check_options
from robot.deploy.options import RobotOptions
from robot.deploy.robots import FrankaDriver, cameras
from robot.envs.mujoco_scene import load_scene
from robot.envs.mujoco_tabletop import panda
from robot.errors import InputError
from robot.hardware.arm import ArmError, Command
from robot.hardware.franka import FrankaArm, FrankaOptions
from robot.hardware.franka_kinematics import data_sheet, joint_limits
from robot.spaces import Camera, differences
from robot.system.parse import parse

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

MODELS = ("panda", "fr3")


@pytest.fixture(scope="module")
def simulated():
    """The simulated Panda's model, its data and where its parts are."""
    model = load_scene()
    return model, mujoco.MjData(model), panda(model)


def test_forward_is_where_the_simulated_panda_has_its_end_effector(simulated):
    model, data, parts = simulated
    arm, limits = FrankaArm(), joint_limits("panda")
    rng = np.random.default_rng(0)
    for joints in rng.uniform(limits.low, limits.high, (200, 7)):
        data.qpos[parts.joints] = joints
        mujoco.mj_kinematics(model, data)
        position, rotation = parts.pose_in_base(data)
        ours = arm.forward(joints)
        assert ours[0] == pytest.approx(position, abs=1e-5)
        assert ours[1] == pytest.approx(rotation, abs=1e-5)


def test_forward_at_zero_joints_is_what_the_data_sheet_adds_up_to():
    position, rotation = FrankaArm().forward(np.zeros(7))
    assert position == pytest.approx([0.088, 0.0, 0.333 + 0.316 + 0.384 - 0.107 - 0.0965])
    assert rotation @ [0, 0, 1] == pytest.approx([0, 0, -1])


@pytest.mark.parametrize("model", MODELS)
def test_limits_leave_room_for_every_joint(model):
    limits = joint_limits(model)
    assert (limits.low < limits.high).all() and (limits.velocity > 2).all()
    assert len(limits.low) == len(data_sheet()["kinematics"]["a"]) == 7


@pytest.mark.parametrize("model", MODELS)
def test_its_spaces_are_those_of_the_simulated_panda(model):
    from robot.envs.arm_spaces import arm_spaces
    from robot.spaces import Spaces

    simulated = arm_spaces(robot="Panda", image_size=128, control_dt_s=0.05)
    features = FrankaArm(FrankaOptions(model=model)).features
    real = Spaces(
        state=features.state,
        action=features.action,
        cameras=simulated.cameras,
        control_dt_s=features.control_dt_s,
        robot_type=features.robot_type,
    )
    assert differences(simulated, real, exact=False) == []
    assert features.robot_type == f"franka_{model}"


def test_an_unknown_model_is_named():
    with pytest.raises(InputError, match="'fr4', expected one of panda, fr3"):
        FrankaArm(FrankaOptions(model="fr4"))


def configured(robot):
    """Return the config of launch/deploy.py with this robot."""
    overrides = ["checkpoint=tabletop", f"robot={robot}"]
    with initialize_config_dir(str(CONFIGS), version_base=None):
        return OmegaConf.to_container(compose("deploy", overrides=overrides), resolve=True)


@pytest.mark.parametrize("robot", ["franka", "franka_sim"])
def test_the_shipped_configs_are_accepted(robot):
    """Positions may be negative, zero, and the same twice."""
    values = configured(robot)
    check_options(values, default=values)
    assert values["robot"]["kind"] == robot


def test_the_shipped_config_is_what_the_driver_does_by_itself():
    driver = parse(FrankaDriver, configured("franka")["robot"]["driver"], at="robot.driver")
    assert driver.options() == FrankaOptions()


def test_its_cameras_are_those_of_its_section(tmp_path):
    section = {
        name: {"source": str(tmp_path), "height": 128, "width": 128}
        for name in ("agentview", "wrist")
    }
    values = configured("franka")["robot"] | {"cameras": section}
    robot = cameras(parse(RobotOptions, values, at="robot"))
    assert [stream.camera for stream in robot] == [
        Camera("agentview", 128, 128),
        Camera("wrist", 128, 128),
    ]


def test_a_missing_library_names_the_extra(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(InputError, match=r"pip install -e '\.\[franka\]'"):
        FrankaArm().connect()


def test_calls_before_connect_say_so():
    arm = FrankaArm()
    command = Command(
        ee_position=np.zeros(3), ee_rotation=np.eye(3), gripper_target=1.0, time_s=0.0
    )
    for call in (arm.read, lambda: arm.send(command)):
        with pytest.raises(ArmError, match="call connect"):
            call()
    arm.stop()
    arm.disconnect()
