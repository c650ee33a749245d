"""The small claim network as a ClaimModel: regions by segment everything, claims by the network.

model = SmallClaims.load("data/models/claims-...")
corrected(frame, goal, model, one_shot(frame, goal, model), rules)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional as F

from robot.checkpoint import load, resolve_checkpoint
from robot.instruct.claims import NO_REGION, NOTHING, Claim
from robot.instruct.correct import Verdict
from robot.perception.claims.inputs import cut_out, half_size, padded, regions_of
from robot.perception.claims.network import ClaimNetwork, Claims, Second, erased
from robot.perception.claims.words import (
    OF_ONE,
    OF_TWO,
    TOPICS,
    answer_at,
    answer_index,
    claim_tokens,
    goal_tokens,
    question_tokens,
)
from robot.perception.regions.everything import segment_everything
from robot.perception.regions.reader import RegionReader, shipped_reader
from robot.types import Frame

KIND = "claims"
FILE = "claims.safetensors"  # beside other shipped weights of one name
SIDE = 256  # pixels of the pictures that the network was trained on; others are resized
MOST_REGIONS, NEIGHBOURS = 10, 2  # of a frame; of a region, that relations are claimed to
WHOLE = -2  # number of the region that is the whole frame
SURE = 0.5  # probability from which a relation, a role or a state is claimed
NEW = 0.3  # IoU with what is accepted, below which a segment is new
SHOWN = 0.5  # probability of a pixel of a phrase's mask
AROUND = 0.5  # of a box's sides: how far beside it a phrase's mask still counts


class SmallClaims:
    """Generates claims about the things that a reader segments, and judges them."""

    def __init__(self, network: ClaimNetwork, *, reader: RegionReader | None = None) -> None:
        self.network = network.eval()
        self.reader = reader or shipped_reader()

    @classmethod
    def load(cls, name: str | Path, *, reader: RegionReader | None = None) -> SmallClaims:
        network = load(claim_file(name), {KIND: ClaimNetwork})
        assert isinstance(network, ClaimNetwork)
        return cls(network, reader=reader)

    # --- ClaimModel

    @torch.inference_mode()
    def generate(self, frame: Frame, goal: str, accepted: Sequence[Claim]) -> list[Claim]:
        """Return claims about every segment of which nothing is accepted yet."""
        masks = self._new_masks(frame, accepted)
        if not masks:
            return []
        return _First(self, frame, goal, masks).claims(whole=not accepted)

    @torch.inference_mode()
    def answer(
        self, frame: Frame, goal: str, claims: Sequence[Claim], accepted: Sequence[Claim]
    ) -> list[str]:
        second = self._look(frame, goal, claims, accepted, shown=False)
        places = second.answers.argmax(dim=1).tolist()
        return [answer_at(c.topic, place) for c, place in zip(claims, places, strict=True)]

    @torch.inference_mode()
    def judge(
        self, frame: Frame, goal: str, claims: Sequence[Claim], accepted: Sequence[Claim]
    ) -> list[Verdict]:
        if not claims:
            return []
        told = self._look(frame, goal, claims, accepted, shown=True)
        asked = self._look(frame, goal, claims, accepted, shown=False).answers.softmax(dim=1)
        blank = self._look(frame, goal, claims, accepted, shown=True, blank=True).truth.sigmoid()
        overlaps = _overlaps(told.shown.sigmoid() > SHOWN, [coarse(c.mask) for c in claims])
        best_chance, best = asked.max(dim=1)
        return [
            Verdict(
                chance=float(told.truth[k].sigmoid()),
                overlap=overlaps[k],
                agreement=float(asked[k, answer_index(c.topic, c.word)]),
                erased=float(blank[k]),
                best=answer_at(c.topic, int(best[k])),
                best_chance=float(best_chance[k]),
            )
            for k, c in enumerate(claims)
        ]

    # --- what those are made of

    def _new_masks(self, frame: Frame, accepted: Sequence[Claim]) -> dict[int, np.ndarray]:
        """Return the segments, by their number, that show nothing of what is accepted."""
        segments = segment_everything(frame, self.reader, granularities=("object",))
        known = [c.mask for c in accepted if c.topic == "name"]
        found = {k: s.region.mask for k, s in enumerate(segments) if s.region.mask is not None}
        new = {k: m for k, m in found.items() if all(_iou(m, mask) < NEW for mask in known)}
        return dict(list(new.items())[:MOST_REGIONS])

    def _look(
        self,
        frame: Frame,
        goal: str,
        claims: Sequence[Claim],
        accepted: Sequence[Claim],
        *,
        shown: bool,
        blank: bool = False,
    ) -> Second:
        """Encode the frame again for every claim."""
        count = len(claims)
        mine = [coarse(c.mask) for c in claims]
        tails = [
            np.zeros_like(m) if c.other is None else coarse(c.other)
            for m, c in zip(mine, claims, strict=True)
        ]
        regions = regions_of(
            np.stack([np.stack(pair) for pair in zip(mine, tails, strict=True)]),
            valid=np.array([[True, c.other is not None] for c in claims]),
        )
        images, of = picture(frame), torch.zeros(count, dtype=torch.long)
        if blank:  # what claims of one region see is the same
            places = {c.question[1:]: k for k, c in enumerate(claims)}
            order = {question: k for k, question in enumerate(places)}
            wide = F.interpolate(regions.masks[list(places.values()), :1], scale_factor=2.0)
            images = erased(images.expand(len(wide), -1, -1, -1), wide[:, 0] > 0)
            of = torch.tensor([order[c.question[1:]] for c in claims])
        cuts, cut_masks = cut_out(images[of], regions)
        named = [coarse(c.mask) for c in accepted if c.topic == "name"]
        plane = np.any(named, axis=0) if named else np.zeros_like(mine[0])
        texts = [claim_tokens(c, accepted, goal, shown=shown) for c in claims]
        return self.network.correct(
            Claims(
                frames=half_size(images),
                of=of,
                cuts=cuts,
                cut_masks=cut_masks,
                regions=regions,
                accepted=torch.from_numpy(plane.astype(np.float32)).expand(count, -1, -1),
                words=padded(texts),
                topics=torch.tensor([TOPICS.index(c.topic) for c in claims]),
            )
        )


class _First:
    """One look at a frame, and what the network says of its regions without another."""

    def __init__(self, model: SmallClaims, frame: Frame, goal: str, masks: dict[int, np.ndarray]):
        self.network, self.goal = model.network, goal
        self.numbers, self.masks = list(masks), list(masks.values())
        small = [coarse(m) for m in self.masks]
        whole = np.ones_like(small[0])
        self.image = half_size(picture(frame))
        self.regions = regions_of(np.stack([*small, whole])[None])

    def claims(self, *, whole: bool) -> list[Claim]:
        """Return claims about all regions; about the frame as a whole where asked."""
        count = len(self.masks)
        ones = [(topic, k, NO_REGION, NOTHING) for topic in OF_ONE for k in range(count)]
        words, _ = self._ask(ones)
        names = {k: w for (t, k, _, _), w in zip(ones, words, strict=True) if t == "name"}
        there = [k for k in range(count) if names[k] != NOTHING]
        found = [q for q in zip(ones, words, strict=True) if q[0][1] in there]
        pairs = [(topic, a, b, NOTHING) for a, b in self._pairs(there) for topic in OF_TWO]
        related, chances = self._ask(pairs)
        found += [(q, w) for q, w, p in zip(pairs, related, chances, strict=True) if p > SURE]
        if whole:
            nouns = sorted({names[k] for k in there})
            frame = [("count", count, NO_REGION, noun) for noun in nouns]
            frame += [("reached", count, NO_REGION, NOTHING)] if self.goal else []
            found += list(zip(frame, self._ask(frame)[0], strict=True))
        targets = {q[1] for q, word in found if word == "target"}
        return [
            self._claim(q, word, names, targets)
            for q, word in found
            if word != NOTHING and (q[0] != "role" or self.goal)
        ]

    def _ask(self, asked: Sequence[tuple[str, int, int, str]]) -> tuple[list[str], list[float]]:
        """Return the most probable answers and their probabilities."""
        if not asked:
            return [], []
        texts = [
            question_tokens(topic, noun)
            + (list(goal_tokens(self.goal)) if topic in ("role", "reached") else [])
            for topic, _, _, noun in asked
        ]
        rows = torch.tensor([[0, a, b, TOPICS.index(topic)] for topic, a, b, _ in asked])
        logits = self.network.generate(self.image, self.regions, rows, padded(texts))
        best, places = logits.softmax(dim=1).max(dim=1)
        pairs = zip(asked, places.tolist(), strict=True)
        return [answer_at(topic, place) for (topic, *_), place in pairs], best.tolist()

    def _pairs(self, there: Sequence[int]) -> list[tuple[int, int]]:
        """Return each region with its nearest ones."""
        boxes = self.regions.boxes[0]
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        pairs = []
        for a in there:
            others = sorted(
                (k for k in there if k != a), key=lambda k: float((centres[k] - centres[a]).norm())
            )
            pairs += [(a, b) for b in others[:NEIGHBOURS]]
        return pairs

    def _claim(self, question, word: str, names: dict[int, str], targets: set[int]) -> Claim:
        topic, a, b, noun = question
        if a < len(self.masks):
            mask, number = self.masks[a], self.numbers[a]
        else:
            number = WHOLE
            counted = {k for k in names if names[k] == noun}
            chosen = (counted if topic == "count" else targets) or set(names)
            mask = np.any([self.masks[k] for k in chosen], axis=0)
        return Claim(
            topic=topic,
            word=word,
            region=number,
            mask=mask,
            other_region=NO_REGION if b == NO_REGION else self.numbers[b],
            other=None if b == NO_REGION else self.masks[b],
            noun=noun,
        )


def claim_file(name: str | Path) -> Path:
    """Return the checkpoint of a claim network: a path, or beside other shipped weights."""
    found = resolve_checkpoint(name)
    return found / FILE if (found / FILE).is_file() else found


def picture(frame: Frame) -> Tensor:
    """Return a frame as planes (1, 3, SIDE, SIDE), uint8."""
    planes = torch.from_numpy(np.ascontiguousarray(frame.image)).permute(2, 0, 1)[None]
    if planes.shape[2:] == (SIDE, SIDE):
        return planes
    resized = F.interpolate(planes.float(), size=(SIDE, SIDE), mode="bilinear", antialias=True)
    return resized.round().clamp(0, 255).to(torch.uint8)


def coarse(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h2 w2"]:
    """Return a mask at half of SIDE; none vanishes."""
    planes = torch.from_numpy(mask.astype(np.float32))[None, None]
    cover = F.interpolate(planes, size=(SIDE // 2, SIDE // 2), mode="area")[0, 0].numpy()
    return cover >= min(0.4, float(cover.max())) if mask.any() else cover > 1


def _overlaps(shown: Tensor, masks: Sequence[np.ndarray]) -> list[float]:
    """Return the IoU of phrases' masks, as far as they lie near, with claims' masks."""
    given = F.max_pool2d(torch.from_numpy(np.stack(masks).astype(np.float32))[:, None], 2)[:, 0] > 0
    overlaps = []
    for one, other in zip(shown, given, strict=True):
        near = torch.zeros_like(other)
        rows, columns = other.any(dim=1).nonzero(), other.any(dim=0).nonzero()
        if not len(rows):
            overlaps.append(0.0)
            continue
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        high, wide = int(AROUND * (bottom - top)) + 1, int(AROUND * (right - left)) + 1
        near[max(0, top - high) : bottom + high, max(0, left - wide) : right + wide] = True
        both = int((one & near & other).sum())
        overlaps.append(both / max(1, int(((one & near) | other).sum())))
    return overlaps


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))
