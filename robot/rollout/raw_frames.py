"""What a simulator knows of a moment, through every camera, as RawFrames: the only place where its
state becomes material for scene graphs.

Traps on the way: frames here are upright already (robot.envs.render); depth is metric; only visual
geoms have extents and pixels, only collision geoms have contacts; the fixed mount counts as robot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import yaml

from robot.envs.registry import TABLETOP
from robot.envs.render import COLLISION_GROUP
from robot.envs.simulated import SimulatedEnv
from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.bodies import SHAPES
from robot.envs.tabletop.placing import Placement
from robot.envs.tabletop.task import TabletopTask
from robot.envs.tabletop.world import TabletopWorld
from robot.instruct.raw import NOTHING, Joint, RawFrame, RawGoal, RawRobot, Thing
from robot.types import InputError, Label

CLEAR_COLOUR = 0.12  # RGB distance within which a colour word names what is seen
CAVITY_SHARE = 0.8  # of a round cavity's radius: half the side of a square within it, nearly
GRIPPER, ROBOT = "robot0_right_hand", "robot0_base"
ROBOT_PREFIXES = ("robot0", "gripper0", "fixed_mount0")
MESH_NAMES = {"milk": "milk carton", "bread": "loaf of bread", "cereal": "cereal box"}


@dataclass(frozen=True)
class Named:
    """What a body of a model is called, and facts that its geometry does not show."""

    cls: str
    kind: Any
    colour: str | None = None
    material: str | None = None
    cavity_m: tuple[float, float] | None = None
    joint: tuple[str, float, float] | None = None  # name, closed, open


@cache
def builtin_names() -> dict[str, Named]:
    """Return scene_names.yaml."""
    text = Path(__file__).with_name("scene_names.yaml").read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return {body: Named(**_frozen(entry)) for body, entry in entries.items()}


def _frozen(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()}


NAMED_TASKS = ("lift", "stack", "can", "door", "Lift", "Stack", "Door", "PickPlace", "NutAssembly")
VARIANTS = ("PickPlace", "NutAssembly")  # and what their names begin


def check_named(task: str) -> None:
    """Raise InputError for a task whose bodies have no names in scene_names.yaml."""
    if task in TABLETOP or task in NAMED_TASKS or task.startswith(VARIANTS):
        return
    raise InputError(
        f"got task {task!r}, whose bodies have no names in scene_names.yaml, expected a tabletop "
        f"task or one of {', '.join(NAMED_TASKS)}; add its bodies there"
    )


def family_of(env: SimulatedEnv) -> str:
    """Return the task family: "tabletop", or the task's own name in lower case."""
    return "tabletop" if isinstance(env.task, TabletopTask) else env.task.name.lower()


def raw_frames(
    env: SimulatedEnv, *, episode: str, frame: int, cameras: tuple[str, ...] | None = None
) -> Iterator[RawFrame]:
    """Yield what every camera shows of the current state; `episode` is a name unique in a data set.

    Raise InputError for a task whose bodies have no names yet.
    """
    names = _names(env)
    owner = _owners(env.model, names)
    things = tuple(_things(env, names, owner))
    touching = _geoms_in_contact(env)
    robot, contacts = _robot(env, owner, touching), _contacts(owner, touching)
    goal = _goal(env, owner)
    images = env.observe()["images"]
    for camera in cameras or env.cameras:
        ids = env.geom_ids(camera)
        K, T_world_camera = env.camera_matrices(camera)
        yield RawFrame(
            family=family_of(env),
            episode=episode,
            frame=frame,
            time_s=float(env.data.time),
            camera=camera,
            K=K,
            T_world_camera=T_world_camera,
            segmentation=np.append(owner, NOTHING).astype(np.int32)[ids],
            depth_m=env.depth(camera),
            alone=_alone(env, camera, things, owner),
            things=things,
            contacts=contacts,
            robot=robot,
            goal=goal,
            image=images[camera],
        )


# --- names and owners


