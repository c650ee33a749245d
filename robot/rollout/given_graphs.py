"""Graphs of what others recorded or wrote: annotated pictures, bare pictures, episodes.

A source is a function (number, of) -> episodes: every `of`-th item from `number` on, so that shards
need not know of each other. None of it is verified: records are of the machine tier.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from robot.data.store import EpisodeStore
from robot.instruct.annotations import load_annotations
from robot.instruct.claims import Claim
from robot.instruct.correct import ClaimModel, Correction, Rules, corrected, one_shot
from robot.instruct.graph import Box, Camera, GraphGoal, Object, Relation, SceneGraph
from robot.instruct.relations import KINDS, in_picture
from robot.instruct.wording import vocabulary
from robot.rollout.record_tables import image_path
from robot.types import Episode, Frame, InputError, Label

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
# of a recording only the things that its goal names are known, and by that phrase alone: what
# these ask is true whatever else there is
OF_ROLES = (
    *("goal_pick", "goal_place", "region_naming", "leftmost", "rightmost", "topmost"),
    *("bottommost", "relation_between", "relation_between_boxes", "cross_view_match"),
    *("track_instance", "motion_direction"),
)


@dataclass(frozen=True, eq=False)
class Given:
    """One episode as graphs; its pictures by where they lie in a data set, as arrays or files; and
    what was edited to come to a graph, as JSON, by picture.
    """

    looks: list[list[SceneGraph]]
    pictures: dict[str, np.ndarray | Path]
    edits: dict[str, str] = field(default_factory=dict)


Source = Callable[[int, int], list[Given]]


# --- pictures with annotations


def annotated_pictures(folder: Path, number: int, of: int) -> list[Given]:
    """Return the graphs that annotation JSON in ProVision's schema describes."""
    return [
        Given([[a.graph]], {} if a.picture is None else {image_path(a.graph): a.picture})
        for a in load_annotations(folder)[number::of]
    ]


# --- bare pictures


def picture_files(folder: Path) -> list[Path]:
    """Return the pictures of a folder by name. InputError without one."""
    found = sorted(p for p in folder.glob("*") if p.suffix.lower() in PICTURES)
    if not found:
        raise InputError(
            f"got {folder} without pictures, expected {', '.join(PICTURES)} files, or annotation "
            "JSON; name the folder that holds them"
        )
    return found


def bare_pictures(
    folder: Path, number: int, of: int, *, load_model: Callable[[], ClaimModel], rules: Rules
) -> list[Given]:
    """Return what a model claims of pictures, corrected, as graphs."""
    model, made = load_model(), []
    for path in picture_files(folder)[number::of]:
        image = np.asarray(Image.open(path).convert("RGB"))
        frame = Frame("picture", image)
        result = corrected(frame, "", model, one_shot(frame, "", model), rules)
        graph = claimed_graph(result, name=path.stem, size=image.shape[:2])
        edits = json.dumps([asdict(edit) for edit in result.edits])
        made.append(Given([[graph]], {image_path(graph): path}, {image_path(graph): edits}))
    return made


def claimed_graph(result: Correction, *, name: str, size: Sequence[int]) -> SceneGraph:
    """Return accepted claims as a graph; an object's confidence is P(true) of what it is called."""
    sure = {c.question: p for c, p in zip(result.claims, result.chances, strict=True)}
    named = {c.region: c for c in result.claims if c.topic == "name"}
    objects = tuple(_claimed(c, result.claims, sure[c.question]) for c in named.values())
    relations = [
        Relation(c.region, c.word, c.other_region, sure[c.question], "1", "camera")
        for c in result.claims
        if c.other is not None and c.region in named and c.other_region in named
    ]
    return _in_camera(name, objects, relations, size)


def _claimed(claim: Claim, claims: Sequence[Claim], confidence: float) -> Object:
    words = {
        c.topic: (c.word,)
        for c in claims
        if c.region == claim.region and c.topic in ("colour", "size", "state")
    }
    kind = "gripper" if claim.word == "gripper" else "object"
    return Object(
        id=claim.region,
        cls=claim.word,
        kind=kind,
        attributes={k: w for k, w in words.items() if k != "state" or kind == "gripper"},
        mask=claim.mask,
        box=_box(claim.mask),
        pixels=int(claim.mask.sum()),
        confidence=confidence,
    )


# --- recorded episodes


def recorded_episodes(folder: Path, number: int, of: int, *, looks: int) -> list[Given]:
    """Return the frames of recorded episodes that carry label maps: who plays which role, called as
    the goal calls it.
    """
    store = EpisodeStore(folder)
    indices = sorted(store.indices())
    if not indices:
        raise InputError(f"got {folder} without episodes, expected a recording; correct path")
    return [_recorded(store.read(k), folder.name, looks=looks) for k in indices[number::of]]


