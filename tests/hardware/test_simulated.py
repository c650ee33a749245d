"""A simulated arm keeps the contract of a real one, in real time and in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from unittest.mock import Mock

import numpy as np
import pytest

from robot.envs.make import EnvOptions, make_env
from robot.envs.robots import ROBOTS
from robot.hardware.arm import ArmError, Command
from robot.hardware.camera import CameraError
from robot.hardware.chain import read_chain
from robot.hardware.simulated import CHAINS, SimulatedArm
from robot.hardware.simulator import Pose, Simulation, Slot, _Process, frame_type
from robot.spaces import Camera

FAST = EnvOptions(backend="mujoco")


@pytest.fixture(scope="module")
def arm():
    arm = SimulatedArm(Simulation(env=FAST, seed=3))
    arm.connect()
    yield arm
    arm.disconnect()


def towards(arm: SimulatedArm, shift_m, *, gripper: float = 1.0) -> Command:
    state = arm.read()
    return Command(
        ee_position=state.ee_position + shift_m,
        ee_rotation=state.ee_rotation,
        gripper_target=gripper,
        time_s=time.monotonic(),
    )


def driven(arm: SimulatedArm, shift_m, *, steps: int, gripper: float = 1.0) -> None:
    for _ in range(steps):
        arm.send(towards(arm, np.array(shift_m), gripper=gripper))
        time.sleep(0.05)


def waited(condition, *, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def at_rest(arm: SimulatedArm) -> bool:
    return float(np.abs(arm.read().joint_velocity).max()) < 0.05


def test_features_are_there_before_it_is_connected():
    arm = SimulatedArm(Simulation(env=FAST))
    assert arm.features.robot_type == "panda" and len(arm.features.joint_names) == 7
    assert [stream.camera.name for stream in arm.cameras] == ["agentview", "wrist"]
    with pytest.raises(ArmError, match="connect"):
        arm.read()
    with pytest.raises(ArmError, match="connect"):
        arm.send(Command(np.zeros(3), np.eye(3), 1.0, 0.0))
    with pytest.raises(CameraError, match="agentview"):
        arm.cameras[0].newest()


def test_states_and_frames_come_with_the_time_of_their_measurement(arm):
    before, frame = arm.read(), arm.cameras[0].newest()
    waited(lambda: arm.cameras[0].newest().index > frame.index)
    after, now = arm.read(), time.monotonic()
    assert before.time_s < after.time_s <= now
    assert frame.image.shape == (128, 128, 3) and frame.image.std() > 10


def test_it_goes_where_it_is_sent_and_its_joints_say_the_same(arm):
    start = arm.read().ee_position
    driven(arm, [0.0, 0.02, 0.0], steps=10)
    state = arm.read()
    assert state.ee_position[1] > start[1] + 0.01
    position, rotation = arm.forward(state.joint_position)
    np.testing.assert_allclose(position, state.ee_position, atol=1e-6)
    np.testing.assert_allclose(rotation, state.ee_rotation, atol=1e-6)


def test_the_gripper_follows_its_target(arm):
    def opening(*, towards: float) -> float:
        driven(arm, [0, 0, 0], steps=1, gripper=towards)
        return arm.read().gripper_opening

    waited(lambda: opening(towards=0.0) < 0.2)
    waited(lambda: opening(towards=1.0) > 0.8)
    assert arm.read().gripper_opening > 0.8


def test_it_comes_to_rest_where_it_is_when_nothing_more_is_sent(arm):
    driven(arm, [0.0, -0.04, 0.0], steps=8)
    assert not at_rest(arm)
    here = arm.read().ee_position
    waited(lambda: at_rest(arm))
    assert np.linalg.norm(arm.read().ee_position - here) < 0.04


def test_stop_rests_at_once_and_may_be_called_twice():
    """The process is this one: nothing else, such as a pause without commands, can end the way."""
    arm, world = SimulatedArm(Simulation(env=FAST)), Mock(dt_s=0.002, cameras=())
    world.measure.return_value = Pose(
        np.zeros(7), np.zeros(7), ee_position=np.zeros(3), ee_rotation=np.eye(3), gripper_opening=1
    )
    arm._pipe, theirs = multiprocessing.Pipe()
    process = _Process(theirs, arm.simulation, world, {"state": arm._state})
    process.reset(seed=0, scene="clean", episode=0)

    arm.send(Command(np.ones(3), np.eye(3), gripper_target=1.0, time_s=0.0))
    arm.stop()
    arm.stop()

    assert process._messages()
    moves = [name for name, *_ in world.method_calls if name in ("drive", "rest")]
    assert moves == ["drive", "rest", "rest"]
    np.testing.assert_array_equal(world.rest.call_args.kwargs["position"], np.zeros(3))


def test_added_latency_makes_states_and_frames_older(arm):
    arm.delay(state_s=0.2, frame_s=0.3)
    time.sleep(0.6)
    now = time.monotonic()
    assert now - arm.read().time_s > 0.19 and now - arm.cameras[0].newest().time_s > 0.29
    arm.delay(state_s=0.0, frame_s=0.0)
    waited(lambda: time.monotonic() - arm.read().time_s < 0.1)


def test_a_reset_arranges_another_episode(arm):
    count = arm.progress().episode
    goal = arm.reset(seed=5)
    assert goal and goal == arm.goal
    progress = arm.progress()
    assert progress.episode == count + 1 and not progress.success
    assert at_rest(arm)


@pytest.mark.parametrize("name", ROBOTS)
def test_chains_reach_where_the_data_sheets_say_they_can(name):
    chain = read_chain(CHAINS, name)
    assert (chain.limits.low < chain.limits.high).all() and (chain.limits.velocity > 1).all()
    position, rotation = chain.forward(np.zeros(len(chain.links)))
    assert 0.3 < np.linalg.norm(position) < 1.6
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROBOTS)
def test_chains_are_those_of_the_simulator(name):
    env = make_env("pick", EnvOptions(robot=name))
    env.reset(seed=1)
    position, rotation = env.arm.pose_in_base(env.data)
    chain = read_chain(CHAINS, name)
    found = chain.forward(env.data.qpos[env.arm.joints])
    np.testing.assert_allclose(found[0], position, atol=1e-5)
    np.testing.assert_allclose(found[1], rotation, atol=1e-5)
    env.close()


def test_a_reader_never_sees_half_a_record():
    layout = frame_type(Camera("front", 4, 4))
    memory = bytearray(Slot.size(layout))
    writer, reader = Slot(memory, layout), Slot(memory, layout)
    assert reader.read() is None
    writer.write(time_s=1.0, index=7, image=np.full((4, 4, 3), 9, np.uint8))
    record = reader.read()
    assert record is not None and record["index"] == 7 and (record["image"] == 9).all()
    writer._count[0] += 1  # its writer is held up in the middle of the next one, or was killed
    writer._record["index"][0] = 8
    again = reader.read()
    assert again is not None and again["index"] == 7


def test_a_simulator_that_dies_is_an_error_in_one_sentence():
    arm = SimulatedArm(Simulation(env=FAST))
    arm.connect()
    assert arm.pid is not None
    os.kill(arm.pid, signal.SIGKILL)
    with pytest.raises(ArmError, match="process of the simulator has ended"):
        waited(lambda: arm.read() is None)
    arm.disconnect()
