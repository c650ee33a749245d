"""Looks that teach the region reader: every shape in every named colour, but for the combinations
that are held out.

work = make_region_looks(root=folder, scenes={"randomised": 1.0}, seed=0, held_out=False)
work(0)  # writes shard 0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from robot.data.scene_looks import GRIPPER, NOTHING, SceneLook, SceneLookStore
from robot.envs.make import EnvOptions, make_env
from robot.envs.simulated import SimulatedEnv
from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.placing import Placement
from robot.envs.tabletop.scene import Scene, sample_scene
from robot.envs.tabletop.staging import stage
from robot.envs.tabletop.task import TabletopTask
from robot.envs.tabletop.world import TabletopWorld
from robot.perception.regions.vocabulary import vocabulary
from robot.rollout.looks import scene_of
from robot.rollout.scene_looks import look_at

TASKS = ("pick", "place_any", "place_any")
REPAINTED_SHARE = 0.75  # of the things, with any named colour in place of what the scene gave them
PLACED = ("cube", "ball", "cylinder", "cup", "duck", "egg", "capsule")
OFF_CENTRE_M = 0.012  # of what is in a receptacle, one standard deviation
JITTER = 0.06  # of a named colour, per channel
SET_DOWN_SHARE = 0.4  # of the looks with something to put in a receptacle: it is in there
HELD_OUT_SHARE = 0.4  # of what is repainted where held-out combinations are shown
SURFACES = ("table", "room", "arm")  # numbered from 1 where an instance map says NOTHING


def make_region_looks(
    *,
    root: Path,
    scenes: Mapping[str, float],
    seed: int,
    held_out: bool,
    image_size: int = 128,
    looks_per_shard: int = 100,
    tasks: Sequence[str] = TASKS,
) -> Callable[[int], int]:
    """Return work for `parallel_map`: make shard `index` of the store at `root`, return its number
    of looks. Each is a function of (seed, shard, position in it); without `held_out` none shows a
    combination of shape and colour that is held out.
    """
    return partial(
        _shard,
        envs={},
        root=root,
        scenes=scenes,
        seed=seed,
        held_out=held_out,
        image_size=image_size,
        count=looks_per_shard,
        tasks=tasks,
    )


def _shard(
    index: int,
    *,
    envs: dict[str, SimulatedEnv],
    root: Path,
    scenes: Mapping[str, float],
    seed: int,
    held_out: bool,
    image_size: int,
    count: int,
    tasks: Sequence[str],
) -> int:
    if not envs:  # one env serves all tabletop tasks: they share a world
        envs["world"] = make_env(tasks[0], EnvOptions(backend="mujoco", image_size=image_size))
        envs["world"].reset(seed=seed)  # staged moments need an episode to have begun
    env, looks = envs["world"], []
    assert isinstance(env.task, TabletopTask) and isinstance(env.sim, TabletopWorld)
    for k in range(index * count, (index + 1) * count):
        rng, condition = np.random.default_rng([seed, k, 17]), scene_of(k, scenes)
        env.switch_task(tasks[k % len(tasks)])
        drawn = sample_scene(task=env.task.name, scene=condition, seed=seed, index=k)
        scene = with_something_inside(repainted(drawn, held_out=held_out, rng=rng), rng=rng)
        env.task.scene = scene
        stage(env.sim, scene=scene, rng=rng)
        looks.append(_look(env, scene, condition=condition, index=k))
    SceneLookStore(root).append_shard(index, looks)
    return len(looks)


def repainted(scene: Scene, *, held_out: bool, rng: np.random.Generator) -> Scene:
    """Paint things anew in named colours; copies of one thing stay alike."""
    paint: dict[tuple, tuple[str | None, tuple[float, float, float] | None]] = {}
    placements = []
    for placement in scene.placements:
        shape = cat.body_names()[placement.body]
        key = (shape, placement.colour)
        if key not in paint:
            paint[key] = _paint(placement, shape=shape, held_out=held_out, rng=rng)
        name, colour = paint[key]
        if name is None:
            placements.append(placement)
        else:
            noun = cat.Noun(shape, name)
            placements.append(replace(placement, colour=colour, noun=noun))
    return replace(scene, placements=tuple(placements))


def _paint(
    placement: Placement, *, shape: str, held_out: bool, rng: np.random.Generator
) -> tuple[str | None, tuple[float, float, float] | None]:
    """Return a new colour of a thing, named and as RGB; None where it keeps its own."""
    known = vocabulary()
    if shape not in known.held_out or placement.pattern is not None:
        return None, None
    kept = nearest_colour(placement.colour)
    forbidden = not held_out and known.is_held_out(shape, kept)
    if not forbidden and rng.random() > REPAINTED_SHARE:
        return None, None
    kept_out = known.held_out[shape]
    if held_out and rng.random() < HELD_OUT_SHARE:
        choices = list(kept_out)
    else:
        choices = [c for c in known.colours if c not in kept_out]
    name = str(rng.choice(choices))
    jitter = rng.uniform(-JITTER, JITTER, 3)
    r, g, b = (float(v) for v in np.clip(cat.rgb(name) + jitter, 0.0, 1.0))
    return name, (r, g, b)


def with_something_inside(scene: Scene, *, rng: np.random.Generator) -> Scene:
    """Put a thing into a receptacle, in some of the scenes that have both."""
    shapes = [cat.body_names()[p.body] for p in scene.placements]
    places = [k for k, shape in enumerate(shapes) if shape in cat.catalogue()["receptacles"]]
    things = [k for k, shape in enumerate(shapes) if shape in PLACED]
    if not (places and things) or rng.random() > SET_DOWN_SHARE:
        return scene
    place, thing = scene.placements[rng.choice(places)], int(rng.choice(things))
    x, y = (float(v) for v in rng.normal((place.x, place.y), OFF_CENTRE_M))
    placements = list(scene.placements)
    placements[thing] = replace(placements[thing], x=x, y=y)
    return replace(scene, placements=tuple(placements))


def nearest_colour(rgb: Sequence[float] | None) -> str | None:
    """Return the named colour nearest to an RGB value; None without one."""
    if rgb is None:
        return None
    named = {name: cat.rgb(name) for name in vocabulary().colours}
    return min(named, key=lambda name: float(np.linalg.norm(np.array(rgb) - named[name])))


def _look(env: SimulatedEnv, scene: Scene, *, condition: str, index: int) -> SceneLook:
    """Return a look whose part map names the surfaces behind the things, and the gripper's parts,
    too.
    """
    look = look_at(env, scene, scene=condition, moment="staged", sequence=index, step=0)
    surfaces, fingers = _surfaces(env)
    ids = np.stack([env.geom_ids(name) for name in look.cameras])
    parts = np.where(look.instances == NOTHING, surfaces[ids], look.parts)
    parts = np.where(look.instances == GRIPPER, fingers[ids], parts)
    return replace(look, parts=parts.astype(np.uint8))


def _surfaces(env: SimulatedEnv) -> tuple[np.ndarray, np.ndarray]:
    """Return surface and finger numbers of every geom; the last entries are for pixels that show
    nothing.
    """
    model = env.model
    bodies = [model.body(b).name for b in model.geom_bodyid]
    names = [model.geom(g).name or "" for g in range(model.ngeom)]
    surface = [
        1 + SURFACES.index(_surface(body, geom)) for body, geom in zip(bodies, names, strict=True)
    ]
    fingers = [_finger(body) for body in bodies]
    room = 1 + SURFACES.index("room")
    return np.array([*surface, room], np.uint8), np.array([*fingers, 0], np.uint8)


def _finger(body: str) -> int:
    """Return 2 and 3 for the fingers, 1 for the rest of the hand."""
    if "leftfinger" in body or "joint1_tip" in body:
        return 2
    return 3 if "rightfinger" in body or "joint2_tip" in body else 1


def _surface(body: str, geom: str) -> str:
    if "table" in body or "table" in geom:
        return "table"
    return "arm" if body.startswith(("robot0", "fixed_mount", "mount")) else "room"
