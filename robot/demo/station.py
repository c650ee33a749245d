"""What a page is in front of: a simulated table, a picture, a robot. One call acts, and shows.

A station is used from one thread, but for `estop` and `release`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import UInt8

from robot.agent import Agent, Plan
from robot.demo.state import Abilities, Choice, Found, Source
from robot.perception.regions.goals import has_regions, read_goal
from robot.policy.inpainting import Prefix
from robot.spaces import Camera
from robot.types import Frame, Goal, Observation
from robot.words.regions import asked_of

Views = Mapping[str, UInt8[np.ndarray, "_ _ 3"]]  # camera -> what a person sees of it, any size


@dataclass(frozen=True)
class Moment:
    """What is new while a station acts; None where nothing is."""

    views: Views
    step: int
    status: str
    found: Found | None = None


@dataclass(frozen=True)
class Ending:
    """How acting ended: a sentence, and success where somebody can tell."""

    text: str
    success: bool | None


Show = Callable[[Moment], None]
Stopped = Callable[[], bool]


class Station(Protocol):
    """What the page is in front of."""

    source: Source
    abilities: Abilities
    live_s: float | None  # between two looks at rest; None where nothing changes by itself

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """Return the cameras, in whose pixels regions lie."""
        ...

    @property
    def choice(self) -> Choice | None:
        """Return the scene that is shown."""
        ...

    @property
    def goal(self) -> str:
        """Return the scene's own goal, "" where it has none."""
        ...

    def prepare(self) -> None:
        """Load what acting needs, which takes seconds; the scene is shown before."""
        ...

    @property
    def estopped(self) -> str:
        """Return who pressed the emergency stop, "" while it is not."""
        ...

    def look(self) -> Views:
        """Return what the cameras show now."""
        ...

    def frames(self) -> tuple[Frame, ...]:
        """Return what the agent sees now."""
        ...

    def arrange(self, choice: Choice) -> None:
        """Begin another scene. InputError where there is no such."""
        ...

    def find(self, goal: Goal) -> tuple[Found | None, str]:
        """Return where the masks of a goal are, without moving, and which of its words count for
        nothing; or why there are none.
        """
        ...

    def act(self, goal: Goal, *, show: Show, stopped: Stopped) -> Ending:
        """Act on a goal until it succeeds, is given up or `stopped()`; `show` every step, perhaps
        from another thread, until this returns.
        """
        ...

    def estop(self) -> None:
        """Hold the arm at once, from any thread."""
        ...

    def release(self) -> None:
        """Release the emergency stop."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Agents:
    """The agents for goals without and with a destination, as policies are trained on one kind;
    together they plan as one.
    """

    pick: Agent
    place: Agent

    def for_goal(self, goal: Goal) -> Agent:
        return self.pick if asked_of(goal.text).destination is None else self.place

    def plan(
        self,
        observation: Observation,
        *,
        generator: torch.Generator | None = None,
        prefix: Prefix | None = None,
    ) -> Plan:
        agent = self.for_goal(observation.goal)
        return agent.plan(observation, generator=generator, prefix=prefix)

    def reset(self) -> None:
        """Begin a new episode, or a new goal."""
        self.pick.reset()
        self.place.reset()


def why_not_acted_on(goal: Goal, agent: Agent) -> str:
    """Return why a goal is not acted on, "" where it is. InputError where its regions do not belong
    to its text.
    """
    read = read_goal(goal, agent.reader) if has_regions(goal) else agent.reader.read(goal.text)
    return "" if read.sentences else f"I do not act on that: {read.reason}."
