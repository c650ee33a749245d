"""The loop executes what is due, and holds the arm, with the reason, where something is missing."""

from __future__ import annotations

import numpy as np
import pytest

from robot.data.corrections import CORRECTED
from robot.deploy.operator import Intent
from robot.hardware.arm import ArmError
from robot.types import MaskStatus
from tests.deploy.stage import DT_S, Stage

JOG = np.array([0, -0.004, 0, 0, 0, 0, 1.0], np.float32)


def kinds(stage: Stage) -> list[str]:
    return [event.kind for event in stage.loop.events]


def columns(stage: Stage, name: str) -> np.ndarray:
    return np.array([step.columns[name] for step in stage.recorder.steps])


def test_it_waits_for_the_first_plan_and_then_never_again():
    stage = Stage(delay=3)
    outcome = stage.run(40)
    assert outcome.held_steps == 0 and outcome.pauses == 0 and outcome.ended == "time limit"
    assert np.ptp(stage.path_y[:3]) == 0  # nothing moves before a plan is there
    moved = np.diff(stage.path_y[10:36])
    np.testing.assert_allclose(moved, 0.005, atol=1e-6)


def test_late_actions_are_dropped_by_the_time_of_the_observation():
    outcome = Stage(delay=3).run(40)
    assert outcome.late_actions == 3 * outcome.plans
    assert outcome.latency_ms == pytest.approx([150.0] * outcome.plans)


def test_waiting_for_each_plan_pauses_the_arm():
    outcome = Stage(delay=3, execution="sync", execute_steps=8).run(60)
    assert outcome.pauses >= 4 and outcome.held_steps >= 3 * outcome.pauses


def test_a_chunk_continues_what_is_decided_until_it_arrives():
    stage = Stage(delay=3)
    stage.run(40)
    assert stage.planner.requests[0].prefix is None
    prefix = stage.planner.requests[-1].prefix
    assert prefix is not None and (prefix.weight == 1).sum() == 3
    np.testing.assert_allclose(prefix.actions[:3, 1], 0.005, atol=1e-6)


def test_it_ends_at_success_and_brings_the_arm_to_rest():
    stage = Stage()
    stage.success_at = 20
    outcome = stage.run(40)
    assert outcome.success is True and outcome.ended == "success" and outcome.steps == 21
    assert stage.arm.stops >= 1
    assert abs(np.diff(stage.path_y)[-1]) < 1e-3  # it braked, and did not break off


@pytest.mark.parametrize("status", [MaskStatus.ABSENT, MaskStatus.UNCERTAIN])
def test_a_target_that_is_not_found_holds_the_arm_and_says_why(status):
    stage = Stage()
    stage.planner.status, stage.planner.waits = status, True
    outcome = stage.run(20)
    assert np.ptp(stage.path_y) < 1e-9
    assert stage.loop.status is not None and stage.loop.status.mode == "hold"
    assert status.value in stage.loop.status.why
    assert outcome.held_steps == 0  # it has not begun


def test_a_target_behind_the_hand_does_not_stop_it():
    stage = Stage()
    stage.planner.status = MaskStatus.ABSENT  # but the agent goes on
    stage.run(20)
    assert np.ptp(stage.path_y) > 0.05


def test_a_new_goal_drops_the_plans_for_the_old_one():
    stage = Stage(delay=3)
    stage.operator.intents[11] = Intent(goal="lift the other one")
    stage.run(40)
    assert stage.loop.goal == "lift the other one"
    assert "goal" in kinds(stage) and stage.recorder.goals == ["lift the other one"]
    goals = [r.observation.goal.text for r in stage.planner.requests]
    first = goals.index("lift the other one")
    assert set(goals[first:]) == {"lift the other one"}
    assert stage.planner.requests[first].prefix is None
    held = columns(stage, "is_held")
    assert held[11:14].all() and not held[20:].any()


def test_a_failing_policy_holds_the_arm_until_it_works_again():
    stage = Stage()
    stage.operator.then[10] = lambda: setattr(stage.planner, "error", ValueError("out of memory"))
    stage.operator.then[16] = lambda: setattr(stage.planner, "error", None)
    outcome = stage.run(40)
    assert outcome.ended == "time limit" and "policy" in kinds(stage)


def test_a_policy_that_keeps_failing_ends_the_episode():
    stage = Stage()
    stage.planner.error = ValueError("out of memory")
    outcome = stage.run(60)
    assert outcome.ended == "fault: the policy failed: ValueError: out of memory"
    assert np.ptp(stage.path_y) < 1e-9


def test_a_policy_that_hangs_holds_the_arm_and_ends_the_episode():
    stage = Stage(plan_timeout_s=2.0)
    stage.operator.then[10] = lambda: setattr(stage.planner, "hangs", True)
    outcome = stage.run(100)
    assert outcome.ended.startswith("fault: the policy gave no plan for")
    assert outcome.pauses == 1 and abs(np.diff(stage.path_y)[-5:]).max() < 1e-9


def test_actions_that_are_not_finite_never_reach_the_arm():
    stage = Stage()
    stage.operator.then[10] = lambda: setattr(stage.planner, "velocity_m", np.nan)
    outcome = stage.run(60)
    assert outcome.ended == "fault: the policy's actions are not finite"
    assert np.isfinite(stage.path_y).all()


