"""Frames that teach words, and frames to measure on: every look with several goals, labels by the
simulator.
"""

from __future__ import annotations

import numpy as np
import pytest

from robot.data.mask_frames import MaskFrameStore
from robot.rollout import mask_frames
from robot.rollout.looks import VISIBLE_PIXELS, scene_of
from robot.rollout.mask_frames import MOMENTS, make_mask_frames
from robot.types import InputError, Label

SCENES, SNAPSHOTS, GOALS, CAMERAS = 2, 2, 3, 2


def shard(
    env,
    root,
    *,
    index: int = 0,
    moments: str = "expert",
    absent_share=0.5,
    scenes=None,
    tasks=("pick", "place_any"),
):
    """Make one shard with the shared env and return it, read back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mask_frames, "make_env", lambda task, options: env)
        work = make_mask_frames(
            root=root,
            tasks=tasks,
            scenes=scenes or {"randomised": 1.0},
            moments=moments,
            seed=5,
            image_size=32,
            scenes_per_shard=SCENES,
            snapshots=SNAPSHOTS,
            goals=GOALS,
            absent_share=absent_share,
            hard_share=0.5,
        )
        assert work(index) == SCENES * SNAPSHOTS * GOALS * CAMERAS
    env.switch_task("pick")
    return MaskFrameStore(root).load(shards=[index])


@pytest.fixture(scope="module", params=MOMENTS)
def moments(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def frames(pick_env, moments, tmp_path_factory):
    return shard(pick_env, tmp_path_factory.mktemp("frames"), moments=moments)


def picture(frames, k: int) -> np.ndarray:
    return frames.images[frames.image_ids[k]]


def test_a_shard_has_every_look_camera_and_goal(frames):
    assert len(frames) == SCENES * SNAPSHOTS * GOALS * CAMERAS
    assert set(frames.cameras) == {"agentview", "wrist"} and set(frames.scenes) == {"randomised"}
    assert frames.cameras == ("agentview", "wrist") * (
        len(frames) // 2
    )  # cameras of one look lie side by side


def test_goals_of_one_look_share_the_picture_and_differ_in_words(frames):
    look = slice(0, GOALS * CAMERAS, CAMERAS)
    assert set(frames.image_ids[look]) == {frames.image_ids[0]}
    assert len(frames.images) == SCENES * SNAPSHOTS * CAMERAS  # each picture is stored once
    assert len({frames.goals[k] for k in frames.goal_ids[look]}) >= 2


def test_looks_differ(frames):
    assert not np.array_equal(picture(frames, 0), picture(frames, GOALS * CAMERAS))


def test_a_target_counts_as_visible_from_six_pixels_on(frames):
    count = (frames.labels == Label.TARGET).sum(axis=(1, 2))
    np.testing.assert_array_equal(frames.presence[:, 0], count >= VISIBLE_PIXELS)
    count = (frames.labels == Label.DESTINATION).sum(axis=(1, 2))
    np.testing.assert_array_equal(frames.presence[:, 1], count >= VISIBLE_PIXELS)


def test_some_goals_have_their_target_in_view_and_some_have_not(frames):
    assert frames.presence[:, 0].any() and not frames.presence[:, 0].all()


def test_a_shard_is_a_function_of_seed_and_number(frames, moments, env, tmp_path):
    again = shard(env, tmp_path / "again", moments=moments)
    other = shard(env, tmp_path / "other", moments=moments, index=1)
    np.testing.assert_array_equal(again.images, frames.images)
    np.testing.assert_array_equal(again.labels, frames.labels)
    assert again.goals == frames.goals
    assert not np.array_equal(other.images, frames.images)


def test_only_randomised_scenes_change_their_look_from_one_snapshot_to_the_next(env, tmp_path):
    def same_wall(scene: str) -> float:
        """Return the share of looks whose corner, where the arm rarely reaches, is that of the
        first look.
        """
        frames = shard(env, tmp_path / scene, scenes={scene: 1.0}, tasks=("pick",))
        corner = (
            frames.images[frames.image_ids[0 :: GOALS * CAMERAS], :3, :3]
            .reshape(SCENES * SNAPSHOTS, -1)
            .astype(int)
        )
        return float((np.abs(corner - corner[0]).max(axis=1) <= 2).mean())

    assert same_wall("clean") > 0.7 and same_wall("randomised") < 0.5


def test_conditions_come_in_their_shares_in_any_run_of_scenes():
    shares = {"randomised": 0.6, "clean": 0.3, "lookalike": 0.1}
    for start in (0, 1000):
        drawn = [scene_of(k, shares) for k in range(start, start + 100)]
        assert {name: drawn.count(name) for name in shares} == pytest.approx(
            {"randomised": 60, "clean": 30, "lookalike": 10}, abs=2
        )


def test_unknown_moments_are_refused(tmp_path):
    with pytest.raises(InputError, match="got moments 'staid', expected one of staged, expert"):
        make_mask_frames(
            root=tmp_path,
            tasks=["pick"],
            scenes={"clean": 1.0},
            moments="staid",
            seed=0,
            image_size=32,
            scenes_per_shard=1,
            snapshots=1,
            goals=1,
            absent_share=0.0,
            hard_share=0.0,
        )
