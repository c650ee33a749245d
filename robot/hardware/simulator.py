"""The process behind a simulated arm: physics that advances with the wall clock, and what it
publishes. Commands come over a pipe, as they would over a robot's network; states and frames lie in
shared memory, whose newest entry is read without waiting.

When the peer is gone or sends nothing any more, the arm comes to rest where it is, as controllers
of real arms do.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from robot.envs.make import EnvOptions
from robot.spaces import Camera
from robot.types import Viewpoint

TICK_S = 0.01  # of the physics between two looks at the pipe
SILENCE_S = 0.15  # without a command, then the arm is stopped
LINGER_S = 1.0  # that a trace goes on after the peer is gone
BEHIND_S = 0.1  # later than that the simulation runs slower than time, instead of in bursts
GRIPPER_S = 0.06  # robosuite's fingers move a little per command, so that the last one is repeated
SUCCESS_S = 0.15  # that success has to hold: three control steps
MAX_DELTA_M, MAX_DELTA_RAD = 0.05, 0.5  # that a target may lie ahead: the controller's own reach


@dataclass(frozen=True)
class Pose:
    """What the simulated arm measures about itself."""

    joint_position: np.ndarray
    joint_velocity: np.ndarray
    ee_position: np.ndarray
    ee_rotation: np.ndarray  # (3, 3)
    gripper_opening: float


class World(Protocol):
    """What a simulator is to the process: any RobotEnv of ours behind a pose to track."""

    cameras: Sequence[Camera]
    dt_s: float  # of one physics step

    @property
    def goal(self) -> str: ...

    def reset(self, *, seed: int, scene: str, episode: int, goal: str | None) -> None: ...

    def measure(self) -> Pose: ...

    def drive(self, *, position: np.ndarray, rotation: np.ndarray, gripper: float) -> None:
        """Track a pose in the base frame from the next physics step on."""
        ...

    def rest(self, *, position: np.ndarray, rotation: np.ndarray, gripper: float) -> None:
        """Come to rest at a pose where the arm has just been, and stay."""
        ...

    def advance(self, steps: int) -> None:
        """Run physics steps without a new target."""
        ...

    def frame(self, camera: str) -> np.ndarray: ...

    def viewpoints(self) -> Mapping[str, Viewpoint]: ...

    def succeeded(self) -> bool: ...


@dataclass(frozen=True)
class Simulation:
    """What a simulated arm is made of; it crosses into the process."""

    task: str = "pick"
    scene: str = "clean"
    seed: int = 0
    goal: str | None = None
    env: EnvOptions = field(default_factory=EnvOptions)
    frame_rate_hz: float = 20.0
    state_delay_s: float = 0.0  # of what is published, after it was measured
    frame_delay_s: float = 0.0
    trace: Path | None = None  # where to write all that the arm got and did, for tests


def state_type(joints: int) -> np.dtype:
    """Return the layout of a published state."""
    return np.dtype(
        [
            ("time_s", "f8"),
            ("joint_position", "f8", (joints,)),
            ("joint_velocity", "f8", (joints,)),
            ("ee_position", "f8", (3,)),
            ("ee_rotation", "f8", (3, 3)),
            ("gripper_opening", "f8"),
            ("episode", "i8"),  # counts resets
            ("success", "?"),
            ("behind_s", "f8"),  # time that the simulation has lost against the wall clock
        ]
    )


def frame_type(camera: Camera) -> np.dtype:
    """Return the layout of a published frame."""
    return np.dtype(
        [
            ("time_s", "f8"),
            ("index", "i8"),
            ("image", "u1", (camera.height, camera.width, 3)),
            ("K", "f8", (3, 3)),
            ("T_table_camera", "f8", (4, 4)),
            ("on_hand", "?"),
        ]
    )


class Slot:
    """One record in shared memory with one writer: a reader gets a whole one, or tries again.

    The writer makes the count odd, writes, and makes it even.
    """

    def __init__(self, memory: Any, layout: np.dtype) -> None:
        self._count = np.frombuffer(memory, np.int64, count=1)
        self._record = np.frombuffer(memory, layout, count=1, offset=8)
        self._read: np.void | None = None

    @staticmethod
    def size(layout: np.dtype) -> int:
        return 8 + layout.itemsize

    def write(self, **values: Any) -> None:
        self._count[0] += 1
        for name, value in values.items():
            self._record[name][0] = value
        self._count[0] += 1

    def read(self) -> np.void | None:
        """Return a copy of the newest record, or of the one that was read last while its writer
        is held up in the middle of a record; None where there is neither.
        """
        for _ in range(1000):
            before = int(self._count[0])
            if before == 0:
                return None
            if before % 2 == 0:
                record = self._record.copy()
                if int(self._count[0]) == before:
                    self._read = record[0]
                    return self._read
            time.sleep(0)
        return self._read


class _SimulatedWorld:
    """A SimulatedEnv in steps of its physics, driven by poses."""

    dt_s: float

    def __init__(self, *, task: str, options: EnvOptions) -> None:
        from robot.envs.make import make_env

        self._env: Any = make_env(task, options)  # of the backend
        self.cameras = self._env.spaces.cameras

    @property
    def goal(self) -> str:
        return self._env.goal

    def reset(self, *, seed: int, scene: str, episode: int, goal: str | None) -> None:
        options = {"scene": scene, "episode": episode} | ({} if goal is None else {"goal": goal})
        self._env.reset(seed=seed, options=options)

    def measure(self) -> Pose:
        arm, data = self._env.arm, self._env.data
        mujoco.mj_kinematics(self._env.model, data)  # bodies to where the joints are by now
        position, rotation = arm.pose_in_base(data)
        return Pose(
            joint_position=data.qpos[arm.joints].copy(),
            joint_velocity=data.qvel[arm.dofs].copy(),
            ee_position=position,
            ee_rotation=rotation,
            gripper_opening=arm.opening(data),
        )

    def drive(self, *, position: np.ndarray, rotation: np.ndarray, gripper: float) -> None:
        """Set the controller's goal: it takes changes from where the arm is."""
        now = self.measure()
        turn = Rotation.from_matrix(rotation @ now.ee_rotation.T).as_rotvec()
        self._aim(self._env.clipped(np.concatenate([position - now.ee_position, turn, [gripper]])))

    def rest(self, *, position: np.ndarray, rotation: np.ndarray, gripper: float) -> None:
        self.drive(position=position, rotation=rotation, gripper=gripper)

    def frame(self, camera: str) -> np.ndarray:
        return self._env._frame(camera)

    def viewpoints(self) -> Mapping[str, Viewpoint]:
        return self._env.viewpoints()

    def succeeded(self) -> bool:
        return self._env.task.success(self._env.sim)

    def advance(self, steps: int) -> None:
        raise NotImplementedError

    def _aim(self, action: np.ndarray) -> None:
        """Track the pose that an action leads to."""
        raise NotImplementedError