def test_a_frozen_camera_holds_the_arm():
    stage = Stage()
    stage.operator.then[10] = lambda: setattr(stage.camera, "frozen_s", stage.time())
    outcome = stage.run(40)
    assert "stale_frame" in kinds(stage) and outcome.pauses == 1
    assert abs(np.diff(stage.path_y)[-5:]).max() < 1e-9


def test_an_unplugged_camera_holds_the_arm_until_it_is_back():
    stage = Stage()
    stage.operator.then[10] = lambda: setattr(stage.camera, "unplugged", True)
    stage.operator.then[25] = lambda: setattr(stage.camera, "unplugged", False)
    outcome = stage.run(60)
    assert outcome.ended == "time limit" and "camera" in kinds(stage)
    assert np.diff(stage.path_y)[-8:-4].min() > 0.004  # it goes on


def test_a_camera_that_stays_away_ends_the_episode():
    stage = Stage(fault_timeout_s=1.0)
    stage.operator.then[10] = lambda: setattr(stage.camera, "unplugged", True)
    assert stage.run(60).ended == "fault: the camera front is gone; plug it in again"


def test_an_arm_that_fails_ends_the_episode():
    stage = Stage(fault_timeout_s=1.0)

    def fail():
        raise ArmError("the arm does not answer; look at it")

    stage.operator.then[10] = lambda: setattr(stage.arm, "read", fail)
    assert stage.run(60).ended == "fault: the arm does not answer; look at it"


def test_the_e_stop_is_asked_in_every_step_and_latches():
    stage = Stage()
    stage.operator.intents[10] = Intent(estop=True)
    outcome = stage.run(30)
    assert stage.loop.polls == outcome.steps == stage.operator.polls
    sent = len(stage.arm.sent)
    assert sent <= 11 and stage.safe.estopped
    assert stage.loop.status is not None and stage.loop.status.mode == "e-stop"


def test_after_its_release_the_arm_goes_on():
    stage = Stage()
    stage.operator.intents |= {10: Intent(estop=True), 20: Intent(release=True)}
    stage.run(60)
    assert not stage.safe.estopped and np.diff(stage.path_y)[-8:-4].min() > 0.004


def test_a_person_takes_over_and_hands_back():
    stage = Stage()
    stage.operator.intents |= {step: Intent(jog=JOG) for step in range(15, 30)}
    outcome = stage.run(50)
    corrected = columns(stage, CORRECTED)
    assert corrected.sum() == outcome.corrected_steps == 15 and corrected[15:30].all()
    moved = np.diff(stage.path_y)
    assert moved[22:28].max() < 0 and moved[-10:-4].min() > 0.004
    assert outcome.pauses == 0  # plans went on beside
    np.testing.assert_allclose(stage.recorder.steps[25].action[1], JOG[1], atol=1e-6)


def test_a_person_jogs_while_nothing_is_found():
    stage = Stage()
    stage.planner.status, stage.planner.waits = MaskStatus.ABSENT, True
    stage.operator.intents |= {step: Intent(jog=JOG) for step in range(5, 20)}
    stage.run(30)
    assert np.ptp(stage.path_y) > 0.03


def test_a_person_ends_the_episode_and_says_how_it_went():
    stage = Stage()
    stage.operator.intents[10] = Intent(ends=True, success=True)
    outcome = stage.run(30)
    assert (outcome.ended, outcome.success) == ("ended by a person", True)
    assert stage.recorder.ended == [(True, {"ended": "ended by a person"})]


def test_every_step_is_recorded_with_its_times():
    stage = Stage(delay=2)
    outcome = stage.run(30)
    assert len(stage.recorder.steps) == outcome.steps
    np.testing.assert_allclose(columns(stage, "period_s"), DT_S)
    assert np.isnan(columns(stage, "mask_age_s")[0])
    assert np.nanmin(columns(stage, "mask_age_s")) == pytest.approx(2 * DT_S)
    np.testing.assert_allclose(stage.recorder.steps[-1].action, outcome.actions[-1])


def test_ctrl_c_stops_the_arm_and_keeps_the_recording():
    stage = Stage()

    def interrupt():
        raise KeyboardInterrupt

    stage.operator.then[10] = interrupt
    with pytest.raises(KeyboardInterrupt):
        stage.run(30)
    assert stage.arm.stops >= 1
    assert stage.recorder.ended == [(False, {"ended": "interrupted"})]


@pytest.mark.parametrize("needed", [True, False])
def test_a_recording_that_fails_ends_the_episode_where_it_is_needed(needed):
    stage = Stage(needs_recording=needed)
    stage.operator.then[10] = lambda: setattr(stage.recorder, "failure", "no space left on device")
    outcome = stage.run(20)
    assert outcome.ended == ("fault: no space left on device" if needed else "time limit")
    assert "recording" in kinds(stage)


def test_a_black_frame_holds_the_arm():
    stage = Stage()
    stage.operator.then[10] = lambda: setattr(stage.camera, "black", True)
    outcome = stage.run(25)
    assert outcome.held[10:] == (True,) * len(outcome.held[10:]) and not any(outcome.held[4:10])
    assert "nothing but black" in stage.loop.events[0].text


def test_a_loop_that_stalls_does_not_make_up_for_it():
    stage = Stage()
    stage.operator.then[15] = lambda: stage.time.pass_(0.4)
    stage.run(40)
    assert np.abs(np.diff(stage.path_y)).max() < 0.011
    assert stage.loop.clock.timing().missed in (7, 8)
