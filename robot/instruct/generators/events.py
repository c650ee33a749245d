"""The first image in which something holds: in the order of time, all before it clearly not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from robot.instruct.generators.grasping import hand_of, is_empty
from robot.instruct.generators.phrases import pick, scene_of, shuffled
from robot.instruct.generators.select import choice
from robot.instruct.graph import Object, SceneGraph
from robot.instruct.registry import Draft, Rng, multi_frame
from robot.instruct.relations import MIN_PIXELS, MIN_VISIBLE, is_clear

ASKED = 3
Graphs = Sequence[SceneGraph]


def onset(values: Sequence[bool | None]) -> int | None:
    """Return the index, from 1, of the first True, if all before it are False; else None."""
    for k, value in enumerate(values):
        if value is None:
            return None
        if value:
            return k or None
    return None


def _same_phrase(graphs: Graphs, number: int, rng: Rng) -> str | None:
    """Return what a thing can be called in the first image."""
    scene = scene_of(graphs[0])
    return pick(scene.phrases[number], rng).text if number in scene.phrases else None


@multi_frame("times")
def grasp_frame(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask from which image on a thing is held."""
    if len(graphs) < 2 or any(g.robot is None for g in graphs):
        return
    held = next((g.robot.held for g in graphs if g.robot and g.robot.held is not None), None)
    if held is None or any(held not in g.by_id for g in graphs):
        return

    def holds(g: SceneGraph) -> bool | None:
        if g.robot is not None and g.robot.held == held:
            return True
        return False if is_empty(g) else None

    k = onset([holds(g) for g in graphs])
    name = _same_phrase(graphs, held, rng)
    if k is None or name is None or not hand_of(graphs[k]):
        return
    hand = tuple((k, i) for _, i in hand_of(graphs[k]))
    scenes = [scene_of(g) for g in graphs]
    yield choice(
        scenes, k, slots={"object": name}, answer_mask=((k, held),), also=hand, earliest=1, rng=rng
    )


def _touches(graph: SceneGraph, a: int, b: int) -> bool | None:
    if any(r.name == "touching" for r in graph.relations_of.get((a, b), ())):
        return True
    return False if (a, "touching", b) in graph.denied else None


@multi_frame("times")
def contact_onset(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask in which image two things touch for the first time: the gripper, or what it carries."""
    if len(graphs) < 2:
        return
    scenes = [scene_of(g) for g in graphs]
    hands = [o for o in graphs[0].objects if o.kind == "gripper"]
    pairs: list[tuple[Object, Object]] = [(h, o) for h in hands for o in scenes[0].named]
    pairs += [(a, b) for a, b in scenes[0].pairs if a.id < b.id]
    taken = 0
    for a, b in shuffled(pairs, rng):
        k = onset([_touches(g, a.id, b.id) for g in graphs])
        if k is None or min(graphs[k].by_id[i].pixels for i in (a.id, b.id)) == 0:
            continue
        names = ["gripper" if o in hands else scenes[0].phrase(o, rng) for o in (a, b)]
        yield choice(
            scenes,
            k,
            slots={"a": names[0], "b": names[1]},
            answer_mask=((k, a.id), (k, b.id)),
            earliest=1,
            rng=rng,
        )
        taken += 1
        if taken == ASKED:
            return


@multi_frame("times")
def open_close_frame(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask in which image something is open, or closed, for the first time."""
    if len(graphs) < 2:
        return
    scenes = [scene_of(g) for g in graphs]
    for o in graphs[0].objects:
        if o.joint is None or o.pixels < MIN_PIXELS:
            continue
        states = [g.by_id[o.id].word("state") for g in graphs]
        for state in ("open", "closed"):
            k = onset([None if s is None else s == state for s in states])
            if k is None or graphs[k].by_id[o.id].pixels < MIN_PIXELS:
                continue
            yield choice(
                scenes,
                k,
                slots={"object": o.cls, "state": state},
                answer_mask=((k, o.id),),
                rng=rng,
            )


@multi_frame("times")
def occlusion_event(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask from which image on a thing is hidden that could be seen before."""
    if len(graphs) < 2:
        return
    scenes = [scene_of(g) for g in graphs]
    for o in scenes[0].named:
        k = onset([_hidden(g.by_id.get(o.id)) for g in graphs])
        if k is None:
            continue
        yield choice(
            scenes,
            k,
            slots={"object": scenes[0].phrase(o, rng)},
            answer_mask=((k - 1, o.id),),  # where it was seen last
            also=((k, o.id),) if graphs[k].by_id[o.id].pixels else (),
            earliest=1,
            rng=rng,
        )


def _hidden(o: Object | None) -> bool | None:
    """Return whether others hide a thing; a thing out of the camera's view is not hidden."""
    if o is None or o.visible_fraction is None:
        return None
    if o.visible_fraction < MIN_VISIBLE:
        return True
    return False if is_clear(o) else None
