"""A Franka arm (Panda or FR3) over franky-control 2: streamed poses, the Franka Hand, read-back.

    arm = FrankaArm(FrankaOptions(hostname="172.16.0.2", model="fr3"))
    arm.connect()
    arm.send(Command(ee_position=..., ee_rotation=..., gripper_target=1.0, time_s=time.monotonic()))

Commands come at 20 Hz. A thread of this driver turns them into a smooth reference
(robot.hardware.reference), 100 poses and velocities a second, which franky's 1 kHz impedance
controller tracks in a thread of its own in C++. Where no command comes any more the reference comes
to rest, and a robot that gets no packets stops itself.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float64

from robot.end_effector import end_effector_action, end_effector_state
from robot.errors import InputError
from robot.hardware.arm import ArmError, ArmFeatures, ArmState, Command
from robot.hardware.franka_hand import FrankaHand, HandMotion
from robot.hardware.franka_kinematics import (
    Mounting,
    T_flange_to_base,
    grip_mounting,
    joint_limits,
    transform,
)
from robot.hardware.reference import (
    OSC_STIFFNESS,
    Reference,
    advance,
    keep_near,
)
from robot.system.priority import DRIVER, own_priority, prompt

CONTROL_DT_S = 0.05
TICK_S = 0.01
START_S = 2.0  # until the first state has to have come
READY = ("Idle", "Move")  # libfranka's modes in which a motion can start
SAME_POSE_M = 0.002  # between the robot's own kinematics and the data sheet's


@dataclass(frozen=True)
class FrankaOptions:
    """Which robot, and how it moves."""

    hostname: str = "172.16.0.2"
    model: str = "fr3"  # or panda: whose limits hold
    realtime: bool = True  # False where the kernel is not a real-time one: jerky on a real robot
    end_effector: Mounting = field(default_factory=grip_mounting)
    stiffness_n_m: float = 2000.0
    stiffness_nm_rad: float = 100.0
    response: float = OSC_STIFFNESS  # 1/s^2, how briskly a command is followed
    push_n: float = 30.0  # what the arm presses with at most, by its stiffness
    push_nm: float = 5.0
    reflex_n: float = 60.0  # contact force and joint torque at which the robot stops itself
    reflex_nm: float = 60.0
    silence_s: float = 0.15  # without a command, then the arm comes to rest
    stale_s: float = 0.15  # without a new state, then the connection counts as lost
    hand: HandMotion = field(default_factory=HandMotion)


def franka_features(model: str) -> ArmFeatures:
    """Return what a Franka arm has, without one."""
    return ArmFeatures(
        robot_type=f"franka_{model}",
        joint_names=tuple(f"joint{k}" for k in range(1, 8)),
        joints=joint_limits(model),
        state=end_effector_state(),
        action=end_effector_action(max_delta_m=0.05, max_delta_rad=0.5),
        control_dt_s=CONTROL_DT_S,
        extra="franka",
        notes=("the hand opens fully or closes: it takes no opening in between",),
    )


class FrankaArm:
    """A Franka arm with its hand. All methods but `stop` are for one thread."""

    def __init__(self, options: FrankaOptions | None = None) -> None:
        self.options = options or FrankaOptions()
        self.features = franka_features(self.options.model)
        self._T_ee_to_flange = self.options.end_effector.T_frame_to_flange()
        self._lock = threading.Lock()  # of all below; never held while a vendor's call blocks
        self._stopping = threading.Lock()  # held while the arm is being brought to rest
        self._closing = threading.Event()
        self._robot: Any = None
        self._hand: FrankaHand | None = None
        self._thread: threading.Thread | None = None
        self._tracker: Any = None
        self._state: ArmState | None = None
        self._failure: str | None = None
        self._stopped_s = float("-inf")

    # --- the contract

    def connect(self) -> None:
        if self._robot is not None:
            return
        self._franky = franky = import_franky()
        options, host = self.options, self.options.hostname
        config = franky.RealtimeConfig
        try:
            # libfranka makes the thread that connects a real-time one, before everything else on
            # the computer, and so every thread that it starts later: those of the policy, too
            with own_priority():
                robot = franky.Robot(
                    host,
                    default_torque_threshold=options.reflex_nm,
                    default_force_threshold=options.reflex_n,
                    realtime_config=config.Enforce if options.realtime else config.Ignore,
                )
                self._priority = os.sched_getscheduler(0), os.sched_getparam(0)
            state, gripper = robot.state, franky.Gripper(host)
            width = float(gripper.max_width)
        except Exception as error:  # franky's, Poco's and libfranka's have no common base
            raise ArmError(_no_connection(error, host=host)) from error
        self._check_ready(state, max_width=width)
        self._T_ee_to_EE = np.linalg.inv(state.F_T_EE.matrix) @ self._T_ee_to_flange
        self._T_EE_to_ee = np.linalg.inv(self._T_ee_to_EE)
        self._robot = robot
        self._hand = FrankaHand(gripper, motion=options.hand, on_failure=self._hand_failed)
        try:
            self._start_thread()
        except ArmError:
            self.disconnect()
            raise

    def read(self) -> ArmState:
        self._check()
        assert self._state is not None
        return self._state

    def send(self, command: Command) -> Command:
        """Follow a command until the next. One that was decided before the last stop is dropped:
        what is returned then is to stay where the arm is.
        """
        self._check()
        assert self._state is not None and self._hand is not None
        target = np.array([*command.ee_position, *command.ee_rotation.ravel()])
        if not np.isfinite([*target, command.gripper_target]).all():
            raise ValueError(f"got a command that is not finite: {command}")
        if command.time_s <= self._stopped_s or not self._tracks():
            return Command(
                ee_position=self._state.ee_position,
                ee_rotation=self._state.ee_rotation,
                gripper_target=self._state.gripper_opening,
                time_s=command.time_s,
            )
        with self._lock:
            # The change from the measured pose, made from the reference: the arm hangs behind its
            # reference by what friction and load take, and would sink by that with every command.
            state, reference = self._state, self._reference
            turn = command.ee_rotation @ state.ee_rotation.T
            self._goal = (
                reference.position + command.ee_position - state.ee_position,
                turn @ reference.rotation,
            )
            self._commanded_s = time.monotonic()
        return Command(
            ee_position=command.ee_position,
            ee_rotation=command.ee_rotation,
            gripper_target=self._hand.aim(command.gripper_target),
            time_s=command.time_s,
        )

    def forward(
        self, joints: Float64[np.ndarray, " j"]
    ) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3 3"]]:
        pose = T_flange_to_base(joints) @ self._T_ee_to_flange
        return pose[:3, 3], pose[:3, :3]

    def stop(self) -> None:
        """Damp the arm to rest; the robot's own controller holds it then. The hand begins no
        other motion and keeps what it holds.
        """
        self._stopped_s = time.monotonic()
        if self._hand is not None:
            self._hand.stop()
        with self._stopping:
            with self._lock:
                tracker, self._tracker = self._tracker, None
            if tracker is None:
                return
            try:
                tracker.stop()
            except Exception as error:
                self._fail(_stopped_itself(error, host=self.options.hostname))
            self._stopped_s = time.monotonic()

    def recover(self) -> None:
        """Clear the error; connect anew where the connection was lost."""
        if self._robot is None:
            return self.connect()
        self.stop()
        self._end_thread()
        try:
            self._robot.recover_from_errors()
            mode = self._settled_mode()
        except Exception:  # no connection any more
            self.disconnect()
            return self.connect()
        if mode not in READY:
            raise ArmError(
                f"the robot at {self.options.hostname} is still in mode {mode}: look at its lights "
                "and at Desk, release the emergency stop, then recover() again"
            )
        if not self._hand_works:
            self.disconnect()
            return self.connect()
        self._start_thread()

    def disconnect(self) -> None:
        self.stop()
        self._end_thread()
        if self._hand is not None:
            self._hand.close()
        self._robot = self._hand = None

    # --- the thread

    def _start_thread(self) -> None:
        """Begin to measure, and wait for the first state."""
        self._failure, self._state, self._robot_time = None, None, None
        self._hand_works, self._closing = True, threading.Event()
        self._thread = threading.Thread(target=self._run, name="franka-arm", daemon=True)
        self._thread.start()
        self._await_state()

    def _end_thread(self) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout=START_S)
        self._thread = None

    def _run(self) -> None:
        with prompt(DRIVER):
            self._keep_time()

    def _keep_time(self) -> None:
        closing, due = self._closing, time.monotonic()
        while not closing.is_set():
            try:
                self._measure()
                self._track()
            except Exception as error:
                if not closing.is_set():
                    self._fail(_stopped_itself(error, host=self.options.hostname))
                return
            due += TICK_S
            if (delay := due - time.monotonic()) > 0:
                closing.wait(delay)
            else:
                due -= delay

    def _measure(self) -> None:
        """Take over the robot's state if it is a new one: while a motion runs, franky returns the
        last, however old.
        """
        state, now = self._robot.state, time.monotonic()
        robot_time = state.time.to_sec()
        if robot_time == self._robot_time:
            return
        self._robot_time = robot_time
        pose = state.O_T_EE.matrix @ self._T_ee_to_EE
        assert self._hand is not None
        self._state = ArmState(
            time_s=now,
            joint_position=np.array(state.q, float),
            joint_velocity=np.array(state.dq, float),
            ee_position=pose[:3, 3].copy(),
            ee_rotation=pose[:3, :3].copy(),
            gripper_opening=self._hand.opening()[0],
        )

    def _track(self) -> None:
        """Move the reference on, and hand it to franky's controller."""
        with self._lock:
            if self._tracker is None:
                return
            now, options, state = time.monotonic(), self.options, self._state
            assert state is not None
            if self._robot.is_in_control:
                self._in_control = True
            elif self._in_control or now - self._began_s > START_S:
                tracker, self._tracker = self._tracker, None
                tracker.stop()  # raises why it ended
                raise RuntimeError("its controller has ended")
            dt_s, self._tracked_s = now - self._tracked_s, now
            if now - self._commanded_s > options.silence_s:
                self._goal = self._resting_place()
                self._commanded_s = float("inf")
            moved = advance(
                self._reference,
                goal_position=self._goal[0],
                goal_rotation=self._goal[1],
                stiffness=options.response,
                dt_s=dt_s,
            )
            self._reference = keep_near(
                moved,
                position=state.ee_position,
                rotation=state.ee_rotation,
                reach_m=options.push_n / options.stiffness_n_m,
                reach_rad=options.push_nm / options.stiffness_nm_rad,
            )
            self._set_target(self._reference)

    # --- inside

    def _tracks(self) -> bool:
        """Start franky's controller where it does not run; False where a stop came in between."""
        if self._tracker is not None:
            return True
        if self._stopping.locked():
            return False
        began_s, state = time.monotonic(), self._state
        assert state is not None
        try:
            with own_priority():
                os.sched_setscheduler(0, *self._priority)  # its control thread inherits this one's
                tracker = self._franky.CartesianImpedanceTracker(
                    self._robot,
                    translational_stiffness=self.options.stiffness_n_m,
                    rotational_stiffness=self.options.stiffness_nm_rad,
                    lower_joint_limits=self.features.joints.low,
                    upper_joint_limits=self.features.joints.high,
                )
        except Exception as error:
            self._fail(_stopped_itself(error, host=self.options.hostname))
            raise ArmError(self._failure) from error
        with self._lock:
            stopped = self._stopped_s >= began_s
            if not stopped:
                self._reference = Reference.at_rest(state.ee_position, state.ee_rotation)
                self._goal = (state.ee_position, state.ee_rotation)
                self._began_s = self._tracked_s = self._commanded_s = time.monotonic()
                self._in_control, self._tracker = False, tracker
        if stopped:
            tracker.stop()
        return not stopped

    def _set_target(self, reference: Reference) -> None:
        pose = transform(reference.position, reference.rotation) @ self._T_EE_to_ee
        arm = pose[:3, 3] - reference.position
        self._tracker.set_target(
            self._franky.Affine(pose),
            twist=self._franky.Twist(
                reference.linear + np.cross(reference.angular, arm), reference.angular
            ),
        )

    def _resting_place(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the nearest goal that the reference reaches without turning back."""
        reference, rate = self._reference, np.sqrt(self.options.response)
        turn = reference.angular / rate
        return reference.position + reference.linear / rate, _turned(reference.rotation, turn)

    def _check(self) -> None:
        """Raise ArmError where the arm failed, is not connected, or sends no states any more."""
        if self._failure is not None:
            raise ArmError(self._failure)
        if self._robot is None or self._state is None:
            raise ArmError("got a call to a Franka that is not connected: call connect() first")
        age_s = time.monotonic() - self._state.time_s
        if age_s > self.options.stale_s:
            raise ArmError(
                f"the robot at {self.options.hostname} has sent no state for {1e3 * age_s:.0f} ms: "
                "check its power and the network cable, then recover()"
            )

    def _await_state(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                return self._check()
            except ArmError:
                if self._failure is not None or time.monotonic() > deadline:
                    raise
            time.sleep(TICK_S)

    def _check_ready(self, state: Any, *, max_width: float) -> None:
        """Raise ArmError where the robot is in no state to be driven, or is another one."""
        host, mode = self.options.hostname, _mode(state)
        if mode not in READY:
            raise ArmError(
                f"the robot at {host} is in mode {mode}, expected Idle: release the emergency "
                "stop, leave guiding, or clear its error in Desk, then connect again"
            )
        if max_width < 0.01:
            raise ArmError(
                f"the hand at {host} does not know its width: home it in Desk, then connect again"
            )
        flange = state.O_T_EE.matrix @ np.linalg.inv(state.F_T_EE.matrix)
        off_m = float(np.linalg.norm(flange[:3, 3] - T_flange_to_base(np.array(state.q))[:3, 3]))
        if off_m > SAME_POSE_M:
            raise ArmError(
                f"the robot at {host} says that its flange is {1e3 * off_m:.1f} mm from where the "
                f"data sheet of {self.options.model!r} has it: another arm than a Panda or FR3?"
            )

    def _settled_mode(self) -> str:
        """Return the robot's mode once it is ready, or after a while."""
        deadline = time.monotonic() + START_S
        while (mode := _mode(self._robot.state)) not in READY and time.monotonic() < deadline:
            time.sleep(TICK_S)
        return mode

    def _hand_failed(self, error: Exception) -> None:
        self._hand_works = False
        self._fail(
            f"the hand at {self.options.hostname} failed ({_text(error)}): check that it is "
            "mounted and switched on in Desk, then recover()"
        )

    def _fail(self, sentence: str) -> None:
        """Keep the first failure, for whoever calls next."""
        self._failure = self._failure or sentence


def import_franky() -> Any:
    """Return franky, or raise InputError that names the extra."""
    try:
        return importlib.import_module("franky")
    except ImportError as error:
        raise InputError(
            f"got a Franka without franky-control ({error}), expected it to be installed: pip "
            "install -e '.[franka]'; for robot=franka_sim run make test-franka once, then pass "
            "PYTHONPATH=.venv-franka/driver"
        ) from None


def _turned(rotation: np.ndarray, turn: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(turn).as_matrix() @ rotation


def _mode(state: Any) -> str:
    """Return the robot's mode by name, such as Idle."""
    return str(state.robot_mode).rpartition(".")[2]


def _text(error: Exception) -> str:
    """Return what libfranka said, its first line."""
    lines = str(error).removeprefix("libfranka: ").strip().splitlines()
    return lines[0].strip(" .!") if lines else type(error).__name__


def _no_connection(error: Exception, *, host: str) -> str:
    kind = type(error).__name__
    if kind == "RealtimeException":
        return (
            f"no real-time scheduling for the robot at {host} ({_text(error)}): boot a real-time "
            "kernel and allow it (ulimit -r), or pass realtime=False for a simulated robot"
        )
    if kind == "IncompatibleVersionException":
        return (
            f"the robot at {host} speaks another version ({_text(error)}): install the "
            "franky-control wheel for its system version"
        )
    return (
        f"no connection to a robot at {host} ({_text(error)}): check its power, the cable and the "
        "address, unlock the joints in Desk and activate FCI"
    )


def _stopped_itself(error: Exception, *, host: str) -> str:
    return (
        f"the robot at {host} stopped ({_text(error)}): look at what it touched or lost, then "
        "recover()"
    )
