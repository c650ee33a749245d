"""How well a reader reads regions: every figure on looks that it has not seen, combinations of
shape and colour that it was trained on and held-out ones apart, beside what costs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool

from robot.data.scene_looks import SceneLooks
from robot.perception.regions.everything import Segment, mask_iou, segment_everything
from robot.perception.regions.reader import RegionReader
from robot.perception.regions.readings import Look
from robot.perception.regions.sentences import caption_of, label_of
from robot.perception.regions.truth import TrueRegion, true_pairs, true_regions
from robot.perception.regions.vocabulary import ATTRIBUTES, vocabulary
from robot.train.region_crops import crops_of, whole
from robot.train.region_phrases import all_phrases, phrases_of
from robot.types import Frame, Region

LEAST_PIXELS = 16  # of a region that is measured
LEAST_DRAWN = 30  # of an object whose mask is drawn in its box
YES = 0.5
POPULAR = 20  # the most frequent descriptions
IOUS = np.arange(0.5, 0.96, 0.05)
AT = 50  # segments that AR counts
SPLITS = ("seen", "held_out")
ASKED = ("random", "popular", "adversarial")


@dataclass(frozen=True)
class Scene:
    """One camera's frame, its true regions and how they relate, and what the reader makes of
    them.
    """

    frame: Frame
    regions: tuple[TrueRegion, ...]
    relations: np.ndarray
    offsets_m: np.ndarray
    look: Look


def read_scenes(
    reader: RegionReader,
    looks: SceneLooks,
    *,
    shuffled: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Scene]:
    """Read the true masks of every look; `shuffled` gives each region another one's mask."""
    scenes, cameras = [], looks.cameras
    for k in range(len(looks)):
        for c, camera in enumerate(cameras):
            regions = true_regions(
                looks.instances[k, c], looks.parts[k, c], looks.objects[k], least=LEAST_PIXELS
            )
            frame = Frame(camera, looks.images[k, c])
            masks = [r.mask for r in regions]
            if shuffled and len(masks) > 1:
                masks = masks[1:] + masks[:1]
            given = [Region(camera, mask=mask, index=i) for i, mask in enumerate(masks, start=1)]
            relations, offsets = true_pairs(regions, looks.objects[k])
            scenes.append(Scene(frame, regions, relations, offsets, reader.look(frame, given)))
        if progress:
            progress(k + 1, len(looks))
    return scenes


def things(scenes: Sequence[Scene]) -> Iterator[tuple[Scene, int, TrueRegion]]:
    """Yield every object that has a combination of shape and colour."""
    for scene in scenes:
        for k, region in enumerate(scene.regions):
            if region.granularity == "object" and region.thing is not None:
                yield scene, k, region


def split_of(region: TrueRegion) -> str:
    return SPLITS[region.held_out]


# --- attributes


def attribute_accuracy(scenes: Sequence[Scene]) -> dict[str, dict[str, float]]:
    """Return accuracy by split and kind of attribute of whole objects ("names" and "colours" are
    the table's), and of parts.
    """
    right: dict[str, dict[str, list[bool]]] = {
        split: {kind: [] for kind in ATTRIBUTES} for split in (*SPLITS, "parts")
    }
    for scene in scenes:
        for k, region in enumerate(scene.regions):
            if region.thing is None:
                continue
            split = "parts" if region.granularity == "part" else split_of(region)
            for kind in ATTRIBUTES:
                if (word := region.words.get(kind)) is not None:
                    said = scene.look.readings[k].words[kind]
                    right[split][kind].append(said == word)
    return {s: {k: float(np.mean(v)) for k, v in of.items() if v} for s, of in right.items()}


def majority_accuracy(scenes: Sequence[Scene]) -> dict[str, dict[str, float]]:
    """Return what the most frequent word of each kind would get."""
    words: dict[str, dict[str, Counter]] = {
        split: {kind: Counter() for kind in ATTRIBUTES} for split in SPLITS
    }
    for _, _, region in things(scenes):
        for kind in ATTRIBUTES:
            if (word := region.words.get(kind)) is not None:
                words[split_of(region)][kind][word] += 1
    return {
        split: {
            kind: counts[common_of(words["seen"][kind])] / counts.total()
            for kind, counts in of.items()
            if counts
        }
        for split, of in words.items()
    }


