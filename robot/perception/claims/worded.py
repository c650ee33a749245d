"""A vision-language model as a ClaimModel: what it is asked, and how its words become claims.

model = WordedClaims(PretrainedSpeaker.load("Qwen/Qwen2.5-VL-7B-Instruct"), reader)
model = WordedClaims(ServedSpeaker("http://127.0.0.1:8000/v1", model="qwen"), reader)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Any, Protocol

import cv2
import numpy as np
import yaml
from jaxtyping import Bool, UInt8

from robot.instruct.claims import (
    NO_REGION,
    NOTHING,
    Claim,
    answers,
    claim_words,
    names_of,
    sentence,
    topics,
)
from robot.instruct.correct import Verdict
from robot.instruct.wording import vocabulary
from robot.perception.regions.everything import mask_iou
from robot.perception.regions.reader import RegionReader
from robot.types import Frame

Picture = UInt8[np.ndarray, "_ _ 3"]
GRID = 1000  # units of a box in words, across the picture
SAME = 0.7  # IoU from which two masks are one region
OUTLINE = (255, 0, 255)
CUT_MARGIN, CUT_PX = 0.3, 224
END = "END"
_LINE = re.compile(r"^\s*[-*]?\s*(\w+)\s*:\s*([^,\[]+?)\s*,?\s*(\[.*)$")
_BOX = re.compile(r"\[\s*(\d+(?:\.\d+)?(?:\s*,\s*\d+(?:\.\d+)?){3})\s*\]")


class Speaker(Protocol):
    """A model that looks at pictures and speaks."""

    def say(self, pictures: Sequence[Picture], prompt: str, *, most: int) -> str:
        """Return at most `most` tokens in answer to a prompt about pictures."""
        ...

    def yes(self, pictures: Sequence[Picture], prompt: str) -> float:
        """Return the probability of yes, against no, as the answer's first word."""
        ...


@cache
def prompts() -> dict[str, Any]:
    """Return prompts.yaml."""
    text = resources.files("robot.perception.claims").joinpath("prompts.yaml").read_text()
    return yaml.safe_load(text)


class WordedClaims:
    """Claims by asking a speaker; boxes become masks by a region reader."""

    def __init__(self, speaker: Speaker, reader: RegionReader, *, most: int = 512) -> None:
        self.speaker, self.reader, self.most = speaker, reader, most

    def generate(self, frame: Frame, goal: str, accepted: Sequence[Claim]) -> list[Claim]:
        known = vocabulary()
        prompt = prompts()["generate"].format(
            forms="\n".join(prompts()["forms"].values()),
            nouns=", ".join(known["nouns"]),
            colours=", ".join(known["attributes"]["colour"]),
            **_context(goal, accepted),
        )
        text = self.speaker.say([frame.image], prompt, most=self.most)
        return self._claims(frame, text, accepted)

    def answer(
        self, frame: Frame, goal: str, claims: Sequence[Claim], accepted: Sequence[Claim]
    ) -> list[str]:
        names = names_of(accepted)
        words = []
        for claim in claims:
            question = prompts()["questions"][claim.topic].format(
                b=names.get(claim.other_region, "other thing"),
                nouns=vocabulary()["nouns"].get(claim.noun, [["thing", "things"]])[0][1],
            )
            options = [_spoken(word) for word in answers(claim.topic)]
            prompt = prompts()["answer"].format(
                question=question, options=", ".join(options), **_context(goal, accepted)
            )
            said = self.speaker.say(pictures_of(frame, claim), prompt, most=16)
            words.append(_word_in(said, claim.topic))
        return words

    def judge(
        self, frame: Frame, goal: str, claims: Sequence[Claim], accepted: Sequence[Claim]
    ) -> list[Verdict]:
        best = self.answer(frame, goal, claims, accepted)
        names = names_of(accepted)
        verdicts = []
        for claim, word in zip(claims, best, strict=True):
            text = sentence(claim, names)
            prompt = prompts()["judge"].format(sentence=text, **_context(goal, accepted))
            blank = Frame(frame.camera, blanked(frame.image, claim.mask), frame.time_s)
            verdicts.append(
                Verdict(
                    chance=self.speaker.yes(pictures_of(frame, claim), prompt),
                    overlap=self._overlap(frame, claim, text, names),
                    agreement=float(word == claim.word),
                    erased=self.speaker.yes(pictures_of(blank, claim), prompt),
                    best=word,
                    best_chance=1.0,
                )
            )
        return verdicts

    def _overlap(self, frame: Frame, claim: Claim, text: str, names) -> float:
        """Return the IoU of the claim's mask with what the model points at for its words."""
        asked = prompts()["find"].format(sentence=text, a=names.get(claim.region, "object"))
        boxes = list(_boxes(self.speaker.say([frame.image], asked, most=48), frame))
        if not boxes:
            return 0.0
        return mask_iou(self.reader.masks_of(frame, boxes[:1])[0], claim.mask)

    def _claims(self, frame: Frame, text: str, accepted: Sequence[Claim]) -> list[Claim]:
        """Read statements line by line up to END; what is not of a known form is left out."""
        read = list(_statements(text, frame))
        boxes = [box for _, _, _, of in read for box in of]
        masks = iter(self.reader.masks_of(frame, boxes))
        known = {c.region: c.mask for c in accepted}
        claims: list[Claim] = []
        for topic, word, noun, of in read:
            mine = [next(masks) for _ in of]
            if not all(mask.any() for mask in mine):
                continue
            numbers = [_number(mask, known) for mask in mine]
            relation = len(mine) == 2
            claims.append(
                Claim(
                    topic=topic,
                    word=word,
                    region=numbers[0],
                    mask=known[numbers[0]],
                    other_region=numbers[1] if relation else NO_REGION,
                    other=known[numbers[1]] if relation else None,
                    noun=noun,
                )
            )
        said = {c.question: c for c in claims}  # of two answers to a question, the later
        return list(said.values())


