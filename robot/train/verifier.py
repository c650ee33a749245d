"""Train the verifier on staged looks: things cut out of frames, and phrases that name them or name
something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from robot.checkpoint import save
from robot.data.scene_looks import FIRST_OBJECT, SceneLooks, SceneLookStore, SeenObject
from robot.language import LanguageEncoder
from robot.perception.compose.augment import colour_maps
from robot.perception.compose.light import DEFAULT
from robot.perception.head.metrics import auroc
from robot.perception.regions.verify import (
    FILE_NAME,
    KIND,
    SMALLEST_PX,
    Verifier,
    cutout,
    mean_words,
)
from robot.train.by_step import ByStep
from robot.train.loop import Log, Training, train_seeded
from robot.train.region_batches import wobbled
from robot.train.region_head import split_looks
from robot.words.reader import GoalReader

VOCABULARY = "tabletop"
NOTHING = -1  # of phrases: nothing in the vocabulary names it
NO_SHARE = 0.5  # of the samples
NEAR_SHARE = 0.6  # of the wrong phrases share the shape or the colour
BARE_SHARE = 0.08  # of as many cut-outs as there are objects show none
NOISE = 0.02


@dataclass(frozen=True)
class Cutouts:
    """Things cut out of looks; `phrases` is the index of what names each, or NOTHING."""

    planes: UInt8[np.ndarray, "n 4 32 32"]
    phrases: Int[np.ndarray, " n"]
    shapes: tuple[str, ...]


@dataclass(frozen=True)
class VerifierBatch:
    """Cut-outs, words, and 1 where they belong together."""

    cutouts: UInt8[Tensor, "b 4 32 32"]
    words: Float[Tensor, "b 384"]
    yes: Float[Tensor, " b"]

    def to(self, device: torch.device | str) -> Self:
        return type(self)(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


class _Trained(nn.Module):
    """The verifier with its loss."""

    def __init__(self, verifier: Verifier) -> None:
        super().__init__()
        self.verifier = verifier

    def loss(
        self, batch: VerifierBatch, generator: torch.Generator | None = None
    ) -> Float[Tensor, " b"]:
        del generator
        logits = self.verifier(batch.cutouts, batch.words).float()
        return F.binary_cross_entropy_with_logits(logits, batch.yes, reduction="none")


def vocabulary_phrases(name: str = VOCABULARY) -> list[tuple[str, str]]:
    """Return (noun, colour) of every target that a vocabulary names."""
    vocabulary = GoalReader.of(name).vocabulary
    assert vocabulary is not None
    return [(named.noun, colour) for named in vocabulary.targets for colour in named.colours]


def cutouts_of(looks: SceneLooks, phrases: Sequence[tuple[str, str]], *, seed: int) -> Cutouts:
    """Cut every visible object out of every look, and some bare places."""
    rng = np.random.default_rng(seed)
    found: list[tuple[np.ndarray, int, str]] = []
    for k, objects in enumerate(looks.objects):
        for image, instances in zip(looks.images[k], looks.instances[k], strict=True):
            for number, thing in enumerate(objects):
                mask, phrase = instances == FIRST_OBJECT + number, _phrase_of(thing, phrases)
                if phrase is not None and mask.sum() >= SMALLEST_PX:
                    imperfect = wobbled(mask, rng=rng) > 0
                    shown = imperfect if imperfect.any() else mask
                    found.append((cutout(image, shown), phrase, thing.shape))
            bare = _bare_place(instances, rng=rng)
            if rng.random() < BARE_SHARE * len(objects) and bare.sum() >= SMALLEST_PX:
                found.append((cutout(image, bare), NOTHING, ""))
    planes, names, shapes = zip(*found, strict=True)
    return Cutouts(np.stack(planes), np.array(names), tuple(shapes))


def _bare_place(
    instances: UInt8[np.ndarray, "h w"], *, rng: np.random.Generator
) -> Bool[np.ndarray, "h w"]:
    """Return a rectangle of table or hand."""
    height, width = instances.shape
    down, right = rng.integers(6, 24, 2)
    y, x = rng.integers(0, height - 24), rng.integers(0, width - 24)
    place = np.zeros(instances.shape, bool)
    place[y : y + down, x : x + right] = True
    return place & (instances < FIRST_OBJECT)


def _phrase_of(thing: SeenObject, phrases: Sequence[tuple[str, str]]) -> int | None:
    """Return which phrase names a thing, NOTHING where none does, None where that is open: a shape
    of the vocabulary in a colour without a name.
    """
    if (thing.shape, thing.colour) in phrases:
        return phrases.index((thing.shape, thing.colour or ""))
    open_ = thing.colour is None and thing.shape in {noun for noun, _ in phrases}
    return None if open_ else NOTHING


def verifier_batches(
    cutouts: Cutouts,
    words: Float[Tensor, "p 384"],
    phrases: Sequence[tuple[str, str]],
    *,
    batch_size: int,
    seed: int,
) -> ByStep[VerifierBatch]:
    """Return batches as a function of the first step; a step's batch depends on (seed, step)."""
    named = np.flatnonzero(cutouts.phrases != NOTHING)

    def make(step: int) -> VerifierBatch:
        rng = np.random.default_rng([seed, step])
        right = rng.choice(named, round((1 - NO_SHARE) * batch_size))
        wrong = rng.integers(len(cutouts.phrases), size=batch_size - len(right))
        asked = [*cutouts.phrases[right], *wrong_phrases(cutouts, wrong, phrases, rng=rng)]
        chosen = np.concatenate([right, wrong])
        return VerifierBatch(
            cutouts=relit(torch.from_numpy(cutouts.planes[chosen]), rng=rng),
            words=words[torch.tensor(asked)],
            yes=(torch.arange(batch_size) < len(right)).float(),
        )

    return ByStep(make)


