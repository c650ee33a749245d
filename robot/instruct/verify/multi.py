"""Answers about several frames, from their arrays."""

from __future__ import annotations

import numpy as np

from robot.instruct.verify.reading import (
    CLEAR_SHARE,
    Picture,
    numbers,
    parsed,
    relation_names,
)
from robot.instruct.verify.single import asked, measured, needs, reached
from robot.instruct.verify.truth import Truth, checks, exactly, parts
from robot.instruct.wording import vocabulary

MOVED_M = 0.03


def _index(answer: str) -> int:
    return numbers(answer)[0] - 1


def _only(values: list[bool]):
    """Return what decides whether "image 2" names the one image that is True."""
    return lambda answer: values[_index(answer)] and sum(values) == 1


def _everywhere(found: list[list[int]]):
    return frozenset().union(*(parts(k, ids) for k, ids in enumerate(found)))


@checks("select_has_object", "select_has_attributed")
def _has(pictures, slots, record) -> Truth:
    found = [p.find(slots["an_object"]) for p in pictures]
    k = _index(record.answer)
    return Truth(_only([bool(f) for f in found]), parts(k, found[k]), _everywhere(found))


@checks("select_has_not_object", "select_has_not_attributed")
def _has_not(pictures, slots, record) -> Truth:
    found = [p.find(slots["an_object"]) for p in pictures]
    return Truth(_only([not f for f in found]), also=_everywhere(found))


@checks("select_has_relation", "select_has_not_relation")
def _has_relation(pictures, slots, record) -> Truth:
    name, has = relation_names()[slots["relation"]], record.generator == "select_has_relation"
    heads, tails = ([p.find(slots[x]) for p in pictures] for x in ("a", "b"))
    holds = [
        bool(h and t) and p.related(h[0], name, t[0])
        for p, h, t in zip(pictures, heads, tails, strict=True)
    ]
    k = _index(record.answer)
    return Truth(_only([h == has for h in holds]), parts(k, heads[k]), parts(k, tails[k]))


@checks("most_of_object", "least_of_object")
def _most(pictures, slots, record) -> Truth:
    found = [p.find(slots["objects"]) for p in pictures]
    counts = [len(f) for f in found]
    best = max(counts) if record.generator == "most_of_object" else min(counts)
    k = _index(record.answer)
    return Truth(_only([c == best for c in counts]), parts(k, found[k]), _everywhere(found))


@checks("common_object")
def _common(pictures, slots, record) -> Truth:
    found = [p.find(record.answer) for p in pictures]
    return Truth(lambda a: all(p.find(a) for p in pictures), _everywhere(found))


@checks("common_attribute")
def _common_attribute(pictures, slots, record) -> Truth:
    things = [(p, p.one(slots["object"])) for p in pictures]
    words = [p.words(i).get(slots["type"]) for p, i in things]
    mask = _everywhere([[i] for _, i in things])
    return Truth(lambda a: all(word == a for word in words), mask)


@checks("count_object", "count_attributed_object")
def _sum(pictures, slots, record) -> Truth:
    found = [p.find(slots["objects"]) for p in pictures]
    return Truth(exactly(sum(map(len, found))), _everywhere(found))


@checks("compare_relation")
def _agree(pictures, slots, record) -> Truth:
    asked_for = vocabulary()["asked"]
    name = next(n for n, text in asked_for.items() if text == slots["alternatives"])
    a, b = ([p.one(slots[x]) for p in pictures] for x in ("a", "b"))
    sides = [p.related(x, name, y) for p, x, y in zip(pictures, a, b, strict=True)]
    right = exactly("yes" if sides[0] == sides[1] else "no")
    return Truth(right, _everywhere([[x] for x in a]), _everywhere([[y] for y in b]))


@checks("compare_attribute")
def _same_attribute(pictures, slots, record) -> Truth:
    cls, _ = parsed(slots["object"])
    things = []
    for p in pictures:
        shown = [i for i, t in p.things.items() if t.cls == cls and p.area.get(i, 0)]
        assert len(shown) == 1
        things.append(shown[0])
    words = [p.words(i).get(slots["type"]) for p, i in zip(pictures, things, strict=True)]
    assert None not in words
    right = exactly("yes" if words[0] == words[1] else "no")
    return Truth(right, _everywhere([[i] for i in things]))


@checks("cross_view_match", "track_instance")
def _match(pictures, slots, record) -> Truth:
    i = pictures[0].in_box(slots["box"])
    box = pictures[1].box(i)
    return Truth(lambda a: numbers(a) == box, parts(1, [i]), parts(0, [i]))


@checks("visible_in_which_view")
def _which_view(pictures, slots, record) -> Truth:
    found = [p.find(slots["object"]) for p in pictures]
    k = _index(record.answer)
    return Truth(_only([bool(f) for f in found]), parts(k, found[k]))


# --- times


def _way(one: Picture, two: Picture, i: int) -> float:
    return float(np.linalg.norm(one.centre(i) - two.centre(i)))


