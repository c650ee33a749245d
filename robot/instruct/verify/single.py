"""Answers about one frame, from its arrays."""

from __future__ import annotations

from robot.instruct.verify.reading import (
    OPEN_FROM,
    Picture,
    numbers,
    parsed,
    points,
    relation_names,
    split_list,
    type_of_word,
)
from robot.instruct.verify.truth import Truth, checks, exactly, parts

MEASURED = 0.02  # relative error of a length that is still right, beyond half a centimetre


@checks("count_objects", "count_attributed")
def _count(pictures, slots, record) -> Truth:
    found = pictures[0].find(slots["objects"])
    return Truth(exactly(len(found)), parts(0, found))


@checks("most_frequent", "least_frequent")
def _frequent(pictures, slots, record) -> Truth:
    candidates = split_list(slots["candidates"])
    found = {text: pictures[0].find(text) for text in candidates}
    sign = -1 if record.generator == "least_frequent" else 1

    def right(answer: str) -> bool:
        mine = sign * len(found[answer])
        return all(mine > sign * len(f) for text, f in found.items() if text != answer)

    every = [i for f in found.values() for i in f]
    return Truth(right, parts(0, found[record.answer]), parts(0, every))


def _smallest(p: Picture, slots, key) -> Truth:
    """Return the truth of a question for the candidate with the smallest key."""
    ids = [p.one(text.removeprefix("the ")) for text in split_list(slots["candidates"])]
    values = {i: key(i) for i in ids}
    best = min(values, key=values.__getitem__)

    def right(answer: str) -> bool:
        return p.one(answer) == best and sum(v <= values[best] for v in values.values()) == 1

    return Truth(right, parts(0, [best]), parts(0, ids))


@checks("leftmost", "rightmost", "topmost", "bottommost")
def _sides(pictures, slots, record) -> Truth:
    p = pictures[0]
    axis = int(record.generator in ("topmost", "bottommost"))
    sign = 1 if record.generator in ("leftmost", "topmost") else -1
    return _smallest(p, slots, lambda i: sign * p.middle(i)[axis])


@checks("closer_object", "farther_object")
def _depths(pictures, slots, record) -> Truth:
    p, sign = pictures[0], 1 if record.generator == "closer_object" else -1
    return _smallest(p, slots, lambda i: sign * p.depth(i))


@checks("closer_to_anchor", "farther_from_anchor")
def _anchored(pictures, slots, record) -> Truth:
    p, sign = pictures[0], 1 if record.generator == "closer_to_anchor" else -1
    anchor = p.one(slots["anchor"])
    truth = _smallest(p, slots, lambda i: sign * p.apart(i, anchor))
    return Truth(truth.right, truth.mask, truth.also | parts(0, [anchor]))


@checks("attributes_at_box")
def _all_attributes(pictures, slots, record) -> Truth:
    p = pictures[0]
    i = p.in_box(slots["box"])
    assert p.fits(i, slots["object"])
    return Truth(lambda a: set(a.split(", ")) == set(p.words(i).values()), parts(0, [i]))


@checks("typed_attribute_at_box")
def _typed_attribute(pictures, slots, record) -> Truth:
    p = pictures[0]
    i = p.in_box(slots["box"])
    assert p.fits(i, slots["object"])
    return Truth(exactly(p.words(i).get(slots["type"])), parts(0, [i]))


def _side(p: Picture, a: int, b: int):
    return lambda answer: p.related(a, relation_names()[answer], b)


@checks("relation_between")
def _relation(pictures, slots, record) -> Truth:
    p = pictures[0]
    a, b = p.one(slots["a"]), p.one(slots["b"])
    return Truth(_side(p, a, b), parts(0, [a]), parts(0, [b]))


@checks("relation_between_boxes")
def _relation_of_boxes(pictures, slots, record) -> Truth:
    p = pictures[0]
    a, b = p.in_box(slots["box_a"]), p.in_box(slots["box_b"])
    return Truth(_side(p, a, b), parts(0, [a]), parts(0, [b]))


