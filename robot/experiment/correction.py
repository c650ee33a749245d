"""How many false claims correction removes from frames whose truth is hidden, and what it costs.

Every variant starts from the same generated claims. The simulator's graph is asked afterwards, for
the score alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from robot.envs.make import EnvOptions, make_env
from robot.instruct.build import build_graph
from robot.instruct.claims import Claim, holds
from robot.instruct.correct import (
    ClaimModel,
    Correction,
    Rules,
    corrected,
    one_shot,
    regenerated,
    verified,
)
from robot.instruct.graph import SceneGraph
from robot.rollout.episode_looks import episode_looks
from robot.rollout.generate import Staged
from robot.types import Frame

VARIANTS = ("one shot", "regenerated (VIGC)", "verified or dropped", "corrected")


@dataclass(frozen=True, eq=False)
class HiddenFrame:
    """What a model sees, and the graph that it does not."""

    frame: Frame
    goal: str
    graph: SceneGraph


@dataclass
class Score:
    """Counts of one variant: claims that are true, false, and a matter of taste; of the generated
    ones that are true, how many are kept.
    """

    true: int = 0
    false: int = 0
    unknown: int = 0
    kept: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)  # "exists true", "exists false", ...


@dataclass
class Measured:
    """One model on all frames."""

    scores: dict[str, Score]
    frames: int = 0
    fixed: int = 0
    rounds: Counter[int] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, kw_only=True)
class VariantFigures:
    """What the claims of one variant are, and what became of those that were generated."""

    claims: int
    true: int
    false: int
    unknown: int  # a matter of taste
    false_share: float  # of those that are true or false
    false_cut: float  # of the generated false ones
    true_kept: float  # of the generated true ones
    by_kind: Mapping[str, int]  # "exists true", "exists false", ...


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one model reached on all frames; `results.json` holds it by these names."""

    variants: Mapping[str, VariantFigures]
    frames: int
    fixed_point: float  # share of the frames on which a further round changed nothing
    rounds: Mapping[str, int]  # frames by the number of rounds they took
    actions: Mapping[str, int]  # what was done to claims: accepted, substituted, dropped, ...


def hidden_frames(
    tasks: Sequence[Staged], *, episodes: int, looks: int, seed: int, image_size: int
) -> list[HiddenFrame]:
    """Return frames of expert episodes, all cameras."""
    frames = []
    for task in tasks:
        env = make_env(task.task, EnvOptions(backend=task.backend, image_size=image_size))
        for k in range(episodes):
            episode = episode_looks(
                env, seed=seed, index=k, scene=task.scene, looks=looks, backend=task.backend
            )
            for raw in (raw for look in episode for raw in look):
                assert raw.image is not None
                goal = "" if raw.goal is None else raw.goal.text
                frame = Frame(raw.camera, raw.image, raw.time_s)
                frames.append(HiddenFrame(frame, goal, build_graph(raw)))
        env.close()
    return frames


def measure_correction(
    model: ClaimModel,
    frames: Sequence[HiddenFrame],
    rules: Rules,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Let a model generate and correct claims about frames; score every variant."""
    measured = Measured({name: Score() for name in VARIANTS})
    for k, hidden in enumerate(frames, start=1):
        claims = one_shot(hidden.frame, hidden.goal, model)
        result = corrected(hidden.frame, hidden.goal, model, claims, rules)
        variants = {
            "one shot": claims,
            "regenerated (VIGC)": regenerated(hidden.frame, hidden.goal, model, claims),
            "verified or dropped": verified(hidden.frame, hidden.goal, model, claims, rules),
            "corrected": result.claims,
        }
        true = {(c.question, c.word) for c in claims if holds(c, hidden.graph)}
        for name, given in variants.items():
            _count(measured.scores[name], given, hidden.graph, true)
        _note(measured, result)
        if progress is not None:
            progress(k, len(frames))
    return measured


def _count(score: Score, claims: Sequence[Claim], graph: SceneGraph, true: set) -> None:
    for claim in claims:
        truth = holds(claim, graph)
        if truth is None:
            score.unknown += 1
            continue
        score.true += truth
        score.false += not truth
        score.by_kind[f"{claim.kind} {'true' if truth else 'false'}"] += 1
        score.kept += (claim.question, claim.word) in true


def _note(measured: Measured, result: Correction) -> None:
    measured.frames += 1
    measured.fixed += result.fixed
    measured.rounds[result.rounds] += 1
    measured.actions.update(edit.action for edit in result.edits)


def figures(measured: Measured) -> Figures:
    """Return what the counts of a model say."""
    before = measured.scores["one shot"]
    return Figures(
        variants={
            name: VariantFigures(
                claims=s.true + s.false + s.unknown,
                true=s.true,
                false=s.false,
                unknown=s.unknown,
                false_share=s.false / max(1, s.true + s.false),
                false_cut=1 - s.false / max(1, before.false),
                true_kept=s.kept / max(1, before.true),
                by_kind=dict(sorted(s.by_kind.items())),
            )
            for name, s in measured.scores.items()
        },
        frames=measured.frames,
        fixed_point=measured.fixed / max(1, measured.frames),
        rounds={str(k): n for k, n in sorted(measured.rounds.items())},
        actions=dict(measured.actions),
    )
