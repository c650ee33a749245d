"""Sample what an episode contains: a pure function of (task, condition, seed, episode index) to a
frozen Scene.

Goal and target come from one random stream and clutter, style and arm from others, so that the same
(seed, index) shows the same target at the same place in every condition: conditions can be compared
pair by pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import yaml

from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.catalogue import Noun
from robot.types import InputError
from robot.words.reader import GoalReader

WORKSPACE = (
    (-0.13, 0.12),
    (-0.18, 0.18),
)  # where objects stand: x and y [m] from the table's centre
FINGER_GAP_M = 0.032  # free space that the fingers need around a target
CLUTTER_GAP_M = 0.006
TALL_GAP_M = 0.065  # the hand is 20 cm wide and reaches down beside what it grasps
SIGHT_WIDTH_M = (
    0.07  # nothing tall stands this close to the line from the camera to what the goal names
)
ARM_JOINTS = 7  # at most
ARM_START_NOISE_RAD = 0.02
YAW_RAD = 0.35
PLACEMENT_TRIES = 200
SAME_COLOUR_SHARE = (
    0.3  # of randomised clutter has the target's colour: only its shape tells it apart
)
DISTINCT_COLOURS = 0.45  # RGB distance above which one shape in two colours cannot be mixed up

# The IVM paper's four placing tasks: what `place` draws from, whatever other tasks there are.
PAPER_TASKS = {
    "red_cup_on_red_plate": (Noun("cup", "red"), Noun("plate", "red")),
    "red_cup_on_silver_pan": (Noun("cup", "red"), Noun("pan", "silver")),
    "duck_in_pot": (Noun("duck", "yellow"), Noun("pot", "black")),
    "duck_on_green_plate": (Noun("duck", "yellow"), Noun("plate", "green")),
}
# Placing tasks by name: a further one goes here, `place_any` draws from the whole family.
PLACE_TASKS = {**PAPER_TASKS}
TASKS = ("pick", "place", "place_any", *PLACE_TASKS)


@dataclass(frozen=True)
class Condition:
    """One row of conditions.yaml; counts are inclusive ranges."""

    known: tuple[int, int] = (1, 2)
    lookalikes: tuple[int, int] = (0, 0)
    unseen_shapes: tuple[int, int] = (0, 0)
    unseen_colours: tuple[int, int] = (0, 0)
    training_clutter: tuple[int, int] = (0, 0)
    random_colours: bool = False
    absent: bool = False
    textures: str = "standard"
    brightness: tuple[float, float] = (1.0, 1.0)
    tint: float = 0.0
    light_shift_m: float = 0.0
    camera_shift_m: float = 0.0
    camera_turn_deg: float = 0.0
    start_noise_rad: float = 0.0
    noise_sigma: float = 0.0
    blur_sigma: float = 0.0
    exposure: tuple[float, float] = (1.0, 1.0)
    held_out_wording: bool = False
    nonsense: bool = False  # unrelated words instead of the goal


# Fields of a condition that are ranges; a single number in conditions.yaml stands for both ends.
RANGES = (
    "known",
    "lookalikes",
    "unseen_shapes",
    "unseen_colours",
    "training_clutter",
    "brightness",
    "exposure",
)


@cache
def conditions() -> dict[str, Condition]:
    """Return every scene condition by name."""
    rows = yaml.safe_load(
        resources.files("robot.envs.tabletop").joinpath("conditions.yaml").read_text()
    )
    return {
        name: Condition(**{key: _as_range(key, value) for key, value in row.items()})
        for name, row in rows.items()
    }


def _as_range(key: str, value: Any) -> Any:
    """Return a row's value as Condition has it."""
    if key not in RANGES:
        return value
    return tuple(value) if isinstance(value, list) else (value, value)


def condition(name: str) -> Condition:
    """Return a condition, or say which there are."""
    if name not in conditions():
        raise InputError(
            f"got scene {name!r}, expected one of {', '.join(conditions())}; choose one of these"
        )
    return conditions()[name]


