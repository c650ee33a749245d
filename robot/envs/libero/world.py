"""The scenes of LIBERO as MuJoCo worlds: one at a time, the latest kept compiled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Float64

from robot.envs.arm import Arm
from robot.envs.arm_spaces import MAX_DELTA_M, MAX_DELTA_RAD
from robot.envs.decimate import accelerate
from robot.envs.libero.files import cache_folder, problem_classes
from robot.envs.libero.problem import Problem, read_problem
from robot.envs.libero.textures import shrink_textures
from robot.envs.mujoco_tabletop import panda
from robot.types import InputError

KEPT = 10  # compiled scenes per process, a suite's tasks, 100 MB each; making one takes two seconds
IDLE_STEPS = 10  # control steps until things have settled, as every evaluation of LIBERO has them


class LiberoWorld:
    """LIBERO's own robosuite environment of the scene that is shown; `show` changes it.

    Physics, controller (OSC_POSE) and success are theirs; nothing of theirs renders.
    """

    raw: Any
    problem: Problem
    arm: Arm

    def __init__(self, *, control_dt_s: float, mesh_faces: int) -> None:
        self._control_dt_s, self._faces = control_dt_s, mesh_faces
        self._made: dict[Path, Any] = {}

    @property
    def mj_model(self) -> mujoco.MjModel:
        return self.raw.sim.model._model

    @property
    def mj_data(self) -> mujoco.MjData:
        return self.raw.sim.data._data

    def show(self, file: Path) -> None:
        """Go on with the scene of a problem file."""
        made = self._made.pop(file, None)
        while made is None and len(self._made) >= KEPT:
            self._made.pop(next(iter(self._made)))
        self._made[file] = self._make(file) if made is None else made
        self.raw = self._made[file]
        self.problem = read_problem(file.read_text(encoding="utf-8"))
        rest = np.array(self.raw.robots[0].robot_model.init_qpos)
        self.arm = replace(panda(self.mj_model), rest_rad=rest)

    def reset(self, *, seed: int, index: int) -> np.random.Generator:
        """Draw an initial state as LIBERO does; return a generator for what else is drawn."""
        with seeded([seed, index]) as rng:
            self.raw.rng.bit_generator.state = rng.bit_generator.state
            self.raw.reset()
        return rng

    def set_state(self, state: Float64[np.ndarray, " n"]) -> None:
        """Set time, positions and velocities."""
        expected = 1 + self.mj_model.nq + self.mj_model.nv
        if len(state) != expected:
            raise InputError(
                f"got an initial state of {len(state)} values, expected {expected}: the packages "
                "of LIBERO do not belong together; docs/libero.md has versions that do"
            )
        self.raw.sim.set_state_from_flattened(np.asarray(state))
        self.raw.sim.forward()

    def settle(self) -> None:
        """Stand still, the hand open, until things have come to rest."""
        for _ in range(IDLE_STEPS):
            self.step(np.array([0.0] * 6 + [1.0]))

    def step(self, action: Float[np.ndarray, "7"]) -> None:
        """Execute one physical action: shift [m], rotation vector [rad], gripper target 0..1."""
        scaled = np.concatenate(
            [action[:3] / MAX_DELTA_M, action[3:6] / MAX_DELTA_RAD, [1.0 - 2.0 * action[6]]]
        )
        self.raw.step(scaled)

    def success(self) -> bool:
        """Return LIBERO's own check."""
        return bool(self.raw._check_success())

    def body_of(self, name: str) -> str | None:
        """Return the body that a goal's argument stands for: an object's own, or the part that
        carries a region; None where it is a place on floor or table.
        """
        raw = self.raw
        if name in raw.objects_dict or name in raw.fixtures_dict:
            return raw.get_object(name).root_body
        site = mujoco.mj_name2id(self.mj_model, mujoco.mjtObj.mjOBJ_SITE, name)
        if site < 0 or self.mj_model.body(self.mj_model.site_bodyid[site]).name in self._rooms():
            return None
        return self.mj_model.body(self.mj_model.site_bodyid[site]).name

    def _rooms(self) -> set[str]:
        """Return the bodies that are fixed to the world and belong to no fixture: floor, table."""
        own = {fixture.root_body for fixture in self.raw.fixtures_dict.values()}
        return {
            self.mj_model.body(b).name
            for b in range(self.mj_model.nbody)
            if self.mj_model.body_rootid[b] == b and self.mj_model.body_dofnum[b] == 0
        } - own

    def _make(self, file: Path) -> Any:
        problem = _kind(file)
        shrink = partial(shrink_textures, folder=cache_folder() / "textures")
        light = accelerate(problem_classes()[problem], faces=self._faces, edit_xml=shrink)
        light._assert_problem_name = lambda self: None  # compares the name of the class, ours now
        light._update_observables = lambda self, force=False: None  # nobody reads them
        from robosuite import load_composite_controller_config

        with seeded([0]):
            return light(
                str(file),
                robots=["Panda"],
                controller_configs=load_composite_controller_config(robot="Panda"),
                initialization_noise=None,
                use_camera_obs=False,
                has_renderer=False,
                has_offscreen_renderer=False,
                control_freq=1.0 / self._control_dt_s,
                horizon=10**9,
                ignore_done=True,
                hard_reset=False,
            )


def _kind(file: Path) -> str:
    """Return the kind of problem that a file states, as LIBERO registers its classes."""
    head = file.read_text(encoding="utf-8").partition("(problem")[2]
    return head.partition(")")[0].strip().lower()


@contextmanager
def seeded(seed: list[int]) -> Iterator[np.random.Generator]:
    """Seed NumPy's global generator, which LIBERO draws from, within; yield one of that seed."""
    before = np.random.get_state()  # noqa: NPY002
    rng = np.random.default_rng(seed)
    np.random.seed(rng.integers(2**31))  # noqa: NPY002
    try:
        yield rng
    finally:
        np.random.set_state(before)  # noqa: NPY002
