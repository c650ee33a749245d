"""What a goal is about, and whether it is reached."""

from __future__ import annotations

from collections.abc import Iterator

from robot.instruct.generators.grasping import hand_of, is_empty
from robot.instruct.generators.objects import shown
from robot.instruct.generators.phrases import absent_classes, nouns, scene_of, shuffled
from robot.instruct.graph import GraphGoal, SceneGraph
from robot.instruct.registry import Draft, Rng, single_frame

OPEN_SHARE = 0.7
LISTED = 4  # things that an answer may list


def single_goal(graph: SceneGraph) -> GraphGoal | None:
    """Return the goal where it is about one target and at most one destination."""
    goal = graph.goal
    if goal is None or len(goal.targets) != 1 or len(goal.destinations) > 1:
        return None
    return goal


def needed(graph: SceneGraph, goal: GraphGoal) -> tuple[tuple[int, int], ...]:
    """Return all that is seen and needed to act: target, destination, gripper."""
    ids = (*goal.targets, *goal.destinations)
    return (
        *((0, i) for i in ids if i in graph.by_id and graph.by_id[i].pixels > 0),
        *hand_of(graph),
    )


def _named_part(graph: SceneGraph, rng: Rng, numbers: tuple[int, ...]) -> Iterator[Draft]:
    goal, scene = single_goal(graph), scene_of(graph)
    if goal is None or len(numbers) != 1 or numbers[0] not in scene.phrases:
        return
    yield Draft(  # no options: the goal's own words would tell which one is right
        slots={"goal": goal.text},
        answer=scene.phrase(graph.by_id[numbers[0]], rng),
        answer_mask=((0, numbers[0]),),
        also=needed(graph, goal),
    )


@single_frame
def goal_pick(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask what has to be picked up."""
    goal = graph.goal
    if goal is not None and goal.kind in ("pick", "place"):
        yield from _named_part(graph, rng, goal.targets)


@single_frame
def goal_place(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask where it has to go."""
    goal = graph.goal
    if goal is not None and goal.kind == "place":
        yield from _named_part(graph, rng, goal.destinations)


@single_frame
def goal_articulate(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask whether the door, or the gripper, has to open or close next."""
    goal = single_goal(graph)
    if goal is None or graph.robot is None or goal.satisfied is not False:
        return
    target = graph.by_id.get(goal.targets[0])
    if target is None:
        return
    if goal.kind == "open":
        if target.pixels > 0 and target.word("state") == "closed":
            yield Draft(
                slots={"goal": goal.text, "part": nouns(target.cls)[0][0]},
                answer="open",
                answer_mask=((0, target.id),),
                also=needed(graph, goal),
            )
        return
    held = graph.robot.held == target.id
    if held and goal.kind == "place":
        answer = "open"
    elif is_empty(graph) and graph.robot.opening > OPEN_SHARE:
        answer = "close"
    else:
        return
    if hand_of(graph):
        yield Draft(
            slots={"goal": goal.text, "part": "gripper"},
            answer=answer,
            answer_mask=hand_of(graph),
            also=needed(graph, goal),
        )


@single_frame
def goal_satisfied(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask whether the goal is reached, as often where it is as where it is not."""
    goal = single_goal(graph)
    if goal is None or goal.satisfied is None or min(p.margin for p in goal.predicates) < 1.0:
        return
    if not goal.satisfied and rng.random() < 0.85:  # most frames of an episode are not its end
        return
    mask = tuple(part for part in needed(graph, goal) if part not in hand_of(graph))
    yield Draft(
        slots={"goal": goal.text},
        answer="yes" if goal.satisfied else "no",
        answer_mask=mask,
        also=hand_of(graph),
    )


@single_frame
def distractor_regions(graph: SceneGraph, rng: Rng) -> Iterator[Draft]:
    """Ask which things the goal does not need: all that are seen, if they can be named."""
    goal, scene = single_goal(graph), scene_of(graph)
    if goal is None or len(scene.named) != len(scene.seen):
        return
    wanted = {*goal.targets, *goal.destinations}
    others = [o for o in scene.seen if o.id not in wanted]
    kept = [o for o in scene.seen if o.id in wanted]
    if goal.kind == "open" or not 0 < len(others) <= LISTED or not kept:
        return
    others.sort(key=lambda o: o.centre_px)
    names = [scene.phrase(o, rng) for o in others]
    missing = [nouns(cls)[0][0] for cls in shuffled(absent_classes(scene), rng)[:3]]
    wrong = []
    for other in missing:  # the target instead would be known from the goal's words
        swapped = int(rng.random() * len(names))
        wrong.append(", ".join(other if k == swapped else n for k, n in enumerate(names)))
    yield Draft(
        slots={"goal": goal.text},
        answer=", ".join(names),
        wrong=wrong,
        answer_mask=shown(others),
        also=needed(graph, goal),
    )