def _heads(p: Picture, relation: str, tail: int, fits=lambda i: True) -> list[int]:
    name = relation_names()[relation]
    return [i for i in p.others(tail) if fits(i) and p.related(i, name, tail)]


@checks("head_of_relation")
def _head(pictures, slots, record) -> Truth:
    p = pictures[0]
    tail = p.one(slots["b"])
    heads = _heads(p, slots["relation"], tail)
    return Truth(lambda a: [p.one(a)] == heads, parts(0, heads), parts(0, [tail]))


@checks("same_object_point", "different_object_point")
def _same(pictures, slots, record) -> Truth:
    p = pictures[0]
    here, wanted = p.at(points(slots["point"])[0]), record.generator == "same_object_point"
    right_ones = [q for q in points(slots["candidates"]) if (p.at(q) == here) == wanted]

    def right(answer: str) -> bool:
        return points(answer) == right_ones

    mask = parts(0, [here]) if wanted else frozenset()
    return Truth(right, mask, parts(0, [here]))


@checks("closer_point", "farther_point")
def _nearest_point(pictures, slots, record) -> Truth:
    depth, sign = pictures[0].raw.depth_m, 1 if record.generator == "closer_point" else -1
    values = {q: sign * float(depth[q[1], q[0]]) for q in points(slots["candidates"])}
    best = min(values.values())

    def right(answer: str) -> bool:
        value = values[points(answer)[0]]
        return value == best and list(values.values()).count(best) == 1

    return Truth(right)


@checks("object_question")
def _which_object(pictures, slots, record) -> Truth:
    p, word = pictures[0], slots["attribute"]
    tail, kind = p.one(slots["anchor"]), type_of_word(word)
    heads = _heads(p, slots["relation"], tail, lambda i: p.words(i).get(str(kind)) == word)
    assert len(heads) == 1
    return Truth(lambda a: p.fits(heads[0], a), parts(0, heads), parts(0, [tail]))


def _referred(p: Picture, slots) -> tuple[int, int]:
    tail = p.one(slots["anchor"])
    heads = _heads(p, slots["relation"], tail, lambda i: p.fits(i, slots["thing"]))
    assert len(heads) == 1
    return heads[0], tail


@checks("relation_question")
def _which_relation(pictures, slots, record) -> Truth:
    p = pictures[0]
    (head, tail), b = _referred(p, slots), p.one(slots["b"])
    return Truth(_side(p, head, b), parts(0, [head]), parts(0, [tail, b]))


@checks("attribute_question")
def _which_attribute(pictures, slots, record) -> Truth:
    p = pictures[0]
    head, tail = _referred(p, slots)
    return Truth(exactly(p.words(head).get(slots["type"])), parts(0, [head]), parts(0, [tail]))


@checks("region_naming")
def _name(pictures, slots, record) -> Truth:
    p = pictures[0]
    i = p.in_box(slots["box"])
    return Truth(lambda a: p.fits(i, a), parts(0, [i]))


@checks("unique_referring")
def _refers(pictures, slots, record) -> Truth:
    p = pictures[0]
    i = p.in_box(slots["box"])
    alike = [x for x in p.clear if p.things[x].cls == p.things[i].cls]
    return Truth(lambda a: p.find(a) == [i], parts(0, [i]), parts(0, alike))


@checks("exists_yes_no")
def _exists(pictures, slots, record) -> Truth:
    found = pictures[0].find(slots["an_object"])
    return Truth(exactly("yes" if found else "no"), parts(0, found))


def measured(length_m: float):
    """Return what decides whether "23 cm" is right."""

    def right(answer: str) -> bool:
        return abs(numbers(answer)[0] / 100 - length_m) <= 0.0051 + MEASURED * length_m

    return right


@checks("metric_distance")
def _distance(pictures, slots, record) -> Truth:
    p = pictures[0]
    a, b = p.one(slots["a"]), p.one(slots["b"])
    return Truth(measured(p.apart(a, b)), parts(0, [a, b]))


@checks("visible_fraction")
def _visible(pictures, slots, record) -> Truth:
    p = pictures[0]
    i = p.one(slots["object"])
    return Truth(lambda a: abs(numbers(a)[0] / 100 - p.share(i)) <= 0.0501, parts(0, [i]))


