"""A scene that follows a real arm: where its arm is, and what its fingers do to things."""

from multiprocessing import Pipe

import mujoco
import numpy as np
import pytest

from robot.envs.make import EnvOptions, make_env
from robot.hardware.franka import FrankaArm
from robot.hardware.mirror import (
    BLOCKED,
    MEASURED,
    PROGRESS,
    TICK_S,
    MirroredScene,
    _Process,
)
from robot.hardware.simulator import Slot, frame_type

LAYOUTS = {"measured": MEASURED, "progress": PROGRESS}


@pytest.fixture(scope="module")
def scene():
    return MirroredScene(make_env("pick", EnvOptions(backend="mujoco")))


def measured(joints, *, opening, time_s=0.0, velocity=None):
    record = np.zeros(1, MEASURED)
    record["position"], record["opening"], record["time_s"] = joints, opening, time_s
    record["velocity"] = 0.0 if velocity is None else velocity
    return record[0]


def test_a_state_that_is_being_written_is_waited_for_no_longer_than_a_tick(scene):
    """The feeding thread can be interrupted as it writes, by this very process."""
    memories = {name: bytearray(Slot.size(layout)) for name, layout in LAYOUTS.items()}
    slots = {name: Slot(memories[name], layout) for name, layout in LAYOUTS.items()}
    cameras = scene.env.spaces.cameras
    slots |= {c.name: Slot(bytearray(Slot.size(frame_type(c))), frame_type(c)) for c in cameras}
    process = _Process(Pipe()[0], scene, slots, frame_s=1.0)
    _, start, opening = process._take("open", [0, "clean", 0])
    slots["measured"].write(time_s=0.0, position=start, velocity=0.0, opening=opening)
    process._take("follow", [])
    np.frombuffer(memories["measured"], np.int64, count=1)[0] += 1  # begun, and not ended
    process._tick()
    assert scene.env.data.qpos[scene.env.arm.joints] == pytest.approx(start, abs=1e-3)


def joints_at(position, rotation, start):
    """Inverse kinematics by Newton steps, for poses that are reachable."""
    arm, joints = FrankaArm(), np.array(start, float)
    for _ in range(100):
        here, turned = arm.forward(joints)
        turn = np.zeros(3)
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, (rotation @ turned.T).ravel())
        mujoco.mju_quat2Vel(turn, quaternion, 1.0)
        error = np.concatenate([position - here, turn])
        if np.abs(error).max() < 1e-6:
            return joints
        columns = []
        for k in range(7):
            shifted = joints.copy()
            shifted[k] += 1e-6
            there, turned_there = arm.forward(shifted)
            mujoco.mju_mat2Quat(quaternion, (turned_there @ turned.T).ravel())
            mujoco.mju_quat2Vel(turn, quaternion, 1.0)
            columns.append(np.concatenate([there - here, turn]) / 1e-6)
        joints = joints + np.linalg.pinv(np.array(columns).T) @ error
    raise AssertionError("no joints for this pose")


def run(scene, way, *, opening, start_s):
    """Let the scene follow a way of joints, 10 ms apart; return the time at its end."""
    now_s, before = start_s, way[0]
    for joints in way:
        now_s += TICK_S
        record = measured(
            joints, opening=opening, time_s=now_s, velocity=(joints - before) / TICK_S
        )
        scene.advance(record, now_s=now_s, duration_s=TICK_S)
        before = joints
    return now_s


def test_its_arm_is_where_the_real_one_was_measured(scene):
    _, start, opening = scene.open(seed=0, scene="clean", episode=0)
    way = [start + 0.3 * k / 100 * np.array([1, 0.5, -1, 0.3, 1, -0.5, 1]) for k in range(100)]
    run(scene, [*way, *[way[-1]] * 10], opening=opening, start_s=0.0)
    arm = scene.env.arm
    assert scene.env.data.qpos[arm.joints] == pytest.approx(way[-1], abs=1e-3)
    assert arm.opening(scene.env.data) == pytest.approx(opening, abs=0.02)


def test_its_fingers_hold_what_the_real_hand_closes_on_and_let_it_go(scene):
    goal, start, _ = scene.open(seed=3, scene="clean", episode=0)
    assert "cylinder" in goal
    env = scene.env
    base = env.data.xmat[env.arm.base].reshape(3, 3)
    target = base.T @ (env.sim.position(env.task.scene.target) - env.data.xpos[env.arm.base])
    rotation = FrankaArm().forward(start)[1]
    above = joints_at(target + [0, 0, 0.12], rotation, start)
    at = joints_at(target + [0, 0, 0.036], rotation, above)

    def between(a, b, count=60):
        return [a + (b - a) * k / count for k in range(count + 1)]

    now_s = run(scene, [*between(start, above), *between(above, at)], opening=1.0, start_s=0.0)
    assert not scene.held and scene.between_m == 0.0
    now_s = run(scene, [at] * 40, opening=0.0, start_s=now_s)
    assert scene.held
    width = scene.between_m
    assert width == pytest.approx(0.044, abs=0.004)  # the cylinder's diameter
    # the real hand is kept open by it from now on, and the fingers keep their grip
    now_s = run(scene, between(at, above), opening=width / 0.08, start_s=now_s)
    assert env.task.success(env.sim)
    now_s = run(scene, [above] * 30, opening=width / 0.08 + 4 * BLOCKED, start_s=now_s)
    assert not scene.held and scene.between_m == 0.0
    run(scene, [above] * 30, opening=1.0, start_s=now_s)
    assert not env.task.success(env.sim)
