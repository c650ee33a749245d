"""Datasets that LeRobot recorded: read as they are, never written, never to be deleted."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from robot.data.store import EpisodeStore
from robot.spaces import Camera
from robot.types import InputError
from tests.data.foreign import JOINTS, LENGTHS, grey, write_foreign


@pytest.fixture(params=["video", "png"])
def root(tmp_path, request) -> Path:
    return write_foreign(tmp_path / "so100", video=request.param == "video")


def edit_info(root: Path, **changes) -> None:
    path = root / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_episodes_are_cut_out_of_shared_files(root):
    episodes = list(EpisodeStore(root))
    assert [len(episode) for episode in episodes] == list(LENGTHS)
    for e, episode in enumerate(episodes):
        steps = e + 0.1 * np.arange(len(episode))
        np.testing.assert_allclose(episode.proprio, steps[:, None].repeat(3, 1), rtol=1e-6)
        np.testing.assert_allclose(episode.actions, episode.proprio + 0.5, rtol=1e-6)


def test_every_camera_shows_its_own_frames_in_time(root):
    for e, episode in enumerate(EpisodeStore(root)):
        assert {name: images.shape[1:] for name, images in episode.images.items()} == {
            "front": (48, 64, 3),
            "side": (32, 32, 3),
        }
        for images in episode.images.values():
            levels = images.reshape(len(episode), -1).mean(axis=1)
            np.testing.assert_allclose(
                levels, [grey(e, t) for t in range(len(episode))], atol=3
            )  # a video is lossy


def test_goals_are_the_tasks_sentences(root):
    store = EpisodeStore(root)
    assert [store.read(e).goal.text for e in range(3)] == [
        "grab the cube",
        "put it away",
        "grab the cube",
    ]
    assert store.summary(1).goal.text == "put it away"
    assert store.summary(1).length == LENGTHS[1]


def test_spaces_are_what_info_json_says(root):
    spaces = EpisodeStore(root).spaces
    assert spaces.action.names == spaces.state.names == tuple(JOINTS)
    assert spaces.action.relative == (False,) * 3  # joint targets
    assert set(spaces.action.low) == {-math.inf}
    assert spaces.cameras == (Camera("front", 48, 64), Camera("side", 32, 32))
    assert (spaces.control_dt_s, spaces.robot_type) == (0.1, "so100_follower")


def test_a_goal_is_found_by_its_number_where_the_episode_names_none(root):
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    pq.write_table(pq.ParquetFile(path).read().drop_columns(["tasks"]), path)
    assert [episode.goal.text for episode in EpisodeStore(root)][1] == "put it away"


def test_values_without_usable_names_are_numbered(root):
    features = json.loads((root / "meta/info.json").read_text())["features"]
    features["action"]["names"] = ["motors"]
    features["observation.state"]["names"] = {"motors": ["a", "b", "c"]}
    edit_info(root, features=features)
    spaces = EpisodeStore(root).spaces
    assert spaces.action.names == ("action_0", "action_1", "action_2")
    assert spaces.state.names == ("a", "b", "c")


def test_nothing_in_the_folder_is_changed(root, make_episode):
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    store = EpisodeStore(root)
    list(store)
    for write in (
        lambda: store.append(make_episode()),
        store.finalize,
        lambda: store.set_weights({0: 1.0}),
    ):
        with pytest.raises(InputError, match="a dataset that LeRobot recorded.*another folder"):
            write()
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codebase_version": "v2.1"}, "of version v2.1, expected v3.0: convert a copy"),
        ({"features": {}}, "a LeRobot dataset without the feature observation.state"),
        ({"fps": 0}, "without frames per second above 0"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(root, changes, message):
    edit_info(root, **changes)
    with pytest.raises(InputError, match=message) as raised:
        EpisodeStore(root).read(0)
    assert "delete" not in str(raised.value)


def test_a_dataset_without_cameras_is_rejected(root):
    features = json.loads((root / "meta/info.json").read_text())["features"]
    edit_info(root, features={k: v for k, v in features.items() if "images" not in k})
    with pytest.raises(InputError, match="without a camera"):
        EpisodeStore(root).read(0)


def test_an_episode_that_is_not_there_is_named_with_those_that_are(root):
    with pytest.raises(InputError, match="got episode index 9.*3 episodes from 0 to 2"):
        EpisodeStore(root).read(9)


@pytest.mark.parametrize("pattern", ["data/*/*.parquet", "videos/*side/*/*.mp4", "meta/*.parquet"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_or_missing_file_is_never_to_be_deleted(tmp_path, pattern, damage):
    root = write_foreign(tmp_path, video=True)
    path = next(root.glob(pattern))
    if pattern.startswith("meta"):  # tasks are needed where the rows of episodes lack them
        rows = root / "meta/episodes/chunk-000/file-000.parquet"
        pq.write_table(pq.ParquetFile(rows).read().drop_columns(["tasks"]), rows)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    else:
        path.unlink()
    with pytest.raises(InputError) as raised:
        EpisodeStore(root).read(0)
    assert "delete" not in str(raised.value)
    assert "expected" in str(raised.value) and str(root) in str(raised.value)


def test_a_parquet_file_of_others_without_meta_is_not_to_be_deleted(tmp_path):
    path = tmp_path / "data/chunk-000/file-000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"action": [1.0]}), path)
    for read in (EpisodeStore(tmp_path).read, EpisodeStore(tmp_path).summary):
        with pytest.raises(InputError, match="did not write.*copy its meta/") as raised:
            read(0)
        assert "delete" not in str(raised.value)
