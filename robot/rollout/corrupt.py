"""Machine demonstrations, a known share of them corrupted in known ways: what a filter of
demonstrations has to find.

Every kind is the task's own expert with one fault. The faults are in what is recorded, not only in
what is executed: noise, an early end, the wrong object, a stall, a hand that never closes. All else
(start, disturbance, camera) is as in trusted demonstrations, so that nothing but the fault tells
them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from robot.data.store import EpisodeStore
from robot.envs.arm_spaces import DEFAULT_ROBOT, MAX_DELTA_M, MAX_DELTA_RAD
from robot.envs.make import DEFAULT_BACKEND, Backend, EnvOptions, make_env
from robot.envs.registry import BUILTIN
from robot.envs.simulated import SimulatedEnv
from robot.envs.task import Expert
from robot.rollout.demonstrate import TRIES, MakeExpert, attempt, demonstrate
from robot.types import CLEAN, QUALITY, Episode, InputError

KINDS = ("noisy", "early_stop", "wrong_object", "stall", "failure")

NOISE_M, DRIFT_M, DRIFT_KEPT, NOISE_RAD = (
    0.015,
    0.008,
    0.9,
    0.05,
)  # of a noisy demonstrator, per control step
STOPPED_AT = (0.3, 0.7)  # share of a good demonstration that one with an early stop keeps
STALL_FROM, STALL_STEPS = (4, 20), (20, 45)
HELD_STEPS = (3, 12)  # for how long the wrong object is held before the recording ends
PATIENCE_STEPS = (50, 100)  # of a demonstrator whose hand does not close


@dataclass(frozen=True)
class Mixture:
    """What machine demonstrations are made of: the share of corrupted ones, and the shares of
    `kinds` among those.
    """

    corrupted: float
    kinds: Mapping[str, float]

    def __post_init__(self) -> None:
        if not 0 <= self.corrupted <= 1:
            raise InputError(
                f"got quality.corrupted={self.corrupted}, expected a share from 0 to 1"
            )
        if unknown := sorted(set(self.kinds) - set(KINDS)):
            raise InputError(
                f"got quality.kinds with {', '.join(unknown)}, expected {', '.join(KINDS)}"
            )
        if min(self.kinds.values(), default=0) < 0 or not sum(self.kinds.values()) > 0:
            raise InputError(
                f"got quality.kinds={dict(self.kinds)}, expected shares >= 0 that are not all 0"
            )

    def kind_of(self, *, seed: int, index: int) -> str:
        """Return what episode (seed, index) is: CLEAN or a kind of corruption; nothing
        else enters.
        """
        rng = np.random.default_rng([seed, index, 11])
        if rng.random() >= self.corrupted:
            return CLEAN
        names, shares = list(self.kinds), np.array(list(self.kinds.values()), np.float64)
        return names[rng.choice(len(names), p=shares / shares.sum())]


def check_mixture(task: str, mixture: Mixture) -> None:
    """Raise InputError where the task cannot show one of the mixture's kinds."""
    if task in BUILTIN and mixture.kinds.get("wrong_object", 0) > 0:
        raise InputError(
            f"got quality kind wrong_object for task {task!r}, which has no other object; set its "
            "share to 0"
        )


def machine_demonstration(
    env: SimulatedEnv, *, seed: int, index: int, scene: str, mixture: Mixture
) -> Episode | None:
    """Return episode (seed, index) as a machine left it, its quality in `extra`; None when it
    cannot be shown in this scene.
    """
    kind = mixture.kind_of(seed=seed, index=index)
    if kind == CLEAN:
        episode = demonstrate(env, seed=seed, index=index, scene=scene)
    elif kind == "early_stop":
        whole = demonstrate(env, seed=seed, index=index, scene=scene)
        share = np.random.default_rng([seed, index, 13]).uniform(*STOPPED_AT)
        episode = (
            None if whole is None else shortened(whole, steps=max(1, round(share * len(whole))))
        )
    else:
        episode = _corrupted(env, kind, seed=seed, index=index, scene=scene)
    return (
        None
        if episode is None
        else replace(episode, tier="machine", extra={**episode.extra, QUALITY: kind})
    )


def shortened(episode: Episode, *, steps: int) -> Episode:
    """Return the first `steps` steps of an episode: whoever recorded it gave up."""

    def first(views):
        return {name: values[:steps] for name, values in views.items()}

    parts = {"images": first(episode.images), "labels": first(episode.labels)}
    return replace(
        episode,
        **parts,
        proprio=episode.proprio[:steps],
        actions=episode.actions[:steps],
        success=False,
    )


def _corrupted(
    env: SimulatedEnv, kind: str, *, seed: int, index: int, scene: str
) -> Episode | None:
    """Record tries until one shows the fault it was made for."""
    for number in range(TRIES):
        rng = np.random.default_rng([seed, index, 12, number])
        fault = FAULTS[kind](rng)
        try:
            episode = attempt(
                env,
                seed=seed,
                index=index,
                scene=scene,
                rng=rng,
                make_expert=fault.make_expert,
                until=fault.until,
                limit=fault.limit,
            )
        except NothingElseError:
            return None
        if fault.shown(episode):
            return episode
    return None


