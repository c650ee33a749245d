"""Claims: typed statements about what masks of a frame show, each of one topic with one word.

A claim is a question (topic, masks) with an answer (word), so that a model may be asked either
way. What a claim's subject is called is another claim, "there is a cube": a statement is judged by
what it adds, its subject is what its mask shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import yaml
from jaxtyping import Bool

from robot.instruct.graph import Object, SceneGraph
from robot.instruct.relations import is_clear
from robot.instruct.wording import vocabulary

Question = tuple[str, int, int, str]  # topic, region, other region (or NO_REGION), noun
NO_REGION = -1
NOTHING = ""  # an answer that is no claim
SAME = 0.5  # IoU from which a mask shows an object
FEW = 20  # pixels below which an object is not seen well enough to judge


@dataclass(frozen=True, eq=False)
class Claim:
    """`word` is what is said in answer to the topic's question about `mask`; `other` is the tail
    of a relation, `noun` what is counted. Regions number the masks of one frame.
    """

    topic: str
    word: str
    region: int
    mask: Bool[np.ndarray, "h w"]
    other_region: int = NO_REGION
    other: Bool[np.ndarray, "h w"] | None = None
    noun: str = ""

    @property
    def question(self) -> Question:
        return self.topic, self.region, self.other_region, self.noun

    @property
    def kind(self) -> str:
        return topics()[self.topic]["kind"]


@cache
def claim_words() -> dict[str, Any]:
    """Return claims.yaml."""
    text = resources.files("robot.instruct").joinpath("words", "claims.yaml").read_text()
    return yaml.safe_load(text)


def topics() -> dict[str, dict[str, Any]]:
    return claim_words()["topics"]


@cache
def answers(topic: str) -> tuple[str, ...]:
    """Return the possible answers to a topic's questions, NOTHING first."""
    known = vocabulary()
    given = {
        "name": tuple(known["nouns"]),
        "colour": tuple(known["attributes"]["colour"]),
        "size": tuple(known["attributes"]["size"]),
    }
    return NOTHING, *(given.get(topic) or topics()[topic]["answers"])


# --- in words


def sentence(claim: Claim, names: Mapping[int, str]) -> str:
    """Return a claim as a sentence, its regions by their names ("object" for those without)."""
    known = vocabulary()
    word = claim_words()["words"].get(claim.word) or known["relations"].get(claim.word, claim.word)
    nouns = known["nouns"].get(claim.noun, [["object", "objects"]])[0][1]
    return topics()[claim.topic]["says"].format(
        word=word,
        article="an" if word[:1] in "aeiou" else "a",
        nouns=nouns,
        a=names.get(claim.region, "object"),
        b=names.get(claim.other_region, "object"),
    )


def names_of(claims) -> dict[int, str]:
    """Return what claims call each region."""
    return {c.region: c.word for c in claims if c.topic == "name"}


# --- what is true


def shown_by(mask: Bool[np.ndarray, "h w"], graph: SceneGraph) -> Object | None:
    """Return the object that a mask shows; None where it shows none."""
    seen = [o for o in graph.objects if o.mask is not None and o.pixels and _is_thing(o)]
    overlaps = [
        float((o.mask & mask).sum()) / max(1, int((o.mask | mask).sum()))  # type: ignore[operator]
        for o in seen
    ]
    best = int(np.argmax(overlaps)) if seen else 0
    return seen[best] if seen and overlaps[best] >= SAME else None


def _is_thing(o: Object) -> bool:
    return o.kind in ("object", "receptacle", "part", "gripper")


def holds(claim: Claim, graph: SceneGraph) -> bool | None:
    """Return whether a claim is true of a frame; None where that is a matter of taste."""
    if claim.topic == "count":
        number = counted(claim.noun, graph)
        return None if number is None else claim.word == str(number)
    if claim.topic == "reached":
        satisfied = None if graph.goal is None else graph.goal.satisfied
        return None if satisfied is None else (claim.word == "yes") == satisfied
    about = shown_by(claim.mask, graph)
    if about is None:
        return False
    if claim.other is not None:
        tail = shown_by(claim.other, graph)
        return False if tail is None else related(about, claim.word, tail, graph)
    true = true_word(claim.topic, about, graph)
    return None if true is None else claim.word == true


def related(head: Object, name: str, tail: Object, graph: SceneGraph) -> bool | None:
    """Return whether a relation holds; None within an epsilon of changing."""
    if any(r.name == name for r in graph.relations_of.get((head.id, tail.id), ())):
        return True
    return False if head is tail or (head.id, name, tail.id) in graph.denied else None


def counted(noun: str, graph: SceneGraph) -> int | None:
    """Return how many things of a class are seen; None where one is hardly seen."""
    mine = [o for o in graph.objects if o.cls == noun and o.pixels and _is_thing(o)]
    return len(mine) if all(is_clear(o) for o in mine) else None


def true_word(topic: str, about: Object, graph: SceneGraph) -> str | None:
    """Return the true answer to a question about one object; None where there is no sure one."""
    if topic == "name":
        return about.cls if about.pixels >= FEW else None
    if topic in ("colour", "size"):
        return about.word(topic)
    if topic == "state":
        return about.word("state") if about.kind == "gripper" else _held(about, graph)
    if topic == "role" and graph.goal is not None:
        if about.id in graph.goal.targets:
            return "target"
        return "destination" if about.id in graph.goal.destinations else NOTHING
    return None


def _held(about: Object, graph: SceneGraph) -> str | None:
    hands = [o for o in graph.objects if o.kind == "gripper"]
    known = [related(about, "grasped", hand, graph) for hand in hands]
    if not known or None in known:
        return None
    return "held" if any(known) else "free"


def true_relation(topic: str, head: Object, tail: Object, graph: SceneGraph) -> str | None:
    """Return the relation of a topic that holds, NOTHING where none does, None where unsure."""
    known = {name: related(head, name, tail, graph) for name in answers(topic)[1:]}
    found = [name for name, holds in known.items() if holds]
    if found:
        return found[0]
    return None if None in known.values() else NOTHING
