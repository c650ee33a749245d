"""How well a reader reads regions: every figure on looks that it has not seen, combinations of
shape and colour that it was trained on and held-out ones apart, beside what costs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from robot.data.scene_looks import SceneLooks
from robot.experiment.region_outlines import box_masks, everything_recall
from robot.experiment.region_questions import yes_no
from robot.experiment.region_scenes import SPLITS, Scene, read_scenes, split_of, things
from robot.perception.regions.reader import RegionReader
from robot.perception.regions.readings import Look
from robot.perception.regions.sentences import caption_of, label_of
from robot.perception.regions.vocabulary import ATTRIBUTES, vocabulary
from robot.train.region_crops import crops_of, whole

YES = 0.5


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