@dataclass(frozen=True)
class Placement:
    """One body on the table: position [m] from the table's centre, yaw [rad], colour RGB 0..1 (None
    keeps its own).

    `noun` is what a goal would call it; None for clutter that no goal can name.
    """

    body: str
    x: float
    y: float
    yaw: float
    colour: tuple[float, float, float] | None
    noun: Noun | None = None


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


class _Bodies:
    """Hands out unused bodies of a shape."""

    def __init__(self) -> None:
        self._free = dict(cat.body_names())

    def take(self, shape: str) -> str | None:
        name = next((name for name, s in self._free.items() if s == shape), None)
        if name is not None:
            del self._free[name]
        return name


class _Table:
    """Free space on the table, by rejection."""

    def __init__(self) -> None:
        self._taken: list[
            tuple[float, float, float, float]
        ] = []  # x, y, radius, gap: a disc per body, more with handles
        self._sight: list[tuple[float, float]] = []  # what the camera must see past tall things

    def place(
        self, shape: str, *, gap: float, rng: np.random.Generator, keep_sight: bool = False
    ) -> tuple[float, float] | None:
        """Return a free (x, y) for a shape that keeps `gap` to all others, or None when the table
        is full.
        """
        radius, tall = cat.footprint_m(shape), cat.is_tall(shape)
        gap = max(gap, TALL_GAP_M) if tall else gap
        (x0, x1), (y0, y1) = WORKSPACE
        inset = max(0.0, radius - 0.035)
        discs = cat.footprint_discs_m(shape, turned_rad=YAW_RAD)
        for _ in range(PLACEMENT_TRIES):
            x, y = (
                float(rng.uniform(x0 + inset, x1 - inset)),
                float(rng.uniform(y0 + inset, y1 - inset)),
            )
            free = all(
                np.hypot(x + dx - a, y - b) > s + r + max(gap, g)
                for a, b, r, g in self._taken
                for dx, s in discs
            )
            hides = tall and any(x > a and abs(y - b) < SIGHT_WIDTH_M for a, b in self._sight)
            if free and not hides:
                self._taken += [(x + dx, y, s, gap) for dx, s in discs]
                if keep_sight:
                    self._sight.append((x, y))
                return x, y
        return None


def _jittered(colour: np.ndarray, *, rng: np.random.Generator) -> tuple[float, float, float]:
    jitter = cat.catalogue()["colour_jitter"]
    r, g, b = np.clip(colour + rng.uniform(-jitter, jitter, 3), 0.0, 1.0)
    return float(r), float(g), float(b)


def _goal_nouns(task: str, *, rng: np.random.Generator) -> tuple[Noun, Noun | None]:
    """Draw what the goal names: a target, and a destination where the task has one."""

    def draw(options):
        return str(rng.choice(list(options)))

    if task == "pick":
        shape = draw(cat.catalogue()["graspable"])
        return Noun(shape, draw(cat.colours_of(shape))), None
    if task == "place":
        return PAPER_TASKS[draw(PAPER_TASKS)]
    if task == "place_any":
        shape, receptacle = (
            draw([*cat.catalogue()["graspable"], "duck"]),
            draw(cat.catalogue()["receptacles"]),
        )
        return Noun(shape, draw(cat.colours_of(shape))), Noun(
            receptacle, draw(cat.colours_of(receptacle))
        )
    return PLACE_TASKS[task]


def _wording(
    target: Noun, destination: Noun | None, *, held_out: bool, rng: np.random.Generator
) -> str:
    template = str(rng.choice(cat.wordings("place" if destination else "pick", held_out=held_out)))
    if destination is None:
        return template.format(object=target.phrase(rng=rng))
    words = {"destination": destination.phrase(rng=rng), "preposition": destination.preposition}
    return template.format(object=target.phrase(rng=rng), **words)


def _goal_words(
    spec: Condition, target: Noun, destination: Noun | None, *, rng: np.random.Generator
) -> str:
    """Return what the robot is asked for: the goal, or (nonsense) words that do not help."""
    if spec.nonsense:
        return str(rng.choice(cat.nonsense()))
    return _wording(target, destination, held_out=spec.held_out_wording, rng=rng)


