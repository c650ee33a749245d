"""How often a reader of regions says yes where it should: descriptions that are true, and three
kinds that are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from robot.experiment.region_scenes import SPLITS, Scene, split_of, things
from robot.perception.regions.reader import RegionReader
from robot.perception.regions.vocabulary import vocabulary
from robot.train.region_phrases import all_phrases, phrases_of

YES = 0.5
POPULAR = 20  # the most frequent descriptions
ASKED = ("random", "popular", "adversarial")


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
