"""What a simulated task has to say for itself, and what its scripted expert looks like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from robot.types import Label

Wrap = Callable[
    [type], type
]  # what the renderer does to a robosuite class, so that it compiles light meshes


class Expert(Protocol):
    """A scripted policy from privileged state. A fresh one is made for every episode."""

    def act(self) -> np.ndarray:
        """Return the next physical action (7,): delta position m, delta rotation vector rad,
        gripper target 0..1 (1 open).
        """
        ...

    def perturbed_start(self) -> Iterator[np.ndarray]:
        """Yield actions that lead off course, before `act` takes over: none in most episodes, and
        in some tasks never.

        A demonstration that begins there shows how to come back from where a policy may end up.
        """
        ...


@runtime_checkable
class FollowsGoals(Protocol):
    """A task whose success follows the objects that a sentence names."""

    def follow(self, goal: str, *, regions: Mapping[int, str] | None = None) -> bool:
        """Make `goal` what the current episode asks for; return whether it names one object that is
        there. Where it does not, nothing succeeds, and that is no failure either. `regions` are the
        bodies that the goal's regions lie on, by index.
        """
        ...


class Task(Protocol):
    """One task on a simulated world `env`: a TabletopWorld, or the raw object that `robosuite.make`
    returns.
    """

    name: str
    horizon: int  # control steps

    def begin(self, env: Any, *, scene: str, seed: int, index: int) -> str:
        """Reset `env` to the initial state of (scene, seed, index), which depends on nothing else;
        return the goal's words.
        """
        ...

    def degrade(self, image: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
        """Return the (H, W, 3) frame as the current scene's sensor sees it."""
        ...

    def roles(self, env: Any) -> Mapping[str, Label]:
        """Map body names to TARGET or DESTINATION for the current goal (their geoms and child
        bodies are included).
        """
        ...

    def others(self, env: Any) -> Sequence[str]:
        """Return the bodies of the objects that the goal does not name."""
        ...

    def success(self, env: Any) -> bool: ...

    def wrong_object(self, env: Any) -> bool:
        """Return whether the robot holds another object than the one that it is to take."""
        ...

    def expert(self, env: Any, *, rng: np.random.Generator) -> Expert: ...

    def wrong_expert(self, env: Any, *, rng: np.random.Generator) -> Expert | None:
        """Return an expert that takes an object which the goal does not name; None where there is
        none to take.
        """
        ...


class RobosuiteTask(Task, Protocol):
    """A task that brings its own robosuite environment."""

    def make(self, *, wrap: Wrap, **options: Any) -> Any:
        """Build the raw robosuite environment, renderers off; `options` are the robosuite keywords
        shared by every task.
        """
        ...
