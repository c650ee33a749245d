"""The safety layer: what holds the arm, what changes a command, and that both are counted."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from robot.errors import InputError
from robot.hardware.arm import ArmError, Command
from robot.hardware.holding import Seen
from robot.hardware.interventions import Kind
from robot.hardware.limits import SafetyLimits, read_limits
from robot.hardware.safety import SafeArm
from robot.types import MaskStatus
from tests.hardware.arms import DT_S, FRANKA_YAML, Clock, PerfectArm, limits


@pytest.fixture
def clock() -> Clock:
    return Clock()


def connected(clock: Clock, **changes: object) -> SafeArm:
    safe = SafeArm(PerfectArm(clock), limits(**{"soft_start_s": 0.01} | changes), clock=clock)
    safe.connect()
    safe.read()
    return safe


def command(safe: SafeArm, clock: Clock, *, move=(0.0, 0.0, 0.0), **changes) -> Command:
    """Return the pose that was measured, moved."""
    state = safe.arm.read()
    fields = {
        "ee_position": state.ee_position + np.array(move),
        "ee_rotation": state.ee_rotation,
        "gripper_target": 1.0,
        "time_s": clock(),
    }
    return Command(**fields | changes)


def malformed(safe: SafeArm, clock: Clock, **changes) -> Command:
    """Return what code without type checks could construct."""
    found = command(safe, clock)
    for name, value in changes.items():
        object.__setattr__(found, name, value)
    return found


def one_period(safe: SafeArm, clock: Clock, *, move=(0.05, 0.0, 0.0), seen=None) -> Command:
    clock.pass_()
    safe.read()
    return safe.send(command(safe, clock, move=move), seen=seen)


def moving(clock: Clock, **changes: object) -> SafeArm:
    """Return an arm in motion along x."""
    safe = connected(clock, **changes)
    for _ in range(8):
        one_period(safe, clock)
    assert not safe.at_rest
    return safe


def speed(safe: SafeArm) -> float:
    before, after = (sent.ee_position for sent in safe.arm.sent[-2:])
    return float(np.linalg.norm(after - before)) / DT_S


def test_returns_what_was_really_sent(clock):
    safe = connected(clock)

    sent = one_period(safe, clock, move=(0.5, 0.0, 0.0))

    assert sent is safe.arm.sent[-1]
    assert 0 < np.linalg.norm(sent.ee_position - safe.arm.sent[0].ee_position) + 0.01 < 0.05


def test_a_pose_within_all_limits_is_sent_unchanged(clock):
    safe = connected(clock)
    asked = command(safe, clock, move=(0.002, 0.0, 0.0))
    clock.pass_()
    safe.read()
    asked = replace(asked, time_s=clock())

    for _ in range(3):
        sent = safe.send(asked)
        clock.pass_()
        safe.read()

    np.testing.assert_allclose(sent.ee_position, asked.ee_position, atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"ee_position": np.array([np.nan, 0.0, 0.3])}, Kind.NOT_FINITE),
        ({"ee_position": np.array([0.5, np.inf, 0.3])}, Kind.NOT_FINITE),
        ({"ee_position": np.zeros(2)}, Kind.WRONG_SHAPE),
        ({"ee_position": None}, Kind.WRONG_SHAPE),
        ({"ee_position": "left"}, Kind.WRONG_SHAPE),
        ({"ee_rotation": np.zeros((3, 2))}, Kind.WRONG_SHAPE),
        ({"ee_rotation": np.full((3, 3), np.nan)}, Kind.NOT_FINITE),
        ({"ee_rotation": np.diag([1.0, 1.0, -1.0])}, Kind.NOT_A_ROTATION),
        ({"ee_rotation": 2 * np.eye(3)}, Kind.NOT_A_ROTATION),
        ({"gripper_target": float("nan")}, Kind.NOT_FINITE),
        ({"time_s": float("nan")}, Kind.STALE_COMMAND),
        ({"time_s": 0.0}, Kind.STALE_COMMAND),
        ({"time_s": 1e9}, Kind.STALE_COMMAND),
    ],
)
def test_a_malformed_or_stale_command_holds(clock, changes, kind):
    safe = connected(clock)
    one_period(safe, clock, move=(0.0, 0.0, 0.0))
    before = safe.arm.sent[-1]
    clock.pass_()
    safe.read()
    asked = malformed(safe, clock, **{"time_s": clock()} | changes)

    sent = safe.send(asked)

    np.testing.assert_array_equal(sent.ee_position, before.ee_position)
    np.testing.assert_array_equal(sent.ee_rotation, before.ee_rotation)
    assert safe.interventions[kind] == 1


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        (lambda now: Seen(frame_s={"wrist": now - 0.25}), Kind.STALE_FRAME),
        (lambda now: Seen(frame_s={"a": now, "wrist": now + 1.0}), Kind.STALE_FRAME),
        (lambda now: Seen(mask_s=now - 0.6), Kind.STALE_MASK),
        (lambda now: Seen(mask_s=now, mask_status=MaskStatus.ABSENT), Kind.NO_TARGET),
        (lambda now: Seen(mask_s=now, mask_status=MaskStatus.UNCERTAIN), Kind.NO_TARGET),
    ],
)
def test_what_was_seen_too_long_ago_or_not_at_all_holds_and_says_so(clock, seen, kind):
    safe = moving(clock)
    moving_at = speed(safe)

    one_period(safe, clock, seen=seen(clock() + DT_S))

    assert speed(safe) < moving_at
    assert safe.interventions[kind] == 1
    assert kind in {event.kind for event in safe.recent[-3:]}


def test_fresh_frames_and_a_found_target_do_not_hold(clock):
    safe = connected(clock)

    for _ in range(5):
        seen = Seen(frame_s={"a": clock()}, mask_s=clock(), mask_status=MaskStatus.FOUND)
        one_period(safe, clock, seen=seen)

    assert speed(safe) > 0.05


def test_a_state_that_is_not_read_again_holds(clock):
    safe = moving(clock)

    for _ in range(30):
        clock.pass_()
        safe.send(command(safe, clock, move=(0.05, 0.0, 0.0)))

    assert safe.at_rest and speed(safe) == 0.0
    assert safe.interventions[Kind.STALE_STATE] >= 25


def test_a_hold_brakes_within_the_limits_and_then_repeats_the_pose(clock):
    safe = moving(clock)

    for _ in range(20):
        clock.pass_()
        safe.read()
        safe.hold("paused")

    path = np.array([sent.ee_position for sent in safe.arm.sent])
    velocity = np.diff(path, axis=0) / DT_S
    acceleration = np.diff(velocity, axis=0) / DT_S
    jerk = np.diff(acceleration, axis=0) / DT_S
    assert np.linalg.norm(acceleration, axis=1).max() <= safe.limits.max_acceleration_m_s2
    assert np.linalg.norm(jerk, axis=1).max() <= safe.limits.max_jerk_m_s3
    np.testing.assert_array_equal(path[-1], path[-2])
    assert safe.recent[-1].detail == "paused"


def test_a_pose_outside_of_the_box_is_approached_only_to_its_wall(clock):
    wall = 0.52
    safe = connected(clock, workspace_high_m=(wall, 0.4, 0.6))

    for _ in range(60):
        one_period(safe, clock, move=(0.09, 0.0, 0.0))

    reached = max(sent.ee_position[0] for sent in safe.arm.sent)
    assert wall - 1e-4 < reached <= wall
    assert safe.interventions[Kind.BOX] > 0


def test_outside_of_the_box_the_arm_comes_back_slowly_and_never_goes_further_out(clock):
    safe = connected(clock, workspace_high_m=(0.45, 0.4, 0.6))
    start = safe.arm.read().ee_position[0]
    assert start > 0.48

    for _ in range(40):
        one_period(safe, clock, move=(0.05, 0.0, 0.0))

    path = np.array([start, *(sent.ee_position[0] for sent in safe.arm.sent)])
    assert path.max() <= start and path[-1] < 0.45
    outside = path[:-1] > 0.45
    slow = safe.limits.recovery_speed * safe.limits.max_speed_m_s * DT_S
    assert np.abs(np.diff(path))[outside].max() <= slow + 1e-9
    assert safe.interventions[Kind.RECOVERY] > 0


def test_speed_rises_slowly_at_first_and_again_after_a_hold(clock):
    safe = connected(clock, soft_start_s=1.0, soft_start_speed=0.1)
    full = safe.limits.max_speed_m_s

    speeds = []
    for _ in range(6):
        one_period(safe, clock, move=(0.09, 0.0, 0.0))
        speeds.append(speed(safe) if len(safe.arm.sent) > 1 else 0.0)
    for _ in range(20):
        clock.pass_()
        safe.read()
        safe.hold()
    one_period(safe, clock, move=(0.09, 0.0, 0.0))

    allowed = full * (0.1 + 0.9 * DT_S * np.arange(1, 8))
    assert (np.array(speeds) <= allowed[:6] + 1e-9).all() and speeds[-1] > 0.1
    assert 0 < speed(safe) <= allowed[1]


def test_a_blocked_arm_is_not_led_further_than_the_lead(clock):
    safe = connected(clock, max_lead_m=0.03)
    safe.arm.blocked = True
    at = safe.arm.read().ee_position

    for _ in range(40):
        one_period(safe, clock, move=(0.09, 0.0, 0.0))

    assert max(np.linalg.norm(sent.ee_position - at) for sent in safe.arm.sent) < 0.031
    assert safe.interventions[Kind.LEAD] == 40


def test_joints_stop_at_their_margin(clock):
    safe = SafeArm(
        PerfectArm(clock, kind="gantry"),
        limits(soft_start_s=0.01, joint_margin_rad=0.05),
        clock=clock,
    )
    safe.connect()

    for _ in range(80):
        one_period(safe, clock, move=(0.09, 0.0, 0.0))

    reached = max(sent.ee_position[0] for sent in safe.arm.sent)
    assert 0.63 < reached <= 0.65 + 1e-6  # the slide ends at 0.7, the box at 0.75
    assert safe.interventions[Kind.JOINT_POSITION] > 0


def test_no_joint_is_driven_faster_than_its_fraction(clock):
    safe = SafeArm(
        PerfectArm(clock, kind="gantry"),
        limits(soft_start_s=0.01, joint_velocity_fraction=0.25),
        clock=clock,
    )
    safe.connect()
    speeds = []

    for _ in range(30):
        one_period(safe, clock, move=(0.0, 0.09, 0.0))
        speeds.append(speed(safe) if len(safe.arm.sent) > 1 else 0.0)

    assert 0.08 < max(speeds) <= 0.25 * 0.4 + 1e-6
    assert safe.interventions[Kind.JOINT_VELOCITY] > 0


def test_the_gripper_moves_at_its_speed_and_stays_in_range(clock):
    safe = connected(clock, gripper_speed_1_s=2.0)
    targets = []

    for _ in range(15):
        clock.pass_()
        safe.read()
        targets.append(safe.send(command(safe, clock, gripper_target=-5.0)).gripper_target)

    np.testing.assert_allclose(targets[:3], [0.9, 0.8, 0.7])
    assert targets[-1] == 0.0


def test_a_command_before_its_time_repeats_the_last_one(clock):
    safe = moving(clock)
    sent = len(safe.arm.sent)
    clock.pass_(0.001)

    again = safe.send(command(safe, clock, move=(0.05, 0.0, 0.0)))

    assert len(safe.arm.sent) == sent and again is safe.arm.sent[-1]
    assert safe.interventions[Kind.EARLY] == 1


def test_after_a_gap_the_path_begins_again_from_rest(clock):
    safe = moving(clock, watchdog_periods=10)  # its thread could stop the arm in the gap
    fast = speed(safe)
    clock.pass_(3 * DT_S)

    one_period(safe, clock)

    from_rest = safe.limits.max_jerk_m_s3 * DT_S**2
    assert fast > 1.5 * from_rest and speed(safe) <= from_rest + 1e-9
    assert safe.interventions[Kind.LATE] == 1


def test_an_estop_stays_until_it_is_released_and_sends_nothing(clock):
    safe = moving(clock)
    sent = len(safe.arm.sent)

    safe.estop("button")
    for _ in range(5):
        one_period(safe, clock)
    latched = len(safe.arm.sent)
    safe.release()
    for _ in range(5):
        one_period(safe, clock)

    assert latched == sent and safe.arm.stops == 1
    assert safe.interventions[Kind.ESTOP] == 6
    assert len(safe.arm.sent) == sent + 5 and safe.estopped == ""


def test_recovering_the_controller_does_not_release_the_estop(clock):
    safe = moving(clock)
    safe.estop("button")

    safe.recover()
    one_period(safe, clock)

    assert safe.estopped == "button" and safe.interventions[Kind.ESTOP] == 2


def test_an_estop_does_not_wait_for_a_driver_that_hangs(clock):
    safe = moving(clock)
    hanging, let_go = threading.Event(), threading.Event()

    def hang(command: Command) -> Command:
        hanging.set()
        let_go.wait(60.0)
        return command

    safe.arm.send = hang
    clock.pass_()
    safe.read()
    sender = threading.Thread(target=lambda: safe.send(command(safe, clock)))
    sender.start()
    assert hanging.wait(60.0)
    safe.estop("button")
    still_hangs = sender.is_alive()
    let_go.set()
    sender.join()

    assert safe.arm.stops == 1 and still_hangs and safe.path is None


def test_after_a_driver_failed_to_send_the_path_begins_anew_where_the_arm_is(clock):
    safe = moving(clock)
    send, at = safe.arm.send, safe.read().ee_position

    def fail(command: Command) -> Command:
        raise ArmError("the wire broke: plug it in")

    safe.arm.send = fail
    for _ in range(2):
        with pytest.raises(ArmError, match="wire"):
            one_period(safe, clock)
    safe.arm.send = send
    sent = one_period(safe, clock)

    from_rest = safe.limits.max_jerk_m_s3 * DT_S**3
    assert np.linalg.norm(sent.ee_position - at) <= from_rest + 1e-9


def test_the_watchdog_stops_the_arm_when_commands_stop_coming():
    clock = time.monotonic
    safe = SafeArm(PerfectArm(clock), limits(watchdog_periods=2), clock=clock)
    safe.connect()
    safe.read()
    safe.send(command(safe, clock))
    deadline = time.monotonic() + 60
    while not safe.arm.stops and time.monotonic() < deadline:
        time.sleep(0.02)
    safe.disconnect()

    assert safe.arm.stops == 1 and safe.interventions[Kind.WATCHDOG] == 1
    assert "no command for" in safe.recent[-1].detail


def test_the_watchdog_is_silent_before_the_first_command_and_after_a_stop():
    clock = Clock()  # of the test: only what passes on it can make the watchdog bark
    safe = SafeArm(PerfectArm(clock), limits(watchdog_periods=1.5), clock=clock)
    safe.connect()
    clock.pass_(1.0)
    time.sleep(0.05)  # for the thread to look, several times
    safe.read()
    safe.send(command(safe, clock))
    safe.stop()
    clock.pass_(1.0)
    time.sleep(0.05)
    safe.disconnect()

    assert safe.arm.stops == 1 and Kind.WATCHDOG not in safe.interventions


def test_after_a_stop_no_state_from_before_it_is_believed(clock):
    safe = moving(clock)
    old = safe.read()
    safe.arm.read = lambda: old
    clock.pass_()
    safe.stop()
    sent = len(safe.arm.sent)

    one_period(safe, clock)

    assert len(safe.arm.sent) == sent and safe.interventions[Kind.STALE_STATE] == 1


def test_joints_and_pose_that_contradict_each_other_hold(clock):
    safe = connected(clock)
    state = safe.arm.read()
    moved = replace(state, ee_position=state.ee_position + 0.05)
    safe.arm.read = lambda: replace(moved, time_s=clock())

    one_period(safe, clock)

    assert not safe.arm.sent and "tool frame" in safe.recent[-1].detail


def test_a_command_before_any_state_is_one_sentence(clock):
    safe = SafeArm(PerfectArm(clock), limits(), clock=clock)
    safe.connect()

    with pytest.raises(ArmError, match="expected read\\(\\) once"):
        safe.send(command(safe, clock))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workspace_low_m": (0.8, -0.4, 0.0)}, "along x"),
        ({"soft_start_speed": 0.0}, "never moves"),
        ({"watchdog_periods": 1.0}, "at least 1.5"),
    ],
)
def test_limits_without_sense_are_one_sentence(changes, message):
    with pytest.raises(InputError, match=message):
        limits(**changes)


def test_limits_are_read_from_a_robots_file(tmp_path):
    assert isinstance(read_limits(FRANKA_YAML), SafetyLimits)
    (tmp_path / "arm.yaml").write_text("safety: {max_step_m: -1}\n")

    with pytest.raises(InputError, match="safety"):
        read_limits(tmp_path / "arm.yaml")
    with pytest.raises(InputError, match="correct the path"):
        read_limits(tmp_path / "missing.yaml")


def test_an_arm_that_is_pushed_away_while_it_is_held_stays_where_it_was_pushed(clock):
    safe = connected(clock, max_lead_m=0.03)
    one_period(safe, clock, move=(0.0, 0.0, 0.0))
    safe.arm.blocked = True
    safe.arm.joints = safe.arm.joints + np.array([0.3, 0, 0, 0, 0, 0, 0])
    for _ in range(3):
        clock.pass_()
        pushed = safe.read().ee_position
        sent = safe.hold("test")  # the first one stops the arm, the next one begins anew
    assert sent is not None
    np.testing.assert_allclose(sent.ee_position, pushed, atol=1e-9)


def test_after_an_estop_the_hand_keeps_the_target_that_it_was_sent_last(clock):
    safe = connected(clock)
    for _ in range(10):
        clock.pass_()
        safe.read()
        safe.send(command(safe, clock, gripper_target=0.0))
    assert safe.gripper_target == 0.0
    safe.arm.gripper = 0.75  # held open by what lies between the fingers
    safe.estop("button")
    clock.pass_()
    safe.read()
    safe.release()
    clock.pass_()
    safe.read()
    sent = safe.hold("test")
    assert sent is not None and sent.gripper_target == 0.0


class SwingingElbow(PerfectArm):
    """Measures a speed of its fourth joint, whatever was sent."""

    speed = 0.0

    def read(self):
        state = super().read()
        velocity = state.joint_velocity.copy()
        velocity[3] = self.speed
        return replace(state, joint_velocity=velocity)


def swinging(clock: Clock, *, before_end_rad: float) -> tuple[SafeArm, SwingingElbow]:
    arm = SwingingElbow(clock)
    high = arm.features.joints.high.copy()
    high[3] = arm.joints[3] + before_end_rad
    arm.features = replace(arm.features, joints=replace(arm.features.joints, high=high))
    safe = SafeArm(arm, limits(soft_start_s=0.01), clock=clock)
    safe.connect()
    for _ in range(3):
        one_period(safe, clock, move=(0.0, 0.001, 0.0))
    return safe, arm


def test_an_arm_whose_joint_swings_to_its_end_is_stopped_whatever_was_sent(clock):
    safe, arm = swinging(clock, before_end_rad=0.2)
    stops, arm.speed = arm.stops, 2.0  # at the end in 0.1 s
    sent = len(arm.sent)

    one_period(safe, clock, move=(0.0, 0.001, 0.0))

    assert arm.stops == stops + 1 and len(arm.sent) == sent
    newest = safe.recent[-1]
    assert newest.kind is Kind.JOINT_POSITION and "2.0 rad/s, 0.20 rad before" in newest.detail

    one_period(safe, clock, move=(0.0, 0.001, 0.0))
    assert len(arm.sent) == sent  # nothing begins while it swings

    arm.speed = 0.0
    one_period(safe, clock, move=(0.0, 0.001, 0.0))
    assert len(arm.sent) == sent + 1


@pytest.mark.parametrize(("before_end_rad", "speed"), [(0.2, -2.0), (0.3, 2.0), (0.02, 0.1)])
def test_an_arm_is_not_stopped_for_a_joint_that_moves_away_is_far_or_slow(
    clock, before_end_rad, speed
):
    safe, arm = swinging(clock, before_end_rad=before_end_rad)
    stops, arm.speed = arm.stops, speed

    one_period(safe, clock, move=(0.0, 0.001, 0.0))

    assert arm.stops == stops
