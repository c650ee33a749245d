"""HardwareEnv: the env API over an arm that does as it is sent, and cameras that count."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from robot.errors import InputError
from robot.hardware import env as hardware_env
from robot.hardware.arm import ArmError
from robot.hardware.camera import CameraHealth, Shot
from robot.hardware.env import HardwareEnv, fitted
from robot.hardware.safety import SafeArm
from robot.spaces import Camera
from robot.types import MaskStatus, Observation
from tests.hardware.arms import DT_S, PANDA_HOME, Clock, PerfectArm, limits

STILL = np.array([0, 0, 0, 0, 0, 0, 1], np.float32)
FORWARD = np.array([0.01, 0, 0, 0, 0, 0, 1], np.float32)


class Stream:
    """A camera whose frame is always as old as `age_s`."""

    def __init__(self, clock: Clock, name: str = "wrist", *, height=48, width=64) -> None:
        self.clock, self.age_s, self.connected = clock, 0.0, False
        self.camera = Camera(name, height=height, width=width)

    def connect(self) -> None:
        self.connected = True

    def newest(self) -> Shot:
        image = np.zeros((self.camera.height, self.camera.width, 3), np.uint8)
        return Shot(image=image, time_s=self.clock() - self.age_s, index=0)

    def disconnect(self) -> None:
        self.connected = False


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(clock: Clock, *, sizes=None, home=None, **changes) -> HardwareEnv:
    safe = SafeArm(PerfectArm(clock), limits(**{"soft_start_s": 0.01} | changes), clock=clock)
    return HardwareEnv(
        arm=safe,
        cameras=[Stream(clock), Stream(clock, "front", height=32, width=32)],
        sizes=sizes,
        goal="lift the cube",
        home=home,
        clock=clock,
        sleep=clock.pass_,
    )


def steps(env: HardwareEnv, clock: Clock, action: np.ndarray, count: int):
    """Take steps, one per control period, and return what the last one returned."""
    for _ in range(count):
        clock.pass_()
        result = env.step(action)
    return result


def test_spaces_are_readable_while_disconnected_and_contain_what_is_observed(clock):
    env = make(clock, sizes=[Camera("wrist", 24, 24), Camera("front", 32, 32)])
    assert not env.streams[0].connected

    observation, info = env.reset()

    assert env.observation_space.contains(observation)
    assert observation["images"]["wrist"].shape == (24, 24, 3)
    assert Observation.from_env(observation, env.spaces).goal.text == "lift the cube"
    assert info["success"] is False


def test_an_action_moves_the_commanded_pose_not_the_measured_one(clock):
    env = make(clock, max_lead_m=0.2)
    env.reset()
    start = env.arm.read().ee_position
    env.arm.arm.blocked = True  # it does not move: what is commanded goes on all the same

    steps(env, clock, FORWARD, 5)
    steps(env, clock, STILL, 20)

    commanded = env.arm.arm.sent[-1].ee_position
    np.testing.assert_allclose(commanded - start, [0.05, 0, 0], atol=1e-3)


def test_the_commanded_pose_runs_away_from_a_blocked_arm_no_further_than_the_lead(clock):
    env = make(clock, max_lead_m=0.02)
    env.reset()
    start = env.arm.read().ee_position
    env.arm.arm.blocked = True

    steps(env, clock, FORWARD, 40)
    env.arm.arm.blocked = False
    steps(env, clock, STILL, 40)

    gone = np.linalg.norm(env.arm.read().ee_position - start)
    assert 0.015 < gone < 0.045  # the lead from what was sent, itself a lead from what is measured


def test_what_is_not_finite_or_of_another_shape_holds_and_is_counted(clock):
    env = make(clock)
    env.reset()
    steps(env, clock, FORWARD, 6)

    steps(env, clock, np.full(7, np.nan, np.float32), 20)
    *_, info = steps(env, clock, np.zeros(3, np.float32), 2)

    assert info["interventions"]["not_finite"] == 22 and env.arm.at_rest


def test_a_stale_frame_holds_and_its_age_is_in_info(clock):
    env = make(clock)
    env.reset()
    env.streams[1].age_s = 0.5
    env.observe()

    *_, info = steps(env, clock, FORWARD, 3)

    assert info["interventions"]["stale_frame"] == 3
    assert info["age_s"]["front"] == pytest.approx(0.5)
    assert info["age_s"]["wrist"] == pytest.approx(0.0)


def test_a_camera_that_says_it_is_black_holds(clock):
    env = make(clock)
    dark = CameraHealth(
        connected=True, fps=30, age_s=0, frozen=False, black=True, reconnects=0, dropped=0
    )
    env.streams[1].health = lambda: dark
    env.reset()

    *_, info = steps(env, clock, FORWARD, 2)

    assert info["interventions"]["bad_frame"] == 2 and "covered" in info["problems"]["front"]


def test_a_mask_that_finds_nothing_holds(clock):
    env = make(clock)
    env.reset()
    env.saw(mask_s=clock(), mask_status=MaskStatus.UNCERTAIN)

    *_, info = steps(env, clock, FORWARD, 1)

    assert info["interventions"]["no_target"] == 1


def test_the_state_is_the_one_measured_nearest_to_the_frames(clock):
    env = make(clock)
    env.reset()
    steps(env, clock, FORWARD, 6)
    for stream in env.streams:
        stream.age_s = 2.2 * DT_S
    clock.pass_()

    observation = env.observe()

    before = env.arm.arm.sent[-2].ee_position[0]  # sent two periods ago
    assert observation["time"]["proprio"][0] == pytest.approx(clock() - 2 * DT_S)
    assert observation["proprio"]["ee_position"][0] == pytest.approx(before, abs=1e-4)


def test_a_reset_goes_home_within_the_limits(clock):
    env = make(clock, home=PANDA_HOME + 0.1)
    home = env.arm.forward(PANDA_HOME + 0.1)[0]

    observation, _ = env.reset()

    path = np.array([sent.ee_position for sent in env.arm.arm.sent])
    fastest = np.linalg.norm(np.diff(path, axis=0), axis=1).max()
    np.testing.assert_allclose(observation["proprio"]["ee_position"], home, atol=0.011)
    assert fastest <= env.arm.limits.max_speed_m_s * DT_S and env.arm.at_rest


def test_a_home_that_is_not_reached_is_one_sentence(clock, monkeypatch):
    monkeypatch.setattr(hardware_env, "HOME_TIMEOUT_S", 3.0)
    env = make(clock, home=PANDA_HOME + 0.1)
    env.arm.arm.blocked = True

    with pytest.raises(ArmError, match="did not reach its home pose within 3 s"):
        env.reset()


def test_success_is_what_a_person_says(clock):
    env = make(clock)
    env.reset()
    _, reward, done, truncated, info = steps(env, clock, STILL, 1)
    assert (reward, done, truncated, info["success"]) == (0.0, False, False, False)

    env.mark_success()
    _, reward, done, _, info = steps(env, clock, STILL, 1)

    assert done and info["success"] is True and reward == 0.0
    assert env.reset()[1]["success"] is False


def test_a_step_does_not_wait():
    def never(seconds: float) -> None:
        raise AssertionError("slept")

    clock = Clock()
    env = make(clock)
    env.reset()
    env._sleep = never
    began = time.perf_counter()
    steps(env, clock, STILL, 1)

    assert time.perf_counter() - began < 1.0


def test_closing_lets_go_of_everything_twice(clock):
    env = make(clock)
    env.reset()

    env.close()
    env.close()

    assert not env.arm.arm.connected and not any(s.connected for s in env.streams)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"goal": ""}, "expected a sentence"),
        ({"goal": "hebe den Würfel"}, "spell it with these"),
        ({"scene": "clean"}, "reset options"),
    ],
)
def test_reset_options_without_sense_are_one_sentence(clock, options, message):
    with pytest.raises(InputError, match=message):
        make(clock).reset(options=options)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([Camera("top", 24, 24)], "add top"),
        ([Camera("wrist", 128, 128)], "raise its resolution"),
    ],
)
def test_cameras_that_do_not_serve_a_policy_are_one_sentence(clock, sizes, message):
    with pytest.raises(InputError, match=message):
        make(clock, sizes=sizes)


def test_an_arm_with_another_action_is_one_sentence(clock):
    arm = PerfectArm(clock)
    arm.features = replace(arm.features, action=arm.features.state)

    with pytest.raises(InputError, match="end_effector_action"):
        HardwareEnv(arm=SafeArm(arm, limits(), clock=clock), cameras=[])


def test_frames_are_cropped_in_the_centre_and_averaged():
    image = np.zeros((4, 8, 3), np.uint8)
    image[:, 2:4], image[:, 4:6] = 100, 200  # the centre is columns 2 to 5

    small = fitted(image, Camera("wrist", height=1, width=2))
    square = fitted(image, Camera("wrist", height=2, width=2))

    np.testing.assert_array_equal(small[..., 0], [[50, 100]])
    np.testing.assert_array_equal(square[..., 0], [[100, 200], [100, 200]])
