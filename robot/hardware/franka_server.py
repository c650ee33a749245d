"""A Franka robot to connect to where there is none: franky-sim (MuJoCo behind libfranka's network
protocol), with what a rehearsal needs beside it. A program of its own, for the Python of
.venv-franka, which has franky-sim and nothing of this project:

    .venv-franka/bin/python robot/hardware/franka_server.py 127.0.0.1

It prints "ready" and takes lines on standard input until that is closed:

    joints Q1 .. Q7 W   put the arm there, at rest, with the fingers W metres apart
    fingers WIDTH       something WIDTH metres wide lies between the fingers: they close no further
    reflex              stop the running motion as a collision does, and wait for error recovery

franky-sim 1.0.4 knows no reflexes; the last is added here, as libfranka's protocol has it.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from typing import Any

import franky_sim.franka_robot_protocol as protocol
import franky_sim.simulation_server as simulation_server
from franky_sim.franka_robot_server import FrankaRobotServer
from franky_sim.mujoco_simulator import MujocoSimulator

STEP_S = 0.001
BEHIND_S = 0.05  # later than that, simulated time runs slower than the clock
CARTESIAN_REFLEX = 7  # its place among the 41 errors of libfranka's robot state
PRIORITY = 10  # of real-time scheduling: a robot's controller does not wait for other programs


class RobotServer(FrankaRobotServer):
    """franky-sim's server with a reflex that lasts until it is cleared."""

    reflex = False

    def trip(self) -> None:
        self.reflex = True
        motion, socket = self.current_motion_id, self._tcp_socket
        self.stop_motion(send_preemption_signal=False)
        self.reset_current_motion_id()
        if motion and socket is not None:
            self._answer(protocol.RobotCommand.kMove, motion, protocol.MoveStatus.kReflexAborted)

    def start_motion(self, controller_mode: Any, motion_generator_mode: Any, motion_id: int):
        if self.reflex:
            raise RuntimeError("the reflex has not been cleared")
        super().start_motion(controller_mode, motion_generator_mode, motion_id)

    @property
    def robot_state(self) -> Any:
        state = super().robot_state
        if not self.reflex:
            return state
        errors = tuple(k == CARTESIAN_REFLEX for k in range(41))
        return state.replace(
            robot_mode=protocol.RobotMode.kReflex, errors=errors, reflex_reason=errors
        )

    def _answer(self, command: Any, number: int, status: Any) -> None:
        protocol.BaseCommand.send_response(self._tcp_socket, command, number, status)


def _recover(command: Any, server: RobotServer) -> None:
    server.reflex = False
    command.reply(protocol.AutomaticErrorRecoveryStatus.kSuccess)


class Rehearsal:
    """The simulated robot and what is asked of it on standard input."""

    def __init__(self, simulator: Any, robot: Any) -> None:
        self.simulator, self.robot = simulator, robot
        self.between_fingers = 0.0
        self._set_hand_goal = robot.set_hand_goal
        self._goal = (robot.hand_width, 0.05, 70.0)
        robot.set_hand_goal = self._aim

    def take(self, line: str) -> None:
        word, *values = line.split()
        if word == "joints":
            self._put([float(x) for x in values])
        elif word == "fingers":
            self.between_fingers = float(values[0])
            self._aim(*self._goal)
        elif word == "reflex":
            self.robot.server.trip()
        else:
            raise ValueError(f"got {line!r}, expected joints, fingers or reflex")

    def _put(self, values: list[float]) -> None:
        robot, data = self.robot, self.simulator.data
        *joints, width = values
        for address, q in zip(robot._qpos_addrs, joints, strict=True):
            data.qpos[address] = q
        data.qpos[robot._finger_qpos_addrs] = width / 2
        data.qvel[:] = 0.0
        self._aim(width, *self._goal[1:])
        robot.server._reset_state()  # holds the joints where they are now

    def _aim(self, width: float, max_velocity: float, max_force: float) -> None:
        self._goal = (width, max_velocity, max_force)
        self._set_hand_goal(max(width, self.between_fingers), max_velocity, max_force)


def serve(address: str) -> None:
    protocol.AutomaticErrorRecoveryCommand.handle = _recover
    simulation_server.FrankaRobotServer = RobotServer
    with contextlib.suppress(OSError):  # not root
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
    with MujocoSimulator() as simulator:
        # A floor that the hand never meets: what the arm stands on and works at is in the scene
        # that mirrors it, and may lie below its base.
        simulator.worldbody.find("geom[@name='ground']").set("pos", "0 0 -2")
        rehearsal = Rehearsal(simulator, simulator.add_robot())
        with simulation_server.SimulationServer(simulator, hostname_candidates=[address]) as server:
            print("ready", flush=True)
            run(server, rehearsal)


def run(server: Any, rehearsal: Rehearsal) -> None:
    """Step the physics with the clock until standard input is closed."""
    due, rest = time.perf_counter(), ""
    steps = 0
    while True:
        server.run_once(realtime=False)
        due, steps = due + STEP_S, steps + 1
        delay = due - time.perf_counter()
        if delay > 0:
            time.sleep(delay)
        elif delay < -BEHIND_S:
            due -= delay
        if steps % 5 or not select.select([0], [], [], 0)[0]:
            continue
        if not (read := os.read(0, 4096)):
            return
        *lines, rest = (rest + read.decode()).split("\n")
        for line in lines:
            rehearsal.take(line)


if __name__ == "__main__":
    serve(sys.argv[1])