class NothingElseError(Exception):
    """There is no other object that the hand could take."""


@dataclass(frozen=True)
class Fault:
    """Who acts, what ends the recording besides success and horizon, and whether the recording
    shows the fault.
    """

    make_expert: MakeExpert
    until: Callable[[Mapping], bool] = lambda info: False
    limit: int | None = None
    shown: Callable[[Episode], bool] = lambda episode: True


class _Corrupting:
    """An expert between an expert and its recording; begins where that begins."""

    def __init__(self, expert: Expert, rng: np.random.Generator) -> None:
        self._expert, self._rng = expert, rng

    def perturbed_start(self) -> Iterator[np.ndarray]:
        return self._expert.perturbed_start()


class NoisyExpert(_Corrupting):
    """Trembles and drifts: white noise on position and rotation, and a slow wander of the
    position.
    """

    def __init__(self, expert: Expert, rng: np.random.Generator) -> None:
        super().__init__(expert, rng)
        self._drift = np.zeros(3)

    def act(self) -> np.ndarray:
        action = self._expert.act()
        self._drift = DRIFT_KEPT * self._drift + self._rng.normal(0.0, DRIFT_M, 3)
        moved = action[:3] + self._drift + self._rng.normal(0.0, NOISE_M, 3)
        turned = action[3:6] + self._rng.normal(0.0, NOISE_RAD, 3)
        within = [
            np.clip(moved, -MAX_DELTA_M, MAX_DELTA_M),
            np.clip(turned, -MAX_DELTA_RAD, MAX_DELTA_RAD),
        ]
        return np.concatenate([*within, action[6:]]).astype(np.float32)


class StallingExpert(_Corrupting):
    """Does nothing for a while, with the gripper as it was, then goes on."""

    def __init__(self, expert: Expert, rng: np.random.Generator, *, start: int, steps: int) -> None:
        super().__init__(expert, rng)
        self._start, self._end, self._step, self._gripper = start, start + steps, -1, 1.0

    def act(self) -> np.ndarray:
        self._step += 1
        if self._start <= self._step < self._end:
            return np.array([0, 0, 0, 0, 0, 0, self._gripper], np.float32)
        action = self._expert.act()
        self._gripper = float(action[6])
        return action


class OpenHandedExpert(_Corrupting):
    """Never closes the gripper: the hand goes there and comes back with nothing."""

    def act(self) -> np.ndarray:
        action = self._expert.act().copy()
        action[6] = 1.0
        return action


class Held:
    """Say True once the wrong object has been held for `steps` steps in a row."""

    def __init__(self, steps: int) -> None:
        self._steps, self._held = steps, 0

    def __call__(self, info: Mapping) -> bool:
        self._held = self._held + 1 if info["wrong_object"] else 0
        return self.over

    @property
    def over(self) -> bool:
        return self._held >= self._steps


def _noisy(rng: np.random.Generator) -> Fault:
    return Fault(lambda env, rng: NoisyExpert(env.expert(rng=rng), rng))


def _stall(rng: np.random.Generator) -> Fault:
    start, steps = int(rng.integers(*STALL_FROM)), int(rng.integers(*STALL_STEPS))

    def make(env, rng):
        return StallingExpert(env.expert(rng=rng), rng, start=start, steps=steps)

    return Fault(make, shown=lambda episode: len(episode) >= start + steps)


def _failure(rng: np.random.Generator) -> Fault:
    def make(env, rng):
        return OpenHandedExpert(env.expert(rng=rng), rng)

    return Fault(
        make, limit=int(rng.integers(*PATIENCE_STEPS)), shown=lambda episode: not episode.success
    )


def _wrong_object(rng: np.random.Generator) -> Fault:
    held = Held(int(rng.integers(*HELD_STEPS)))
    return Fault(_wrong_expert, until=held, shown=lambda episode: not episode.success and held.over)


def _wrong_expert(env: SimulatedEnv, rng: np.random.Generator) -> Expert:
    expert = env.wrong_expert(rng=rng)
    if expert is None:
        raise NothingElseError
    return expert


FAULTS: dict[str, Callable[[np.random.Generator], Fault]] = {
    "noisy": _noisy,
    "stall": _stall,
    "failure": _failure,
    "wrong_object": _wrong_object,
}


def make_machine(
    *,
    root: Path,
    task: str,
    scene: str,
    seed: int,
    image_size: int,
    mixture: Mixture,
    robot: str = DEFAULT_ROBOT,
    backend: Backend = DEFAULT_BACKEND,
) -> Callable[[int], int]:
    """Return work for `parallel_map`: record machine episode `index` into the store at `root`,
    return its length in steps.
    """
    env = make_env(task, EnvOptions(backend=backend, robot=robot, image_size=image_size))
    return partial(
        _record, env=env, store=EpisodeStore(root), scene=scene, seed=seed, mixture=mixture
    )


def _record(
    index: int, *, env: SimulatedEnv, store: EpisodeStore, scene: str, seed: int, mixture: Mixture
) -> int:
    episode = machine_demonstration(env, seed=seed, index=index, scene=scene, mixture=mixture)
    if episode is None:
        return 0
    store.append(episode)
    return len(episode)
