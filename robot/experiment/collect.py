"""Collect demonstrations and mask frames: whatever the stores lack, in parallel processes."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from robot.data.mask_frames import MaskFrameStore
from robot.data.store import EpisodeStore
from robot.envs.arm_spaces import DEFAULT_ROBOT
from robot.envs.gl import require_gl
from robot.envs.libero.names import HORIZONS as SUITES
from robot.envs.libero.names import check_learned
from robot.envs.make import DEFAULT_BACKEND, Backend, EnvOptions, check_backend
from robot.envs.registry import TABLETOP, check_expert, check_scene
from robot.rollout.corrupt import Mixture, check_mixture, make_machine
from robot.rollout.demonstrate import make_demonstrator
from robot.system.cache import key
from robot.system.command import require_free_space, require_writable
from robot.system.folder_lock import locked
from robot.system.parallel import parallel_map
from robot.system.parse import Count, Seed, Share, options
from robot.types import InputError

Progress = Callable[[int, int], None]  # (done, in all)

# episodes in a row without one success of the expert: a few in a row may be out of its reach
HOPELESS = 10
BYTES_PER_FRAME = 20_000  # of a 128-px PNG pair on disk, generous


def collect_demonstrations(
    *,
    root: Path,
    task: str,
    scene: str,
    episodes: int,
    seed: int,
    image_size: int,
    workers: int,
    progress: Progress,
    robot: str = DEFAULT_ROBOT,
    backend: Backend = DEFAULT_BACKEND,
    quality: Mixture | None = None,
) -> EpisodeStore:
    """Return the store of (task, scene, seed, image_size) under `root` with at least `episodes`
    demonstrations.

    An episode whose expert fails is left out, and the next index is tried instead. With `quality`
    (the keywords of robot.rollout.corrupt.Mixture) they are machine demonstrations, a share of them
    corrupted, in a store of their own.
    """
    given: dict[str, Any] = {"robot": robot, "backend": backend, "quality": quality}
    recipe = Recipe(task, scene, seed=seed, image_size=image_size, **given)
    check_collection(task=task, scene=scene, **given)
    if episodes < 1 or workers < 1:
        raise InputError(
            f"got episodes={episodes} and workers={workers}, expected at least 1 of each"
        )
    require_gl()
    directory = root / recipe.folder
    require_writable(root)
    lacking = episodes - len(EpisodeStore(directory))
    if lacking > 0:
        check_expert(task)
    require_free_space(root, max(0, lacking) * 60 * 2 * BYTES_PER_FRAME)
    with locked(directory, waiting=partial(_say_waiting, directory)):
        store = EpisodeStore(directory)  # again: another command may have filled it meanwhile
        make, what = recipe.maker(directory), f"{task}/{scene}"
        _fill(store, make, episodes=episodes, workers=workers, progress=progress, what=what)
        store.finalize()
    return store


@dataclass(frozen=True)
class Recipe:
    """What the demonstrations of one store are recorded from."""

    task: str
    scene: str
    seed: int = field(kw_only=True)
    image_size: int = field(kw_only=True)
    robot: str = field(kw_only=True)
    backend: Backend = field(kw_only=True, default=DEFAULT_BACKEND)
    quality: Mixture | None = field(kw_only=True)  # None: as the expert does it, trusted

    @property
    def folder(self) -> str:
        """Return the name of the store: a function of all that its episodes depend on."""
        identity: dict[str, object] = {"seed": self.seed, "image_size": self.image_size}
        identity |= env_identity(robot=self.robot, backend=self.backend)
        if self.quality is None:
            return key(f"{self.task}-{self.scene}", identity)
        identity |= {"quality": asdict(self.quality)}
        return key(f"{self.task}-{self.scene}-machine", identity)

    def maker(self, directory: Path) -> Callable[[], Callable[[int], int]]:
        """Return what makes, in a process of its own, the function that records an episode."""
        options = {name: value for name, value in vars(self).items() if name != "quality"}
        if self.quality is None:
            return partial(make_demonstrator, root=directory, **options)
        return partial(make_machine, root=directory, mixture=self.quality, **options)


def check_collection(
    *,
    task: str,
    scene: str,
    robot: str = DEFAULT_ROBOT,
    backend: Backend = DEFAULT_BACKEND,
    quality: Mixture | None = None,
) -> None:
    """Raise InputError unless there are such a task, scene and robot, and such machine faults."""
    check_scene(task, scene)
    check_backend(backend, robot=robot, task=task)
    if backend == "libero":
        check_learned(scene)
    if quality is not None:
        check_mixture(task, quality)


def _say_waiting(folder: Path) -> None:
    print(f"waiting for another command, which writes to {folder}", file=sys.stderr, flush=True)


def _fill(
    store: EpisodeStore,
    make: Callable[[], Callable[[int], int]],
    *,
    episodes: int,
    workers: int,
    progress: Progress,
    what: str,
) -> None:
    """Record episodes until there are enough: first those that the store lacks in between."""
    tried = max(store.indices(), default=-1) + 1
    progress(len(store), episodes)
    holes = store.missing(tried)  # left by a kill, or by an expert that failed
    failures = 0  # of new episodes in a row
    while len(store) < episodes:
        wanted = holes or list(range(tried, tried + episodes - len(store)))
        tried = max(tried, max(wanted) + 1)
        done = len(store)
        recorded = 0
        for _, steps in parallel_map(make, wanted, workers=workers):
            recorded += steps > 0
            progress(min(done + recorded, episodes), episodes)
        failures = 0 if recorded or holes else failures + len(wanted)
        if failures >= HOPELESS:
            raise InputError(
                f"got no success of the expert on {what} in {failures} episodes, expected "
                "most; report it"
            )
        holes = []


def check_recorded(env: EnvOptions) -> None:
    """Raise InputError for options of an env that recordings do not follow: they are taken as the
    env is by default, but for backend, robot and image size.
    """
    usual = EnvOptions(
        backend=env.backend, robot=env.robot, image_size=env.image_size, suite=env.suite
    )
    values, defaults = asdict(env), asdict(usual)
    if other := [name for name in values if values[name] != defaults[name]]:
        raise InputError(
            f"got env.{other[0]}={values[other[0]]}, expected none: what is recorded follows "
            "env, env.robot and env.image_size only; leave it out"
        )


def env_identity(*, robot: str, backend: Backend) -> dict[str, str]:
    """Return what robot and simulator add to the options that a cache folder is named after.

    Nothing for the default ones: what was collected when there were no others is found again.
    """
    given = {"robot": (robot, DEFAULT_ROBOT), "backend": (backend, DEFAULT_BACKEND)}
    return {name: value for name, (value, default) in given.items() if value != default}


def check_mask_scenes(tasks: Sequence[str], scenes: Iterable[str]) -> None:
    """Raise InputError unless mask frames can be made of these tasks in these scenes."""
    for task in tasks:
        if task not in (*TABLETOP, *SUITES):
            raise InputError(
                f"got task {task!r} for mask frames, expected one of {', '.join(TABLETOP)}, or a "
                "suite of LIBERO with env=libero; pass tasks=[pick]"
            )
        for scene in scenes:
            check_scene(task, scene)
            if task in SUITES:
                check_learned(scene)


Names = Annotated[tuple[str, ...], Field(min_length=1)]


@options
class MaskFrameOptions:
    """What a mask head learns from or is measured on: `shards` shards of `scenes_per_shard` scenes,
    conditions by their shares, each of `snapshots` looks labelled for `goals` goals, of which
    `absent_share` name an object that is not there, and `hard_share` of these share their colour or
    shape with one that is (robot.rollout.mask_frames).
    """

    tasks: Names
    scenes: Mapping[str, float]
    moments: Literal["staged", "expert"]
    shards: Count
    seed: Seed
    scenes_per_shard: Count
    snapshots: Count
    goals: Count
    absent_share: Share
    hard_share: Share

    def __post_init__(self) -> None:
        shares = self.scenes.values()
        if min(shares, default=0) < 0 or not 0 < sum(shares) < math.inf:
            raise InputError(
                f"got mask_frames.scenes={dict(self.scenes)}, expected shares >= 0 that are not "
                "all 0"
            )
        if len(set(self.tasks)) < len(self.tasks):
            raise InputError(
                f"got mask_frames.tasks={list(self.tasks)}, expected each once; drop one"
            )
        check_mask_scenes(self.tasks, self.shown)

    @property
    def shown(self) -> tuple[str, ...]:
        """Return the scenes that have a share."""
        return tuple(scene for scene, share in self.scenes.items() if share)


def collect_mask_frames(
    frames: MaskFrameOptions,
    *,
    root: Path,
    shards: Sequence[int],
    image_size: int,
    workers: int,
    progress: Progress,
    robot: str = DEFAULT_ROBOT,
    backend: Backend = DEFAULT_BACKEND,
) -> MaskFrameStore:
    """Return the store of mask frames with these options, which has at least the `shards` of these
    numbers.
    """
    from robot.rollout.mask_frames import make_mask_frames  # loads robosuite, seconds

    check_backend(backend, robot=robot)
    check_mask_scenes(frames.tasks, frames.shown)
    for task in frames.tasks:
        check_backend(backend, robot=robot, task=task)
    require_gl()
    content = _content(frames, image_size=image_size, robot=robot, backend=backend)
    directory = root / key("mask-frames", content)
    require_writable(root)
    store = MaskFrameStore(directory)
    missing = store.missing(shards)
    require_free_space(
        root, len(missing) * frames.scenes_per_shard * frames.snapshots * 2 * BYTES_PER_FRAME
    )
    with locked(directory, waiting=partial(_say_waiting, directory)):
        missing = store.missing(shards)  # again: another command may have made some meanwhile
        there = len(shards) - len(missing)
        progress(there, len(shards))
        make = partial(make_mask_frames, root=directory, **content)
        for done, _ in enumerate(parallel_map(make, missing, workers=workers), start=1):
            progress(there + done, len(shards))
    return store


def _content(
    frames: MaskFrameOptions, *, image_size: int, robot: str, backend: Backend
) -> dict[str, Any]:
    """Return all that mask frames depend on: keywords of make_mask_frames."""
    return {
        "tasks": list(frames.tasks),
        "scenes": dict(frames.scenes),
        "moments": frames.moments,
        "seed": frames.seed,
        "image_size": image_size,
        "scenes_per_shard": frames.scenes_per_shard,
        "snapshots": frames.snapshots,
        "goals": frames.goals,
        "absent_share": frames.absent_share,
        "hard_share": frames.hard_share,
    } | env_identity(robot=robot, backend=backend)
