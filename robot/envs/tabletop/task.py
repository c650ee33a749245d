"""`pick` and `place` on the tabletop: reset, roles, success."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from robot.envs.sensor import degrade
from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.bodies import SHAPES
from robot.envs.tabletop.expert import TabletopExpert
from robot.envs.tabletop.goals import RELATED
from robot.envs.tabletop.other_goals import named_in, pointed_in
from robot.envs.tabletop.scene import Scene, sample_scene
from robot.envs.tabletop.world import TABLE_TOP_M, TabletopWorld
from robot.envs.task import Expert
from robot.types import Label

LIFTED_M = 0.05  # above where it rested
RESTING_SPEED_M_S = 0.05
PICKED = ("pick", RELATED)  # tasks without a destination
PICK_HORIZON, PLACE_HORIZON = 150, 240  # about three and two times what the expert takes


class TabletopTask:
    """One task of the tabletop family."""

    def __init__(self, *, name: str) -> None:
        self.name = name
        self.horizon = PICK_HORIZON if name in PICKED else PLACE_HORIZON
        self.scene: Scene | None = None

    def begin(self, env: TabletopWorld, *, scene: str, seed: int, index: int) -> str:
        self.scene = sample_scene(task=self.name, scene=scene, seed=seed, index=index)
        env.begin(env.start_joints(self.scene))
        env.apply(self.scene)
        self._rest = {p.body: float(env.position(p.body)[2]) for p in self.scene.placements}
        self._placed_as = {env.root_body(p.body): p.body for p in self.scene.placements}
        return self.scene.goal

    def follow(self, goal: str, *, regions: Mapping[int, str] | None = None) -> bool:
        if regions:  # on bodies of the model; those that are no object of the scene mean nothing
            there = {k: self._placed_as[b] for k, b in regions.items() if b in self._placed_as}
            self.scene = scene = pointed_in(self._scene, goal, there)
        else:
            self.scene = scene = named_in(self._scene, goal)
        placed = scene.destination_noun is None or (
            scene.destination is not None and _holds(scene.destination)
        )
        return scene.target is not None and placed

    def degrade(self, image: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
        style = self._scene.style
        return degrade(
            image,
            noise_sigma=style.noise_sigma,
            blur_sigma=style.blur_sigma,
            exposure=style.exposure,
            rng=rng,
        )

    def roles(self, env: TabletopWorld) -> Mapping[str, Label]:
        named = {self._scene.target: Label.TARGET, self._scene.destination: Label.DESTINATION}
        return {env.root_body(name): label for name, label in named.items() if name is not None}

    def others(self, env: TabletopWorld) -> Sequence[str]:
        """Return the bodies that the goal does not name, in the order in which they were placed."""
        named = (self._scene.target, self._scene.destination)
        return [env.root_body(p.body) for p in self._scene.placements if p.body not in named]

    def success(self, env: TabletopWorld) -> bool:
        """Return whether the target is held above the table (pick), or rests in its destination and
        was let go (place).
        """
        scene = self._scene
        if scene.target is None:
            return False
        if scene.destination_noun is None:
            return self._lifted(env, scene.target)
        if scene.destination is None:
            return False
        return self._placed(env, scene.target, scene.destination) and not env.touches_gripper(
            scene.target
        )

    def wrong_object(self, env: TabletopWorld) -> bool:
        return any(
            self._lifted(env, p.body)
            for p in self._scene.placements
            if p.body != self._scene.target
        )

    def expert(self, env: TabletopWorld, *, rng: np.random.Generator) -> Expert:
        return TabletopExpert(env, scene=self._scene, rng=rng)

    def wrong_expert(self, env: TabletopWorld, *, rng: np.random.Generator) -> Expert | None:
        fits = (*cat.catalogue()["graspable"], "duck")
        others = [
            p.body
            for p in self._scene.placements
            if p.body != self._scene.target and cat.body_names()[p.body] in fits
        ]
        if not others:
            return None
        return TabletopExpert(
            env, scene=replace(self._scene, target=others[rng.integers(len(others))]), rng=rng
        )

    @property
    def _scene(self) -> Scene:
        assert self.scene is not None, "begin() comes first"
        return self.scene

    def _lifted(self, env: TabletopWorld, body: str) -> bool:
        return bool(env.position(body)[2] - self._rest[body] > LIFTED_M) and env.touches_gripper(
            body
        )

    def _placed(self, env: TabletopWorld, body: str, destination: str) -> bool:
        shape = SHAPES[cat.body_names()[destination]]
        offset = env.position(body) - env.position(destination)
        inside = (
            np.hypot(*offset[:2]) < shape.inner_radius and -0.01 < offset[2] < shape.height + 0.05
        )
        return bool(
            inside
            and env.speed(body) < RESTING_SPEED_M_S
            and env.position(destination)[2] < TABLE_TOP_M + 0.03
        )


def _holds(body: str) -> bool:
    """Return whether things can be put into a body, or onto it."""
    shape = SHAPES.get(cat.body_names()[body])
    return shape is not None and shape.inner_radius > 0
