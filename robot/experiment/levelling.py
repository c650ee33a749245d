"""What was not equal between the arms of a comparison, and what success is worth nothing: said
first, so that nobody has to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from robot.envs.registry import TABLETOP
from robot.envs.tabletop.chance import chance
from robot.experiment.arms import Arm
from robot.experiment.config import Common
from robot.report.headline import percent


def unequal(arms: Sequence[Arm], common: Common) -> str:
    """Say in one line what the arms did not have alike, and which had what."""
    questions: dict[str, Callable[[Arm], str]] = {
        "labels of pixels": labels_of,
        "demonstrations": lambda arm: f"{round(sum(common.data.tiers) * arm.episodes):,}",
        "steps of the policy": lambda arm: f"{round(common.train.steps * arm.steps):,}",
    }
    answers = {what: _by_answer(arms, of) for what, of in questions.items()}
    clauses = [_clause(what, found) for what, found in answers.items() if len(found) > 1]
    if not clauses:
        return "Equal: labels, demonstrations and steps." if len(arms) > 1 else ""
    return f"Not equal: {'; '.join(clauses)}."


def _clause(what: str, found: Mapping[str, Sequence[str]]) -> str:
    held = "; ".join(f"{answer}: {', '.join(names)}" for answer, names in found.items())
    return f"{what} ({held})"


def labels_of(arm: Arm) -> str:
    """Say which labels of pixels an arm, or the mask head that it sees through, learned from."""
    if arm.perception == "oracle":
        return "the simulator's, in the test too"
    if arm.shares_head or (arm.grounding and arm.grounding.frame_steps):
        return "mask frames"
    if arm.own_head or arm.grounding or arm.augment.backgrounds:
        return "beside the demonstrations"
    return "none"


def _by_answer(arms: Sequence[Arm], of: Callable[[Arm], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for arm in arms:
        found.setdefault(of(arm), []).append(arm.name)
    return found


def chance_line(common: Common) -> str:
    """Say how often a hand that ignores the sentence would be right on the same initial states; ""
    where no task can tell.
    """
    evaluation, found = common.evaluation, []
    for task in (task for task in evaluation.tasks if task in TABLETOP):
        for scene in evaluation.scenes:
            rate = chance(
                task=task, scene=scene, seed=evaluation.seed, episodes=evaluation.episodes
            )
            if rate is not None:
                found.append(f"{percent(rate)} in “{scene}”")
    if not found:
        return ""
    return f"By chance: a hand that ignores the sentence is right {', '.join(found)}."
