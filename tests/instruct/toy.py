"""A table of boxes under a camera that looks straight down: raw frames that tests compute by hand.

One metre at the table's height covers 96 pixels; image x is world x, image y is -y.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from robot.instruct.raw import Joint, RawFrame, RawGoal, RawRobot, Thing

SIZE, FOCAL = 96, 96.0
TABLE, HAND = 1, 2


@dataclass(frozen=True)
class Item:
    """A box: centre (x, y), height of its bottom, half edges."""

    cls: str
    x: float
    y: float
    half: tuple[float, float, float] = (0.04, 0.04, 0.025)
    bottom: float = 0.0
    colour: str | None = None
    kind: str = "object"
    cavity: tuple[float, float] | None = None
    opening: float | None = None
    material: str | None = None


@dataclass(frozen=True)
class World:
    items: dict[int, Item]
    episode: str = "toy-0"
    frame: int = 0
    camera: str = "above"
    camera_x: float = 0.0
    fingers: frozenset[tuple[int, int]] = frozenset()
    contacts: frozenset[tuple[int, int]] = frozenset()
    goal: RawGoal | None = None
    hand_opening: float = 1.0
    family: str = "toy"
    inside_out: bool = False  # what is near is far

    def with_item(self, number: int, **changes) -> World:
        return replace(self, items={**self.items, number: replace(self.items[number], **changes)})

    def without(self, number: int) -> World:
        return replace(self, items={i: item for i, item in self.items.items() if i != number})

    def holding(self, number: int) -> World:
        return replace(self, fingers=frozenset({(number, 0), (number, 1)}))


ITEMS = {
    TABLE: Item("table", 0, 0, half=(0.5, 0.5, 0.02), bottom=-0.04, kind="surface"),
    HAND: Item("gripper", 0.0, 0.27, half=(0.05, 0.03, 0.05), bottom=0.2, kind="gripper"),
    10: Item("cup", -0.3, 0.2, colour="red"),
    11: Item("cup", 0.28, 0.22, colour="blue", half=(0.04, 0.04, 0.06)),
    12: Item("ball", -0.08, 0.05, colour="green", half=(0.03, 0.03, 0.03), material="wood"),
    13: Item("cube", -0.28, -0.25, colour="yellow", half=(0.03, 0.03, 0.03)),
    14: Item("plate", 0.27, -0.02, (0.08, 0.08, 0.01), 0.0, "red", "receptacle", (0.06, 0.06)),
    15: Item("door", 0.05, -0.38, half=(0.06, 0.02, 0.05), kind="part", opening=0.0),
}
PLACE = RawGoal("put the green ball on the plate", "place", (12,), (14,))
WORLD = World(ITEMS, goal=PLACE)


def raw_of(world: World) -> RawFrame:
    """Render a world: the highest box wins a pixel."""
    things, alone, tops = [], [], []
    for number, item in sorted(world.items.items()):
        pose = np.eye(4)
        pose[:3, 3] = item.x, item.y, item.bottom
        opening = world.hand_opening if item.kind == "gripper" else item.opening
        things.append(
            Thing(
                id=number,
                cls=item.cls,
                kind=item.kind,  # type: ignore[arg-type]
                T_world_thing=pose,
                centre_m=np.array([0.0, 0.0, item.half[2]]),
                half_m=np.array(item.half),
                colour=item.colour,
                material=item.material,
                cavity_m=item.cavity,
                joint=None if opening is None else Joint(opening, 0.0, 1.0),
            )
        )
        top = item.bottom + 2 * item.half[2]
        scale, mask = FOCAL / (1.0 - top), np.zeros((SIZE, SIZE), bool)
        x, y = item.x - world.camera_x, -item.y
        columns = np.round(SIZE / 2 + scale * np.array([x - item.half[0], x + item.half[0]]))
        rows = np.round(SIZE / 2 + scale * np.array([y - item.half[1], y + item.half[1]]))
        (c0, c1), (r0, r1) = np.clip(columns, 0, SIZE), np.clip(rows, 0, SIZE)
        mask[int(r0) : int(r1), int(c0) : int(c1)] = True
        alone.append(mask)
        tops.append(top)
    segmentation = np.full((SIZE, SIZE), -1, np.int32)
    depth = np.full((SIZE, SIZE), 1.5, np.float32)
    for k in np.argsort(tops, kind="stable"):
        segmentation[alone[k]], depth[alone[k]] = things[k].id, 1.0 - tops[k]
        if things[k].kind == "surface":  # it slopes, so that its points differ
            depth += np.where(alone[k], 0.3 * np.linspace(0, 1, SIZE)[:, None], 0).astype(
                np.float32
            )
    if world.inside_out:
        depth = 2.0 - depth
    T_world_camera = np.diag([1.0, -1.0, -1.0, 1.0])
    T_world_camera[:3, 3] = world.camera_x, 0.0, 1.0
    hand = np.eye(4)
    return RawFrame(
        family=world.family,
        episode=world.episode,
        frame=world.frame,
        time_s=0.05 * world.frame,
        camera=world.camera,
        K=np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1]]),
        T_world_camera=T_world_camera,
        segmentation=segmentation,
        depth_m=depth,
        alone=np.stack(alone),
        things=tuple(things),
        contacts=world.contacts,
        robot=RawRobot(np.eye(4), hand, world.hand_opening, world.fingers),
        goal=world.goal,
        image=np.full((SIZE, SIZE, 3), 128, np.uint8),
    )


def reached(world: World) -> World:
    """Return the world after its placing goal: the ball lies on the plate, the hand is away."""
    assert world.goal is not None
    done = world.with_item(12, x=0.27, y=-0.02, bottom=0.01)
    return replace(done, goal=replace(world.goal, success=True), fingers=frozenset())


def episode(world: World = WORLD) -> list[World]:
    """Return four moments of a placing episode: before, held, held over the plate, done."""
    held = replace(world.with_item(12, bottom=0.12).holding(12), frame=10)
    moved = replace(world.with_item(12, x=0.22, y=0.02, bottom=0.12).holding(12), frame=20)
    contacts = frozenset({(HAND, 12)})
    return [
        world,
        replace(held, contacts=contacts),
        replace(moved, contacts=contacts),
        replace(reached(world), frame=30),
    ]


def views(world: World = WORLD) -> list[World]:
    """Return two cameras' views of one moment; the second misses what lies on the left."""
    return [world, replace(world, camera="aside", camera_x=0.45)]