@checks("what_moved")
def _moved(pictures, slots, record) -> Truth:
    one, two = pictures
    free = [i for i, t in one.things.items() if t.kind in ("object", "receptacle", "part")]
    moved = [i for i in free if _way(one, two, i) >= MOVED_M]
    return Truth(lambda a: [one.one(a)] == moved, parts(0, moved) | parts(1, moved))


@checks("motion_direction")
def _direction(pictures, slots, record) -> Truth:
    one, two = pictures
    i = one.one(slots["object"])
    (x0, y0), (x1, y1) = one.middle(i), two.middle(i)
    ways = {"right": x1 - x0, "left": x0 - x1, "down": y1 - y0, "up": y0 - y1}
    best = max(ways, key=ways.__getitem__)
    return Truth(exactly(best), parts(0, [i]) | parts(1, [i]))


@checks("displacement")
def _displaced(pictures, slots, record) -> Truth:
    one, two = pictures
    i = one.one(slots["object"])
    return Truth(measured(_way(one, two, i)), parts(0, [i]) | parts(1, [i]))


def _first(values: list[bool]):
    return lambda answer: values.index(True) == _index(answer)


@checks("grasp_frame")
def _grasped(pictures, slots, record) -> Truth:
    i, k = pictures[0].one(slots["object"]), _index(record.answer)
    right = _first([p.held() == i for p in pictures])
    return Truth(right, parts(k, [i]), parts(k, pictures[k].hand))


@checks("contact_onset")
def _contact(pictures, slots, record) -> Truth:
    first, k = pictures[0], _index(record.answer)
    grippers = [i for i, t in first.things.items() if t.kind == "gripper"]
    a, b = (grippers[0] if slots[x] == "gripper" else first.one(slots[x]) for x in ("a", "b"))
    return Truth(_first([p.touch(a, b) for p in pictures]), parts(k, [a, b]))


@checks("open_close_frame")
def _opened(pictures, slots, record) -> Truth:
    cls, k = parsed(slots["object"])[0], _index(record.answer)
    (i,) = [i for i, t in pictures[0].things.items() if t.cls == cls]
    states = [p.state(i) == slots["state"] for p in pictures]
    return Truth(_first(states), parts(k, [i]))


@checks("occlusion_event")
def _covered(pictures, slots, record) -> Truth:
    i, k = pictures[0].one(slots["object"]), _index(record.answer)
    hidden = [p.whole[i] > 0 and p.share(i) < CLEAR_SHARE for p in pictures]
    also = parts(k, [i]) if pictures[k].area.get(i, 0) else frozenset()
    return Truth(_first(hidden), parts(k - 1, [i]), also)


# --- goals


def _done(p: Picture) -> int:
    """Return how many steps of the goal are done."""
    goal = p.raw.goal
    assert goal is not None
    if reached(p):
        return 3
    if goal.kind == "open":
        return 0
    touched = any(i == goal.targets[0] for i, _ in p.raw.robot.finger_contacts)
    resting = bool(goal.destinations) and all(
        p._rests(goal.targets[0], d) is not None for d in goal.destinations
    )
    return 2 if touched and resting else 1 if touched else 0


def _of_goal(pictures):
    return _everywhere([needs(p) for p in pictures])


@checks("temporal_order")
def _order(pictures, slots, record) -> Truth:
    asked(pictures[0], slots)
    times = [p.raw.time_s for p in pictures]
    order = [f"image {k + 1}" for k in np.argsort(times)]
    assert len({_done(p) for p in pictures}) == len(pictures)  # the pictures can tell
    return Truth(exactly(", ".join(order)), also=_of_goal(pictures))


@checks("goal_progress")
def _progress(pictures, slots, record) -> Truth:
    asked(pictures[0], slots)
    done = [_done(p) for p in pictures]
    k = _index(record.answer)
    return Truth(
        _only([d == max(done) for d in done]), parts(k, needs(pictures[k])), _of_goal(pictures)
    )


@checks("next_subtask")
def _next(pictures, slots, record) -> Truth:
    p = pictures[-1]
    goal = asked(p, slots)
    done = _done(p)
    steps = {
        "pick": ["grasp", "lift", "lift", "done"],
        "place": ["grasp", "carry", "release", "done"],
        "open": ["open", "open", "open", "done"],
    }
    cls = [p.things[i].cls for i in (*goal.targets, *goal.destinations)]
    words = {"target": cls[0], "destination": cls[-1]}
    text = vocabulary()["subtasks"][steps[goal.kind][done]].format(**words)
    return Truth(exactly(text), parts(len(pictures) - 1, needs(p)))


@checks("which_episode_matches_instruction")
def _matching(pictures, slots, record) -> Truth:
    k = _index(record.answer)
    goal = asked(pictures[k], slots)
    target = pictures[k].things[goal.targets[0]]
    alike = [
        any(
            p.things[i].cls == target.cls and p.things[i].colour in (target.colour, None)
            for i in p.shown
        )
        for p in pictures
    ]
    return Truth(_only(alike), parts(k, goal.targets), parts(k, needs(pictures[k])))