class RobosuiteWorld(_SimulatedWorld):
    """RobosuiteEnv without its control steps."""

    def __init__(self, *, task: str, options: EnvOptions) -> None:
        super().__init__(task=task, options=options)
        self._sim = self._env.sim
        self.dt_s = float(self._sim.model_timestep)
        self._action = np.zeros(self._sim.action_dim)

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            self._step(policy_step=False)

    def _aim(self, action: np.ndarray) -> None:
        self._action = self._env.to_robosuite(action)[: self._sim.action_dim]
        self._step(policy_step=True)

    def _step(self, *, policy_step: bool) -> None:
        """Do what robosuite's `step` does for one physics step."""
        sim = self._sim
        sim.sim.step1() if sim.lite_physics else sim.sim.forward()
        sim._pre_action(self._action, policy_step)
        sim.sim.step2() if sim.lite_physics else sim.sim.step()


class MujocoWorld(_SimulatedWorld):
    """MujocoEnv without its control steps."""

    def __init__(self, *, task: str, options: EnvOptions) -> None:
        from robot.envs.mujoco_tabletop import CONTROL_EVERY, OPENING_PER_STEP

        super().__init__(task=task, options=options)
        self._sim = self._env.sim
        self._control_every = CONTROL_EVERY
        self.dt_s = float(self._env.model.opt.timestep)
        self._opening_per_s = OPENING_PER_STEP / options.control_dt_s
        self._gripper: float | None = None  # until a command has come

    def reset(self, *, seed: int, scene: str, episode: int, goal: str | None) -> None:
        super().reset(seed=seed, scene=scene, episode=episode, goal=goal)
        self._gripper = None
        self._sim._control.aim(np.zeros(3), np.zeros(3))

    def advance(self, steps: int) -> None:
        sim, model, data = self._sim, self._env.model, self._env.data
        hand = len(sim.arm.joints)
        for k in range(0, steps, self._control_every):
            count = min(self._control_every, steps - k)
            if self._gripper is not None:
                way = np.sign(self._gripper - 0.5) * self._opening_per_s * count * self.dt_s
                sim._opening = float(np.clip(sim._opening + way, 0.0, 1.0))
            data.ctrl[hand:] = sim.arm.gripper.joints(sim._opening)
            mujoco.mj_step1(model, data)
            data.ctrl[:hand] = sim._control.torques()
            mujoco.mj_step2(model, data)
            if count > 1:
                mujoco.mj_step(model, data, count - 1)

    def rest(self, *, position: np.ndarray, rotation: np.ndarray, gripper: float) -> None:
        self._gripper = gripper
        self._sim._control.hold()

    def _aim(self, action: np.ndarray) -> None:
        self._gripper = float(action[6])
        self._sim._control.aim(action[:3], action[3:6])


