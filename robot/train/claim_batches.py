"""Claim frames -> mixed batches: questions about regions, and some of them asked again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from robot.data.claim_frames import UNKNOWN, ClaimFrames
from robot.instruct.claims import answers
from robot.perception.claims.inputs import cut_out, half_size, padded, regions_of
from robot.perception.claims.losses import ALWAYS, ClaimBatch
from robot.perception.claims.network import Claims, erased
from robot.perception.claims.words import (
    CONTEXT,
    OF_ONE,
    OF_TWO,
    SPANS,
    TOPICS,
    answer_at,
    answer_index,
    context_tokens,
    goal_tokens,
    question_tokens,
)
from robot.perception.compose.augment import colour_maps
from robot.perception.compose.light import Photometric
from robot.train.by_step import ByStep

QUESTIONS = 28  # of a frame, at most
PAIRS_SHARE, FRAME_QUESTIONS = 0.35, 5  # of the questions are of two regions; of the whole frame
SECOND_LOOKS = 4  # of a frame
BLANK_SHARE = 0.08
ACCEPTED_SHARE, WRONG_SHARE = 0.5, 0.12  # of what is known; of that, what is wrong
LIGHT = Photometric(brightness=0.1, contrast=0.1, saturation=0.1, tint=0.03, offset=0.02)


@dataclass(frozen=True)
class Asked:
    """A question with its true answer; a tail of -1 is none."""

    topic: str
    region: int
    tail: int
    answer: int
    noun: str = ""


def claim_batches(frames: ClaimFrames, *, batch_size: int, seed: int) -> ByStep[ClaimBatch]:
    """Return batches as a function of the first step; that of a step depends on (seed, step)."""

    def make(step: int) -> ClaimBatch:
        rng = np.random.default_rng([seed, step])
        chosen = rng.integers(len(frames), size=batch_size).tolist()
        return batch_of(frames, chosen, rng=rng)

    return ByStep(make)


def batch_of(frames: ClaimFrames, chosen: Sequence[int], *, rng: np.random.Generator) -> ClaimBatch:
    """Return the batch of some frames."""
    masks = np.stack([frames.masks_of(k) for k in chosen])
    questions = [questions_of(frames, k, rng=rng) for k in chosen]
    second = [
        rng.permutation(len(asked))[:SECOND_LOOKS].tolist() for asked in questions
    ]  # of each frame
    images = _lit(frames.images[np.array(chosen)], rng=rng)
    small = half_size(images)
    # the last region of a frame is all of it: what questions of the whole frame are asked about
    whole = np.ones((len(chosen), 1, *masks.shape[2:]), bool)
    regions = regions_of(np.concatenate([masks, whole], axis=1))
    flat = [(f, q) for f, of in enumerate(questions) for q in of]
    starts = np.cumsum([0, *(len(of) for of in questions)])
    again = [(f, questions[f][j]) for f, picked in enumerate(second) for j in picked]
    asked = [[f, q.region, q.tail, TOPICS.index(q.topic)] for f, q in flat]
    goals = [str(frames.goals[k]) for k in chosen]
    return ClaimBatch(
        frames=small,
        regions=regions,
        asked=torch.tensor(asked),
        words=padded([_first_words(q, goals[f]) for f, q in flat]),
        answers=torch.tensor([q.answer for _, q in flat]),
        of=torch.tensor([int(starts[f]) + j for f, picked in enumerate(second) for j in picked]),
        **_second_looks(frames, chosen, masks, images, small, again, goals, rng=rng),
    )


def _lit(images: np.ndarray, *, rng: np.random.Generator) -> Tensor:
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    planes = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    matrix, shift = colour_maps(LIGHT, len(planes), generator)
    lit = torch.baddbmm(shift, matrix, planes.flatten(2).float() / 255).view(planes.shape)
    return (lit.clamp(0, 1) * 255).to(torch.uint8)


def _first_words(asked: Asked, goal: str) -> list[int]:
    tokens = question_tokens(asked.topic, asked.noun)
    return tokens + list(goal_tokens(goal)) if asked.topic in ("role", "reached") else tokens


# --- questions


def questions_of(frames: ClaimFrames, frame: int, *, rng: np.random.Generator) -> list[Asked]:
    """Draw questions about a frame whose answers are known, of every topic as it occurs."""
    valid = np.flatnonzero(frames.valid[frame])
    of_one = [
        Asked(topic, int(k), -1, int(frames.answers[frame, k, t]))
        for k in valid
        for t, topic in enumerate(OF_ONE)
        if frames.answers[frame, k, t] != UNKNOWN
    ]
    of_two = [
        Asked(topic, int(k), int(j), int(frames.relations[frame, k, j, t]))
        for k in valid
        for j in valid
        for t, topic in enumerate(OF_TWO)
        if frames.relations[frame, k, j, t] != UNKNOWN
    ]
    pairs = _evenly(of_two, round(PAIRS_SHARE * QUESTIONS), rng=rng)
    whole = _of_frame(frames, frame, rng=rng)
    ones = _evenly(of_one, QUESTIONS - len(pairs) - len(whole), rng=rng)
    return [*ones, *pairs, *whole]


def _evenly(asked: Sequence[Asked], count: int, *, rng: np.random.Generator) -> list[Asked]:
    """Draw questions, those with a rare answer (to their topic, in this frame) more often."""
    if not asked:
        return []
    places = np.array([q.answer for q in asked])
    weights = 1 / np.bincount(places)[places]
    size = min(count, len(asked))
    chosen = rng.choice(len(asked), size=size, replace=False, p=weights / weights.sum())
    return [asked[k] for k in chosen]


def _of_frame(frames: ClaimFrames, frame: int, *, rng: np.random.Generator) -> list[Asked]:
    region = frames.masks.shape[1]  # the whole frame
    there = np.flatnonzero(frames.counts[frame] > SPANS["count"][0])
    absent = np.flatnonzero(frames.counts[frame] == SPANS["count"][0])
    chosen = [*rng.permutation(there)[: FRAME_QUESTIONS - 2], *rng.permutation(absent)[:1]]
    nouns = answers("name")[1:]
    found = [Asked("count", region, -1, int(frames.counts[frame, k]), nouns[k]) for k in chosen]
    if frames.reached[frame] != UNKNOWN:
        found.append(Asked("reached", region, -1, int(frames.reached[frame])))
    return found


# --- second looks


def _second_looks(
    frames: ClaimFrames,
    chosen: Sequence[int],
    masks: np.ndarray,
    images: Tensor,
    small: Tensor,
    again: Sequence[tuple[int, Asked]],
    goals: Sequence[str],
    *,
    rng: np.random.Generator,
) -> dict:
    """Return the fields of a batch that belong to the second looks."""
    mine = [_region_mask(frames, chosen[f], masks[f], q, rng=rng) for f, q in again]
    empty = np.zeros(masks.shape[2:], bool)
    tails = [masks[f, q.tail] if q.tail >= 0 else empty for f, q in again]
    pairs = np.stack([np.stack(pair) for pair in zip(mine, tails, strict=True)])
    regions = regions_of(pairs, valid=np.array([[True, q.tail >= 0] for _, q in again]))
    of = torch.tensor([f for f, _ in again])
    blank = torch.from_numpy(rng.random(len(again)) < BLANK_SHARE)
    blank &= torch.tensor([q.topic in OF_ONE for _, q in again])
    large = images[of]
    if blank.any():
        wide = F.interpolate(regions.masks[blank, :1], scale_factor=2.0)[:, 0] > 0
        large[blank] = erased(large[blank], wide)
        small = torch.cat([small, half_size(large[blank])])
        of[blank] = torch.arange(len(images), len(small))
    cuts, cut_masks = cut_out(large, regions)
    texts = [_second_words(frames, chosen[f], q, goals[f], rng=rng) for f, q in again]
    accepted = np.stack([_accepted(masks[f], frames.valid[chosen[f]], rng=rng) for f, _ in again])
    things = [np.flatnonzero(frames.objects[k]) for k in chosen]
    most = max(1, *(len(t) for t in things))
    fits = np.full((len(again), most), UNKNOWN, np.int64)
    objects = np.zeros((len(again), most, masks.shape[2] // 2, masks.shape[3] // 2), np.float32)
    coarse = F.max_pool2d(torch.from_numpy(masks.astype(np.float32)), 2).numpy()
    for n, (f, q) in enumerate(again):
        fits[n, : len(things[f])] = _fits(frames, chosen[f], q, things[f])
        objects[n, : len(things[f])] = coarse[f, things[f]]
    return {
        "second": Claims(
            frames=small,
            of=of,
            cuts=cuts,
            cut_masks=cut_masks,
            regions=regions,
            accepted=torch.from_numpy(accepted.astype(np.float32)),
            words=padded(texts),
            topics=torch.tensor([TOPICS.index(q.topic) for _, q in again]),
        ),
        "blank": blank,
        "fits": torch.from_numpy(fits),
        "objects": torch.from_numpy(objects),
    }


def _region_mask(
    frames: ClaimFrames, frame: int, masks: np.ndarray, asked: Asked, *, rng: np.random.Generator
) -> np.ndarray:
    """Return what a question is about: of a count, all of the kind, not always all right; of
    whether the goal is reached, its target; else one region.
    """
    if asked.region < len(masks):
        return masks[asked.region]
    names = frames.answers[frame, :, OF_ONE.index("name")]
    roles = frames.answers[frame, :, OF_ONE.index("role")]
    if asked.topic == "reached":
        mine = frames.objects[frame] & (roles == answer_index("role", "target"))
    else:
        mine = frames.objects[frame] & (names == answer_index("name", asked.noun))
        if rng.random() < 0.3:
            mine ^= frames.valid[frame] & (rng.random(len(mine)) < 1 / max(1, mine.size))
            mine ^= frames.objects[frame] & (rng.random(len(mine)) < 0.15)
    return masks[mine].any(axis=0)


def _second_words(
    frames: ClaimFrames, frame: int, asked: Asked, goal: str, *, rng: np.random.Generator
) -> list[int]:
    """Return the tokens of a question, its answer not shown, with some of what is known."""
    tokens = question_tokens(asked.topic, asked.noun)
    if asked.topic in ("role", "reached"):
        return tokens + list(goal_tokens(goal))
    known = []
    for topic in CONTEXT if asked.region < frames.masks.shape[1] else ():
        place = int(frames.answers[frame, asked.region, OF_ONE.index(topic)])
        if topic == asked.topic or place == UNKNOWN or rng.random() > ACCEPTED_SHARE:
            continue
        if rng.random() < WRONG_SHARE:
            place = int(rng.integers(*SPANS[topic]))
        if place != SPANS[topic][0]:
            known.append((topic, answer_at(topic, place)))
    return tokens + context_tokens(known)


def _accepted(masks: np.ndarray, valid: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    chosen = valid & (rng.random(len(valid)) < ACCEPTED_SHARE * (rng.random() < 0.7))
    return masks[chosen].any(axis=0)


def _fits(frames: ClaimFrames, frame: int, asked: Asked, things: np.ndarray) -> np.ndarray:
    """Return the true answer to a question for each object in the region's place."""
    if asked.topic in OF_ONE:
        return frames.answers[frame, things, OF_ONE.index(asked.topic)]
    if asked.topic in OF_TWO:
        known = frames.relations[frame, things, asked.tail, OF_TWO.index(asked.topic)].copy()
        return known
    topic, word = ("name", asked.noun) if asked.topic == "count" else ("role", "target")
    known = frames.answers[frame, things, OF_ONE.index(topic)]
    return np.where(known == answer_index(topic, word), ALWAYS, UNKNOWN - 2)
