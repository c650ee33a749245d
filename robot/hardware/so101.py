"""The SO-101, over Feetech's own library (`pip install 'ivm-robot[so101]'`) and a serial port.

Six STS3215 servos: five joints and a gripper. The calibration is LeRobot's file (per motor id,
drive_mode, homing_offset, range_min, range_max); a joint is 0 in the middle of its range. Five
joints do not reach every rotation: position comes first, and `send` returns the pose that the
joints were really sent to.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from robot.end_effector import end_effector_action, end_effector_state
from robot.errors import InputError
from robot.hardware.arm import ArmError, ArmFeatures, ArmState, Command
from robot.hardware.chain import read_chain
from robot.hardware.kinematics import Joints, Pose, solve

CHAIN = Path(__file__).with_name("so101.yaml")
GRIPPER = "gripper"
BAUD = 1_000_000
COUNTS = 4096  # of the encoder per turn
IK_STEPS = 6  # from the joints of the command before: the next ones are near
LOST_READS = 5  # in a row, after which the connection counts as lost
TRIES = 5  # of what happens once, where one lost packet must not matter

# Registers of the STS3215 (address, bytes).
HOMING_OFFSET = 31, 2  # sign in bit 11
TORQUE_ENABLE = 40, 1
GOAL_POSITION = 42, 2
FEEDBACK = 56, 10  # position 2, velocity 2, load 2, voltage 1, temperature 1, async 1, status 1
ALARMS = {
    1: "its voltage is out of range",
    2: "its angle sensor failed",
    4: "it is too hot",
    8: "its current is too high",
    32: "it is overloaded",
}


@dataclass(frozen=True)
class Motor:
    """One servo, as calibrated."""

    name: str
    id: int
    drive_mode: int  # 1 turns the other way round
    homing_offset: int
    range_min: int
    range_max: int

    @property
    def sign(self) -> int:
        return -1 if self.drive_mode else 1

    def angle(self, counts: int) -> float:
        """Return the angle [rad] of a position. Inverse: `counts`."""
        middle = (self.range_min + self.range_max) / 2
        return self.sign * (counts - middle) * 2 * math.pi / COUNTS

    def counts(self, angle: float) -> int:
        """Return the position of an angle, within the calibrated range. Inverse: `angle`."""
        middle = (self.range_min + self.range_max) / 2
        return self._kept(middle + self.sign * angle * COUNTS / (2 * math.pi))

    def opening(self, counts: int) -> float:
        """Return a gripper's opening, 0 closed .. 1 open. Inverse: `opened`."""
        share = (counts - self.range_min) / (self.range_max - self.range_min)
        return min(max(1 - share if self.drive_mode else share, 0.0), 1.0)

    def opened(self, opening: float) -> int:
        """Return the position of a gripper's opening. Inverse: `opening`."""
        share = 1 - opening if self.drive_mode else opening
        return self._kept(self.range_min + share * (self.range_max - self.range_min))

    def _kept(self, counts: float) -> int:
        return min(max(round(counts), self.range_min), self.range_max)


