"""What a question about regions asks: its kind, its words and the regions that it names, read by
the patterns of questions.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

from robot.perception.regions.vocabulary import vocabulary
from robot.types import InputError

SYNONYMS = {  # of relations, in questions
    "to the left of": "left of",
    "to the right of": "right of",
    "beside": "next to",
    "near": "next to",
    "inside": "on",
    "in": "on",
    "on top of": "on",
    "a part of": "part of",
    "nearer to the camera than": "in front of",
}


@dataclass(frozen=True)
class Question:
    """A question's kind, the words that its pattern found, whether only a word or phrase is wanted
    in answer, and the regions that it names, in order.
    """

    kind: str
    words: Mapping[str, str]
    short: bool
    regions: tuple[int, ...]


@cache
def _patterns() -> dict:
    text = resources.files("robot.perception.regions").joinpath("questions.yaml").read_text()
    return yaml.safe_load(text)


def read_question(question: str) -> Question:
    """Return what a question asks. InputError with examples where that is not known."""
    text = re.sub(r"<\s*(region)\s*(\d+)\s*>", r"\1 \2", question.lower())
    text = re.sub(r"\bregion(\d+)", r"region \1", re.sub(r"[?!.,;]+", " ", text))
    text = re.sub(r"\bregions (\d+)( and| or)? (\d+)", r"region \1 and region \3", text)
    text = re.sub(r"\b(please|can you tell me|tell me whether|what's|the region)\b", _plain, text)
    short, text = _without(text, _patterns()["short"])
    _, text = _without(text, _patterns()["why"])
    text = " ".join(text.split())
    named = tuple(dict.fromkeys(int(k) for k in re.findall(r"region (\d+)", text)))
    text = re.sub(r"^(which .*?)( region \d+,? (and|or) region \d+)$", r"\1", text)
    relations = "|".join(sorted([*vocabulary().relations.values(), *SYNONYMS], key=len)[::-1])
    for kind, pattern in _patterns()["kinds"].items():
        if match := re.fullmatch(pattern.replace("{relations}", relations), text):
            words = {k: v.strip() for k, v in match.groupdict().items() if v}
            return Question(kind, words, short, named)
    raise InputError(
        f"got question {question!r}, expected one such as "
        f"{'; '.join(_patterns()['examples'])}; ask in these words"
    )


def _plain(match: re.Match) -> str:
    return {"what's": "what is", "the region": "region"}.get(match[0], "")


def _without(text: str, patterns: Sequence[str]) -> tuple[bool, str]:
    found = False
    for pattern in patterns:
        text, count = re.subn(rf"\b{pattern}\b", " ", text)
        found = found or count > 0
    return found, text
