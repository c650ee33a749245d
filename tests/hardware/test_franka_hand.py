"""The hand's threads: one motion at a time, the last wish wins, failures are reported."""

import threading
import time

import pytest

from robot.hardware.franka_hand import FrankaHand, HandMotion


class Gripper:
    """Blocks in a motion until `release`, as libfranka's does until it has ended."""

    max_width = 0.08

    def __init__(self):
        self.width, self.motions = 0.04, []
        self.release = threading.Event()
        self.release.set()

    def move(self, width, speed):
        self._do(("open", width, speed))

    def grasp(self, width, speed, force, epsilon_inner, epsilon_outer):
        self._do(("grasp", width, speed, force))

    def _do(self, motion):
        self.motions.append(motion)
        assert self.release.wait(60)
        self.width = motion[1]


@pytest.fixture
def gripper():
    return Gripper()


@pytest.fixture
def failures():
    return []


@pytest.fixture
def hand(gripper, failures):
    hand = FrankaHand(
        gripper, motion=HandMotion(speed_m_s=0.1, force_n=30.0), on_failure=failures.append
    )
    yield hand
    gripper.release.set()
    hand.close()


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_opens_above_and_closes_below_the_middle(hand, gripper):
    assert hand.aim(1.0) == 1.0
    wait_for(lambda: gripper.motions == [("open", 0.08, 0.1)])
    wait_for(lambda: hand.opening()[0] == 1.0)
    assert hand.aim(0.0) == 0.0
    wait_for(lambda: gripper.motions[1:] == [("grasp", 0.0, 0.1, 30.0)])
    wait_for(lambda: hand.opening()[0] == 0.0)


def test_targets_around_the_middle_change_nothing(hand, gripper):
    assert hand.aim(0.5) == 0.5  # nothing was asked for yet: where it is
    hand.aim(1.0)
    assert [hand.aim(target) for target in (0.55, 0.45, 0.9)] == [1.0, 1.0, 1.0]
    wait_for(lambda: hand.opening()[0] == 1.0)
    assert len(gripper.motions) == 1


def test_wishes_during_a_motion_wait_for_its_end_and_the_last_one_counts(hand, gripper):
    gripper.release.clear()
    hand.aim(0.0)
    wait_for(lambda: gripper.motions)
    hand.aim(1.0)
    hand.aim(0.0)
    hand.aim(1.0)
    gripper.release.set()
    wait_for(lambda: len(gripper.motions) == 2)
    assert [motion[0] for motion in gripper.motions] == ["grasp", "open"]


def test_aiming_does_not_wait_for_the_motion(hand, gripper):
    gripper.release.clear()
    began_s = time.monotonic()
    hand.aim(0.0)
    hand.opening()
    assert time.monotonic() - began_s < 2.0  # the motion itself lasts until its release


def test_a_failed_motion_is_reported_once(gripper, failures):
    def broken(width, speed):
        raise RuntimeError("no power")

    gripper.move = broken
    hand = FrankaHand(gripper, motion=HandMotion(), on_failure=failures.append)
    hand.aim(1.0)
    wait_for(lambda: failures)
    hand.close()
    assert [str(error) for error in failures] == ["no power"]


def test_a_stop_begins_no_motion_that_waits(hand, gripper, failures):
    gripper.release.clear()
    hand.aim(0.0)
    wait_for(lambda: gripper.motions)
    hand.aim(1.0)  # waits for the grasp to end
    hand.stop()
    gripper.release.set()
    time.sleep(0.05)
    assert [motion[0] for motion in gripper.motions] == ["grasp"] and not failures
    hand.aim(1.0)
    wait_for(lambda: len(gripper.motions) == 2)


def test_a_hold_where_the_hand_is_begins_no_motion(gripper, failures):
    gripper.width = 0.02  # closed enough to count as a wish to close
    hand = FrankaHand(gripper, motion=HandMotion(), on_failure=failures.append)
    assert hand.aim(0.25) == pytest.approx(0.25)
    time.sleep(0.02)
    assert gripper.motions == []
    hand.close()