class SO101:
    """A follower arm on a serial port."""

    def __init__(
        self, *, port: str, calibration: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._chain = read_chain(CHAIN, "SO101")
        self.motors = read_calibration(calibration, joints=self._chain.names)
        self.features = ArmFeatures(
            robot_type="so101_follower",
            joint_names=self._chain.names,
            joints=self._chain.limits,
            state=end_effector_state(),
            action=end_effector_action(max_delta_m=0.05, max_delta_rad=0.5),
            control_dt_s=0.05,
            extra="so101",
            notes=("five joints: a rotation is followed as far as they reach",),
        )
        self._port_name, self._clock = port, clock
        self._bus: _Bus | None = None
        self._state: ArmState | None = None
        self._target: Joints | None = None  # where the joints were sent last
        self._lost = 0
        self._stops = 0  # what was decided before a stop is not sent after it

    def connect(self) -> None:
        if self._bus is not None:
            return
        bus = _Bus(self._port_name)
        try:
            for motor in self.motors:
                self._check(bus, motor)
            # A servo that gets its torque turns to its last goal at once: let that be where it is.
            self._bus = bus
            self._hold_here()
        except BaseException:
            self._bus = None
            bus.close()
            raise

    def read(self) -> ArmState:
        bus = self._connected()
        found = bus.feedback([motor.id for motor in self.motors])
        if found is None:
            self._lost += 1
            if self._lost >= LOST_READS or self._state is None:
                raise ArmError(
                    f"the motors on {self._port_name} did not answer {self._lost} times in a row: "
                    "check power and cable, then start again"
                )
            return self._state  # its age tells
        self._lost = 0
        self._state = self._measured(found)
        return self._state

    def send(self, command: Command) -> Command:
        bus, stops = self._connected(), self._stops
        start = self._target
        if start is None:
            start = self.read().joint_position
        limits = self._chain.limits
        joints, _ = solve(
            self.forward,
            Pose(position=command.ee_position, rotation=command.ee_rotation),
            start=start,
            low=limits.low,
            high=limits.high,
            steps=IK_STEPS,
        )
        most = limits.velocity * self.features.control_dt_s
        joints = start + np.clip(joints - start, -most, most)

        goals = self._goals(joints, gripper=command.gripper_target)
        if not bus.write_goals(goals, unless=lambda: self._stops != stops):
            goals = self._goals(start, gripper=command.gripper_target)  # stopped meanwhile
        else:
            self._target = joints
        return self._sent(goals, time_s=command.time_s)

    def forward(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._chain.forward(joints)

    def stop(self) -> None:
        self._stops += 1
        if self._bus is not None:
            self._hold_here()

    def recover(self) -> None:
        """Release the torque that an overload took, and hold where the arm is."""
        bus = self._connected()
        for motor in self.motors:
            bus.write(motor.id, TORQUE_ENABLE, 0)
        self._lost = 0
        self._hold_here()

    def disconnect(self) -> None:
        """Hold where the arm is and close the port; torque stays on, or the arm would fall."""
        bus, self._bus = self._bus, None
        if bus is None:
            return
        try:
            self._hold_on(bus)
        except ArmError:
            pass  # no longer there: nothing to hold
        finally:
            bus.close()

    def _connected(self) -> _Bus:
        if self._bus is None:
            raise ArmError(f"the SO-101 on {self._port_name} is not connected: connect() first")
        return self._bus

    def _check(self, bus: _Bus, motor: Motor) -> None:
        """Raise ArmError unless a motor answers and has the offset of the calibration file."""
        offset = _signed(bus.read(motor.id, HOMING_OFFSET, name=motor.name), bit=11)
        if offset != motor.homing_offset:
            raise ArmError(
                f"motor {motor.name} has homing offset {offset}, expected {motor.homing_offset} "
                "as in the calibration file: calibrate again, or pass this arm's own file"
            )

    def _hold_here(self) -> None:
        self._hold_on(self._connected())

    def _hold_on(self, bus: _Bus) -> None:
        ids = [motor.id for motor in self.motors]
        tries = (bus.feedback(ids) for _ in range(TRIES))
        found = next((found for found in tries if found is not None), None)
        if found is None:
            raise ArmError(
                f"the motors on {self._port_name} do not answer, so that they cannot be stopped: "
                "cut their power"
            )
        bus.write_goals({id_: feedback.counts for id_, feedback in found.items()})
        for motor in self.motors:
            bus.write(motor.id, TORQUE_ENABLE, 1)
        self._target = None

    def _measured(self, found: Mapping[int, _Feedback]) -> ArmState:
        *joints, gripper = self.motors
        for motor in self.motors:
            if alarm := found[motor.id].alarm:
                raise ArmError(
                    f"motor {motor.name} reports that {alarm}: relieve it, then recover()"
                )
        position = np.array([motor.angle(found[motor.id].counts) for motor in joints])
        speed = [motor.sign * found[motor.id].counts_per_s for motor in joints]
        ee_position, ee_rotation = self.forward(position)
        return ArmState(
            time_s=self._clock(),
            joint_position=position,
            joint_velocity=np.array(speed) * 2 * math.pi / COUNTS,
            ee_position=ee_position,
            ee_rotation=ee_rotation,
            gripper_opening=gripper.opening(found[gripper.id].counts),
        )

    def _goals(self, joints: Joints, *, gripper: float) -> dict[int, int]:
        *motors, jaw = self.motors
        goals = {m.id: m.counts(q) for m, q in zip(motors, joints.tolist(), strict=True)}
        return goals | {jaw.id: jaw.opened(gripper)}

    def _sent(self, goals: Mapping[int, int], *, time_s: float) -> Command:
        *motors, jaw = self.motors
        position, rotation = self.forward(np.array([m.angle(goals[m.id]) for m in motors]))
        return Command(
            ee_position=position,
            ee_rotation=rotation,
            gripper_target=jaw.opening(goals[jaw.id]),
            time_s=time_s,
        )


@dataclass(frozen=True)
class _Feedback:
    """What one servo reports of itself."""

    counts: int
    counts_per_s: int
    alarm: str


class _Bus:
    """Feetech's library on one port; one exchange at a time, from any thread."""

    def __init__(self, port: str) -> None:
        self._sdk = _sdk()
        self._name, self._lock = port, threading.Lock()
        self._port = self._sdk.PortHandler(port)
        self._packets = self._sdk.PacketHandler(0)
        try:
            opened = self._port.setBaudRate(BAUD)
        except OSError as error:  # pyserial's own errors are of this kind
            raise ArmError(
                f"{port} cannot be opened ({error}): plug the arm in, and see that this user may "
                "read and write the port"
            ) from error
        if not opened:
            raise ArmError(f"{port} does not take {BAUD} baud: use the arm's own USB adapter")

    def read(self, motor: int, register: tuple[int, int], *, name: str) -> int:
        for _ in range(TRIES):
            with self._lock:
                data, result, _ = self._packets.readTxRx(self._port, motor, *register)
            if result == 0 and len(data) == register[1]:
                return int.from_bytes(bytes(data), "little")
        raise ArmError(
            f"motor {name} (id {motor}) on {self._name} does not answer: check its power, cable "
            "and id"
        )

    def write(self, motor: int, register: tuple[int, int], value: int) -> None:
        data = list(value.to_bytes(register[1], "little"))
        for _ in range(TRIES):
            with self._lock:
                result, _ = self._packets.writeTxRx(self._port, motor, *register, data)
            if result == 0:
                return
        raise ArmError(f"motor {motor} on {self._name} did not take a value: check power and cable")

    def feedback(self, motors: list[int]) -> dict[int, _Feedback] | None:
        """Return what all motors report, or None where one is silent or garbled."""
        with self._lock:
            group = self._sdk.GroupSyncRead(self._port, self._packets, *FEEDBACK)
            for motor in motors:
                group.addParam(motor)
            result = group.txRxPacket()
            self._port.is_using = False  # the library forgets it where a packet is lost
        data = {motor: bytes(group.data_dict[motor]) for motor in motors}
        if result != 0 or any(len(block) != FEEDBACK[1] for block in data.values()):
            return None
        return {motor: _feedback(block) for motor, block in data.items()}

    def write_goals(
        self, goals: Mapping[int, int], *, unless: Callable[[], bool] = lambda: False
    ) -> bool:
        """Write all goals in one packet and return True; or, where `unless` holds, do nothing."""
        with self._lock:
            if unless():
                return False
            group = self._sdk.GroupSyncWrite(self._port, self._packets, *GOAL_POSITION)
            for motor, counts in goals.items():
                group.addParam(motor, list(counts.to_bytes(2, "little")))
            result = group.txPacket()
        if result != 0:
            raise ArmError(f"goals could not be written to {self._name}: check its cable")
        return True

    def close(self) -> None:
        with self._lock:
            self._port.closePort()


def read_calibration(path: Path, *, joints: tuple[str, ...]) -> tuple[Motor, ...]:
    """Return the motors of a calibration file, those of `joints` in order and the gripper last."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        motors = tuple(
            Motor(name=name, **{key: int(value) for key, value in content[name].items()})
            for name in (*joints, GRIPPER)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"got {path}, expected LeRobot's calibration of an SO-101: JSON with id, drive_mode, "
            f"homing_offset, range_min, range_max of {', '.join((*joints, GRIPPER))}; calibrate "
            "the arm, or correct the path"
        ) from error
    if bad := [m.name for m in motors if not 0 <= m.range_min < m.range_max < COUNTS]:
        raise InputError(
            f"got {path} with an empty range of {', '.join(bad)}, expected 0 <= range_min < "
            f"range_max < {COUNTS}; calibrate the arm again"
        )
    return motors


def _sdk() -> Any:
    try:
        import scservo_sdk  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(
            "got robot so101 without Feetech's library, expected feetech-servo-sdk; install it: "
            "pip install 'ivm-robot[so101]'"
        ) from error
    return scservo_sdk


def _feedback(block: bytes) -> _Feedback:
    status = block[9]
    alarms = [text for bit, text in ALARMS.items() if status & bit]
    return _Feedback(
        counts=_signed(int.from_bytes(block[0:2], "little"), bit=15),
        counts_per_s=_signed(int.from_bytes(block[2:4], "little"), bit=15),
        alarm=" and ".join(alarms),
    )


def _signed(value: int, *, bit: int) -> int:
    """Return a number whose sign is one bit, as these servos write it."""
    return -(value & ~(1 << bit)) if value & (1 << bit) else value
