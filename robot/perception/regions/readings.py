"""What is said of regions: words, probabilities, relations; and which regions can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from robot.perception.regions.network import Reading
from robot.perception.regions.sentences import caption_of, label_of
from robot.perception.regions.vocabulary import ATTRIBUTES, vocabulary
from robot.types import Frame, InputError, Region

RELATED = 0.5  # probability from which a relation is reported


@dataclass(frozen=True)
class Related:
    """ "`relation` region `other`", such as "left of region 2", with its probability."""

    relation: str
    other: int
    score: float


@dataclass(frozen=True)
class RegionReading:
    """What is said of one region. Words are "" where it is not visible or the word means nothing
    (the size of a table); `scores` are their probabilities by kind ("names", "colours", ...), and
    `score` that of the label.
    """

    region: Region
    visible: bool
    label: str
    caption: str
    words: Mapping[str, str]
    scores: Mapping[str, float]
    relations: tuple[Related, ...]
    score: float

    @property
    def index(self) -> int:
        return self.region.index


@dataclass(frozen=True)
class Look:
    """A frame, encoded, with its regions read: what all questions about them are answered from.
    `readings[k]` is about `regions[k]`.
    """

    frame: Frame
    regions: tuple[Region, ...]
    readings: tuple[RegionReading, ...]
    tokens: Tensor  # (R, dim)
    relations: Tensor  # (R, R, K) probabilities
    offsets_m: Tensor  # (R, R, 3): region i from region j, robot.perception.regions.heads.PairHead

    def position(self, index: int) -> int:
        """Return where region `index` is in `regions`. InputError where it is not."""
        for k, region in enumerate(self.regions):
            if region.index == index:
                return k
        known = ", ".join(str(region.index) for region in self.regions) or "none"
        raise InputError(
            f"got region {index} in the question, expected one of the regions given: {known}; "
            "number them with Region(..., index=k)"
        )


@dataclass(frozen=True)
class Answer:
    """An answer in words, what it rests on, and its probability."""

    text: str
    reason: str
    score: float


def readings_of(regions: Sequence[Region], reading: Reading) -> tuple[RegionReading, ...]:
    """Put logits of one frame into words, those of `regions[k]` into reading k."""
    known = vocabulary()
    chances = {kind: reading.attributes[kind][0].float().softmax(dim=-1) for kind in ATTRIBUTES}
    related = reading.relations[0].float().sigmoid()
    readings = []
    for k, region in enumerate(regions):
        visible = bool(reading.visible[0, k])
        best = {kind: int(chances[kind][k].argmax()) for kind in ATTRIBUTES}
        words = {kind: known.words(kind)[best[kind]] for kind in ATTRIBUTES}
        words = sensible(words) if visible else dict.fromkeys(ATTRIBUTES, "")
        scores = {kind: float(chances[kind][k, best[kind]]) for kind in ATTRIBUTES if words[kind]}
        named = scores.get("names", 0.0) * scores.get("colours", 1.0)
        readings.append(
            RegionReading(
                region=region,
                visible=visible,
                label=label_of(words),
                caption=caption_of(words),
                words=words,
                scores=scores,
                relations=_related(related[k], regions, k) if visible else (),
                score=named,
            )
        )
    return tuple(readings)


def sensible(words: Mapping[str, str]) -> dict[str, str]:
    """Leave out words that mean nothing for what a region is: the size of the table, the state of a
    handle, the colour of the gripper.
    """
    known, kept = vocabulary(), dict(words)
    if words["names"] not in known.held_out:
        kept |= dict.fromkeys(("colours", "materials", "sizes", "states"), "")
    if words["parts"] != "whole":
        kept |= dict.fromkeys(("sizes", "states"), "")
    return kept


def _related(chances: Tensor, regions: Sequence[Region], k: int) -> tuple[Related, ...]:
    phrases = list(vocabulary().relations.values())
    found = [
        Related(phrases[relation], regions[other].index, float(chances[other, relation]))
        for other, relation in (chances > RELATED).nonzero().tolist()
        if other != k
    ]
    return tuple(found)


def check_indices(regions: Sequence[Region]) -> None:
    """Raise InputError where two regions have one index."""
    indices = [region.index for region in regions]
    if len(set(indices)) != len(indices):
        raise InputError(
            f"got regions numbered {indices}, expected each number once; pass Region(..., index=k)"
        )


def check_place(region: Region, frame: Frame) -> None:
    """Raise InputError for a region of another camera, beyond the frame, or whose mask has another
    size.
    """
    height, width = frame.image.shape[:2]
    if region.camera != frame.camera:
        raise InputError(
            f"got region {region.index} in camera {region.camera!r} for a frame of "
            f"{frame.camera!r}, expected regions of that frame; pass those of its camera"
        )
    if region.mask is not None and region.mask.shape != (height, width):
        raise InputError(
            f"got a mask {region.mask.shape} of region {region.index}, expected "
            f"({height}, {width}), the frame's size; draw it on that frame"
        )
    x0, y0, x1, y1 = region.bounds
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        raise InputError(
            f"got region {region.index} at {tuple(round(v) for v in region.bounds)}, outside of "
            f"the frame of {width} x {height} px, expected it inside; give pixels"
        )
