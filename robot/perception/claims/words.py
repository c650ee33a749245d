"""Words <-> numbers: the answers of all topics in a row, and the tokens of claims and goals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from robot.instruct.claims import NOTHING, Claim, answers, topics
from robot.instruct.wording import vocabulary

TOPICS: tuple[str, ...] = tuple(topics())
OF_ONE = ("name", "colour", "size", "state", "role")  # topics of one region
OF_TWO = ("side", "depth", "support")  # of two; the others are of the whole frame


def _spans() -> dict[str, tuple[int, int]]:
    """Return where each topic's answers stand in the row of all."""
    found, start = {}, 0
    for topic in TOPICS:
        found[topic] = start, start + len(answers(topic))
        start += len(answers(topic))
    return found


SPANS = _spans()
ANSWERS = max(stop for _, stop in SPANS.values())
_HIDDEN = 1 + len(TOPICS)  # "which word?": the answer that is asked for
WORDS = 1 + _HIDDEN  # of the first answer
_NOUNS = WORDS + ANSWERS  # of what is counted, and of a goal's nouns
_COLOURS = _NOUNS + len(answers("name"))  # of a goal's colours
TOKENS = _COLOURS + len(answers("colour"))


def answer_index(topic: str, word: str) -> int:
    """Return where a topic's answer stands in the row of all."""
    return SPANS[topic][0] + answers(topic).index(word)


def answer_at(topic: str, place: int) -> str:
    return answers(topic)[place - SPANS[topic][0]]


def question_tokens(topic: str, noun: str = NOTHING) -> list[int]:
    """Return the tokens of a question whose answer is not shown."""
    return [1 + TOPICS.index(topic), _HIDDEN, _NOUNS + answers("name").index(noun)]


def answered(tokens: Sequence[int], place: int) -> list[int]:
    """Return a question's tokens with the answer at `place` shown."""
    return [tokens[0], WORDS + place, *tokens[2:]]


def context_tokens(about: Sequence[tuple[str, str]]) -> list[int]:
    """Return the tokens of what is accepted of a region: (topic, word) pairs."""
    return [WORDS + answer_index(topic, word) for topic, word in about]


def claim_tokens(claim: Claim, accepted: Sequence[Claim], goal: str, *, shown: bool) -> list[int]:
    """Return the tokens of a claim for a second look, its word `shown` or asked for."""
    tokens = question_tokens(claim.topic, claim.noun)
    if shown:
        tokens = answered(tokens, answer_index(claim.topic, claim.word))
    if claim.topic in ("role", "reached"):
        return tokens + list(goal_tokens(goal))
    mine = [c for c in accepted if c.region == claim.region and c.topic in CONTEXT]
    return tokens + context_tokens([(c.topic, c.word) for c in mine if c.topic != claim.topic])


CONTEXT = ("name", "colour", "size", "state")  # what is accepted of a region and helps with more
MOST_GOALWORDS = 8


@cache
def goal_tokens(text: str) -> tuple[int, ...]:
    """Return the nouns and colours of a goal in their order, whatever they are called there."""
    known = vocabulary()
    nouns = {form: cls for cls, forms in known["nouns"].items() for form in _forms(forms)}
    said = [re.escape(word) for word in (*nouns, *answers("colour")[1:])]
    pattern = rf"\b({'|'.join(sorted(said, key=len)[::-1])})\b"
    tokens = []
    for word in re.findall(pattern, text.lower()):
        if word in nouns:
            tokens.append(_NOUNS + answers("name").index(nouns[word]))
        else:
            tokens.append(_COLOURS + answers("colour").index(word))
    return tuple(tokens[:MOST_GOALWORDS])


def _forms(forms: Sequence[Sequence[str]]) -> list[str]:
    return [form for pair in forms for form in pair]
