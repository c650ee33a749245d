"""One moment through several cameras."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from robot.instruct.generators.phrases import Phrase, box_text, pick, scene_of, shuffled
from robot.instruct.generators.select import choice
from robot.instruct.graph import SceneGraph
from robot.instruct.registry import Draft, Rng, multi_frame

Graphs = Sequence[SceneGraph]


def matched_boxes(graphs: Graphs, frames: tuple[int, int], rng: Rng) -> Iterator[Draft]:
    """Ask for the box, in the second of two images, of what a box of the first one shows."""
    one, two = (scene_of(graphs[k]) for k in frames)
    later = {o.id: o for o in two.clear}
    for o in one.clear:
        if o.id not in later or o.box is None:
            continue
        answer = box_text(later[o.id].box or (0, 0, 0, 0))
        others = [box_text(x.box or (0, 0, 0, 0)) for x in two.clear if x.id != o.id]
        yield Draft(
            slots={"box": box_text(o.box)},
            answer=answer,
            wrong=[text for text in shuffled(others, rng) if text != answer][:3],
            answer_mask=((1, o.id),),
            also=((0, o.id),),
            frames=frames,
        )


@multi_frame("views")
def cross_view_match(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask for the box of the same thing in another camera's image."""
    if len(graphs) >= 2:
        order = rng.random(len(graphs)).argsort()[:2].tolist()
        yield from matched_boxes(graphs, (order[0], order[1]), rng)


@multi_frame("views")
def visible_in_which_view(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask which camera sees a thing that all others do not see at all."""
    scenes = [scene_of(g) for g in graphs]
    if len(scenes) < 2:
        return
    for k, scene in enumerate(scenes):
        for o in scene.named:
            rest = [other for j, other in enumerate(scenes) if j != k]
            phrase: Phrase = pick(scene.phrases[o.id], rng)
            if any(other.fitting(phrase) != [] for other in rest):
                continue
            if any(x.id == o.id for other in rest for x in other.seen):
                continue
            yield choice(
                scenes, k, slots={"object": phrase.text}, answer_mask=((k, o.id),), rng=rng
            )
