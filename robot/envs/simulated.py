"""The env API on a MuJoCo model, whoever steps it: physical actions, fast upright frames, ground
truth on demand.
"""

from __future__ import annotations

import inspect
import secrets
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Self

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.registration import EnvSpec
from jaxtyping import Float, Float32, UInt8

from robot.envs.arm import Arm
from robot.envs.arm_spaces import CAMERAS, arm_spaces
from robot.envs.cameras import camera_intrinsics, camera_pose, viewpoint
from robot.envs.env import RobotEnv, action_space, check_reset_options, observation_space
from robot.envs.gl import check_not_forked
from robot.envs.labels import geom_labels
from robot.envs.regions import overlaps
from robot.envs.registry import HORIZONS, TABLETOP, make_task
from robot.envs.render import SceneRenderer
from robot.envs.task import Expert, FollowsGoals
from robot.errors import InputError, one_of
from robot.types import Goal, Label, Region, Viewpoint

SUCCESS_STEPS = 3  # success must hold this long, so that a bounce is none
Between = Callable[[int], None]  # called with the control steps that were executed so far


class SimulatedEnv(RobotEnv):
    """A task in a simulated world with an arm under operational space control.

    The initial state is a function of (task, scene, seed, episode index). `reset(seed=s)` starts at
    episode 0 of seed `s`, the first reset without a seed at one drawn at random; every later reset
    moves one episode on, `options={"episode": k, "scene": name}` says otherwise. `goal` (of the
    constructor, or of `options` for one episode) replaces the task's own sentences; on the tabletop
    success is then that of the objects that it names; `judged` is False where it names none that
    are there, so that success says nothing. It may be a `Goal` with regions, or `regions` come with
    it: success is then that of the objects that they lie on at the reset, and the observation's
    goal has them, too, beside where its cameras stand (`goal["regions"]` and `viewpoints`, which
    Gymnasium's spaces do not know).

    No GL context is made before the first frame is needed, so that Gymnasium can look at an env's
    spaces and then fork.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    success_steps = SUCCESS_STEPS
    sim: Any  # the world that the task acts on
    arm: Arm
    _spec: EnvSpec | None = None

    def __new__(cls, *_: object, **given: object) -> Self:
        """Raise InputError for an option that the env does not have, by gymnasium.make or not."""
        known = [name for name in inspect.signature(cls.__init__).parameters if name != "self"]
        if unknown := [name for name in given if name not in known]:
            raise InputError(
                f"got {unknown[0]}={given[unknown[0]]!r} for an env, {one_of(unknown[0], known)}"
            )
        return super().__new__(cls)

    def __init__(
        self,
        *,
        task: str,
        robot: str,
        goal: str | None,
        scene: str,
        image_size: int,
        control_dt_s: float,
        horizon: int | None,
        segmentation: bool,
        render_mode: str | None,
    ) -> None:
        if not isinstance(image_size, Integral) or not 16 <= image_size <= 1024:
            raise InputError(
                f"got image_size={image_size!r}, expected 16 to 1024 pixels; pass for example "
                "image_size=128"
            )
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InputError(
                f"got render_mode={render_mode!r}, expected rgb_array or None; for a window, pass "
                'render_mode="human" to gymnasium.make, which shows the frames with pygame'
            )
        if not isinstance(control_dt_s, Real) or not 0 < control_dt_s <= 1:
            raise InputError(
                f"got control_dt_s={control_dt_s!r}, expected seconds above 0 and at most 1; pass "
                "for example control_dt_s=0.05"
            )
        if horizon is not None and (not isinstance(horizon, Integral) or horizon < 1):
            raise InputError(
                f"got horizon={horizon!r}, expected a number of control steps, at least 1; leave "
                "it out for the task's own"
            )
        self.metadata = {**self.metadata, "render_fps": round(1 / control_dt_s)}
        self.task, self.scene, self.image_size = make_task(task), scene, image_size
        self.render_mode, self.segmentation = render_mode, segmentation
        self.spaces = arm_spaces(robot=robot, image_size=image_size, control_dt_s=control_dt_s)
        self._horizon, self._words = horizon, goal
        self.horizon = horizon or self.task.horizon
        self.action_space = action_space(self.spaces.action)
        self.observation_space = observation_space(self.spaces)
        self._made_renderer: SceneRenderer | None = None
        self._seed: int | None = None
        self._episode = -1
        self.judged = True
        self.regions: tuple[Region, ...] = ()  # of the goal, where it has some
        self._steps: int | None = None  # None until an episode has begun

    # --- what a backend does

    @property
    @abstractmethod
    def model(self) -> mujoco.MjModel: ...

    @property
    @abstractmethod
    def data(self) -> mujoco.MjData: ...

    @abstractmethod
    def move(self, action: np.ndarray) -> None:
        """Execute one physical action; count, judge and show nothing."""

    @abstractmethod
    def _make_renderer(self) -> SceneRenderer: ...

    # --- Gymnasium

    @property
    def spec(self) -> EnvSpec | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return how Gymnasium made this env; None where it did not."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        """Take what `gymnasium.make` sets. Its TimeLimit counts the steps then, so that a horizon
        beyond it would never be reached.
        """
        limit = None if spec is None else HORIZONS.get(self.task.name)
        if limit is not None and self._horizon is not None and self._horizon > limit:
            raise InputError(
                f"got horizon={self._horizon} in gymnasium.make, expected at most the task's "
                f"{limit} control steps there: pass max_episode_steps={self._horizon} instead"
            )
        self._spec = spec

    def switch_task(self, name: str) -> None:
        """Go on with another task in the same world, from the next reset on; the tabletop tasks
        share one.
        """
        if name == self.task.name:
            return
        if not {name, self.task.name} <= set(TABLETOP):
            raise InputError(
                f"got task {name!r} in the world of {self.task.name!r}, expected another tabletop "
                "task; make a new env"
            )
        self.task = make_task(name)
        self.horizon = self._horizon or self.task.horizon

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        check_not_forked()
        options = check_reset_options(options, known=("scene", "episode", "goal", "regions"))
        gymnasium.Env.reset(self, seed=seed)  # RobotEnv's own is abstract and seeds nothing
        if seed is not None:
            self._seed, self._episode = seed, -1
        elif self._seed is None:
            self._seed = secrets.randbits(31)
        episode = options.get("episode", self._episode + 1)
        if not isinstance(episode, int | np.integer) or episode < 0:
            raise InputError(
                f"got episode {episode!r}, expected 0 or more, a whole number, in reset's options"
            )
        self._episode = int(episode)
        scene = str(options.get("scene", self.scene))
        words = self.task.begin(self.sim, scene=scene, seed=self._seed, index=self._episode)
        given = options.get("goal", self._words)
        regions = given.regions if isinstance(given, Goal) else ()
        self.regions = tuple(options.get("regions", regions))
        self.goal = (
            words if given is None else given.text if isinstance(given, Goal) else str(given)
        )
        self.judged = True
        if given is not None and isinstance(self.task, FollowsGoals):
            bodies = self.bodies_under(self.regions)
            self.judged = self.task.follow(self.goal, regions=bodies)
        self._sensor_rng = np.random.default_rng([self._seed, self._episode, 1])
        self._labels_of_geoms = geom_labels(self.model, self.task.roles(self.sim))
        self._steps, self._held = 0, 0
        return self.observe(), self._info(success=False)

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Execute one action. In an env of `gymnasium.make` its TimeLimit truncates, which follows
        `max_episode_steps`; a horizon that was asked for counts in any case.
        """
        success = self._advance_one(np.asarray(action))
        limited = self._spec is None or self._horizon is not None
        truncated = limited and not success and self._count() >= self.horizon
        return self.observe(), float(success), success, truncated, self._info(success=success)

    def execute(
        self, actions: Float32[np.ndarray, "t a"], *, between: Between | None = None
    ) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Execute actions one control step after the other and look only after the last; stop at
        success or the horizon.
        """
        success, truncated = self.advance(actions, between=between)
        return self.observe(), float(success), success, truncated, self._info(success=success)

    def advance(
        self, actions: Float32[np.ndarray, "t a"], *, between: Between | None = None
    ) -> tuple[bool, bool]:
        """Execute actions without looking; return (success, truncated). `between` is called with
        the number of steps so far, between two of them.
        """
        if np.ndim(actions) != 2:
            raise InputError(
                f"got actions of shape {np.shape(actions)}, expected (T, 7); pass "
                "plan.chunk.actions[:8], or one action to env.step"
            )
        for done, action in enumerate(actions):
            if done and between is not None:
                between(done)
            if self._advance_one(action):
                return True, False
            if self._count() >= self.horizon:
                return False, True
        return False, False

    def _advance_one(self, action: np.ndarray) -> bool:
        """Execute one action without looking; return whether success has held long enough."""
        steps = self._count()
        self.move(action)
        self._steps = steps + 1
        self._held = self._held + 1 if self.task.success(self.sim) else 0
        return self._held >= self.success_steps

    def _count(self) -> int:
        """Return the steps of this episode; raise where none has begun."""
        if self._steps is None:
            raise gymnasium.error.ResetNeeded(
                "got a step or a frame to show before an episode has begun, expected env.reset() "
                "first"
            )
        return self._steps

    def render(self) -> UInt8[np.ndarray, "h w 3"]:  # type: ignore[override]
        """Return the agentview frame."""
        self._count()
        frame = self._renderer.render(self.data, CAMERAS["agentview"]).rgb
        assert frame is not None
        return frame

    def close(self) -> None:
        if self._made_renderer is not None:
            self._made_renderer.close()

    # --- ground truth, on demand

    def label_maps(self) -> dict[str, UInt8[np.ndarray, "h w"]]:
        """Return a robot.types.Label per pixel for every camera."""
        self._count()
        return {name: self._labels_of_geoms[self.geom_ids(name)] for name in self.cameras}

    def label_maps_for(
        self, roles: Sequence[Mapping[str, Label]]
    ) -> list[dict[str, UInt8[np.ndarray, "h w"]]]:
        """Return what `label_maps` would be for other goals, given as roles of bodies: one render
        for all of them.
        """
        ids = {name: self.geom_ids(name) for name in self.cameras}
        tables = [geom_labels(self.model, r) for r in roles]
        return [{name: table[i] for name, i in ids.items()} for table in tables]

    def other_object_maps(self) -> dict[str, UInt8[np.ndarray, "h w"]]:
        """Return label maps in which an object that the goal does not name is the target; without
        one, nothing is.
        """
        others = self.task.others(self.sim)
        return self.label_maps_for([dict.fromkeys(others[:1], Label.TARGET)])[0]

    def instance_maps(self) -> dict[str, np.ndarray]:
        """Return the root body id per pixel (int32, -1 where nothing is seen) for every camera."""
        roots = np.append(self.model.body_rootid[self.model.geom_bodyid], -1).astype(np.int32)
        return {name: roots[self.geom_ids(name)] for name in self.cameras}

    def bodies_under(self, regions: Sequence[Region]) -> dict[int, str]:
        """Return the free body that each region lies on, by the region's index: in all its cameras
        together, the one whose pixels it fits best. A region that lies on none is left out.
        """
        scores: dict[int, dict[int, float]] = {}
        free = {self.model.body(name).id for name in self.object_states()} if regions else set()
        maps = self.instance_maps() if regions else {}
        for region in regions:
            of_region = scores.setdefault(region.index, {})
            for body, score in overlaps(region, maps[region.camera]).items():
                if body in free:
                    of_region[body] = of_region.get(body, 0.0) + score
        return {
            index: self.model.body(max(found, key=lambda body: found[body])).name
            for index, found in scores.items()
            if found
        }

    def depth(self, camera: str) -> Float32[np.ndarray, "h w"]:
        """Return metric depth [m] along the optical axis."""
        depth = self._renderer.render(self.data, CAMERAS[camera], rgb=False, depth=True).depth
        assert depth is not None
        return depth

    def camera_matrices(
        self, camera: str
    ) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "4 4"]]:
        """Return the intrinsics K [px] and T_world_camera [m] (OpenCV axes: x right, y down, z
        forward).
        """
        name = CAMERAS[camera]
        return camera_intrinsics(self.model, name, self.image_size, self.image_size), camera_pose(
            self.model, self.data, name
        )

    def viewpoints(self) -> dict[str, Viewpoint]:
        """Return how every camera projects, and where it stands over the table; nothing in a world
        without one.
        """
        size, found = self.image_size, {}
        for name in self.cameras:
            seen = viewpoint(
                self.model, self.data, CAMERAS[name], arm=self.arm, height=size, width=size
            )
            if seen is not None:
                found[name] = seen
        return found

    def object_states(self) -> dict[str, Float[np.ndarray, " 7"]]:
        """Return position [m] and quaternion (w, x, y, z) in the world frame of every free body."""
        free = [
            j
            for j in range(self.model.njnt)
            if self.model.jnt_type[j] == mujoco.mjtJoint.mjJNT_FREE
        ]
        address = {
            self.model.body(self.model.jnt_bodyid[j]).name: self.model.jnt_qposadr[j] for j in free
        }
        return {name: self.data.qpos[a : a + 7].copy() for name, a in address.items()}

    def expert(self, *, rng: np.random.Generator) -> Expert:
        """Return a scripted expert for the episode that has just begun."""
        self._count()
        return self.task.expert(self.sim, rng=rng)

    def wrong_expert(self, *, rng: np.random.Generator) -> Expert | None:
        """Return a scripted expert that takes what the goal does not name; None where there is
        nothing else to take.
        """
        return self.task.wrong_expert(self.sim, rng=rng)

    # --- inside

    @property
    def _renderer(self) -> SceneRenderer:
        if self._made_renderer is None:
            self._made_renderer = self._make_renderer()
        return self._made_renderer

    def clipped(self, action: np.ndarray) -> Float[np.ndarray, "7"]:
        """Return a physical action within its bounds; raise InputError unless it is one."""
        if action.shape != (7,) or not np.isfinite(action).all():
            given = action if action.shape == (7,) else f"of shape {action.shape}"
            raise InputError(
                f"got an action {given}, expected 7 finite numbers; for several, call env.execute, "
                "else check the policy's output"
            )
        low, high = self.action_space.low, self.action_space.high  # type: ignore[attr-defined]
        return np.clip(action, low, high)

    def observe(self) -> dict[str, Any]:
        """Return what the env API shows now; `execute` has just done so, a changed look needs it
        again.
        """
        now = np.array([self.data.time])
        pointed = {"viewpoints": self.viewpoints()} if self.regions else {}
        return pointed | {
            "images": {name: self._frame(name) for name in self.cameras},
            "proprio": self._proprio(),
            "goal": {"text": self.goal} | ({"regions": self.regions} if self.regions else {}),
            "time": {name: now.copy() for name in (*self.cameras, "proprio")},
        }

    def views(self) -> dict[str, UInt8[np.ndarray, "h w 3"]]:
        """Return what every camera would see now without its sensor's noise: looking so changes
        nothing that is seen later.
        """
        return {name: self._view(name) for name in self.cameras}

    def _frame(self, camera: str) -> UInt8[np.ndarray, "h w 3"]:
        return self.task.degrade(self._view(camera), rng=self._sensor_rng)

    def _view(self, camera: str) -> UInt8[np.ndarray, "h w 3"]:
        image = self._renderer.render(self.data, CAMERAS[camera]).rgb
        assert image is not None
        return image

    def _proprio(self) -> dict[str, np.ndarray]:
        position, rotation = self.arm.pose_in_base(self.data)
        return {
            "ee_position": position.astype(np.float32),
            "ee_rotation": np.clip(rotation[:, :2].T.reshape(6), -1.0, 1.0).astype(np.float32),
            "gripper": np.array([self.arm.opening(self.data)], dtype=np.float32),
        }

    def _info(self, *, success: bool) -> dict[str, Any]:
        info: dict[str, Any] = {
            "success": success,
            "wrong_object": self.task.wrong_object(self.sim),
            "seed": self._seed,
            "episode": self._episode,
            "steps": self._count(),
        }
        if self.segmentation:
            info["segmentation"] = self.label_maps()
        return info

    def geom_ids(self, camera: str) -> np.ndarray:
        """Return the id of the geom at every pixel (int32 (H, W)), -1 where nothing is seen."""
        ids = self._renderer.render(
            self.data, CAMERAS[camera], rgb=False, segmentation=True
        ).geom_ids
        assert ids is not None
        return ids