def common_of(counts: Counter) -> str:
    return counts.most_common(1)[0][0]


@torch.inference_mode()
def crop_accuracy(reader: RegionReader, scenes: Sequence[Scene]) -> dict[str, dict[str, float]]:
    """Return the accuracy of a reader that was trained on boxes cut out of their frames."""
    read = []
    for scene in scenes:
        boxes = torch.tensor([[reading.region.bounds for reading in scene.look.readings]])
        frame = torch.from_numpy(scene.frame.image).permute(2, 0, 1)[None]
        crops = crops_of(frame, boxes)
        reading = reader.network.read(reader.network.look(crops), whole(len(crops)))
        flat = {kind: values.flatten(0, 1)[None] for kind, values in reading.attributes.items()}
        read.append(replace(scene, look=_said(scene.look, flat)))
    return attribute_accuracy(read)


def _said(look: Look, attributes: Mapping[str, torch.Tensor]) -> Look:
    """Return a look whose words are read off other logits."""
    known = vocabulary()
    readings = []
    for k, reading in enumerate(look.readings):
        words = {
            kind: known.words(kind)[int(attributes[kind][0, k].argmax())] for kind in ATTRIBUTES
        }
        readings.append(replace(reading, words=words))
    return replace(look, readings=tuple(readings))


# --- relations


def relation_f1(scenes: Sequence[Scene]) -> dict[str, dict[str, float]]:
    """Return the F1 of every relation, and their mean ("macro"), of pairs of seen combinations and
    of pairs with a held-out one.
    """
    names = list(vocabulary().relations)
    counts = {split: np.zeros((len(names), 3)) for split in SPLITS}  # hits, said, true
    for scene in scenes:
        said = scene.look.relations.numpy() > YES
        for i, one in enumerate(scene.regions):
            for j, other in enumerate(scene.regions):
                truth = scene.relations[i, j]
                known = ~np.isnan(truth)
                if i == j or not known.any():
                    continue
                true, yes = (truth == 1) & known, said[i, j] & known
                split = SPLITS[one.held_out or other.held_out]
                counts[split] += np.stack([true & yes, yes, true], axis=1)
    found = {}
    for split, of in counts.items():
        f1 = 2 * of[:, 0] / np.maximum(1, of[:, 1] + of[:, 2])
        found[split] = dict(zip(names, map(float, f1), strict=True)) | {"macro": float(f1.mean())}
    return found


def distance_error_m(scenes: Sequence[Scene]) -> float:
    """Return the median error of the distance of two objects [m]."""
    errors = []
    for scene in scenes:
        known = ~np.isnan(scene.offsets_m[..., 0])
        read = scene.look.offsets_m.numpy()
        apart = [np.linalg.norm(o[..., :2], axis=-1)[known] for o in (read, scene.offsets_m)]
        errors.append(np.abs(apart[0] - apart[1]))
    return float(np.median(np.concatenate(errors)))


# --- words


def sentence_scores(
    scenes: Sequence[Scene], similarity: Callable[[list[str], list[str]], np.ndarray]
) -> dict[str, dict[str, float]]:
    """Return S-IoU (of word sets) and SS (cosine of sentence embeddings) of captions and of labels,
    by split.
    """
    said: dict[str, dict[str, list[tuple[str, str]]]] = {
        split: {"caption": [], "label": []} for split in SPLITS
    }
    for scene, k, region in things(scenes):
        if region.words.get("colours") is None:
            continue
        words = {kind: region.words.get(kind) or "" for kind in ATTRIBUTES}
        reading = scene.look.readings[k]
        of = said[split_of(region)]
        of["caption"].append((reading.caption, caption_of(words)))
        of["label"].append((reading.label, label_of(words)))
    return {
        split: {
            f"{kind}_{name}": value
            for kind, pairs in of.items()
            for name, value in (
                ("s_iou", float(np.mean([word_iou(*pair) for pair in pairs]))),
                ("ss", float(similarity(*map(list, zip(*pairs, strict=True))).mean())),
            )
        }
        for split, of in said.items()
        if of["label"]
    }


