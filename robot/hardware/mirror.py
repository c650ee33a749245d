"""A scene of ours whose arm follows a real one's measured joints and fingers: cameras, objects and
contacts for an arm that has none, so that a loop over real drivers closes without hardware.

    mirror = Mirror()
    mirror.start(read=arm.read)
    beginning = mirror.open(seed=0)      # among it the joints in which the episode begins
    mirror.follow()
    mirror.cameras[0].newest()

The scene runs in a process of its own with the wall clock. What the simulated fingers hold is
reported back as the width that lies between the real ones.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float64

from robot.envs.make import EnvOptions
from robot.hardware.arm import ArmError, ArmState
from robot.hardware.simulated import SimulatedCamera
from robot.hardware.simulator import Slot, frame_type
from robot.system.interrupt import end_processes, starting_processes

TICK_S = 0.01
FEED_S = 0.005  # between two looks at the arm
BEHIND_S = 0.1  # later than that, time in the scene runs slower than the clock
AHEAD_S = 0.03  # that a measured motion is assumed to go on
SERVO_S = 0.01  # within which the scene's arm makes up for its distance to the measured one
BLOCKED = 0.02  # of the whole opening, that the fingers hang behind when something is in between
RELEASED = 0.03  # that the measured fingers have to be wider open for it to be let go
SUCCESS_S = 0.15  # that success has to hold: three control steps
START_S, END_S = 180.0, 3.0
PRIORITY = 5  # of real-time scheduling, where that is allowed: the world does not wait

MEASURED = np.dtype(
    [("time_s", "f8"), ("position", "f8", (7,)), ("velocity", "f8", (7,)), ("opening", "f8")]
)
PROGRESS = np.dtype([("success", "?"), ("between_m", "f8"), ("behind_s", "f8")])


@dataclass(frozen=True)
class MirrorOptions:
    """The scene; it crosses into the process."""

    task: str = "pick"
    env: EnvOptions = field(default_factory=EnvOptions)
    frame_rate_hz: float = 30.0


@dataclass(frozen=True)
class Beginning:
    """How an episode begins."""

    goal: str
    joints: Float64[np.ndarray, "7"]  # rad
    opening: float


class Mirror:
    """The scene and its cameras, whose names and sizes are readable before `start`."""

    def __init__(self, options: MirrorOptions | None = None) -> None:
        self.options = options = options or MirrorOptions()
        context = multiprocessing.get_context("spawn")
        cameras = options.env.spaces().cameras
        layouts = {"measured": MEASURED, "progress": PROGRESS} | {
            camera.name: frame_type(camera) for camera in cameras
        }
        self._memories = {
            name: context.RawArray(ctypes.c_uint8, Slot.size(layout))
            for name, layout in layouts.items()
        }
        self._slots = {name: Slot(self._memories[name], layout) for name, layout in layouts.items()}
        self.cameras: Sequence[SimulatedCamera] = tuple(
            SimulatedCamera(camera, self._slots[camera.name]) for camera in cameras
        )
        self._pipe: Connection | None = None
        self._process: BaseProcess | None = None
        self._following = threading.Event()
        self._thread: threading.Thread | None = None

    def start(
        self,
        *,
        read: Callable[[], ArmState],
        obstruct: Callable[[float], None] = lambda width_m: None,
    ) -> None:
        """Start the process. `read` returns the measured state; `obstruct` gets the width [m] of
        what the fingers hold, 0 where they hold nothing.
        """
        self._read, self._obstruct = read, obstruct
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self.options, self._memories), daemon=True
        )
        with starting_processes():
            self._process.start()
        theirs.close()

    def open(self, *, seed: int, scene: str = "clean", episode: int = 0) -> Beginning:
        """Arrange an episode, with the arm where it begins; it stays there until `follow`."""
        self.pause()
        self._obstruct(0.0)
        goal, joints, opening = self._ask("open", seed, scene, episode)
        return Beginning(goal=goal, joints=joints, opening=opening)

    def follow(self) -> None:
        """Let the scene's arm follow the measured one from now on."""
        self._copy(self._read())
        self._ask("follow")
        self._following.set()
        self._thread = threading.Thread(target=self._feed, name="mirror", daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Follow no longer; the scene stands still."""
        if self._thread is not None:
            self._following.clear()
            self._thread.join()
            self._thread = None
            self._ask("pause")

    def succeeded(self) -> bool:
        """Return whether the task's success has held, judged by the scene."""
        record = self._slots["progress"].read()
        return record is not None and bool(record["success"])

    @property
    def behind_s(self) -> float:
        """Return the time that the scene has lost against the wall clock in this episode."""
        record = self._slots["progress"].read()
        return 0.0 if record is None else float(record["behind_s"])

    def close(self) -> None:
        """End the thread and the process; callable twice."""
        process, pipe = self._process, self._pipe
        if process is None or pipe is None:
            return
        with suppress(ArmError):
            self.pause()
        with suppress(OSError):
            pipe.send(("quit",))
        process.join(END_S)
        if process.is_alive():
            end_processes([process], grace_s=0.0)
        pipe.close()
        self._process = self._pipe = None

    def _feed(self) -> None:
        """Hand over what is measured, and report back what is held."""
        between_m = 0.0
        while self._following.is_set():
            with suppress(ArmError):  # whoever drives the arm sees it, too
                self._copy(self._read())
                record = self._slots["progress"].read()
                if record is not None and float(record["between_m"]) != between_m:
                    between_m = float(record["between_m"])
                    self._obstruct(between_m)
            time.sleep(FEED_S)

    def _copy(self, state: ArmState) -> None:
        self._slots["measured"].write(
            time_s=state.time_s,
            position=state.joint_position,
            velocity=state.joint_velocity,
            opening=state.gripper_opening,
        )

    def _ask(self, *message: Any) -> Any:
        if self._pipe is None:
            raise ArmError(
                "got a call to a mirrored scene that was not started: call start() first"
            )
        try:
            with suppress(BrokenPipeError):  # why it ended may still lie in the pipe
                self._pipe.send(message)
            if not self._pipe.poll(START_S):
                raise ArmError(f"the mirrored scene did not answer within {START_S:.0f} s")
            kind, answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise ArmError("the process of the mirrored scene has ended; start again") from error
        if kind == "failed":
            raise ArmError(f"the mirrored scene failed: {answer}")
        return answer


class MirroredScene:
    """A SimulatedEnv whose arm is moved from outside; everything else is physics."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self.held = False

    def open(self, *, seed: int, scene: str, episode: int) -> tuple[str, np.ndarray, float]:
        env = self.env
        env.reset(seed=seed, options={"scene": scene, "episode": episode})
        self.held = False
        return env.goal, env.data.qpos[env.arm.joints].copy(), float(env.arm.opening(env.data))

    def advance(self, measured: np.void, *, now_s: float, duration_s: float) -> None:
        """Run the physics for a while, the arm drawn to where it was measured."""
        env = self.env
        model, data, arm = env.model, env.data, env.arm
        self._grip(float(measured["opening"]))
        hand = len(arm.joints)
        steps = round(duration_s / model.opt.timestep)
        for k in range(steps):
            moment_s = now_s - duration_s + (k + 1) * model.opt.timestep
            ahead_s = min(max(moment_s - float(measured["time_s"]), 0.0), AHEAD_S)
            wanted = measured["position"] + ahead_s * measured["velocity"]
            behind = wanted - data.qpos[arm.joints]
            data.qvel[arm.dofs] = measured["velocity"] + behind / SERVO_S
            data.ctrl[:hand] = data.qfrc_bias[arm.dofs]
            data.ctrl[hand:] = arm.gripper.joints(self.aim)
            mujoco.mj_step(model, data)

    @property
    def between_m(self) -> float:
        """Return how wide what the fingers hold is."""
        arm = self.env.arm
        return arm.opening(self.env.data) * arm.gripper.stroke_m if self.held else 0.0

    def _grip(self, measured: float) -> None:
        """Close the fingers as far as the measured ones, or with all their force on what holds them
        open; until the measured ones are opened further than that.
        """
        opening = self.env.arm.opening(self.env.data)
        if self.held:
            self.held = measured < opening + RELEASED
        else:
            self.held = measured < opening - BLOCKED
        self.aim = 0.0 if self.held else measured


def _serve(pipe: Connection, options: MirrorOptions, memories: dict[str, Any]) -> None:
    """Simulate until the peer says quit, or is gone."""
    os.environ.setdefault("LP_NUM_THREADS", "0")  # Mesa draws in this thread, not in one per core
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
    from robot.envs.make import make_env

    try:
        env = make_env(options.task, options.env)
        slots = {
            "measured": Slot(memories["measured"], MEASURED),
            "progress": Slot(memories["progress"], PROGRESS),
        } | {c.name: Slot(memories[c.name], frame_type(c)) for c in env.spaces.cameras}
        _Process(pipe, MirroredScene(env), slots, frame_s=1.0 / options.frame_rate_hz).run()
    except (EOFError, OSError):
        return  # the peer is gone
    except Exception as error:
        pipe.send(("failed", f"{type(error).__name__}: {error}"))


class _Process:
    """The loop of the process: messages, physics, frames."""

    def __init__(
        self, pipe: Connection, scene: MirroredScene, slots: dict[str, Slot], *, frame_s: float
    ) -> None:
        self.pipe, self.scene, self.slots, self.frame_s = pipe, scene, slots, frame_s
        self.following, self.index = False, 0
        self.measured: np.void | None = None
        self.now = self.frame_due = 0.0

    def run(self) -> None:
        while True:
            # at rest it waits for a message, in motion for the next tick
            wait_s = max(0.0, self.now + TICK_S - time.monotonic()) if self.following else None
            if self.pipe.poll(wait_s):
                kind, *values = self.pipe.recv()
                if kind == "quit":
                    return
                self.pipe.send(("done", self._take(kind, values)))
            if self.following and time.monotonic() >= self.now + TICK_S:
                self._tick()

    def _take(self, kind: str, values: list[Any]) -> Any:
        answer = None
        if kind == "open":
            seed, scene, episode = values
            answer = self.scene.open(seed=seed, scene=scene, episode=episode)
            self.behind_s, self.success, self.succeeded_s = 0.0, False, None
            self.now = time.monotonic()
            self._publish()
            self._look()
        elif kind == "follow":
            self.measured = self.slots["measured"].read()
        self.following = kind == "follow"
        self.now = self.frame_due = time.monotonic()
        return answer

    def _tick(self) -> None:
        self.now += TICK_S
        late_s = time.monotonic() - self.now
        if late_s > BEHIND_S:
            self.behind_s += late_s
            self.now += late_s
        # None where the feeding thread was interrupted as it wrote, and waits for this process:
        # the last state then goes on
        newest = self.slots["measured"].read()
        self.measured = self.measured if newest is None else newest
        assert self.measured is not None, "follow() comes after the first state"
        self.scene.advance(self.measured, now_s=self.now, duration_s=TICK_S)
        holds = self.scene.env.task.success(self.scene.env.sim)
        self.succeeded_s = (self.succeeded_s or self.now) if holds else None
        self.success |= self.succeeded_s is not None and self.now - self.succeeded_s >= SUCCESS_S
        self._publish()
        if self.now >= self.frame_due:
            self.frame_due = max(self.frame_due + self.frame_s, self.now)
            self._look()

    def _publish(self) -> None:
        self.slots["progress"].write(
            success=self.success, between_m=self.scene.between_m, behind_s=self.behind_s
        )

    def _look(self) -> None:
        env = self.scene.env
        mujoco.mj_kinematics(env.model, env.data)  # bodies to where the joints are by now
        mujoco.mj_camlight(env.model, env.data)
        viewpoints = env.viewpoints()
        for camera in env.spaces.cameras:
            self.slots[camera.name].write(
                time_s=self.now,
                index=self.index,
                image=env._frame(camera.name),
                **(vars(viewpoints[camera.name]) if camera.name in viewpoints else {}),
            )
        self.index += 1
