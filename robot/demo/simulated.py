"""The simulated table in front of the page: an env and agents, step by step, shown as they go."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import UInt8

from robot.agent import Plan
from robot.demo.state import Abilities, Choice, Found, Source, found_of
from robot.demo.station import Agents, Ending, Moment, Show, Stopped, Views, why_not_acted_on
from robot.envs.arm_spaces import CAMERAS
from robot.envs.registry import TABLETOP, check_scene
from robot.envs.render import SceneRenderer
from robot.envs.simulated import SimulatedEnv
from robot.envs.tabletop.conditions import conditions
from robot.envs.task import FollowsGoals
from robot.policy.chunking import ChunkExecutor
from robot.spaces import Camera
from robot.types import Frame, Goal, InputError, Observation

LOOKS_IN_VAIN = 10  # decisions without the goal's object, then it is given up


@dataclass(frozen=True)
class Pace:
    """How fast simulated time passes, and who waits: the page shows it in real time."""

    speed: float | None = 1.0  # None: as fast as it can
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def wait_until(self, steps: int, *, began_s: float, dt_s: float) -> None:
        """Wait until `steps` control steps of simulated time have passed since `began_s`."""
        if self.speed is not None:
            self.sleep(max(0.0, began_s + steps * dt_s / self.speed - self.now()))


class SimulatedStation:
    """An env, agents, and a larger picture of the same scene for people."""

    source: Source = "simulated"
    live_s: float | None = None
    estopped = ""

    def __init__(
        self,
        env: SimulatedEnv,
        agents: Callable[[], Agents],
        *,
        choice: Choice,
        view_size: int,
        samples: int,
        execute: int,
        pace: Pace,
    ) -> None:
        self.env, self._load, self._execute, self._pace = env, agents, execute, pace
        self._view_size, self._samples = view_size, samples
        tasks = TABLETOP if choice.task in TABLETOP else (choice.task,)
        self.abilities = Abilities(tasks=tasks, scenes=scenes_of(choice.task))
        self._renderer: SceneRenderer | None = None
        self.arrange(choice)

    @property
    def cameras(self) -> tuple[Camera, ...]:
        return self.env.spaces.cameras

    @property
    def choice(self) -> Choice:
        return self._choice

    @property
    def goal(self) -> str:
        return self.env.goal

    def arrange(self, choice: Choice) -> None:
        check_scene(choice.task, choice.scene)
        self.env.switch_task(choice.task)
        self._raw, _ = self.env.reset(
            seed=choice.seed, options={"scene": choice.scene, "episode": choice.episode}
        )
        self._choice = choice
        self._sensor = np.random.default_rng([choice.seed, choice.episode])

    def prepare(self) -> None:
        self.agents = self._load()
        for agent in (self.agents.pick, self.agents.place):
            agent.warm_up()

    def look(self) -> Views:
        return {camera.name: self._view(camera.name) for camera in self.cameras}

    def frames(self) -> tuple[Frame, ...]:
        return self._observation(Goal(self.goal)).frames

    def find(self, goal: Goal) -> tuple[Found | None, str]:
        agent = self.agents.for_goal(goal)
        if why := why_not_acted_on(goal, agent):
            return None, why
        mask = agent.masks(self._observation(goal).frames, goal)
        return found_of(mask, self.cameras), agent.reader.read(goal.text).note

    def act(self, goal: Goal, *, show: Show, stopped: Stopped) -> Ending:
        """Act in simulated time. Success is the simulator's, of the objects that the goal means."""
        agent = self.agents.for_goal(goal)
        if why := why_not_acted_on(goal, agent):
            return Ending(why, success=None)
        judged = self._judge(goal)
        if judged and self.env.task.success(self.env.sim):
            return Ending("That is done already.", success=True)
        agent.reset(rng=np.random.default_rng(self._choice.seed))
        executor = ChunkExecutor(execute=self._execute, ensemble_decay=None)
        generator = torch.Generator(agent.device).manual_seed(self._choice.seed)
        began_s, in_vain, held_other = self._pace.now(), 0, False
        while executor.step < self.env.horizon:
            if stopped():
                return Ending("Stopped.", success=None)
            plan = None
            if executor.needs_chunk:
                plan = agent.plan(self._observation(goal), generator=generator)
                executor.add(plan.chunk.actions)
                in_vain = in_vain + 1 if plan.waits else 0
                if in_vain > LOOKS_IN_VAIN:
                    return Ending("I looked for it and cannot find it.", success=None)
            self._raw, _, success, _, info = self.env.step(executor.next_action())
            held_other |= judged and info["wrong_object"]
            show(self._moment(executor.step, plan, waits=in_vain > 0))
            if judged and success:
                return Ending(f"Done in {self._time(executor.step)}.", success=True)
            self._pace.wait_until(executor.step, began_s=began_s, dt_s=self.env.control_dt_s)
        return self._out_of_time(executor.step, judged=judged, held_other=held_other)

    def _judge(self, goal: Goal) -> bool:
        """Make success that of the objects which a goal names or points at, in the world as it is;
        return whether it can be told.
        """
        task = self.env.task
        if not isinstance(task, FollowsGoals):
            return goal.text == self.goal
        return task.follow(goal.text, regions=self.env.bodies_under(goal.regions))

    def _moment(self, step: int, plan: Plan | None, *, waits: bool) -> Moment:
        return Moment(
            views=self.look(),
            step=step,
            status="Looking for it" if waits else "Moving",
            found=None if plan is None else found_of(plan.mask, self.cameras),
        )

    def _out_of_time(self, steps: int, *, judged: bool, held_other: bool) -> Ending:
        if not judged:
            text = f"I stop after {self._time(steps)}; whether it is done, you have to say."
            return Ending(text, success=None)
        other = ", and I had hold of another object" if held_other else ""
        return Ending(f"Not done after {self._time(steps)}{other}.", success=False)

    def _time(self, steps: int) -> str:
        return f"{steps * self.env.control_dt_s:.1f} s"

    def _observation(self, goal: Goal) -> Observation:
        seen = {**self._raw, "viewpoints": self.env.viewpoints()}
        return replace(Observation.from_env(seen, self.env.spaces), goal=goal)

    def _view(self, camera: str) -> UInt8[np.ndarray, "h w 3"]:
        """Return a camera's picture, large, with the noise and light that the agent's has."""
        if self._renderer is None or self._renderer.model is not self.env.model:
            size, samples = self._view_size, self._samples
            self._renderer = SceneRenderer(self.env.model, height=size, width=size, samples=samples)
        image = self._renderer.render(self.env.data, CAMERAS[camera]).rgb
        assert image is not None
        return self.env.task.degrade(image, rng=self._sensor)

    def estop(self) -> None:
        """Do nothing: `stopped` ends a simulation at the next step."""

    def release(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
        self.env.close()


def scenes_of(task: str) -> tuple[str, ...]:
    """Return the names of the scenes that a task can be shown in."""

    def is_shown(scene: str) -> bool:
        try:
            check_scene(task, scene)
        except InputError:
            return False
        return True

    return tuple(scene for scene in conditions() if is_shown(scene))