def _known_nouns(*, taken: set[Noun], receptacles: bool) -> list[Noun]:
    shapes = [
        *cat.catalogue()["graspable"],
        *(["duck", *cat.catalogue()["receptacles"]] if receptacles else []),
    ]
    return [n for s in shapes for c in cat.colours_of(s) if (n := Noun(s, c)) not in taken]


def _lookalikes(nouns: Sequence[Noun], named: Noun) -> list[Noun]:
    """Return the nouns that share the shape or the colour of `named`."""
    return [n for n in nouns if (n.shape == named.shape) != (n.colour == named.colour)]


def _clutter_colour(
    shape: str, *, spec: Condition, avoid: Noun, rng: np.random.Generator
) -> np.ndarray:
    """Draw a colour that no goal names; on the target's own shape it stays away from the target's
    colour.
    """
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


class _Composer:
    """Puts bodies on the table one after the other; keeps what the goal's ambiguity depends on."""

    def __init__(self) -> None:
        self.table, self.bodies = _Table(), _Bodies()
        self.placements: list[Placement] = []

    @property
    def nouns(self) -> set[Noun]:
        return {p.noun for p in self.placements if p.noun}

    def add(
        self,
        shape: str,
        colour: np.ndarray | None,
        *,
        gap: float,
        rng: np.random.Generator,
        noun: Noun | None = None,
        keep_sight: bool = False,
    ) -> str | None:
        """Place one body; None when the table or the supply of bodies is exhausted."""
        spot = self.table.place(shape, gap=gap, rng=rng, keep_sight=keep_sight)
        body = self.bodies.take(shape) if spot else None
        if spot is None or body is None:
            return None
        yaw = float(rng.uniform(-YAW_RAD, YAW_RAD))
        painted = None if colour is None else _jittered(colour, rng=rng)
        self.placements.append(
            Placement(body=body, x=spot[0], y=spot[1], yaw=yaw, colour=painted, noun=noun)
        )
        return body

    def add_noun(
        self, noun: Noun, *, gap: float, rng: np.random.Generator, keep_sight: bool = False
    ) -> str | None:
        return self.add(
            noun.shape, cat.rgb(noun.colour), gap=gap, rng=rng, noun=noun, keep_sight=keep_sight
        )

    def add_some(self, nouns: Sequence[Noun], count: int, *, rng: np.random.Generator) -> None:
        """Add up to `count` of the nouns, all equally likely."""
        for k in rng.permutation(len(nouns))[:count]:
            self.add_noun(nouns[k], gap=CLUTTER_GAP_M, rng=rng)


def _draw_count(count: tuple[int, int], *, rng: np.random.Generator) -> int:
    return int(rng.integers(count[0], count[1] + 1))


def sample_scene(*, task: str, scene: str, seed: int, index: int) -> Scene:
    """Return the Scene of episode `index` of `seed`: nothing else enters."""
    if task not in TASKS:
        raise InputError(
            f"got task {task!r}, expected one of {', '.join(TASKS)}; choose one of these"
        )
    spec = condition(scene)
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence([seed, index]).spawn(5)]
    goal_rng, clutter_rng, style_rng, arm_rng, word_rng = streams
    target_noun, destination_noun = _goal_nouns(task, rng=goal_rng)
    composer = _Composer()

    def add_named(noun):
        return composer.add_noun(noun, gap=FINGER_GAP_M, rng=goal_rng, keep_sight=True)

    destination = add_named(destination_noun) if destination_noun else None
    target = None if spec.absent else add_named(target_noun)
    named = {target_noun, destination_noun} - {None}
    known = _known_nouns(taken=named, receptacles=destination is not None)  # type: ignore[arg-type]
    alike = [
        n for noun in (target_noun, destination_noun) if noun for n in _lookalikes(known, noun)
    ]
    composer.add_some(alike, _draw_count(spec.lookalikes, rng=clutter_rng), rng=clutter_rng)
    rest = [n for n in known if n not in composer.nouns]
    composer.add_some(rest, _draw_count(spec.known, rng=clutter_rng), rng=clutter_rng)
    _add_clutter(composer, spec=spec, avoid=target_noun, rng=clutter_rng)
    noise = (
        arm_rng.normal(0.0, ARM_START_NOISE_RAD, ARM_JOINTS)
        + arm_rng.uniform(-1, 1, ARM_JOINTS) * spec.start_noise_rad
    )
    return Scene(
        goal=_goal_words(spec, target_noun, destination_noun, rng=word_rng),
        target_noun=target_noun,
        destination_noun=destination_noun,
        target=target,
        destination=destination,
        placements=tuple(composer.placements),
        style=_style(spec, rng=style_rng),
        joint_noise=tuple(float(v) for v in noise),
        sensor_seed=int(style_rng.integers(2**31)),
    )