def wrong_phrases(
    cutouts: Cutouts,
    chosen: Int[np.ndarray, " n"],
    phrases: Sequence[tuple[str, str]],
    *,
    rng: np.random.Generator,
) -> list[int]:
    """Draw for each cut-out a phrase that does not name it, often one that nearly does."""
    drawn = []
    for k in chosen:
        own, shape = int(cutouts.phrases[k]), cutouts.shapes[k]
        colour = phrases[own][1] if own != NOTHING else ""
        others = [j for j in range(len(phrases)) if j != own]
        near = [j for j in others if shape == phrases[j][0] or colour == phrases[j][1]]
        pool = near if near and rng.random() < NEAR_SHARE else others
        drawn.append(pool[rng.integers(len(pool))])
    return drawn


def relit(
    planes: UInt8[Tensor, "b 4 32 32"], *, rng: np.random.Generator
) -> UInt8[Tensor, "b 4 32 32"]:
    """Show cut-outs in another light."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    matrix, shift = colour_maps(DEFAULT, len(planes), generator)
    rgb_planes = torch.baddbmm(shift, matrix, planes[:, :3].float().div(255).flatten(2))
    noise = NOISE * torch.randn(rgb_planes.shape, generator=generator)
    changed = (rgb_planes + noise).mul_(255).round_().clamp_(0, 255).to(torch.uint8)
    return torch.cat([changed.view_as(planes[:, :3]), planes[:, 3:]], dim=1)


def train_verifier(
    training: Training,
    *,
    looks: Path,
    directory: Path,
    seed: int,
    batch_size: int = 128,
    log: Log | None = None,
) -> Path:
    """Train a verifier on the looks in a folder; return its checkpoint in `directory`. Resumes;
    done is done.
    """
    file = directory / FILE_NAME
    if file.is_file():
        return file
    store, phrases = SceneLookStore(looks), vocabulary_phrases()
    seen, held_out = split_looks(store.shards())
    language = LanguageEncoder()
    words = mean_words(language, [f"{colour} {noun}" for noun, colour in phrases])
    torch.manual_seed(seed)
    module = _Trained(Verifier(vocabulary=VOCABULARY))
    batches = verifier_batches(
        cutouts_of(store.load(shards=seen), phrases, seed=seed),
        words,
        phrases,
        batch_size=batch_size,
        seed=seed,
    )
    average = train_seeded(module, batches, training, directory=directory, seed=seed, log=log)
    assert isinstance(average, _Trained)
    others = cutouts_of(store.load(shards=held_out), phrases, seed=seed + 1)
    measured = measure_verifier(average.verifier, others, words, phrases)
    return save(
        file,
        average.verifier.cpu(),
        kind=KIND,
        config={"vocabulary": VOCABULARY},
        metadata={"seed": seed, "held_out": measured},
    )


@torch.inference_mode()
def measure_verifier(
    verifier: Verifier,
    cutouts: Cutouts,
    words: Float[Tensor, "p 384"],
    phrases: Sequence[tuple[str, str]],
    *,
    seed: int = 0,
) -> dict[str, float]:
    """Return how well a verifier tells right from wrong on cut-outs of single frames: of things
    asked about by their own phrase, by any other, and by one that shares shape or colour.
    """
    verifier.eval()
    rng = np.random.default_rng(seed)
    named = np.flatnonzero(cutouts.phrases != NOTHING)
    everything = np.arange(len(cutouts.phrases))

    def logits(chosen: np.ndarray, asked: Sequence[int]) -> Tensor:
        planes, said = torch.from_numpy(cutouts.planes[chosen]), words[torch.tensor(asked)]
        pairs = zip(planes.split(512), said.split(512), strict=True)
        return torch.cat([verifier(part, of_part) for part, of_part in pairs])

    right = logits(named, cutouts.phrases[named].tolist())
    wrong = logits(everything, wrong_phrases(cutouts, everything, phrases, rng=rng))
    truth = torch.cat([torch.ones(len(right)), torch.zeros(len(wrong))])
    return {
        "auroc": auroc(torch.cat([right, wrong]), truth),
        "yes_of_right": float((right > 0).float().mean()),
        "no_of_wrong": float((wrong <= 0).float().mean()),
        "cutouts": float(len(everything)),
    }
