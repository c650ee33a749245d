"""The SO-101 driver through Feetech's own library, against servos on a pseudo-terminal."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robot.errors import InputError
from robot.hardware.arm import ArmError, Command
from robot.hardware.limits import read_limits
from robot.hardware.safety import SafeArm
from robot.hardware.so101 import LOST_READS, SO101, Motor, read_calibration
from tests.hardware.feetech import STATUS, TORQUE, FakeServos, Servo

NAMES = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
LIMITS = Path(__file__).parents[2] / "configs" / "robot" / "so101.yaml"
START = dict(zip(NAMES, (2048, 1600, 2500, 2500, 2048, 2000), strict=True))


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    content = {
        name: {
            "id": k + 1,
            "drive_mode": 0,
            "homing_offset": -10 * k,
            "range_min": 800,
            "range_max": 3296,
        }
        for k, name in enumerate(NAMES)
    }
    path = tmp_path / "so101.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def servos():
    pytest.importorskip(
        "scservo_sdk", reason="no Feetech library: pip install 'ivm-robot[so101]' to run these"
    )
    fake = FakeServos({k + 1: Servo(at=START[n], offset=-10 * k) for k, n in enumerate(NAMES)})
    yield fake
    fake.close()


@pytest.fixture
def arm(servos: FakeServos, calibration: Path):
    arm = SO101(port=servos.port, calibration=calibration)
    arm.connect()
    yield arm
    arm.disconnect()


def test_a_motor_counts_from_the_middle_of_its_range():
    motor = Motor("elbow", 3, drive_mode=0, homing_offset=0, range_min=1000, range_max=3000)
    mirrored = Motor("elbow", 3, drive_mode=1, homing_offset=0, range_min=1000, range_max=3000)

    assert motor.angle(2000) == 0.0 and motor.angle(3024) == pytest.approx(np.pi / 2)
    assert motor.counts(np.pi / 4) == 2512 and mirrored.counts(np.pi / 4) == 1488
    assert motor.counts(3.0) == 3000  # never beyond the calibrated range
    assert motor.opening(2500) == 0.75 and mirrored.opening(2500) == 0.25
    assert mirrored.opened(mirrored.opening(1234)) == 1234


def test_what_the_arm_has_is_readable_while_disconnected(calibration):
    arm = SO101(port="/dev/none", calibration=calibration)

    assert arm.features.joint_names == NAMES[:5] and arm.features.extra == "so101"
    with pytest.raises(ArmError, match="connect\\(\\) first"):
        arm.read()


def test_at_rest_in_the_middle_the_gripper_is_in_front_of_the_base(calibration):
    arm = SO101(port="/dev/none", calibration=calibration)

    position, rotation = arm.forward(np.zeros(5))

    np.testing.assert_allclose(position, [0.0204, -0.3756, 0.2590], atol=1e-3)
    np.testing.assert_allclose(rotation, np.eye(3), atol=1e-5)


def test_without_the_library_it_names_the_extra(calibration, monkeypatch):
    monkeypatch.setitem(sys.modules, "scservo_sdk", None)

    with pytest.raises(InputError, match="ivm-robot\\[so101\\]"):
        SO101(port="/dev/none", calibration=calibration).connect()


@pytest.mark.parametrize(
    "content", ["", "[]", '{"gripper": {}}', '{"shoulder_pan": {"id": "x"}}', "{}"]
)
def test_a_file_that_is_no_calibration_is_one_sentence(tmp_path, content):
    path = tmp_path / "bad.json"
    path.write_text(content)

    with pytest.raises(InputError, match="calibrate the arm"):
        read_calibration(path, joints=NAMES[:5])


def test_connecting_moves_nothing_and_holds_where_the_arm_is(arm, servos):
    time.sleep(0.05)

    assert [round(servo.at) for servo in servos.servos.values()] == list(START.values())
    assert all(servo.registers[TORQUE] for servo in servos.servos.values())


def test_a_state_is_read_with_one_packet_within_a_period(arm):
    began = time.monotonic()

    state = arm.read()

    assert began <= state.time_s <= time.monotonic() < began + 1.0
    expected = (1600 - 2048) * 2 * np.pi / 4096
    assert state.joint_position[1] == pytest.approx(expected)
    assert state.gripper_opening == pytest.approx((2000 - 800) / 2496)


def test_a_pose_is_reached_through_the_safety_layer(arm):
    patient = replace(read_limits(LIMITS), watchdog_periods=40, max_state_age_s=1.0)
    safe = SafeArm(arm, patient)  # of a busy computer: its own limits are tested elsewhere
    state = safe.read()
    goal = state.ee_position + [0.02, -0.03, 0.02]

    safe.connect()
    ends = time.monotonic() + 20.0
    while np.linalg.norm(safe.read().ee_position - goal) > 0.004 and time.monotonic() < ends:
        safe.send(Command(goal, state.ee_rotation, gripper_target=1.0, time_s=time.monotonic()))
        time.sleep(0.05)
    reached = safe.read()
    safe.stop()

    np.testing.assert_allclose(reached.ee_position, goal, atol=0.004)
    assert reached.gripper_opening > 0.9


def test_what_was_sent_is_the_pose_of_the_joints_that_were_sent(arm, servos):
    state = arm.read()
    turned = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) @ state.ee_rotation

    sent = arm.send(Command(state.ee_position, turned, gripper_target=0.5, time_s=time.monotonic()))
    arm.read()  # the servos have the goals by now: one wire

    goals = [servos.servos[k].goal for k in range(1, 6)]
    angles = np.array([m.angle(g) for m, g in zip(arm.motors[:5], goals, strict=True)])
    np.testing.assert_allclose(sent.ee_position, arm.forward(angles)[0], atol=1e-9)
    assert np.abs(sent.ee_rotation - turned).max() > 0.1  # out of the reach of five joints


def test_no_joint_is_sent_further_than_its_speed(arm):
    state = arm.read()
    far = state.ee_position + [0.3, 0.0, 0.0]

    arm.send(Command(far, state.ee_rotation, gripper_target=1.0, time_s=0.0))

    most = arm.features.joints.velocity * arm.features.control_dt_s
    assert (np.abs(arm._target - state.joint_position) <= most + 1e-9).all()


def test_a_lost_or_garbled_answer_shows_in_the_age_of_the_state(arm, servos):
    before = arm.read()

    servos.lose = 1
    lost = arm.read()
    servos.garble = 1
    garbled = arm.read()
    time.sleep(0.05)
    after = arm.read()

    assert lost.time_s == garbled.time_s == before.time_s < after.time_s


def test_motors_that_stay_silent_are_one_sentence(arm, servos):
    arm.read()
    servos.lose = 10_000

    with pytest.raises(ArmError, match="did not answer 5 times in a row"):
        for _ in range(6):
            arm.read()
    servos.lose = 0


def test_an_overload_is_one_sentence_and_recovering_holds_where_the_arm_is(arm, servos):
    arm.read()
    servos.servos[3].registers[STATUS] = 32

    with pytest.raises(ArmError, match="elbow_flex reports that it is overloaded"):
        for _ in range(LOST_READS):  # so many answers in a row are not lost, even on a busy machine
            arm.read()
    servos.servos[3].registers[STATUS] = 0
    arm.recover()

    assert round(servos.servos[3].at) == START["elbow_flex"]
    assert arm.read().time_s > 0


def test_stopping_holds_where_the_arm_is(arm, servos):
    state = arm.read()
    for _ in range(3):
        arm.send(Command(state.ee_position - [0, 0, 0.1], state.ee_rotation, 1.0, time_s=0.0))
    arm.stop()
    stopped = [servo.goal for servo in servos.servos.values()]
    time.sleep(0.1)
    arm.read()

    assert [round(servo.at) for servo in servos.servos.values()] == pytest.approx(stopped, abs=2)


def test_what_was_decided_before_a_stop_is_not_sent_after_it(arm, servos, monkeypatch):
    state = arm.read()
    goals = arm._goals

    def stopped_meanwhile(joints, *, gripper):
        if arm._stops == 0:
            arm.stop()
        return goals(joints, gripper=gripper)

    monkeypatch.setattr(arm, "_goals", stopped_meanwhile)
    arm.send(Command(state.ee_position + [0.05, 0, 0], state.ee_rotation, 1.0, time_s=0.0))
    arm.read()

    assert [servo.goal for servo in servos.servos.values()] == list(START.values())


def test_the_calibration_of_another_arm_is_one_sentence(servos, calibration):
    content = json.loads(calibration.read_text())
    content["wrist_flex"]["homing_offset"] = 77
    calibration.write_text(json.dumps(content))

    with pytest.raises(ArmError, match="wrist_flex has homing offset -30, expected 77"):
        SO101(port=servos.port, calibration=calibration).connect()


def test_a_motor_that_is_missing_is_named(servos, calibration):
    del servos.servos[5]

    with pytest.raises(ArmError, match="wrist_roll \\(id 5\\)"):
        SO101(port=servos.port, calibration=calibration).connect()


def test_a_port_that_is_not_there_is_one_sentence(servos, calibration):
    with pytest.raises(ArmError, match="plug the arm in"):
        SO101(port="/dev/nowhere", calibration=calibration).connect()
