"""Looks of one scene between which hand and things have moved: what a head that follows objects
learns from, posed without physics.

`start` is how an episode begins, most often; `before` and `now` lie a decision (8 control steps)
apart. Things may have been pushed, carried, set down, or taken away by somebody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.bodies import SHAPES
from robot.envs.tabletop.placing import WORKSPACE, Placement
from robot.envs.tabletop.scene import Scene
from robot.envs.tabletop.staging import draw_focus, draw_moment, pose, topple_some
from robot.envs.tabletop.world import TabletopWorld

LOOKS = ("start", "before", "now")
HOME_SHARE = 0.8  # of the starts: the hand is where episodes begin
PUSHED_SHARE = {"before": 0.3, "now": 0.2}  # of the looks: a thing was pushed before it
PUSH_M = (0.01, 0.07)
TAKEN_SHARE = 0.1  # of the sequences: something is gone in the last look
SET_DOWN_SHARE = 0.5  # of what was held over its destination a decision ago
NEXT_MOMENTS = {  # what an episode shows a decision later
    "home": ("travel", "beside", "home"),
    "travel": ("beside", "travel", "grasp"),
    "beside": ("grasp", "beside"),
    "grasp": ("held", "grasp", "held"),
    "held": ("placing", "held"),
    "placing": ("placing", "held"),
}


def stage_sequence(
    world: TabletopWorld, *, scene: Scene, rng: np.random.Generator
) -> Iterator[tuple[str, str]]:
    """Show `scene` look by look; yield (which of LOOKS, the moment of the hand) of each."""
    toppling, focus = int(rng.integers(2**31)), draw_focus(scene, rng=rng)

    def show(moment: str) -> None:
        world.apply(scene)
        topple_some(world, scene=scene, rng=np.random.default_rng(toppling))
        current = None if focus is None else _placement(scene, focus.body)
        pose(world, scene=scene, focus=current, moment=moment, rng=rng)

    moment = "home" if rng.random() < HOME_SHARE else draw_moment(focus, rng=rng)
    show(moment)
    yield "start", moment

    scene, moment = (
        _pushed(scene, share=PUSHED_SHARE["before"], rng=rng),
        draw_moment(focus, rng=rng),
    )
    show(moment)
    yield "before", moment

    scene = _pushed(scene, share=PUSHED_SHARE["now"], rng=rng)
    if focus is not None and moment == "placing" and rng.random() < SET_DOWN_SHARE:
        scene, moment = _set_down(scene, focus), str(rng.choice(["beside", "travel"]))
    else:
        moment = str(rng.choice(NEXT_MOMENTS[moment]))
    if rng.random() < TAKEN_SHARE and len(scene.placements) > 1:
        gone = scene.placements[rng.integers(len(scene.placements))]
        if focus is None or gone.body != focus.body:
            scene = replace(scene, placements=tuple(p for p in scene.placements if p != gone))
    show(moment)
    yield "now", moment


def _placement(scene: Scene, body: str) -> Placement | None:
    return next((p for p in scene.placements if p.body == body), None)


def _moved(scene: Scene, body: str, *, x: float, y: float) -> Scene:
    return replace(
        scene,
        placements=tuple(replace(p, x=x, y=y) if p.body == body else p for p in scene.placements),
    )


def _pushed(scene: Scene, *, share: float, rng: np.random.Generator) -> Scene:
    """Push one thing to where nothing else stands, with probability `share`."""
    if not scene.placements or rng.random() > share:
        return scene
    pushed = scene.placements[rng.integers(len(scene.placements))]
    for _ in range(8):
        angle, by = rng.uniform(0.0, 2 * np.pi), rng.uniform(*PUSH_M)
        (x0, x1), (y0, y1) = WORKSPACE
        x = float(np.clip(pushed.x + by * np.cos(angle), x0, x1))
        y = float(np.clip(pushed.y + by * np.sin(angle), y0, y1))
        if all(_apart(pushed, x, y, p) for p in scene.placements if p.body != pushed.body):
            return _moved(scene, pushed.body, x=x, y=y)
    return scene


def _apart(one: Placement, x: float, y: float, other: Placement) -> bool:
    radii = (cat.footprint_m(cat.body_names()[p.body]) for p in (one, other))
    return bool(np.hypot(x - other.x, y - other.y) > sum(radii))


def _set_down(scene: Scene, focus: Placement) -> Scene:
    """Return the scene with an object where its destination stands: at the table's height, from
    which the destination's floor of 6 mm hardly differs.
    """
    place = None if scene.destination is None else _placement(scene, scene.destination)
    if place is None or cat.body_names()[place.body] not in SHAPES:
        return scene
    return _moved(scene, focus.body, x=place.x, y=place.y)