def check_recording(folder: Path) -> None:
    """Raise InputError for a folder without episodes, or whose episodes carry no masks."""
    store = EpisodeStore(folder)
    indices = store.indices()
    if not indices:
        raise InputError(f"got {folder} without episodes, expected a recording; correct path")
    if not store.summary(min(indices)).label_shapes:
        raise InputError(
            f"got {folder}, whose episodes carry no masks, expected label maps beside the frames; "
            "record with masks, or save its frames and pass source=pictures"
        )


def _recorded(episode: Episode, name: str, *, looks: int) -> Given:
    moments = np.unique(np.linspace(0, len(episode) - 1, looks).round().astype(int)).tolist()
    cameras = [c for c in episode.images if c in episode.labels]
    graphs = [[_role_graph(episode, c, t, name=name) for c in cameras] for t in moments]
    pictures: dict[str, np.ndarray | Path] = {
        image_path(g): episode.images[c][t]
        for t, look in zip(moments, graphs, strict=True)
        for c, g in zip(cameras, look, strict=True)
    }
    return Given(graphs, pictures)


def _role_graph(episode: Episode, camera: str, t: int, *, name: str) -> SceneGraph:
    labels, text = episode.labels[camera][t], episode.goal.text
    phrases = goal_phrases(text)
    named = dict(zip((Label.TARGET, Label.DESTINATION), phrases, strict=False))
    roles = {**named, Label.GRIPPER: "gripper"}
    objects = tuple(_role(labels == int(label), label, phrase) for label, phrase in roles.items())
    goal = None
    if Label.TARGET in named:
        destinations = (int(Label.DESTINATION),) if Label.DESTINATION in named else ()
        goal = GraphGoal(
            text=text,
            kind="place" if destinations else "pick",
            targets=(int(Label.TARGET),),
            destinations=destinations,
            predicates=(),
            satisfied=None,
        )
    return _in_camera(
        f"{name}-{episode.index}",
        objects,
        [],
        labels.shape,
        camera=camera,
        frame=t,
        time_s=t * episode.control_dt_s,
        family=episode.task,
        goal=goal,
    )


def _role(mask: np.ndarray, label: Label, phrase: str) -> Object:
    return Object(
        id=int(label),
        cls=phrase,
        kind="gripper" if label is Label.GRIPPER else "object",
        mask=mask,
        box=_box(mask) if mask.any() else None,
        pixels=int(mask.sum()),
    )


def goal_phrases(text: str) -> list[str]:
    """Return the things that a goal names in their order, with their colours: "red cube"."""
    return [match[0] for match in _phrase_pattern().finditer(text.lower())]


@cache
def _phrase_pattern() -> re.Pattern[str]:
    known = vocabulary()
    nouns = [singular for forms in known["nouns"].values() for singular, _ in forms]
    either = "|".join(sorted(map(re.escape, nouns), key=len)[::-1])
    colours = "|".join(known["attributes"]["colour"])
    return re.compile(rf"\b(?:(?:{colours}) )?(?:{either})\b")


# --- what they share


def _in_camera(
    name: str,
    objects: tuple[Object, ...],
    relations: Sequence[Relation],
    size: Sequence[int],
    *,
    camera: str = "picture",
    frame: int = 0,
    time_s: float = 0.0,
    family: str = "pictures",
    goal: GraphGoal | None = None,
) -> SceneGraph:
    """Return a graph whose left and right are what the boxes say."""
    stated = {(r.head, r.name, r.tail) for r in relations if r.name not in ("left", "right")}
    sided, denied = list(_sides(objects)), set()
    for relation in sided:
        opposite = "right" if relation.name == "left" else "left"
        denied |= {(relation.head, opposite, relation.tail)}
    kept = [r for r in relations if (r.head, r.name, r.tail) in stated]
    return SceneGraph(
        family=family,
        episode=name,
        frame=frame,
        time_s=time_s,
        camera=Camera(camera, int(size[1]), int(size[0])),
        objects=objects,
        relations=(*kept, *sided),
        denied=frozenset(denied),
        goal=goal,
        metric=False,
    )


def _sides(objects: tuple[Object, ...]) -> Iterator[Relation]:
    for side, margin in in_picture(objects):
        if side in ("left", "right") and objects:
            kind = KINDS[side]
            for h, t in np.argwhere(margin >= kind.epsilon).tolist():
                head, tail = objects[h].id, objects[t].id
                yield Relation(head, side, tail, float(margin[h, t]), kind.unit, kind.frame)


def _box(mask: np.ndarray) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