def word_iou(one: str, other: str) -> float:
    """Return the IoU of the sets of words of two sentences."""
    a, b = ({word.strip(",.") for word in s.lower().split()} for s in (one, other))
    return len(a & b) / max(1, len(a | b))


# --- yes or no


def yes_no(
    reader: RegionReader, scenes: Sequence[Scene], *, seed: int
) -> dict[str, dict[str, float]]:
    """Return accuracy and the share of "yes" of questions, half of them true, whose false half is
    any description, a popular one, or one that is nearly right or true of what lies nearest (POPE,
    arXiv 2305.10355).
    """
    rng = np.random.default_rng(seed)
    frequent: Counter[Any] = Counter(
        (r.words["names"], r.words["colours"])
        for _, _, r in things(scenes)
        if r.words.get("colours") is not None
    )
    popular = [pair for pair, _ in frequent.most_common(POPULAR)]
    results = {}
    for kind in ASKED:
        answers = {split: [] for split in SPLITS}
        for scene in scenes:
            asked = list(_questions(scene, kind, popular, rng=rng))
            if not asked:
                continue
            texts = [all_phrases()[p].text for _, p, _ in asked]
            chances = reader.agreement(scene.look, list(dict.fromkeys(texts)))
            column = {text: k for k, text in enumerate(dict.fromkeys(texts))}
            for (k, _, truth), text in zip(asked, texts, strict=True):
                yes = bool(chances[k, column[text]] > YES)
                answers[split_of(scene.regions[k])].append((yes, truth))
        both = np.array(answers["seen"] + answers["held_out"])
        results[kind] = {"accuracy": float((both[:, 0] == both[:, 1]).mean())}
        results[kind]["yes_rate"] = float(both[:, 0].mean())
        for split, given in answers.items():
            if not given:
                continue
            of = np.array(given)
            results[kind][f"accuracy_{split}"] = float((of[:, 0] == of[:, 1]).mean())
    return results


def _questions(
    scene: Scene, kind: str, popular: Sequence[tuple[str, str]], *, rng: np.random.Generator
) -> Iterator[tuple[int, int, bool]]:
    """Yield (region, phrase, truth), a true and a false one per object."""
    for _, k, region in things([scene]):
        name, colour = region.words["names"], region.words.get("colours")
        if colour is None:
            continue
        false = _false_description(scene, k, kind, popular, rng=rng)
        if false is not None:
            yield k, int(rng.choice(phrases_of(name, colour, "whole"))), True
            yield k, int(rng.choice(phrases_of(*false, "whole"))), False


def _false_description(
    scene: Scene, k: int, kind: str, popular: Sequence[tuple[str, str]], *, rng: np.random.Generator
) -> tuple[str, str] | None:
    known, region = vocabulary(), scene.regions[k]
    name, colour = region.words["names"], region.words["colours"]
    assert name is not None and colour is not None  # of those that are asked about
    if kind == "adversarial":
        choices = [(name, c) for c in known.colours] + [(n, colour) for n in known.held_out]
        nearest = _nearest(scene, k)
        if nearest is not None and rng.random() < 0.5:
            choices = [nearest]
    elif kind == "popular":
        choices = list(popular)
    else:
        choices = [(n, c) for n in known.held_out for c in known.colours]
    wrong = [pair for pair in choices if pair != (name, colour)]
    return wrong[rng.integers(len(wrong))] if wrong else None


def _nearest(scene: Scene, k: int) -> tuple[str, str] | None:
    """Return what the object nearest to an object is called."""
    distances = np.linalg.norm(scene.offsets_m[k], axis=-1)
    for j in np.argsort(distances):
        words = scene.regions[j].words
        if not np.isnan(distances[j]) and words.get("colours") is not None:
            return words["names"], words["colours"]  # type: ignore[return-value]
    return None


# --- masks


def box_masks(reader: RegionReader, scenes: Sequence[Scene]) -> dict[str, float]:
    """Return the mean IoU of masks drawn in the true boxes of objects, and of the filled boxes."""
    drawn, filled = [], []
    for scene in scenes:
        masks = [
            r.mask
            for r in scene.regions
            if r.granularity == "object" and r.mask.sum() >= LEAST_DRAWN
        ]
        boxes = [Region("", mask=mask).bounds for mask in masks]
        for mask, box, guess in zip(masks, boxes, reader.masks_of(scene.frame, boxes), strict=True):
            full = np.zeros_like(mask)
            x0, y0, x1, y1 = map(int, box)
            full[y0:y1, x0:x1] = True
            drawn.append(mask_iou(guess, mask))
            filled.append(mask_iou(full, mask))
    return {"miou": float(np.mean(drawn)), "filled_box_miou": float(np.mean(filled))}