@checks("articulation_state")
def _state(pictures, slots, record) -> Truth:
    p = pictures[0]
    cls, _ = parsed(slots["object"])
    (i,) = [i for i, t in p.things.items() if t.cls == cls]
    return Truth(exactly(p.state(i)), parts(0, [i]))


@checks("held_object")
def _held(pictures, slots, record) -> Truth:
    p = pictures[0]
    held = p.held()

    def right(answer: str) -> bool:
        return held is None if answer == "nothing" else p.one(answer) == held

    mask = frozenset() if held is None else parts(0, [held])
    return Truth(right, mask, parts(0, p.hand))


@checks("grasp_blocker")
def _blocker(pictures, slots, record) -> Truth:
    p = pictures[0]
    i = p.one(slots["object"])
    found = [x for x in p.others(i) if p.related(x, "blocks", i)]

    def right(answer: str) -> bool:
        return not found if answer == "nothing" else [p.one(answer)] == found

    return Truth(right, parts(0, found), parts(0, [i]))


@checks("affordance_point")
def _affordance(pictures, slots, record) -> Truth:
    p = pictures[0]
    i = p.one(slots["object"])
    return Truth(lambda a: p.at(points(a)[0]) == i, parts(0, [i]))


# --- goals


def needs(p: Picture) -> list[int]:
    """Return what a goal needs and the picture shows."""
    goal = p.raw.goal
    assert goal is not None
    ids = (*goal.targets, *goal.destinations)
    return [i for i in ids if p.area.get(i, 0)] + p.hand


def asked(p: Picture, slots):
    goal = p.raw.goal
    assert goal is not None and goal.text == slots["goal"] and len(goal.targets) == 1
    return goal


@checks("goal_pick", "goal_place")
def _goal_part(pictures, slots, record) -> Truth:
    p = pictures[0]
    goal = asked(p, slots)
    wanted = goal.targets if record.generator == "goal_pick" else goal.destinations
    return Truth(lambda a: (p.one(a),) == wanted, parts(0, wanted), parts(0, needs(p)))


@checks("goal_articulate")
def _next_motion(pictures, slots, record) -> Truth:
    p = pictures[0]
    goal = asked(p, slots)
    assert not reached(p)
    if goal.kind == "open":
        assert slots["part"] == p.things[goal.targets[0]].cls
        return Truth(exactly("open"), parts(0, goal.targets), parts(0, needs(p)))
    held = p.held() == goal.targets[0]
    assert held or p.raw.robot.opening > OPEN_FROM
    return Truth(exactly("open" if held else "close"), parts(0, p.hand), parts(0, needs(p)))


def reached(p: Picture) -> bool:
    """Return whether the goal is reached, from poses and contacts alone."""
    goal = p.raw.goal
    assert goal is not None
    target = goal.targets[0]
    touched = any(i == target for i, _ in p.raw.robot.finger_contacts)
    if goal.kind == "open":
        return p.state(target) == "open"
    if goal.kind == "pick":
        tables = [p.corners[i][:, 2].max() for i, t in p.things.items() if t.kind == "surface"]
        return touched and float(p.corners[target][:, 2].min()) > tables[0] + 0.045
    resting = [d for d in goal.destinations if p._rests(target, d) is not None]
    return len(resting) == len(goal.destinations) and not touched


@checks("goal_satisfied")
def _satisfied(pictures, slots, record) -> Truth:
    p = pictures[0]
    goal = asked(p, slots)
    shown = [i for i in (*goal.targets, *goal.destinations) if p.area.get(i, 0)]
    right = exactly("yes" if reached(p) else "no")
    return Truth(right, parts(0, shown), parts(0, p.hand))


@checks("distractor_regions")
def _distractors(pictures, slots, record) -> Truth:
    p = pictures[0]
    goal = asked(p, slots)
    rest = [i for i in p.shown if i not in (*goal.targets, *goal.destinations)]

    def right(answer: str) -> bool:
        return sorted(p.one(text) for text in answer.split(", ")) == sorted(rest)

    return Truth(right, parts(0, rest), parts(0, needs(p)))
