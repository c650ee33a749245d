"""Sample what an episode contains: a pure function of (task, condition, seed, episode index) to a
frozen Scene.

Goal and target come from one random stream and clutter, style and arm from others, so that the same
(seed, index) shows the same target at the same place in every condition: conditions can be compared
pair by pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.catalogue import Noun
from robot.envs.tabletop.conditions import Condition, condition
from robot.envs.tabletop.goals import (
    RELATED,
    TASKS,
    draw_nouns,
    goal_words,
    known_nouns,
    lookalikes,
)
from robot.envs.tabletop.placing import CLUTTER_GAP_M, FINGER_GAP_M, Composer, Placement
from robot.envs.tabletop.related import compose, draw_related, without_doubt
from robot.errors import InputError, one_of
from robot.words.related import Related

ARM_JOINTS = 7  # at most
ARM_START_NOISE_RAD = 0.02
SAME_COLOUR_SHARE = (
    0.3  # of randomised clutter has the target's colour: only its shape tells it apart
)
# Reshaped clutter: what is long stays longer than it is broad, so that nothing turns into the cube
# or the ball that a goal may name.
LONG_AXES = {
    "capsule": "x",
    "egg": "x",
    "slab": "x",
    "tower": "z",
    "cross": "xy",
    "mushroom": "z",
}
LONGER, THINNER = (0.9, 1.3), (0.7, 1.0)  # factors along these axes and across them
PATTERNED_SHARE = 0.5
DISTINCT_COLOURS = 0.45  # RGB distance above which one shape in two colours cannot be mixed up


@dataclass(frozen=True)
class Style:
    """How the scene looks and is seen. Textures index the pool named in `pool`; shifts are in
    metres, turns in radians.
    """

    pool: str = "standard"
    textures: tuple[float, float, float] = (
        0.0,
        0.0,
        0.0,
    )  # table, wall, floor: fractions of the pool
    light_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)
    light_shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    camera_shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    camera_turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    noise_sigma: float = 0.0
    blur_sigma: float = 0.0
    exposure: float = 1.0


@dataclass(frozen=True)
class Scene:
    """Everything that defines an episode's initial state, and its goal. `target` is None when the
    named object is absent.
    """

    goal: str
    target_noun: Noun
    destination_noun: Noun | None
    target: str | None
    destination: str | None
    placements: tuple[Placement, ...]
    style: Style
    joint_noise: tuple[float, ...]
    sensor_seed: int


def sample_scene(*, task: str, scene: str, seed: int, index: int) -> Scene:
    """Return the Scene of episode `index` of `seed`: nothing else enters."""
    if task not in TASKS:
        raise InputError(f"got task {task!r}, {one_of(task, TASKS)}")
    spec = condition(scene)
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence([seed, index]).spawn(5)]
    goal_rng, clutter_rng, style_rng, arm_rng, word_rng = streams
    composer = Composer()
    meant = (_related if task == RELATED else _named)(task, spec, composer, rng=goal_rng)
    target, destination = meant.target, meant.destination
    target_noun, destination_noun = meant.target_noun, meant.destination_noun
    sure = len(composer.placements)
    if spec.duplicates[1]:
        copies = _draw_count(spec.duplicates, rng=clutter_rng)
        for body, count in ((destination, 1), (target, copies)):  # large things first
            composer.add_copies(body, count, gap=FINGER_GAP_M, rng=clutter_rng)
    named = {target_noun, destination_noun} - {None}
    known = known_nouns(taken=named, receptacles=destination is not None)  # type: ignore[arg-type]
    alike = [n for noun in (target_noun, destination_noun) if noun for n in lookalikes(known, noun)]
    composer.add_some(alike, _draw_count(spec.lookalikes, rng=clutter_rng), rng=clutter_rng)
    rest = [n for n in known if n not in composer.nouns]
    composer.add_some(rest, _draw_count(spec.known, rng=clutter_rng), rng=clutter_rng)
    _add_clutter(composer, spec=spec, avoid=target_noun, rng=clutter_rng)
    placements = tuple(composer.placements)
    if meant.related is not None:
        placements = without_doubt(placements, sure=sure, related=meant.related, target=target)
    noise = (
        arm_rng.normal(0.0, ARM_START_NOISE_RAD, ARM_JOINTS)
        + arm_rng.uniform(-1, 1, ARM_JOINTS) * spec.start_noise_rad
    )
    return Scene(
        goal=goal_words(
            spec, meant.target_noun, destination_noun, related=meant.related, rng=word_rng
        ),
        target_noun=target_noun,
        destination_noun=destination_noun,
        target=target,
        destination=destination,
        placements=placements,
        style=_style(spec, rng=style_rng),
        joint_noise=tuple(float(v) for v in noise),
        sensor_seed=int(style_rng.integers(2**31)),
    )


@dataclass(frozen=True)
class _Meant:
    """What a goal is about: nouns and, where it is there, bodies."""

    target_noun: Noun
    destination_noun: Noun | None
    target: str | None
    destination: str | None = None
    related: Related | None = None


def _named(task: str, spec: Condition, composer: Composer, *, rng: np.random.Generator) -> _Meant:
    """Draw what a goal names, and place it."""
    target_noun, destination_noun = draw_nouns(task, rng=rng)

    def add(noun, **where):
        return composer.add_noun(noun, gap=FINGER_GAP_M, rng=rng, keep_sight=True, **where)

    if spec.patch_m:  # first, while there is room amid the table
        target = add(target_noun, patch_m=spec.patch_m)
        destination = add(destination_noun) if destination_noun else None
    else:
        destination = add(destination_noun) if destination_noun else None
        target = None if spec.absent else add(target_noun)
    return _Meant(target_noun, destination_noun, target, destination)


def _related(task: str, spec: Condition, composer: Composer, *, rng: np.random.Generator) -> _Meant:
    """Draw what tells an object from others, and place them; where it is absent, all of a kind."""
    del task
    target = None
    while target is None:
        related = draw_related(rng=rng)
        if not (spec.absent and related.target.noun is None):
            target = compose(composer, related, rng=rng)
    noun = next(p.noun for p in composer.placements if p.body == target)
    assert noun is not None
    return _Meant(noun, None, None if spec.absent else target, related=related)


def _add_clutter(
    composer: Composer, *, spec: Condition, avoid: Noun, rng: np.random.Generator
) -> None:
    """Add what no goal ever names: unseen shapes, known shapes in unseen colours,
    training clutter.
    """
    pools = {
        "unseen_shapes": cat.catalogue()["unseen"],
        "training_clutter": cat.catalogue()["training_clutter"],
        "unseen_colours": cat.catalogue()["graspable"],
    }
    for kind, shapes in pools.items():
        for shape in rng.permutation(shapes)[: _draw_count(getattr(spec, kind), rng=rng)]:
            colour = (
                None
                if kind == "unseen_shapes"
                else _clutter_colour(str(shape), spec=spec, avoid=avoid, rng=rng)
            )
            looks: dict[str, Any] = {}
            if spec.reshaped_clutter and kind == "training_clutter":
                looks["stretch"], looks["pattern"] = _reshaped(str(shape), rng=rng)
            composer.add(str(shape), colour, gap=CLUTTER_GAP_M, rng=rng, **looks)


def _clutter_colour(
    shape: str, *, spec: Condition, avoid: Noun, rng: np.random.Generator
) -> np.ndarray:
    """Draw a colour that no goal names; on the target's own shape it stays away from the target's
    colour.
    """
    if spec.clutter_in_named_colours and shape in cat.catalogue()["training_clutter"]:
        return cat.rgb(str(rng.choice(cat.catalogue()["object_colours"])))
    if not spec.random_colours:
        return cat.rgb(str(rng.choice(list(cat.catalogue()["unseen_colours"]))))
    if shape != avoid.shape and rng.random() < SAME_COLOUR_SHARE:
        return cat.rgb(avoid.colour)
    while True:
        colour = rng.uniform(0.02, 1.0, 3)
        if (
            shape != avoid.shape
            or np.linalg.norm(colour - cat.rgb(avoid.colour)) > DISTINCT_COLOURS
        ):
            return colour


def _reshaped(
    shape: str, *, rng: np.random.Generator
) -> tuple[tuple[float, float, float], float | None]:
    """Draw the stretch and the pattern of a piece of training clutter."""
    x, y, z = (
        float(rng.uniform(*(LONGER if axis in LONG_AXES[shape] else THINNER))) for axis in "xyz"
    )
    patterned = rng.random() < PATTERNED_SHARE
    return (x, y, z), float(rng.random()) if patterned else None


def _style(spec: Condition, *, rng: np.random.Generator) -> Style:
    def ball(size):
        return tuple(float(v) for v in rng.uniform(-size, size, 3))

    light = rng.uniform(*spec.brightness) * (1.0 + rng.uniform(-spec.tint, spec.tint, 3))
    return Style(
        pool=spec.textures,
        textures=tuple(float(v) for v in rng.random(3)),  # type: ignore[arg-type]
        light_rgb=tuple(float(v) for v in light),  # type: ignore[arg-type]
        light_shift=ball(spec.light_shift_m),  # type: ignore[arg-type]
        camera_shift=ball(spec.camera_shift_m),  # type: ignore[arg-type]
        camera_turn=ball(np.deg2rad(spec.camera_turn_deg)),  # type: ignore[arg-type]
        noise_sigma=float(rng.uniform(0.3, 1.0) * spec.noise_sigma),
        blur_sigma=float(rng.uniform(0.0, 1.0) * spec.blur_sigma),
        exposure=float(rng.uniform(*spec.exposure)),
    )


def restyled(scene: Scene, *, condition_name: str, rng: np.random.Generator) -> Style:
    """Draw a new look for a scene from another condition."""
    return _style(condition(condition_name), rng=rng)


def _draw_count(count: tuple[int, int], *, rng: np.random.Generator) -> int:
    return int(rng.integers(count[0], count[1] + 1))