def everything_recall(reader: RegionReader, scenes: Sequence[Scene]) -> dict[str, float]:
    """Return recall at IoU 0.5 by granularity, AR with the best AT segments, and how many segments
    a frame got.
    """
    best: dict[str, list[float]] = {"part": [], "object": [], "scene": []}
    counts, clicks = [], []
    for scene in scenes:
        segments = segment_everything(scene.frame, reader)
        counts.append(len(segments))
        for region in scene.regions:
            best[region.granularity].append(_best_iou(segments[:AT], region.mask))
        clicks += list(_clicks(scene, segments))
    every = np.concatenate([np.array(values) for values in best.values()])
    recalls = {
        f"recall_{kind}": float(np.mean(np.array(v) >= 0.5)) for kind, v in best.items() if v
    }
    ar = float(np.mean([(every >= iou).mean() for iou in IOUS]))
    return recalls | {
        f"ar_{AT}": ar,
        "segments": float(np.mean(counts)),
        "click_miou": float(np.mean(clicks)) if clicks else 0.0,
    }


def _best_iou(segments: Sequence[Segment], mask: Bool[np.ndarray, "h w"]) -> float:
    return max((mask_iou(s.region.mask, mask) for s in segments), default=0.0)  # type: ignore[arg-type]


def _clicks(scene: Scene, segments: Sequence[Segment]) -> Iterator[float]:
    """Yield the IoU of what a click into the middle of an object without parts selects."""
    from robot.perception.regions.everything import smallest_at

    parted = vocabulary().parts_of
    for _, _, region in things([scene]):
        if region.words["names"] in parted:
            continue
        pixels = np.argwhere(region.mask)
        row, column = pixels[np.abs(pixels - pixels.mean(axis=0)).sum(axis=1).argmin()]
        chosen = smallest_at(segments, (float(column), float(row)))
        yield 0.0 if chosen is None else mask_iou(chosen.region.mask, region.mask)  # type: ignore[arg-type]


@torch.inference_mode()
def minilm_similarity() -> Callable[[list[str], list[str]], np.ndarray]:
    """Return the cosine of MiniLM's sentence embeddings (the mean of its tokens) of two lists."""
    from robot.language import LanguageEncoder

    encoder = LanguageEncoder(max_tokens=48)

    def embed(sentences: list[str]) -> np.ndarray:
        tokens = encoder.encode(sentences)
        mean = (tokens.tokens * tokens.valid[..., None]).sum(dim=1)
        return torch.nn.functional.normalize(mean, dim=-1).numpy()

    def similarity(one: list[str], other: list[str]) -> np.ndarray:
        unique = list(dict.fromkeys(one + other))
        vectors = dict(zip(unique, embed(unique), strict=True))
        return np.array([vectors[a] @ vectors[b] for a, b in zip(one, other, strict=True)])

    return similarity


def measure_reading(
    reader: RegionReader,
    looks: SceneLooks,
    *,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Mapping[str, object]:
    """Return all figures of one reader."""
    similarity = minilm_similarity()
    scenes = read_scenes(reader, looks, progress=progress)
    shuffled = read_scenes(reader, looks, shuffled=True)
    return {
        "objects": sum(1 for _ in things(scenes)),
        "attributes": attribute_accuracy(scenes),
        "relations": relation_f1(scenes),
        "distance_error_m": distance_error_m(scenes),
        "sentences": sentence_scores(scenes, similarity),
        "yes_no": yes_no(reader, scenes, seed=seed),
        "box_to_mask": box_masks(reader, scenes),
        "everything": everything_recall(reader, scenes),
        "majority": majority_accuracy(scenes),
        "shuffled": {
            "attributes": attribute_accuracy(shuffled),
            "relations": relation_f1(shuffled),
            "sentences": sentence_scores(shuffled, similarity),
        },
    }
