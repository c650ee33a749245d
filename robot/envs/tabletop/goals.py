"""What a goal may name, and the words it is said in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.catalogue import Noun
from robot.envs.tabletop.conditions import Condition
from robot.envs.tabletop.related import noun_phrase
from robot.words.related import Related

# The IVM paper's four placing tasks: what `place` draws from, whatever other tasks there are.
PAPER_TASKS = {
    "red_cup_on_red_plate": (Noun("cup", "red"), Noun("plate", "red")),
    "red_cup_on_silver_pan": (Noun("cup", "red"), Noun("pan", "silver")),
    "duck_in_pot": (Noun("duck", "yellow"), Noun("pot", "black")),
    "duck_on_green_plate": (Noun("duck", "yellow"), Noun("plate", "green")),
}
# Placing tasks by name: a further one goes here, `place_any` draws from the whole family.
PLACE_TASKS = {**PAPER_TASKS}
RELATED = "pick_related"  # its object is told from others by where it stands, or by its size
TASKS = ("pick", RELATED, "place", "place_any", *PLACE_TASKS)


def draw_nouns(task: str, *, rng: np.random.Generator) -> tuple[Noun, Noun | None]:
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


def wording(
    target: Noun, destination: Noun | None, *, held_out: bool, rng: np.random.Generator
) -> str:
    template = str(rng.choice(cat.wordings("place" if destination else "pick", held_out=held_out)))
    if destination is None:
        return template.format(object=target.phrase(rng=rng))
    words = {"destination": destination.phrase(rng=rng), "preposition": destination.preposition}
    return template.format(object=target.phrase(rng=rng), **words)


def related_wording(related: Related, *, held_out: bool, rng: np.random.Generator) -> str:
    """Return a goal about an object that a relation tells from others."""
    template = str(rng.choice(cat.wordings("pick", held_out=held_out)))
    return template.format(object=noun_phrase(related, held_out=held_out, rng=rng))


def goal_words(
    spec: Condition,
    target: Noun,
    destination: Noun | None,
    *,
    rng: np.random.Generator,
    related: Related | None = None,
) -> str:
    """Return what the robot is asked for: the goal, or (nonsense) words that do not help."""
    if spec.nonsense:
        return str(rng.choice(cat.nonsense()))
    if related is not None:
        return related_wording(related, held_out=spec.held_out_wording, rng=rng)
    return wording(target, destination, held_out=spec.held_out_wording, rng=rng)


def known_nouns(*, taken: set[Noun], receptacles: bool) -> list[Noun]:
    shapes = [
        *cat.catalogue()["graspable"],
        *(["duck", *cat.catalogue()["receptacles"]] if receptacles else []),
    ]
    return [n for s in shapes for c in cat.colours_of(s) if (n := Noun(s, c)) not in taken]


def lookalikes(nouns: Sequence[Noun], named: Noun) -> list[Noun]:
    """Return the nouns that share the shape or the colour of `named`."""
    return [n for n in nouns if (n.shape == named.shape) != (n.colour == named.colour)]