def _context(goal: str, accepted: Sequence[Claim]) -> dict[str, str]:
    names = names_of(accepted)
    known = "\n".join(sentence(c, names) for c in accepted)
    return {
        "goal": prompts()["goal"].format(goal=goal) if goal else "",
        "known": prompts()["known"].format(known=known) if known else "",
    }


def _spoken(word: str) -> str:
    if word == NOTHING:
        return prompts()["nothing"]
    return claim_words()["words"].get(word) or vocabulary()["relations"].get(word, word)


def _word_in(said: str, topic: str) -> str:
    """Return the answer that a text begins with, or else holds first; NOTHING without one."""
    text = said.lower()
    found = [(text.find(_spoken(w).lower()), -len(_spoken(w)), w) for w in answers(topic)]
    held = sorted(f for f in found if f[0] >= 0)
    return held[0][2] if held else NOTHING


def _statements(
    text: str, frame: Frame
) -> Iterator[tuple[str, str, str, list[tuple[float, float, float, float]]]]:
    """Yield (topic, word, noun, boxes) of every line of a known form, up to END."""
    for line in text.split(END)[0].splitlines():
        match = _LINE.match(line)
        topic = match[1].lower() if match else ""
        if not match or topic not in topics():
            continue
        word, boxes = match[2].strip().lower(), list(_boxes(match[3], frame))
        noun = NOTHING
        if topic == "count":
            word, _, noun = word.partition(" ")
        relation = "{b}" in topics()[topic]["says"]
        counts = topic != "count" or noun in answers("name")[1:]
        if counts and word in answers(topic)[1:] and len(boxes) == 1 + relation:
            yield topic, word, noun, boxes


def _boxes(text: str, frame: Frame) -> Iterator[tuple[float, float, float, float]]:
    """Yield the boxes of a text [px] that lie within the frame and are not empty."""
    height, width = frame.image.shape[:2]
    for match in _BOX.finditer(text):
        x0, y0, x1, y1 = (float(v) / GRID for v in match[1].split(","))
        box = (
            max(0.0, x0) * width,
            max(0.0, y0) * height,
            min(1.0, x1) * width,
            min(1.0, y1) * height,
        )
        if box[2] - box[0] >= 1 and box[3] - box[1] >= 1:
            yield box


def _number(mask: Bool[np.ndarray, "h w"], known: dict[int, np.ndarray]) -> int:
    """Return the number of a region, a new one where no known mask is the same."""
    for number, other in known.items():
        if mask_iou(mask, other) >= SAME:
            return number
    number = max(known, default=NO_REGION) + 1
    known[number] = mask
    return number


def pictures_of(frame: Frame, claim: Claim) -> list[Picture]:
    """Return the frame with the claim's region outlined, and the region cut out, enlarged."""
    outlined = frame.image.copy()
    edges, _ = cv2.findContours(
        claim.mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(outlined, edges, -1, OUTLINE, 1)
    rows, columns = np.flatnonzero(claim.mask.any(axis=1)), np.flatnonzero(claim.mask.any(axis=0))
    margin = int(CUT_MARGIN * max(len(rows), len(columns))) + 2
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    cut = frame.image[top : rows[-1] + margin + 1, left : columns[-1] + margin + 1]
    scale = CUT_PX / max(cut.shape[:2])
    size = max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale))
    return [outlined, cv2.resize(cut, size, interpolation=cv2.INTER_LINEAR)]


def blanked(image: Picture, mask: Bool[np.ndarray, "h w"]) -> Picture:
    """Return a picture with a region painted over from around it."""
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8))
    return cv2.inpaint(image, wide, 5, cv2.INPAINT_TELEA)
