"""Other goals for the same scene: those that a person says, and those that the mask head learns
words from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace

import numpy as np

from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.catalogue import Noun
from robot.envs.tabletop.goals import known_nouns, wording
from robot.envs.tabletop.placing import Placement
from robot.envs.tabletop.related import meant
from robot.envs.tabletop.scene import DISTINCT_COLOURS, Scene
from robot.words.items import Thing
from robot.words.reader import GoalReader
from robot.words.regions import asked_of
from robot.words.related_phrases import RelatedGoal, read_related

UNNAMED = Noun("thing", "")


def named_in(scene: Scene, goal: str) -> Scene:
    """Return the scene with another goal: its target and destination are the objects that the
    sentence names, None where it names none that is there, or leaves open which.
    """
    if (related := read_related(goal)) is not None:
        return _related_in(scene, goal, related)
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


def _related_in(scene: Scene, goal: str, related: RelatedGoal) -> Scene:
    """Return the scene with a goal whose target a relation tells from others."""
    asked = related.request.destination
    fits = [
        p.body
        for p in scene.placements
        if asked is not None and p.noun and asked.fits(Thing(*astuple(p.noun)))
    ]
    target = meant(related.related, scene.placements, margin=0.0) if related.is_target else None
    nouns = {p.body: p.noun for p in scene.placements}
    return replace(
        scene,
        goal=goal,
        target=target,
        destination=_only(fits),
        target_noun=nouns.get(target or "") or scene.target_noun,
        destination_noun=None if asked is None else nouns.get(_only(fits) or "") or UNNAMED,
    )


def pointed_in(scene: Scene, goal: str, regions: Mapping[int, str]) -> Scene:
    """Return the scene with a goal about regions, which lie on these bodies of the simulator's
    model; a role that words name is the one object that fits them, None where that leaves it open.
    """
    asked = asked_of(goal)

    def body_of(role: int | Thing | None) -> str | None:
        if role is None:
            return None
        if isinstance(role, int):
            return regions.get(role)
        fits = [p.body for p in scene.placements if p.noun and role.fits(Thing(*astuple(p.noun)))]
        return _only(fits)

    def noun_of(body: str | None) -> Noun:
        noun = next((p.noun for p in scene.placements if p.body == body), None)
        return noun or UNNAMED

    target, destination = body_of(asked.target), body_of(asked.destination)
    return replace(
        scene,
        goal=goal,
        target=target,
        destination=destination,
        target_noun=noun_of(target),
        destination_noun=None if asked.destination is None else noun_of(destination),
    )


def _body_of(scene: Scene, noun: tuple[str, str]) -> str | None:
    return next((p.body for p in scene.placements if p.noun == Noun(*noun)), None)


def _only(bodies: Sequence[str | None]) -> str | None:
    """Return the one body that there is."""
    there = [body for body in bodies if body is not None]
    return there[0] if len(there) == 1 else None


def _could_be(noun: Noun, placement: Placement) -> bool:
    """Return whether somebody might call a placement by this noun."""
    same_shape = cat.body_names()[placement.body] == noun.shape
    alike = (
        placement.colour is None
        or np.linalg.norm(np.array(placement.colour) - cat.rgb(noun.colour)) < DISTINCT_COLOURS
    )
    return same_shape and bool(alike)


def absent_nouns(scene: Scene) -> list[Noun]:
    """Return the targets that a goal could name and that nothing on the table answers to."""
    return [
        n
        for n in known_nouns(taken=set(), receptacles=True)
        if n.shape not in cat.catalogue()["receptacles"]
        and not any(_could_be(n, p) for p in scene.placements)
    ]


def _shares(noun: Noun, placement: Placement) -> bool:
    """Return whether a placement has the colour or the shape that a noun names."""
    same_colour = (
        placement.colour is not None
        and np.linalg.norm(np.array(placement.colour) - cat.rgb(noun.colour)) < DISTINCT_COLOURS
    )
    return bool(same_colour) or cat.body_names()[placement.body] == noun.shape


def _absent_noun(scene: Scene, *, hard_share: float, rng: np.random.Generator) -> Noun:
    """Draw one of the absent nouns: with probability `hard_share` one that shares its colour or its
    shape with a thing on the table, each thing as likely.
    """
    missing = absent_nouns(scene)
    if hard_share and rng.random() < hard_share and scene.placements:
        thing = scene.placements[rng.integers(len(scene.placements))]
        missing = [n for n in missing if _shares(n, thing)] or missing
    return missing[rng.integers(len(missing))]


def other_goal(
    scene: Scene, *, absent_share: float, rng: np.random.Generator, hard_share: float = 0.0
) -> tuple[str, str | None, str | None]:
    """Draw another unambiguous goal for what stands on the table: (words, target body, destination
    body).

    With probability `absent_share` the target is a noun that nothing on the table answers to
    (None); `hard_share` of these share their colour or shape with something that is there.
    """
    placed = [
        p
        for p in scene.placements
        if p.noun and sum(_could_be(p.noun, q) for q in scene.placements) == 1
    ]
    receptacles = cat.catalogue()["receptacles"]
    objects = [p for p in placed if p.noun and p.noun.shape not in receptacles]
    places = [p for p in placed if p.noun and p.noun.shape in receptacles]
    destination = places[rng.integers(len(places))] if places and rng.random() < 0.7 else None
    if not objects or rng.random() < absent_share:
        noun, target = _absent_noun(scene, hard_share=hard_share, rng=rng), None
    else:
        chosen = objects[rng.integers(len(objects))]
        assert chosen.noun is not None
        noun, target = chosen.noun, chosen.body
    words = wording(noun, destination.noun if destination else None, held_out=False, rng=rng)
    return words, target, destination.body if destination else None
