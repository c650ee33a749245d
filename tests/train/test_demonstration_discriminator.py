"""From two tiers of demonstrations to a weight for every window: stored beside them, and reused by
the policy's training.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from robot.checkpoint import read_header
from robot.data.scores import WindowScores, read_scores, write_scores
from robot.language import LanguageEncoder
from robot.perception.compose.masking import Overlay, Unmasked
from robot.system.parse import parse
from robot.train import demonstration_discriminator as dwsl
from robot.train.demonstration_discriminator import (
    DemonstrationScoring,
    Scoring,
    calibrated,
    score_demonstrations,
    tier_batches,
    with_tiers,
)
from robot.train.demonstrations import Selection, load_all, make_look, with_weights
from robot.train.policy import make_augment, train_policy
from robot.types import InputError
from tests.data.test_scores import footer
from tests.experiment.toy import (
    AUGMENT,
    DISCRIMINATOR,
    POLICY,
    SCORED_BY,
    TRAINING,
    augmentation_of,
    policy_training,
    training_of,
    write_tiers,
)

pytestmark = pytest.mark.usefixtures("hashed_words")


@pytest.fixture
def roots(tmp_path):
    return write_tiers(tmp_path)


def selections(roots: list[Path], *, episodes: tuple[int, int] = (2, 4)) -> tuple[Selection, ...]:
    return tuple(Selection(root, count) for root, count in zip(roots, episodes, strict=True))


# the discriminator's options that the shared toy leaves to their defaults
TOLD = {"dropout": 0.3, "noise": 0.1, "rule": "binary", "eta": 0.5}
TOLD |= {"trusted_weight": 1.0, "machine_weight": 1.0}


def run_scoring(
    roots: list[Path],
    directory: Path,
    *,
    episodes: tuple[int, int] = (2, 4),
    seed: int = 0,
    **change,
) -> Path:
    """Score with the section `scoring` of a config."""
    section = {
        "policy": {"kind": "transformer", **POLICY},
        "discriminator": DISCRIMINATOR | TOLD,
        "masks": "oracle",
        "head": None,
        "deployment": {"name": "channel"},
        "augment": AUGMENT,
        "training": TRAINING | {"steps": 2},
        "batch_size": 4,
        "folds": 2,
        "calibrate": False,
    }
    options = DemonstrationScoring(
        demonstrations=selections(roots, episodes=episodes),
        scoring=parse(Scoring, section | change),
        seed=seed,
    )
    return score_demonstrations(options, directory=directory)


def loaded(roots: list[Path]):
    language = LanguageEncoder.hashed()
    look = make_look("oracle", head=None, language=language)
    return load_all(selections(roots), look=look, deployment=Overlay(), size=16, language=language)


def test_every_window_of_every_store_gets_a_score_and_a_weight_of_mean_one(roots, tmp_path):
    assert run_scoring(roots, tmp_path / "toy") == roots[1] / "scores/toy.parquet"
    found = [read_scores(root, "toy") for root in roots]
    assert [sorted(windows) for windows in found] == [[0, 1], [0, 1, 2, 3]]
    scores, weights = (
        np.concatenate([getattr(w, field) for windows in found for w in windows.values()])
        for field in ("scores", "weights")
    )
    assert len(scores) == 6 * 6 and ((scores > 0) & (scores < 1)).all()
    assert weights.mean() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(
        weights / weights[0], np.clip(scores, 0.1, 0.9) / np.clip(scores[0], 0.1, 0.9), rtol=1e-4
    )
    about = footer(roots[0], "toy")
    assert (about["rule"], about["folds"], about["demonstrations"]) == (
        "binary",
        2,
        ["trusted", "machine"],
    )


def test_scoring_again_gives_the_same_and_what_is_scored_is_not_scored_again(
    roots, tmp_path, monkeypatch
):
    run_scoring(roots, tmp_path / "toy")
    first = read_scores(roots[1], "toy")
    run_scoring(roots, tmp_path / "again")
    for index, windows in read_scores(roots[1], "again").items():
        np.testing.assert_array_equal(windows.scores, first[index].scores)
    monkeypatch.setattr(dwsl, "train", lambda *_, **__: pytest.fail("trained again"))
    run_scoring(roots, tmp_path / "toy")


def test_an_episode_is_scored_by_what_has_not_seen_it(roots):
    tiers = with_tiers(loaded(roots), selections(roots), folds=2)
    assert tiers.trusted.tolist() == [True, True, False, False, False, False]
    assert tiers.folds.tolist() == [0, 1, 0, 1, 0, 1], "each tier is dealt out in turn"
    learned = torch.nonzero(tiers.folds[tiers.episode] != 0).squeeze(1)
    assert set(tiers.episode[learned].tolist()) == {1, 3, 5}


def test_half_of_a_batch_is_trusted_and_none_of_it_is_held_out(roots):
    tiers = with_tiers(loaded(roots), selections(roots), folds=2)
    frames = torch.nonzero(tiers.folds[tiers.episode] != 0).squeeze(1)
    unchanged = augmentation_of(jitter=None, ring=0.0, shift=0, drop=0.0, noise=0.0)
    augment = make_augment(unchanged, deployment=Unmasked())
    make = tier_batches(tiers, frames, batch_size=8, horizon=4, augment=augment, seed=0)
    batch = next(make(3))
    assert batch.trusted.tolist() == [1.0] * 4 + [0.0] * 4
    drawn = [
        int((tiers.windows.proprio == p).all(1).nonzero())
        for p in batch.windows.policy.observation.proprio
    ]
    assert set(drawn) <= set(frames.tolist())
    assert tiers.trusted[tiers.episode[drawn]].tolist() == [True] * 4 + [False] * 4
    again = make(0)
    wound = [next(again) for _ in range(4)][3]
    torch.testing.assert_close(
        wound.windows.policy.actions, batch.windows.policy.actions, rtol=0, atol=0
    )


def test_a_discriminator_finds_what_trusted_demonstrations_do_not_do(tmp_path, learning):
    roots = write_tiers(tmp_path, trusted=6, machine=12)
    training = TRAINING | {
        "steps": 60,
        "learning_rate": 3e-3,
        "log_every": 60,
        "checkpoint_every": 60,
        "precision": learning.precision,
    }
    how = {"training": training, "batch_size": 16, "seed": learning.seed}
    run_scoring(roots, tmp_path / "toy", episodes=(6, 12), **how)
    means = {
        index: windows.scores.mean() for index, windows in read_scores(roots[1], "toy").items()
    }
    clean, stalled = ([mean for index, mean in means.items() if index % 2 == odd] for odd in (0, 1))
    learning.above(0.0, gap_of_scores=min(clean) - max(stalled))


def test_scores_that_do_not_tell_the_tiers_apart_become_one_half():
    scores = torch.linspace(0.1, 0.9, 100)
    same_in_both_tiers, the_wrong_way = torch.arange(100) % 2 == 0, torch.arange(100) < 20
    assert calibrated(scores, same_in_both_tiers).tolist() == [0.5] * 100
    assert calibrated(scores, the_wrong_way).tolist() == [0.5] * 100


def test_calibrated_scores_are_the_share_of_trusted_windows_among_equally_many_of_each_tier():
    """Three in ten of what scores .9 are trusted, one in ten of what scores .1; the trusted are a
    fifth of all.
    """
    scores = torch.tensor([0.9] * 1000 + [0.1] * 1000)
    trusted = torch.arange(2000) % 1000 < torch.tensor([300] * 1000 + [100] * 1000)
    high, low = calibrated(scores, trusted)[[0, -1]].tolist()
    assert high == pytest.approx((300 / 400) / (300 / 400 + 700 / 1600), abs=2e-3)
    assert low == pytest.approx((100 / 400) / (100 / 400 + 900 / 1600), abs=2e-3)


def test_what_is_scored_alike_weighs_one_exactly(roots, tmp_path, monkeypatch):
    monkeypatch.setattr(dwsl, "platt", lambda *_, **__: (-0.1, 0.3))
    run_scoring(roots, tmp_path / "toy", calibrate=True)
    for root in roots:
        assert all((windows.weights == 1).all() for windows in read_scores(root, "toy").values())


def store_known_scores(roots: list[Path]) -> None:
    """Store scores of frame / 10, weights of 1 + episode, for the first windows of each store."""
    for root, count in zip(roots, (2, 4), strict=True):
        ramp = np.arange(6, dtype=np.float32) / 10
        known = {
            index: WindowScores(scores=ramp, weights=np.full(6, 1.0 + index, np.float32))
            for index in range(count)
        }
        write_scores(root, "known", known, about=SCORED_BY)


@pytest.mark.parametrize(
    ("weighting", "trusted", "clean", "stalled"),
    [
        ("trusted_only", [1.0] * 6, [0.0] * 6, [0.0] * 6),
        ("fixed", [1.0] * 6, [0.2] * 6, [0.2] * 6),
        ("oracle", [1.0] * 6, [1.0] * 6, [0.0] * 6),
        ("hard_filter", [1.0] * 6, [0.0] * 5 + [1.0], [0.0] * 5 + [1.0]),
        ("dwsl", [1.0] * 6, [1.0] * 6, [2.0] * 6),
    ],
)
def test_windows_get_the_weights_of_their_own_episode_and_frame(
    weighting, trusted, clean, stalled, roots
):
    store_known_scores(roots)
    windows = with_weights(loaded(roots), selections(roots), weighting=weighting, scores="known")

    def got(start):
        return windows.sample_weights(windows.windows_from(torch.arange(start, start + 6), 4))

    for start, expected in ((0, trusted), (12, clean), (18, stalled)):
        torch.testing.assert_close(got(start), torch.tensor(expected))
    drawn = windows.sample(400, torch.Generator().manual_seed(0), 4)
    assert bool((windows.sample_weights(drawn) > 0).all()), "what weighs nothing is never drawn"


def run_policy(roots: list[Path], directory: Path, **change) -> Path:
    options = policy_training(
        demonstrations=selections(roots), training=training_of(steps=2), **change
    )
    return train_policy(options, directory=directory)


def test_a_policy_is_trained_on_the_weights_that_were_stored(roots, tmp_path):
    store_known_scores(roots)
    plain = run_policy(roots, tmp_path / "plain")
    same = run_policy(roots, tmp_path / "uniform", weighting="uniform")
    weighed = run_policy(roots, tmp_path / "dwsl", weighting="dwsl", scores="known")
    assert plain.read_bytes() == same.read_bytes(), (
        "uniform is what it was before there were weights"
    )
    assert read_header(weighed)["metadata"]["weighting"] == "dwsl"
    assert weighed.read_bytes() != plain.read_bytes()


def test_scores_that_are_missing_or_of_other_episodes_are_named(roots):
    windows = loaded(roots)
    with pytest.raises(InputError, match="got weighting dwsl without scores"):
        with_weights(windows, selections(roots), weighting="dwsl", scores=None)
    with pytest.raises(
        InputError, match="got scores 'known', expected one of none in .*scores; score them first"
    ):
        with_weights(windows, selections(roots), weighting="dwsl", scores="known")
    for root in roots:
        ramp = np.ones(5, np.float32)
        write_scores(root, "known", {0: WindowScores(scores=ramp, weights=ramp)}, about=SCORED_BY)
    with pytest.raises(InputError, match="got no scores known for episode 0 of"):
        with_weights(windows, selections(roots), weighting="hard_filter", scores="known")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"folds": 1}, "got folds=1, expected at least 2"),
        ({"folds": 3}, "got 2 trusted and 4 machine demonstrations for 3 folds"),
        (
            {"discriminator": DISCRIMINATOR | TOLD | {"horizon": 8}},
            "got horizon 4 and 8 of policy and discriminator",
        ),
    ],
)
def test_an_impossible_scoring_is_rejected(change, says, roots, tmp_path):
    with pytest.raises(InputError, match=says):
        run_scoring(roots, tmp_path / "toy", **change)