def _names(env: SimulatedEnv) -> Mapping[str, Named]:
    """Return what the bodies of the current scene are called, the robot's included."""
    robot = {GRIPPER: Named("gripper", "gripper"), ROBOT: Named("robot arm", "robot")}
    task, world = env.task, env.sim
    check_named(task.name)
    if isinstance(task, TabletopTask) and isinstance(world, TabletopWorld):
        assert task.scene is not None
        placed = {world.root_body(p.body): _placed(p) for p in task.scene.placements}
        return {**placed, "table": Named("table", "surface"), **robot}
    bodies = {env.model.body(b).name for b in range(env.model.nbody)}
    known = {body: named for body, named in builtin_names().items() if body in bodies}
    return {**known, **robot}


def _placed(placement: Placement) -> Named:
    """Return what a body of the catalogue is called as it was placed."""
    shape = cat.body_names()[placement.body]
    own = SHAPES.get(shape)
    cavity = own.inner_radius * CAVITY_SHARE if own is not None and own.inner_radius else None
    receptacle = shape in cat.catalogue()["receptacles"]
    return Named(
        cls=str(MESH_NAMES.get(shape) or cat.catalogue()["nouns"].get(shape, [shape])[0]),
        kind="receptacle" if receptacle else "object",
        colour=_colour(placement),
        material="metal" if shape == "pan" else None,
        cavity_m=None if cavity is None else (cavity, cavity),
    )


def _colour(placement: Placement) -> str | None:
    """Return the word that clearly names a body's colour."""
    if placement.pattern is not None or placement.colour is None:
        return None
    if placement.noun is not None:
        return placement.noun.colour
    named = {**cat.catalogue()["colours"], **cat.catalogue()["unseen_colours"]}
    distances = {word: float(np.linalg.norm(cat.rgb(word) - placement.colour)) for word in named}
    nearest = min(distances, key=distances.__getitem__)
    return nearest if distances[nearest] < CLEAR_COLOUR else None


def _owners(model: mujoco.MjModel, names: Mapping[str, Named]) -> np.ndarray:
    """Return the id of the thing that every geom belongs to: the body number of the nearest named
    ancestor; NOTHING for the room.
    """
    of_body = np.full(model.nbody, NOTHING, np.int32)
    for body in range(1, model.nbody):  # parents come before their children
        name = model.body(body).name
        if name in names:
            of_body[body] = body
        elif name.startswith(ROBOT_PREFIXES) and model.body_parentid[body] == 0:
            of_body[body] = model.body(ROBOT).id
        else:
            of_body[body] = of_body[model.body_parentid[body]]
        if name.startswith("gripper0"):
            of_body[body] = model.body(GRIPPER).id
    return of_body[model.geom_bodyid]


# --- what is where


def _things(env: SimulatedEnv, names: Mapping[str, Named], owner: np.ndarray) -> Iterator[Thing]:
    model, data = env.model, env.data
    seen = model.geom_group != COLLISION_GROUP
    for body in sorted(model.body(name).id for name in names):
        geoms = np.flatnonzero((owner == body) & seen)
        if len(geoms) == 0:
            continue
        named = names[model.body(body).name]
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = data.xmat[body].reshape(3, 3), data.xpos[body]
        low, high = _extent(model, data, geoms, pose)
        yield Thing(
            id=int(body),
            cls=named.cls,
            kind=named.kind,
            colour=named.colour,
            material=named.material,
            T_world_thing=pose,
            centre_m=(low + high) / 2,
            half_m=(high - low) / 2,
            cavity_m=named.cavity_m,
            joint=_joint(env, named),
        )


def _extent(
    model: mujoco.MjModel, data: mujoco.MjData, geoms: np.ndarray, pose: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners (low, high) of the box, in a body's frame, that holds geoms."""
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
    corners = []
    for geom in geoms:
        centre, half = model.geom_aabb[geom, :3], model.geom_aabb[geom, 3:]
        local = centre + signs * half
        world = local @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom]
        corners.append((world - pose[:3, 3]) @ pose[:3, :3])
    every = np.concatenate(corners)
    return every.min(axis=0), every.max(axis=0)


def _joint(env: SimulatedEnv, named: Named) -> Joint | None:
    if named.kind == "gripper":
        return Joint(value=env.arm.opening(env.data), closed=0.0, open=1.0)
    if named.joint is None:
        return None
    name, closed, opened = named.joint
    value = float(env.data.qpos[env.model.joint(name).qposadr[0]])
    return Joint(value=value, closed=closed, open=opened)