WORLDS: dict[str, Callable[..., World]] = {
    "robosuite": RobosuiteWorld,
    "mujoco": MujocoWorld,
}


def serve(pipe: Connection, simulation: Simulation, memories: dict[str, Any], joints: int) -> None:
    """Simulate until the peer says quit, or is gone. The first message is "ready" or an error."""
    try:
        make = WORLDS[simulation.env.backend]
        world = make(task=simulation.task, options=simulation.env)
        slots = {"state": Slot(memories["state"], state_type(joints))} | {
            camera.name: Slot(memories[camera.name], frame_type(camera)) for camera in world.cameras
        }
        process = _Process(pipe, simulation, world, slots)
        process.reset(seed=simulation.seed, scene=simulation.scene, episode=0)
        pipe.send(("ready", world.goal))
    except Exception as error:
        pipe.send(("failed", f"{type(error).__name__}: {error}"))
        return
    process.run()


class _Process:
    """The loop of the process: one tick of physics, then states, frames and messages."""

    def __init__(
        self, pipe: Connection, simulation: Simulation, world: World, slots: dict[str, Slot]
    ) -> None:
        self.pipe, self.simulation, self.world, self.slots = pipe, simulation, world, slots
        self.tick_steps = max(1, round(TICK_S / world.dt_s))
        self.delays = {"state": simulation.state_delay_s, "frame": simulation.frame_delay_s}
        self.pending: deque[tuple[float, str, dict[str, Any]]] = deque()
        self.trace: list[tuple[float, ...]] = []
        self.commands: list[tuple[float, ...]] = []
        self.episodes, self.index = 0, 0
        self.peer = True

    def reset(self, *, seed: int, scene: str, episode: int, goal: str | None = None) -> None:
        self.world.reset(seed=seed, scene=scene, episode=episode, goal=goal)
        self.episodes += 1
        self.behind_s = 0.0
        self.target: tuple[np.ndarray, np.ndarray, float] | None = None
        self.commanded_s = self.driven_s = float("-inf")
        self.rests = False
        self.success, self.succeeded_since = False, None
        self.gripper = 1.0
        self.pending.clear()
        self.now = self.frame_due = time.monotonic()
        self._measure()
        self._frames()
        self._publish(until=float("inf"))
        self.now = self.frame_due = time.monotonic()

    def run(self) -> None:
        gone_s: float | None = None
        while True:
            self.now += TICK_S
            delay = self.now - time.monotonic()
            if delay > 0:
                time.sleep(delay)
            elif delay < -BEHIND_S:
                self.behind_s -= delay
                self.now -= delay
            if self.peer and not self._messages():
                break
            if not self.peer:
                gone_s = gone_s or time.monotonic()
                if self.simulation.trace is None or time.monotonic() - gone_s > LINGER_S:
                    break
            self._physics()
            self._measure()
            if self.now >= self.frame_due:
                self.frame_due += 1.0 / self.simulation.frame_rate_hz
                self._frames()
            self._publish(until=time.monotonic())
        self._write_trace()

    def _messages(self) -> bool:
        """Take all that has come; False where the peer asks to quit."""
        try:
            while self.pipe.poll():
                kind, *values = self.pipe.recv()
                if kind == "quit":
                    return False
                self._message(kind, values)
        except (EOFError, OSError):
            self.peer = False
        return True

    def _message(self, kind: str, values: list[Any]) -> None:
        now = time.monotonic()
        if kind == "command":
            position, rotation, gripper = values
            self.commands.append((now, *position.tolist(), float(gripper)))
            self.target, self.commanded_s = (position, rotation, gripper), now
            self.rests = False
            self._drive(now)
        elif kind == "stop":
            self._rest(now)
        elif kind == "set":
            self.delays |= values[0]
        elif kind == "reset":
            self.reset(**values[0])
            self.pipe.send(("reset", self.world.goal))

    def _rest(self, now: float) -> None:
        """Come to rest where the arm is."""
        pose = self.world.measure()
        self.target = (pose.ee_position, pose.ee_rotation, self.gripper)
        self.commanded_s = float("inf")  # nothing more is expected
        self.rests = True
        self._drive(now)

    def _drive(self, now: float) -> None:
        assert self.target is not None
        position, rotation, self.gripper = self.target
        follow = self.world.rest if self.rests else self.world.drive
        follow(position=position, rotation=rotation, gripper=self.gripper)
        self.driven_s = now

    def _physics(self) -> None:
        now = time.monotonic()
        if self.target is not None:
            if now - self.commanded_s > SILENCE_S:
                self._rest(now)
            elif now - self.driven_s > GRIPPER_S:
                self._drive(now)
        self.world.advance(self.tick_steps)
        holds = self.world.succeeded()
        self.succeeded_since = (self.succeeded_since or self.now) if holds else None
        if self.succeeded_since is not None and self.now - self.succeeded_since >= SUCCESS_S:
            self.success = True

    def _measure(self) -> None:
        pose = self.world.measure()
        self.pending.append(
            (
                self.now + self.delays["state"],
                "state",
                {
                    "time_s": self.now,
                    **vars(pose),
                    "episode": self.episodes,
                    "success": self.success,
                    "behind_s": self.behind_s,
                },
            )
        )
        if self.simulation.trace is not None:
            self.trace.append(
                (self.now, *pose.joint_position, *pose.joint_velocity, *pose.ee_position)
            )

    def _frames(self) -> None:
        captured, viewpoints = self.now, self.world.viewpoints()
        for camera in self.world.cameras:
            record = {
                "time_s": captured,
                "index": self.index,
                "image": self.world.frame(camera.name),
                **(vars(viewpoints[camera.name]) if camera.name in viewpoints else {}),
            }
            self.pending.append((captured + self.delays["frame"], camera.name, record))
        self.index += 1

    def _publish(self, *, until: float) -> None:
        """Publish what is due; what was measured later may be due earlier."""
        late = [entry for entry in self.pending if entry[0] > until]
        for due, slot, record in self.pending:
            if due <= until:
                self.slots[slot].write(**record)
        self.pending = deque(late)

    def _write_trace(self) -> None:
        if self.simulation.trace is not None:
            with open(self.simulation.trace, "wb") as file:
                np.savez(
                    file,
                    motion=np.array(self.trace, float),
                    commands=np.array(self.commands, float).reshape(-1, 5),
                )
