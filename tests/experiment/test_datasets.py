"""What arms learn from: how many demonstrations of which scene and tier, and where they lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from robot.experiment import datasets
from robot.experiment.datasets import Datasets, Lot, collect_scenes, shares_of
from robot.experiment.options import needs_frames, needs_head
from robot.rollout.corrupt import Mixture
from robot.system.progress import Bars
from robot.train.demonstrations import Selection
from robot.train.options import Grounding
from robot.types import InputError
from tests.experiment.comparison import MIXED, arm, common_of, data_of, datasets_of
from tests.experiment.toy import training_of

ARMS = [Lot(("clean",)), Lot(("clean", "randomised"))]
TRUSTED = data_of(episodes=300)
BOTH = data_of(episodes=50, quality=MIXED)


def test_an_arm_gets_demonstrations_of_every_tier_that_there_is():
    assert (TRUSTED.tiers, BOTH.tiers) == ((300,), (50, 8))


def test_an_arms_demonstrations_are_shared_evenly_by_its_scenes():
    assert shares_of(TRUSTED, ARMS[1:]) == {"clean": [150], "randomised": [150]}


def test_a_scene_needs_the_largest_share_of_any_arm():
    assert shares_of(TRUSTED, ARMS) == {"clean": [300], "randomised": [150]}
    assert shares_of(BOTH, ARMS) == {"clean": [50, 8], "randomised": [25, 4]}


def test_a_lot_of_twice_the_episodes_has_the_common_number_of_either_scene():
    twice = Lot(("clean", "randomised"), episodes=2.0)
    assert shares_of(TRUSTED, [ARMS[0], twice]) == {"clean": [300], "randomised": [300]}


def test_trusted_demonstrations_are_selected_scene_by_scene():
    selections = datasets_of().selections(shares_of(TRUSTED, ARMS[1:]))
    assert selections == (
        Selection(Path("data/clean-trusted"), 150),
        Selection(Path("data/randomised-trusted"), 150),
    )


def test_an_arm_of_both_tiers_gets_its_share_of_each_store_trusted_first():
    selections = datasets_of(tiers=2).selections(shares_of(BOTH, ARMS[1:]))
    assert selections == (
        Selection(Path("data/clean-trusted"), 25),
        Selection(Path("data/randomised-trusted"), 25),
        Selection(Path("data/clean-machine"), 4),
        Selection(Path("data/randomised-machine"), 4),
    )


@pytest.mark.parametrize(
    ("perceptions", "head", "needed"),
    [
        (["none", "oracle"], None, False),
        (["none", "learned"], None, True),
        (["learned"], Path("head.safetensors"), False),
    ],
)
def test_mask_frames_are_needed_to_train_a_head(perceptions, head, needed):
    arms = [arm(perception, perception) for perception in perceptions]
    assert needs_frames(arms, common_of(head=head)) == needed
    assert needs_head(arms, common_of(head=head)) == needed


@pytest.mark.parametrize(("steps", "needed"), [(0, False), (9, True)])
def test_mask_frames_are_needed_to_train_an_encoder(steps, needed):
    arms = [arm("told", grounding=Grounding(weight=0.3, frame_steps=steps))]
    assert needs_frames(arms, common_of()) == needed
    assert not needs_head(arms, common_of())


def test_an_arm_with_a_head_of_its_own_needs_no_mask_frames():
    assert not needs_frames([arm("frugal", "learned", own_head=training_of())], common_of())


class Store:
    def __init__(self, root: Path) -> None:
        self.root = root


@pytest.fixture
def collected(monkeypatch):
    """Collect both tiers of two scenes without a simulator; returns what came, what was asked for
    and the bars.
    """
    asked, progress = [], Bars(hidden=True)

    def collect(*, progress: Callable[[int, int], None], **options) -> Store:
        asked.append(options)
        progress(1, options["episodes"])
        tier = "trusted" if options.get("quality") is None else "machine"
        return Store(Path(f"{options['scene']}-{tier}"))

    monkeypatch.setattr(datasets, "collect_demonstrations", collect)
    stores = collect_scenes(
        BOTH,
        task="pick",
        shares=shares_of(BOTH, ARMS),
        image_size=32,
        workers=1,
        progress=progress,
    )
    return stores, asked, progress.tasks


def test_both_tiers_of_every_scene_are_collected(collected):
    assert collected[0] == {
        "clean": [Path("clean-trusted"), Path("clean-machine")],
        "randomised": [Path("randomised-trusted"), Path("randomised-machine")],
    }


def test_machine_demonstrations_have_a_seed_and_a_mixture_of_their_own(collected):
    mixture = Mixture(corrupted=0.5, kinds={"stall": 1.0})
    assert [(o["scene"], o["seed"], o["episodes"], o.get("quality")) for o in collected[1]] == [
        ("clean", 0, 50, None),
        ("clean", 1, 8, mixture),
        ("randomised", 0, 25, None),
        ("randomised", 1, 4, mixture),
    ]


def test_every_store_that_is_collected_has_a_bar(collected):
    assert [(bar.description, bar.completed, bar.total) for bar in collected[2]] == [
        ("collect clean", 1, 50),
        ("collect clean (machine)", 1, 8),
        ("collect randomised", 1, 25),
        ("collect randomised (machine)", 1, 4),
    ]


def test_where_nobody_learns_masks_no_frames_are_collected(monkeypatch):
    monkeypatch.setattr(
        datasets, "collect_demonstrations", lambda **options: Store(Path(options["scene"]))
    )
    monkeypatch.setattr(
        datasets, "collect_mask_frames", lambda *_, **__: pytest.fail("collected frames")
    )
    assert datasets.collect([arm("unmasked")], common_of()) == Datasets(
        {"clean": [Path("clean")]}, None
    )


def test_mask_frames_are_collected_with_the_options_of_the_comparison(monkeypatch):
    asked = []

    def frames(options, **how) -> Store:
        asked.append((options, how["root"], list(how["shards"]), how["image_size"]))
        return Store(Path("frames"))

    monkeypatch.setattr(
        datasets, "collect_demonstrations", lambda **options: Store(Path(options["scene"]))
    )
    monkeypatch.setattr(datasets, "collect_mask_frames", frames)
    common = common_of()
    assert datasets.collect([arm("masked", "learned")], common).frames == Path("frames")
    assert asked == [(common.data.mask_frames, Path("data/mask_frames"), [0, 1, 30, 31], 32)]


@pytest.mark.parametrize(
    ("change", "says"),
    [({"corrupted": 2.0}, "got quality.corrupted=2"), ({"kinds": {"fog": 1.0}}, "with fog")],
)
def test_an_impossible_mixture_is_refused_where_it_is_made(change, says):
    with pytest.raises(InputError, match=says):
        replace(MIXED, **change)