def _alone(
    env: SimulatedEnv, camera: str, things: tuple[Thing, ...], owner: np.ndarray
) -> np.ndarray:
    """Return what every thing would cover if all the others were gone (n, h, w)."""
    groups = env.model.geom_group.copy()
    masks = []
    try:
        for thing in things:
            env.model.geom_group[:] = np.where(owner == thing.id, groups, COLLISION_GROUP)
            masks.append(env.geom_ids(camera) >= 0)
    finally:
        env.model.geom_group[:] = groups
    return np.stack(masks)


# --- contacts, robot, goal


def _geoms_in_contact(env: SimulatedEnv) -> np.ndarray:
    """Return the pairs of geoms (contacts, 2) that touch, those of sleeping bodies included."""
    model, data = env.model, env.data
    sleep = int(mujoco.mjtEnableBit.mjENBL_SLEEP)
    if not model.opt.enableflags & sleep:
        return data.contact.geom.copy()
    flags, awake = model.opt.enableflags, mujoco.MjData(model)
    awake.qpos[:], awake.qvel[:] = data.qpos, data.qvel
    try:
        model.opt.enableflags = flags & ~sleep
        mujoco.mj_fwdPosition(model, awake)
    finally:
        model.opt.enableflags = flags
    return awake.contact.geom.copy()


def _contacts(owner: np.ndarray, touching: np.ndarray) -> frozenset[tuple[int, int]]:
    pairs = np.sort(owner[touching], axis=1).tolist() if len(touching) else []
    return frozenset((a, b) for a, b in pairs if a != b and a != NOTHING)


def _robot(env: SimulatedEnv, owner: np.ndarray, touching_geoms: np.ndarray) -> RawRobot:
    model, data, arm = env.model, env.data, env.arm
    base, hand = np.eye(4), np.eye(4)
    base[:3, :3], base[:3, 3] = data.xmat[arm.base].reshape(3, 3), data.xpos[arm.base]
    hand[:3, :3], hand[:3, 3] = data.site_xmat[arm.site].reshape(3, 3), arm.grasp_point(data)
    side = _sides(env)
    touching = set()
    for pair in touching_geoms.tolist():
        for finger, other in (pair, pair[::-1]):
            body = int(model.geom_bodyid[finger])
            if body in side and owner[other] not in (NOTHING, owner[finger]):
                touching.add((int(owner[other]), side[body]))
    return RawRobot(
        T_world_base=base,
        T_world_ee=hand,
        opening=arm.opening(data),
        finger_contacts=frozenset(touching),
    )


def _sides(env: SimulatedEnv) -> dict[int, int]:
    """Return which of the two sides of the hand every finger body is on."""
    bodies = sorted(env.arm.finger_bodies)
    if len(bodies) < 2:
        return dict.fromkeys(bodies, 0)
    centres = env.data.xipos[bodies]
    spread = centres - centres.mean(axis=0)
    across = np.linalg.svd(spread)[2][0]  # fingers lie apart along this axis
    return {body: int(s > 0) for body, s in zip(bodies, spread @ across, strict=True)}


def _goal(env: SimulatedEnv, owner: np.ndarray) -> RawGoal | None:
    """Return the goal by ids; None where the simulator names no target."""
    roles = env.task.roles(env.sim)
    of: dict[Label, list[int]] = {Label.TARGET: [], Label.DESTINATION: []}
    known = set(owner.tolist())
    for name, label in roles.items():
        number = env.model.body(name).id
        named = builtin_names().get(name)
        if number in known and (named is None or named.kind != "marker"):
            of[label].append(int(number))
    if not of[Label.TARGET]:
        return None
    targets, destinations = tuple(of[Label.TARGET]), tuple(of[Label.DESTINATION])
    kind = "open" if family_of(env) == "door" else "place" if destinations else "pick"
    return RawGoal(
        text=env.goal,
        kind=kind,
        targets=targets,
        destinations=destinations,
        success=bool(env.task.success(env.sim)),
    )
