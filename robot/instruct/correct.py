"""Generate, then correct: claims about a frame without truth, verified one by one.

A model (ours, a pretrained one, a server's) generates claims and judges them; what is done with its
verdicts is here, the same for all. VIGC (arXiv 2308.12714) discards answers and writes them again
under refreshed conditioning (`regenerated`), which verifies nothing; `corrected` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from robot.instruct.claims import NOTHING, Claim, names_of, sentence, topics
from robot.types import Frame


@dataclass(frozen=True)
class Verdict:
    """What a model says of a claim on a second look, conditioned on it and on what is accepted.

    `chance` is P(true); `overlap` the IoU of the claim's mask with the mask of its phrase;
    `agreement` the probability of its word when only the question is asked; `erased` P(true) with
    the region blanked; `best` the most probable word, and `best_chance` its probability.
    """

    chance: float
    overlap: float
    agreement: float
    erased: float
    best: str
    best_chance: float


class ClaimModel(Protocol):
    """What generates and judges claims."""

    def generate(self, frame: Frame, goal: str, accepted: Sequence[Claim]) -> list[Claim]:
        """Return claims that go on from those accepted; none is the end token."""
        ...

    def answer(
        self, frame: Frame, goal: str, claims: Sequence[Claim], accepted: Sequence[Claim]
    ) -> list[str]:
        """Return the words that the model gives to the claims' questions, without seeing theirs."""
        ...

    def judge(
        self, frame: Frame, goal: str, claims: Sequence[Claim], accepted: Sequence[Claim]
    ) -> list[Verdict]:
        """Return a verdict on each claim."""
        ...


@dataclass(frozen=True)
class Rules:
    """What a claim has to pass, and how long is tried. Once accepted it stays with `slack` times
    as much: what is only just good enough must not come and go.
    """

    least_chance: float
    least_overlap: float
    least_agreement: float
    least_fall: float  # of P(true) when the region is blanked
    slack: float
    rounds: int


@dataclass(frozen=True)
class Edit:
    """One entry of the log: what was done to a claim, why, and in which round."""

    round: int
    action: str  # accept, substitute, drop, withdraw
    claim: str
    became: str = ""
    failed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Correction:
    """What is left with its P(true), how it came about, and whether another round would change
    anything.
    """

    claims: tuple[Claim, ...]
    chances: tuple[float, ...]
    edits: tuple[Edit, ...]
    rounds: int
    fixed: bool


def failed_tests(verdict: Verdict, rules: Rules, *, slack: float = 1.0) -> tuple[str, ...]:
    """Return the names of the tests that a claim fails."""
    tests = {
        "chance": verdict.chance >= slack * rules.least_chance,
        "overlap": verdict.overlap >= slack * rules.least_overlap,
        "agreement": verdict.agreement >= slack * rules.least_agreement,
        "erasure": verdict.chance - verdict.erased >= slack * rules.least_fall,
    }
    return tuple(name for name, passed in tests.items() if not passed)


def one_shot(frame: Frame, goal: str, model: ClaimModel) -> tuple[Claim, ...]:
    """Return what the model generates."""
    return tuple(model.generate(frame, goal, ()))


def regenerated(
    frame: Frame, goal: str, model: ClaimModel, claims: Sequence[Claim]
) -> tuple[Claim, ...]:
    """Discard all answers and write them again, topic by topic, in the light of those before."""
    kept: list[Claim] = []
    for topic in topics():
        mine = [c for c in claims if c.topic == topic]
        words = model.answer(frame, goal, mine, kept) if mine else []
        kept += [replace(c, word=w) for c, w in zip(mine, words, strict=True) if w != NOTHING]
    return tuple(kept)


def verified(
    frame: Frame, goal: str, model: ClaimModel, claims: Sequence[Claim], rules: Rules
) -> tuple[Claim, ...]:
    """Drop what fails a test; change nothing."""
    verdicts = model.judge(frame, goal, claims, ())
    pairs = zip(claims, verdicts, strict=True)
    return tuple(c for c, verdict in pairs if not failed_tests(verdict, rules))


def corrected(
    frame: Frame, goal: str, model: ClaimModel, claims: Sequence[Claim], rules: Rules
) -> Correction:
    """Accept, substitute or drop every claim; judge what is accepted again in the light of it, and
    go on from it, until nothing changes or `rules.rounds` are over.
    """
    accepted: tuple[Claim, ...] = ()
    chances: tuple[float, ...] = ()
    pending, asked = list(claims), {c.question for c in claims}
    log: list[Edit] = []
    for number in range(1, rules.rounds + 1):
        before = {(c.question, c.word) for c in accepted}
        stay = _judged(frame, goal, model, accepted, accepted, rules, slack=rules.slack)
        come = _judged(frame, goal, model, pending, accepted, rules, slack=1.0)
        names = names_of([*pending, *accepted])
        log += _edits(accepted, stay, number, names, new=False)
        log += _edits(pending, come, number, names, new=True)
        kept = [(c, chance) for c, chance, _ in (*stay, *come) if c is not None]
        accepted = tuple(c for c, _ in kept)
        chances = tuple(chance for _, chance in kept)
        more = model.generate(frame, goal, accepted)
        pending = [c for c in more if c.question not in asked]
        asked |= {c.question for c in pending}
        if not pending and {(c.question, c.word) for c in accepted} == before:
            return Correction(accepted, chances, tuple(log), number, fixed=True)
    return Correction(accepted, chances, tuple(log), rules.rounds, fixed=False)


# what a claim became, P(true) of that, and which tests it failed
Judged = tuple[Claim | None, float, tuple[str, ...]]


def _judged(
    frame: Frame,
    goal: str,
    model: ClaimModel,
    claims: Sequence[Claim],
    accepted: Sequence[Claim],
    rules: Rules,
    *,
    slack: float,
) -> list[Judged]:
    """Return each claim, its best substitute that passes, or None, and the tests it failed."""
    if not claims:
        return []
    verdicts = model.judge(frame, goal, claims, accepted)
    failed = [failed_tests(v, rules, slack=slack) for v in verdicts]
    others = [
        replace(c, word=v.best)
        for c, v, f in zip(claims, verdicts, failed, strict=True)
        if f and v.best not in (c.word, NOTHING)
    ]
    again = model.judge(frame, goal, others, accepted) if others else []
    passed = {
        o.question: (o, v.chance)
        for o, v in zip(others, again, strict=True)
        if not failed_tests(v, rules)  # a substitute has to be as good as what is new
    }
    judged: list[Judged] = []
    for claim, verdict, tests in zip(claims, verdicts, failed, strict=True):
        kept = passed.get(claim.question, (None, 0.0)) if tests else (claim, verdict.chance)
        judged.append((kept[0], kept[1], tests))
    return judged


def _edits(
    claims: Sequence[Claim], judged: Sequence[Judged], number: int, names, *, new: bool
) -> list[Edit]:
    edits = []
    for claim, (became, _, failed) in zip(claims, judged, strict=True):
        text = sentence(claim, names)
        if became is claim and new:
            edits.append(Edit(number, "accept", text))
        elif became is None:
            edits.append(Edit(number, "drop" if new else "withdraw", text, failed=failed))
        elif became is not claim:
            edits.append(Edit(number, "substitute", text, sentence(became, names), failed))
    return edits
