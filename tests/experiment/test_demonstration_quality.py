"""What scores are worth, on scores made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robot.data.scores import WindowScores, write_scores
from robot.data.store import EpisodeStore
from robot.experiment.demonstration_quality import (
    MOMENTS,
    TILE,
    measure,
    read_scored,
    show_extremes,
    strips,
    weight_figure,
)
from robot.report.pictures import GAP
from robot.train.demonstrations import Selection
from robot.types import QUALITY
from tests.experiment.toy import SCORED_BY, episode

TRUSTED_SCORES = {0: 0.9, 1: 0.6}
MACHINE = {0: ("clean", 0.8), 1: ("stall", 0.2), 2: ("noisy", 0.4), 3: ("clean", 0.3)}


@pytest.fixture
def selections(tmp_path):
    """Two trusted and four machine episodes; every window of an episode has the same score, its
    weight is twice that.
    """
    stores = [EpisodeStore(tmp_path / name) for name in ("trusted", "machine")]
    for index in TRUSTED_SCORES:
        stores[0].append(episode(index))
    for index, (kind, _) in MACHINE.items():
        stores[1].append(replace(episode(index), tier="machine", extra={QUALITY: kind}))
    known = (TRUSTED_SCORES, {index: score for index, (_, score) in MACHINE.items()})
    for store, scores in zip(stores, known, strict=True):
        flat = {index: np.full(6, score, np.float32) for index, score in scores.items()}
        known = {
            index: WindowScores(scores=values, weights=2 * values) for index, values in flat.items()
        }
        write_scores(store.root, "known", known, about=SCORED_BY)
    return [Selection(store.root, count) for store, count in zip(stores, (2, 4), strict=True)]


@pytest.fixture
def scored(selections):
    return read_scored(selections, scores="known")


def test_auroc_counts_the_pairs_in_order(scored):
    quality = measure(scored)
    assert quality.auroc == pytest.approx(3 / 4)  # .8 above .2 and .4, .3 above .2 only
    assert quality.auroc_windows == pytest.approx(3 / 4)
    assert quality.auroc_with_trusted == pytest.approx(7 / 8)
    assert quality.auroc_tier == pytest.approx(3 / 4)  # trusted .9, .6 against clean machine .8, .3


def test_kinds_are_listed_with_their_means(scored):
    kinds = {kind.kind: kind for kind in measure(scored).kinds}
    assert list(kinds) == ["trusted", "clean", "noisy", "stall"]
    assert kinds["clean"].episodes == 2
    assert kinds["clean"].mean_score == pytest.approx(0.55)
    assert kinds["trusted"].mean_weight == pytest.approx(1.5)


def test_only_selected_episodes_are_measured(selections):
    trusted, machine = selections
    kinds = {
        kind.kind: kind.episodes
        for kind in measure(
            read_scored([trusted, Selection(machine.root, 2)], scores="known")
        ).kinds
    }
    assert kinds == {"trusted": 2, "clean": 1, "stall": 1}


def test_without_corruption_there_is_nothing_to_tell(scored):
    quality = measure([one for one in scored if not one.corrupted])
    assert np.isnan(quality.auroc) and quality.auroc_tier == pytest.approx(3 / 4)


def test_every_kind_has_its_histogram(scored):
    figure = weight_figure(scored)
    for kind in ("trusted", "clean", "noisy", "stall"):
        assert f">{kind}<" in figure.svg
    assert "clean mean 1.10" in figure.svg


def test_strips_show_the_worst_and_the_best_machine_episodes(scored, tmp_path):
    worst, best = show_extremes(tmp_path, scored)
    assert worst.is_file() and best.is_file() and worst.read_bytes() != best.read_bytes()
    picture = strips(scored[:2])
    assert picture.shape == (2 * TILE + GAP, MOMENTS * (TILE + GAP) - GAP, 3)
