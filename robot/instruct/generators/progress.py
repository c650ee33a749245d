"""How far an episode is on the way to its goal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

from robot.instruct.generators.compare import both
from robot.instruct.generators.goals import needed, single_goal
from robot.instruct.generators.grasping import is_empty
from robot.instruct.generators.phrases import nouns, scene_of, shuffled
from robot.instruct.generators.select import choice, image
from robot.instruct.graph import SceneGraph
from robot.instruct.registry import Draft, Rng, multi_frame
from robot.instruct.wording import vocabulary

Graphs = Sequence[SceneGraph]
STAGES = {
    "pick": ("grasp", "lift", "done"),
    "place": ("grasp", "carry", "release", "done"),
    "open": ("open", "done"),
}  # what comes next, by the number of steps that are done


def stage_of(graph: SceneGraph) -> int | None:
    """Return how many steps of the goal are done; None where that is not clear."""
    goal = single_goal(graph)
    if goal is None or goal.satisfied is None or graph.robot is None:
        return None
    if min(p.margin for p in goal.predicates) < 1.0:
        return None
    steps = STAGES[goal.kind]
    if goal.satisfied:
        return len(steps) - 1
    if goal.kind == "open":
        closed = graph.by_id[goal.targets[0]].word("state") == "closed"
        return 0 if closed else None
    held = graph.robot.held == goal.targets[0]
    placed = any(p.name == "placed" and p.holds for p in goal.predicates)
    if is_empty(graph):
        return None if placed else 0
    if not held:
        return None
    return 2 if placed else 1


def _steps(graphs: Graphs) -> list[int | None]:
    return [stage_of(g) for g in graphs]


def _shown(graphs: Graphs, frames: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return what the goal needs, in every image."""
    parts = []
    for k, frame in enumerate(frames):
        goal = graphs[frame].goal
        assert goal is not None
        parts += [(k, i) for _, i in needed(graphs[frame], goal)]
    return tuple(parts)


@multi_frame("times")
def temporal_order(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask for the order of shuffled images, each of which is a step farther than the one before."""
    by_stage: dict[int, int] = {}
    for k, stage in enumerate(_steps(graphs)):
        if stage is None:
            continue
        if by_stage and stage < max(by_stage):
            return  # it went backwards: pictures do not tell which time was which
        by_stage.setdefault(stage, k)
    if len(by_stage) < 2:
        return
    frames = shuffled(list(by_stage.values()), rng)
    order = [image(frames.index(k)) for k in sorted(frames)]
    every = [", ".join(p) for p in permutations(sorted(order))]
    goal = graphs[0].goal
    assert goal is not None
    yield Draft(
        slots={"goal": goal.text},
        answer=", ".join(order),
        wrong=shuffled([text for text in every if text != ", ".join(order)], rng)[:3],
        also=_shown(graphs, frames),
        frames=tuple(frames),
    )


@multi_frame("times")
def goal_progress(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask which of two images, in any order, is farther on the way to the goal."""
    chosen = both(graphs, rng)
    if chosen is None:
        return
    frames = tuple(shuffled(chosen, rng))
    stages = [stage_of(graphs[k]) for k in frames]
    goal = graphs[0].goal
    if goal is None or stages[0] is None or stages[1] is None or stages[0] == stages[1]:
        return
    best = int(stages[1] > stages[0])
    yield Draft(
        slots={"goal": goal.text},
        answer=image(best),
        wrong=[image(1 - best)],
        answer_mask=tuple((k, i) for k, i in _shown(graphs, frames) if k == best),
        also=_shown(graphs, frames),
        frames=frames,
        margin=float(abs(stages[1] - stages[0])),
        unit="1",
    )


@multi_frame("times")
def next_subtask(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask what comes next after the last of the images."""
    if len(graphs) < 2:
        return
    frames = both(graphs, rng)
    assert frames is not None
    last = graphs[frames[1]]
    stage, goal = stage_of(last), last.goal
    if stage is None or goal is None:
        return
    names = {
        "target": nouns(last.by_id[goal.targets[0]].cls)[0][0],
        "destination": nouns(last.by_id[goal.destinations[0]].cls)[0][0]
        if goal.destinations
        else "",
    }
    steps = STAGES[goal.kind]
    texts = {step: vocabulary()["subtasks"][step].format_map(names) for step in steps}
    yield Draft(
        slots={"goal": goal.text, "last": "2"},
        answer=texts[steps[stage]],
        wrong=shuffled([texts[step] for step in steps if step != steps[stage]], rng),
        answer_mask=tuple((1, i) for _, i in needed(last, goal)),
        frames=frames,
    )


@multi_frame("episodes")
def which_episode_matches_instruction(graphs: Graphs, rng: Rng) -> Iterator[Draft]:
    """Ask to which image an instruction belongs: only there is what it names."""
    scenes = [scene_of(g) for g in graphs]
    if len(scenes) < 2:
        return
    for k, graph in enumerate(graphs):
        goal = single_goal(graph)
        if goal is None or goal.targets[0] not in scenes[k].phrases:
            continue
        target = graph.by_id[goal.targets[0]]
        phrase = scenes[k].phrases[target.id][-1]  # with its colour where it has one
        if any(s.fitting(phrase) != [] for j, s in enumerate(scenes) if j != k):
            continue
        yield choice(
            scenes,
            k,
            slots={"goal": goal.text},
            answer_mask=((k, target.id),),
            also=tuple((k, i) for _, i in needed(graph, goal)),
            rng=rng,
        )
