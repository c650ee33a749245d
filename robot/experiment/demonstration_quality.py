"""What the discriminator's scores are worth: does it tell corrupted demonstrations from good ones?
Numbers and pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from robot.data.scores import WindowScores, read_scores
from robot.data.store import EpisodeStore
from robot.data.summary import EpisodeSummary
from robot.perception.head.metrics import auroc
from robot.report.figures import Figure, histograms
from robot.report.pictures import fit, grid, save_picture, write_on
from robot.train.demonstrations import Selection
from robot.types import CLEAN, quality_of

TRUSTED = "trusted"  # the kind of all trusted demonstrations, beside the qualities of machine ones
SHOWN, MOMENTS, TILE = 6, 6, 128  # episodes of a picture, frames of each, pixels of a frame


@dataclass(frozen=True, eq=False)
class ScoredEpisode:
    """One episode as the discriminator sees it; `kind` is TRUSTED, or the quality of a machine
    demonstration.
    """

    root: Path
    summary: EpisodeSummary
    windows: WindowScores

    @property
    def kind(self) -> str:
        return TRUSTED if self.summary.tier == "trusted" else quality_of(self.summary.extra)

    @property
    def corrupted(self) -> bool:
        return self.kind not in (TRUSTED, CLEAN)

    @property
    def score(self) -> float:
        return float(self.windows.scores.mean())

    @property
    def weight(self) -> float:
        return float(self.windows.weights.mean())


@dataclass(frozen=True)
class KindQuality:
    """The episodes of one kind: means over episodes of their mean score and weight."""

    kind: str
    episodes: int
    mean_score: float
    mean_weight: float


@dataclass(frozen=True)
class DemonstrationQuality:
    """How well scores order demonstrations; AUROC is the chance that a good one scores above a bad
    one, NaN where it has none.

    All scores are of episodes that the discriminator had not seen. `auroc` compares clean with
    corrupted machine episodes by their mean score, `auroc_windows` does so window by window,
    `auroc_with_trusted` counts trusted ones as clean, `auroc_tier` compares trusted with clean
    machine episodes: near 0.5 when nothing but quality tells the tiers apart.
    """

    auroc: float
    auroc_windows: float
    auroc_with_trusted: float
    auroc_tier: float
    kinds: tuple[KindQuality, ...]


def read_scored(selections: Sequence[Selection], *, scores: str) -> list[ScoredEpisode]:
    """Return every selected episode with its scores."""
    scored = []
    for selection in selections:
        store, found = EpisodeStore(selection.root), read_scores(selection.root, scores)
        scored += [
            ScoredEpisode(root=selection.root, summary=store.summary(index), windows=found[index])
            for index in selection.indices()
        ]
    return scored


def measure(scored: Sequence[ScoredEpisode]) -> DemonstrationQuality:
    """Return how well the scores tell good from bad, overall and per kind."""
    machine = [v for v in scored if v.kind != TRUSTED]
    repeated = [not v.corrupted for v in machine for _ in v.windows.scores]
    return DemonstrationQuality(
        auroc=_auroc([v.score for v in machine], [not v.corrupted for v in machine]),
        auroc_windows=_auroc([s for v in machine for s in v.windows.scores.tolist()], repeated),
        auroc_with_trusted=_auroc([v.score for v in scored], [not v.corrupted for v in scored]),
        auroc_tier=_auroc(
            *zip(*((v.score, v.kind == TRUSTED) for v in scored if not v.corrupted), strict=True)
        ),
        kinds=tuple(
            _of_kind(kind, [v for v in scored if v.kind == kind]) for kind in kinds_of(scored)
        ),
    )


def kinds_of(scored: Sequence[ScoredEpisode]) -> list[str]:
    """Return the kinds that there are: trusted, clean, then the corruptions by name."""
    return sorted({v.kind for v in scored}, key=lambda kind: (kind != TRUSTED, kind != CLEAN, kind))


def _of_kind(kind: str, scored: Sequence[ScoredEpisode]) -> KindQuality:
    def mean(values):
        return float(np.mean(list(values)))

    return KindQuality(
        kind=kind,
        episodes=len(scored),
        mean_score=mean(v.score for v in scored),
        mean_weight=mean(v.weight for v in scored),
    )


def _auroc(scores: Sequence[float], good: Sequence[bool]) -> float:
    return auroc(torch.tensor(scores, dtype=torch.float32), torch.tensor(good, dtype=torch.float32))


def weight_figure(scored: Sequence[ScoredEpisode]) -> Figure:
    """Draw the weights of all windows, one histogram per kind."""
    rows = {
        kind: np.concatenate([v.windows.weights for v in scored if v.kind == kind])
        for kind in kinds_of(scored)
    }
    return histograms(
        rows,
        title="Weights of windows, not of episodes, by kind",
        x="weight (1 is the mean of all)",
    )


def show_extremes(run: Path, scored: Sequence[ScoredEpisode]) -> tuple[Path, Path]:
    """Write worst.png and best.png: film strips of the machine episodes with the lowest and the
    highest mean score.
    """
    ranked = sorted((v for v in scored if v.kind != TRUSTED), key=lambda v: v.score)
    worst, best = run / "worst.png", run / "best.png"
    save_picture(str(worst), strips(ranked[:SHOWN]))
    save_picture(str(best), strips(ranked[::-1][:SHOWN]))
    return worst, best


def strips(scored: Sequence[ScoredEpisode]) -> np.ndarray:
    """Return one row of MOMENTS frames per episode, first and last among them, with its kind, mean
    score and goal.
    """
    rows = []
    for one in scored:
        episode = EpisodeStore(one.root).read(one.summary.index)
        camera = next(iter(episode.images))
        moments = (
            np.linspace(0, len(episode) - 1, MOMENTS).round().astype(int)
        )  # repeats frames of a short one: rows are equal
        row = grid([[fit(episode.images[camera][t], size=TILE) for t in moments]])
        row = write_on(row, f"{one.kind}, score {one.score:.2f}: {episode.goal.text}")
        rows.append([write_on(row, f"{moments[-1] * episode.control_dt_s:.1f} s", corner="right")])
    return grid(rows)
