"""What the four tasks share: how an episode begins, what its sensor sees, and when it has
succeeded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from jaxtyping import UInt8

from robot.envs.builtin.wordings import choose_wording
from robot.envs.robots import rest_fingers, rest_joints
from robot.envs.sensor import degrade
from robot.envs.tabletop.conditions import Condition, condition, conditions
from robot.envs.tabletop.scene import ARM_START_NOISE_RAD
from robot.envs.task import Expert
from robot.types import InputError, Label

# What a condition may change here: robosuite's own scenes take no clutter, textures, lights or
# camera of ours.
SUPPORTED = {"start_noise_rad", "noise_sigma", "blur_sigma", "exposure", "held_out_wording"}


class BuiltinTask:
    """Base of robot.envs.task.RobosuiteTask for robosuite's own environments."""

    name: str
    horizon: int  # control steps
    target: str  # body
    destinations: tuple[str, ...] = ()  # bodies

    def __init__(self) -> None:
        self._noise_sigma, self._blur_sigma, self._exposure = 0.0, 0.0, 1.0

    def begin(self, env: Any, *, scene: str, seed: int, index: int) -> str:
        """Reset `env` to the initial state of (scene, seed, index), which depends on nothing else;
        return the goal's words.

        Placement, arm, sensor and words have random streams of their own: a (seed, index) shows the
        same placement under every condition.
        """
        spec = supported_condition(scene)
        placement, arm, sensor, words = (
            np.random.default_rng(s) for s in np.random.SeedSequence([seed, index]).spawn(4)
        )
        reseed(env, rng=placement)
        home = rest_joints(env)
        noise = (
            arm.normal(0.0, ARM_START_NOISE_RAD, len(home))
            + arm.uniform(-1, 1, len(home)) * spec.start_noise_rad
        )
        env.robots[0].init_qpos = home + noise
        env.reset()
        rest_fingers(env)
        self._noise_sigma = sensor.uniform(0.3, 1.0) * spec.noise_sigma
        self._blur_sigma = sensor.uniform(0.0, 1.0) * spec.blur_sigma
        self._exposure = sensor.uniform(*spec.exposure)
        return self.wording(rng=words, held_out=spec.held_out_wording)

    def wording(self, *, rng: np.random.Generator, held_out: bool) -> str:
        """Return one of the task's sentences, of those that training sees or of the others."""
        return choose_wording(self.name, rng=rng, held_out=held_out)

    def degrade(
        self, image: UInt8[np.ndarray, "h w 3"], *, rng: np.random.Generator
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Return the frame as the current scene's sensor sees it."""
        return degrade(
            image,
            noise_sigma=self._noise_sigma,
            blur_sigma=self._blur_sigma,
            exposure=self._exposure,
            rng=rng,
        )

    def roles(self, env: Any) -> Mapping[str, Label]:
        """Map body names to TARGET or DESTINATION; child bodies are included."""
        return {self.target: Label.TARGET, **dict.fromkeys(self.destinations, Label.DESTINATION)}

    def others(self, env: Any) -> Sequence[str]:
        """Return nothing: every object there is belongs to the goal."""
        return ()

    def success(self, env: Any) -> bool:
        """Return robosuite's own verdict."""
        return bool(env._check_success())

    def wrong_object(self, env: Any) -> bool:
        """Return False: there is nothing else to hold."""
        return False

    def wrong_expert(self, env: Any, *, rng: np.random.Generator) -> Expert | None:
        """Return None: there is nothing else to take."""
        return None


def supported_condition(name: str) -> Condition:
    """Return the condition, or say which of them these scenes can show."""
    spec = condition(name)
    if changed(spec) - SUPPORTED:
        shown = [other for other in conditions() if not changed(conditions()[other]) - SUPPORTED]
        choices = ", ".join(shown)
        raise InputError(
            f"got scene {name!r}, expected one of {choices} for robosuite's own tasks; choose one "
            "of these"
        )
    return spec


def changed(spec: Condition) -> set[str]:
    """Return the fields in which a condition differs from the clean scene."""
    return {field.name for field in fields(spec) if getattr(spec, field.name) != field.default}


def reseed(env: Any, *, rng: np.random.Generator) -> None:
    """Make the next `env.reset()` draw what `rng` would.

    In place, because robosuite's placement samplers keep the generator that the environment was
    built with: assigning a new one to `env.rng` would leave them on the old one.
    """
    env.rng.bit_generator.state = rng.bit_generator.state


def unwrapped(cls: type) -> type:
    """Return the class as it is."""
    return cls
