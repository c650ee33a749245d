"""Goals whose object is told from others by where it stands or how large it is, seen by several
cameras at once: what a mask head learns relations from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from robot.instruct.generators.phrases import COUNTED, pick, scene_of, shuffled
from robot.instruct.graph import Object, SceneGraph
from robot.instruct.registry import Draft, Rng, multi_frame
from robot.instruct.relations import EPSILON_M
from robot.instruct.wording import vocabulary
from robot.words.items import Thing
from robot.words.reader import GoalReader
from robot.words.related import Placed, Related, kind_of, relations_to
from robot.words.related_phrases import read_related, say


@multi_frame("views")
def goal_related(graphs: Sequence[SceneGraph], rng: Rng) -> Iterator[Draft]:
    """Ask what a goal means, as image 1 shows it. Relevant is what acting needs: that thing and the
    hand, in every view.
    """
    seen = _Seen.of(graphs[0])
    if seen is None:
        return
    scene = scene_of(graphs[0])
    targets = [
        k for k, o in enumerate(seen.objects) if o.kind == "object" and o.id in scene.phrases
    ]
    told = relations_to(seen.things, targets=targets, margin=EPSILON_M, gap_margin=EPSILON_M)
    for related, which in _in_turn(list(told), rng):
        goal = _worded(related, rng)
        read = read_related(goal)
        if read is None or not read.is_target or read.related != related:
            continue  # of a thing that no goal can name
        target = seen.objects[which]
        others = [scene.phrase(o, rng) for o in scene.named if o.id != target.id]
        yield Draft(
            slots={"goal": goal},
            answer=scene.phrase(target, rng),
            wrong=shuffled(others, rng),
            answer_mask=_shown(graphs, [target.id]),
            also=_shown(graphs, [o.id for o in graphs[0].objects if o.kind == "gripper"]),
            frames=tuple(range(len(graphs))),
        )


@dataclass(frozen=True)
class _Seen:
    """What stands about, as one camera sees it."""

    objects: tuple[Object, ...]
    things: tuple[Placed, ...]

    @staticmethod
    def of(graph: SceneGraph) -> _Seen | None:
        """Return the things of a graph; None where its source knows no places."""
        camera, robot = graph.camera.T_world_camera, graph.robot
        objects = tuple(o for o in graph.objects if o.kind in COUNTED)
        if camera is None or robot is None or any(o.half_m is None for o in objects):
            return None
        centres = np.array([o.position_m for o in objects]).reshape(-1, 3)
        local = (centres - camera[:3, 3]) @ camera[:3, :3]  # right, down, forward
        towards = camera[:2, 1] / max(float(np.linalg.norm(camera[:2, 1])), 1e-9)
        middle = float(local[:, 2].mean()) if len(objects) else 1.0
        hand = robot.T_world_ee[:3, 3]
        things = tuple(
            Placed(
                thing=Thing(noun=o.cls, colour=o.colour),
                right=float(x / z * middle),
                near=float(centre[:2] @ towards),
                size=float(np.cbrt(np.prod(2 * o.half_m))),  # type: ignore[operator]
                gap=float(np.linalg.norm(centre - hand)),
            )
            for o, centre, (x, _, z) in zip(objects, centres, local, strict=True)
        )
        return _Seen(objects, things)


def _in_turn(told: Sequence[tuple[Related, int]], rng: Rng) -> Iterator[tuple[Related, int]]:
    """Yield all, the sorts of relation in turn: ordinals are few and anchors many."""
    sorts: dict[str, list[tuple[Related, int]]] = defaultdict(list)
    for related, which in shuffled(told, rng):
        sorts[kind_of(related)].append((related, which))
    order = shuffled(sorted(sorts), rng)
    for round_ in range(max(map(len, sorts.values()), default=0)):
        for sort in order:
            yield from sorts[sort][round_ : round_ + 1]


def _worded(related: Related, rng: Rng) -> str:
    wordings = GoalReader.of("tabletop").vocabulary
    assert wordings is not None

    def called(thing: Thing) -> str:
        noun = pick(vocabulary()["nouns"][thing.noun], rng)[0]
        return noun if thing.colour is None else f"{thing.colour} {noun}"

    phrase = say(related, called=called, held_out=False, rng=rng)
    return pick(wordings.pick_wordings, rng).format(object=phrase)


def _shown(graphs: Sequence[SceneGraph], ids: Sequence[int]) -> tuple[tuple[int, int], ...]:
    return tuple(
        (k, i) for k, g in enumerate(graphs) for i in ids if i in g.by_id and g.by_id[i].pixels > 0
    )