def _add_clutter(
    composer: _Composer, *, spec: Condition, avoid: Noun, rng: np.random.Generator
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
            composer.add(str(shape), colour, gap=CLUTTER_GAP_M, rng=rng)


def named_in(scene: Scene, goal: str) -> Scene:
    """Return the scene with another goal: its target and destination are the objects that the
    sentence names, None where it names none that is there, or leaves open which.
    """
    read = GoalReader.of("tabletop").read(goal)
    targets = [_body_of(scene, noun) for noun in dict.fromkeys(read.targets)]
    places = [_body_of(scene, noun) for noun in dict.fromkeys(read.destinations) if noun]
    first = read.destinations[0] if read.destinations else None
    return replace(
        scene,
        goal=goal,
        target=_only(targets),
        destination=_only(places),
        target_noun=Noun(*read.targets[0]) if read.targets else scene.target_noun,
        destination_noun=Noun(*first) if first else None,
    )


def _body_of(scene: Scene, noun: tuple[str, str]) -> str | None:
    return next((p.body for p in scene.placements if p.noun == Noun(*noun)), None)


def _only(bodies: Sequence[str | None]) -> str | None:
    """Return the one body that there is."""
    there = [body for body in bodies if body is not None]
    return there[0] if len(there) == 1 else None


# --- other goals for the same scene: what the mask head learns words from


def _could_be(noun: Noun, placement: Placement) -> bool:
    """Return whether somebody might call a placement by this noun."""
    same_shape = cat.body_names()[placement.body] == noun.shape
    alike = (
        placement.colour is None
        or np.linalg.norm(np.array(placement.colour) - cat.rgb(noun.colour)) < DISTINCT_COLOURS
    )
    return same_shape and bool(alike)


def other_goal(
    scene: Scene, *, absent_share: float, rng: np.random.Generator
) -> tuple[str, str | None, str | None]:
    """Draw another unambiguous goal for what stands on the table: (words, target body, destination
    body).

    With probability `absent_share` the target is a noun that nothing on the table answers to
    (None).
    """
    placed = [
        p
        for p in scene.placements
        if p.noun and sum(_could_be(p.noun, q) for q in scene.placements) == 1
    ]
    receptacles = cat.catalogue()["receptacles"]
    objects = [p for p in placed if p.noun and p.noun.shape not in receptacles]
    places = [p for p in placed if p.noun and p.noun.shape in receptacles]
    missing = [
        n
        for n in _known_nouns(taken=set(), receptacles=True)
        if not any(_could_be(n, p) for p in scene.placements)
    ]
    missing = [n for n in missing if n.shape not in receptacles]
    destination = places[rng.integers(len(places))] if places and rng.random() < 0.7 else None
    if not objects or rng.random() < absent_share:
        noun, target = missing[rng.integers(len(missing))], None
    else:
        chosen = objects[rng.integers(len(objects))]
        assert chosen.noun is not None
        noun, target = chosen.noun, chosen.body
    words = _wording(noun, destination.noun if destination else None, held_out=False, rng=rng)
    return words, target, destination.body if destination else None


def restyled(scene: Scene, *, condition_name: str, rng: np.random.Generator) -> Style:
    """Draw a new look for a scene from another condition."""
    return _style(condition(condition_name), rng=rng)
