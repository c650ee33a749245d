"""A task of LIBERO, or a suite of them in turn, as robot.envs.task.Task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from robot.envs.libero.arranging import rearrange
from robot.envs.libero.files import initial_states, problem_file
from robot.envs.libero.grasping import held
from robot.envs.libero.names import DRAWN, HORIZONS, REARRANGED, TaskName, check_libero_scene
from robot.envs.libero.world import LiberoWorld
from robot.envs.task import Expert
from robot.types import InputError, Label


class LiberoTask:
    """Words, initial states and success are the suite's own; a drawn scene depends on its seed, an
    official one on the episode's index alone.
    """

    def __init__(self, *, name: str) -> None:
        self.name, self.of = name, TaskName.of(name)
        self.horizon = HORIZONS[self.of.suite]

    def begin(self, env: LiberoWorld, *, scene: str, seed: int, index: int) -> str:
        """Show the initial state of (scene, seed, index), settled, and return the suite's
        sentence.
        """
        words = self.draw(env, scene=scene, seed=seed, index=index)
        env.settle()
        return words

    def draw(self, env: LiberoWorld, *, scene: str, seed: int, index: int) -> str:
        """Show the initial state before things settle, and return the suite's sentence."""
        check_libero_scene(self.name, scene)
        number, k = self.of.episode(index)
        state = None
        if scene not in DRAWN:
            states = initial_states(self.of.suite, number, scene)
            if k >= len(states):
                raise InputError(
                    f"got initial state {k} of {self.of.suite}-{number}, which has {len(states)}; "
                    "ask for fewer episodes, or pass scene=clean, which draws them"
                )
            state = states[k]
        env.show(problem_file(self.of.suite, number, scene))
        rng = env.reset(seed=seed, index=index)
        if state is not None:
            env.set_state(state)
        if scene == REARRANGED:
            rearrange(env, rng=rng)
        return env.problem.words

    def degrade(self, image: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
        """Return the frame as it is: no scene of LIBERO has a sensor of its own."""
        return image

    def roles(self, env: LiberoWorld) -> Mapping[str, Label]:
        """Map bodies to TARGET and DESTINATION: the arguments of the goal's predicates in order; a
        place on table or floor is no object, and has none.
        """
        return roles_of(env, env.problem.goals)

    def others(self, env: LiberoWorld) -> Sequence[str]:
        """Return the bodies of the objects that the goal does not name."""
        named = set(self.roles(env))
        return [body for body in movable(env).values() if body not in named]

    def success(self, env: LiberoWorld) -> bool:
        """Return LIBERO's own check."""
        return env.success()

    def wrong_object(self, env: LiberoWorld) -> bool:
        """Return whether the hand holds an object that the goal does not move."""
        moved = {env.body_of(goal[1]) for goal in env.problem.goals}
        body = held(env)
        return body is not None and body not in moved

    def expert(self, env: LiberoWorld, *, rng: np.random.Generator) -> Expert:
        """Return the scripted expert of the goal."""
        from robot.envs.libero.expert import make_expert

        return make_expert(env, rng=rng)

    def wrong_expert(self, env: LiberoWorld, *, rng: np.random.Generator) -> Expert | None:
        """Return None: none is needed here."""
        return None


def roles_of(env: LiberoWorld, goals: Sequence[tuple[str, ...]]) -> dict[str, Label]:
    """Return the roles of the bodies that a goal names."""
    roles: dict[str, Label] = {}
    for _, target, *destinations in goals:
        named = [(target, Label.TARGET), *((name, Label.DESTINATION) for name in destinations)]
        for name, label in named:
            if (body := env.body_of(name)) is not None:
                roles.setdefault(body, label)
    return roles


def movable(env: LiberoWorld) -> dict[str, str]:
    """Return the root bodies of the objects by their names."""
    return {name: thing.root_body for name, thing in env.raw.objects_dict.items()}
