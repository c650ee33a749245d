"""What LeRobot v3's loader reads. lerobot cannot be installed beside this package's torch:
test_lerobot_train.py runs it where it has an environment of its own.
"""

import json

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from robot.data.store import EpisodeStore
from robot.types import InputError


@pytest.fixture
def root(tmp_path, make_episode):
    """Episodes 0, 2 and 5 of 2, 3 and 4 steps; 0 and 5 share their goal."""
    store = EpisodeStore(tmp_path)
    for index, steps, text in ((5, 4, "push"), (0, 2, "push"), (2, 3, "lift")):
        store.append(make_episode(index=index, steps=steps, text=text, success=index != 2))
    store.finalize()
    return tmp_path


def _data(root) -> pa.Table:
    return pa.concat_tables(
        pq.ParquetFile(path).read().replace_schema_metadata()
        for path in sorted(root.glob("data/*/*.parquet"))
    )


def test_info_says_what_the_loader_checks(root):
    info = json.loads((root / "meta/info.json").read_text())
    assert {
        key: info[key]
        for key in ("codebase_version", "total_episodes", "total_frames", "total_tasks", "fps")
    } == {
        "codebase_version": "v3.0",
        "total_episodes": 3,
        "total_frames": 9,
        "total_tasks": 2,
        "fps": 20,
    }
    assert info["splits"] == {"train": "0:3"}
    assert info["data_path"] == "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
    assert info["video_path"] is None


def test_features_are_the_columns(root):
    features = json.loads((root / "meta/info.json").read_text())["features"]
    assert list(features) == _data(root).column_names
    assert features["observation.images.wrist"]["shape"] == [12, 16, 3]
    assert not [name for name in features if "masks" in name]
    assert (
        len(features["observation.state"]["names"])
        == features["observation.state"]["shape"][0]
        == 10
    )
    assert len(features["action"]["names"]) == features["action"]["shape"][0] == 7


def test_column_types_are_those_of_hugging_face_features(root):
    schema = _data(root).schema
    assert schema.field("action").type == pa.list_(pa.field("element", pa.float32()), 7)
    assert schema.field("observation.images.wrist").type == pa.struct(
        {"bytes": pa.binary(), "path": pa.string()}
    )
    assert schema.field("timestamp").type == pa.float32()
    assert schema.field("index").type == pa.int64()
    assert schema.field("next.done").type == pa.bool_()


def test_rows_are_numbered_without_gaps_over_files_in_sorted_order(root):
    data = _data(root).to_pydict()
    assert data["index"] == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert data["episode_index"] == [0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert data["frame_index"] == [0, 1, 0, 1, 2, 0, 1, 2, 3]
    assert data["task_index"] == [0, 0, 1, 1, 1, 0, 0, 0, 0]


def test_the_last_step_is_done_and_succeeds_if_the_episode_did(root):
    data = _data(root).to_pydict()
    assert data["next.done"] == [False, True, False, False, True, False, False, False, True]
    assert data["next.success"] == [False, True, False, False, False, False, False, False, True]


def test_time_advances_by_the_control_period(root):
    np.testing.assert_allclose(
        _data(root)["timestamp"].to_pylist()[-4:], [0.0, 0.05, 0.10, 0.15], atol=1e-7
    )


def test_episode_rows_point_at_their_files_and_frames(root):
    rows = pq.ParquetFile(root / "meta/episodes/chunk-000/file-000.parquet").read().to_pylist()
    keys = (
        "episode_index",
        "tasks",
        "length",
        "data/chunk_index",
        "data/file_index",
        "dataset_from_index",
        "dataset_to_index",
    )
    assert [tuple(row[key] for key in keys) for row in rows] == [
        (0, ["push"], 2, 0, 0, 0, 2),
        (1, ["lift"], 3, 0, 2, 2, 5),
        (2, ["push"], 4, 0, 5, 5, 9),
    ]


def test_tasks_are_a_frame_indexed_by_the_sentence(root):
    table = pq.ParquetFile(root / "meta/tasks.parquet").read()
    assert table.to_pydict() == {"task_index": [0, 1], "task": ["push", "lift"]}
    assert json.loads(table.schema.metadata[b"pandas"])["index_columns"] == ["task"]


def test_images_are_png_of_the_right_colours(root, make_episode):
    content = _data(root)["observation.images.agentview"][0].as_py()["bytes"]
    assert content.startswith(b"\x89PNG")
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(decoded, make_episode(index=0, steps=2).images["agentview"][0])


def test_masks_are_single_channel_png_of_label_values(root, make_episode):
    table = pq.ParquetFile(root / "masks/chunk-000/file-000.parquet").read()
    content = table["observation.masks.wrist"][1].as_py()["bytes"]
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded, make_episode(index=0, steps=2).labels["wrist"][1])


def test_statistics_are_those_of_all_frames_together(root):
    stats = json.loads((root / "meta/stats.json").read_text())["action"]
    actions = np.array(_data(root)["action"].to_pylist(), np.float64)
    np.testing.assert_allclose(stats["mean"], actions.mean(0), rtol=1e-6)
    np.testing.assert_allclose(stats["std"], actions.std(0), rtol=1e-6)
    np.testing.assert_allclose(stats["max"], actions.max(0), rtol=1e-6)
    assert stats["count"] == [9]


def test_quantiles_are_among_the_statistics_under_lerobots_names(tmp_path, make_episode):
    ramp = np.linspace(0, 0.05, 101, dtype=np.float32)[:, None].repeat(7, axis=1)
    store = EpisodeStore(tmp_path)
    store.append(make_episode(steps=101, actions=ramp))
    store.finalize()
    stats = json.loads((tmp_path / "meta/stats.json").read_text())
    np.testing.assert_allclose(stats["action"]["q01"], 0.0005, rtol=1e-4)
    np.testing.assert_allclose(stats["action"]["q99"], 0.0495, rtol=1e-4)
    pixels = np.array(stats["observation.images.wrist"]["q50"])
    assert pixels.shape == (3, 1, 1)
    np.testing.assert_allclose(pixels, 0.5, atol=0.05)  # pixels are uniform
    assert not [key for key in stats if "masks" in key]


def test_an_episode_of_the_old_format_is_read_and_renewed(
    tmp_path, make_episode, assert_same, write_old
):
    episode = make_episode()
    write_old(tmp_path, episode)
    store = EpisodeStore(tmp_path)
    assert_same(store.read(0), episode)
    store.append(make_episode(index=1))
    store.finalize()
    assert_same(store.read(0), episode)
    stats = json.loads((tmp_path / "meta/stats.json").read_text())
    assert "q01" in stats["action"] and not [key for key in stats if "masks" in key]
    assert _data(tmp_path).num_rows == 8  # all files have the same columns


def test_an_episode_without_its_label_maps_names_the_file_that_is_missing(root):
    (root / "masks/chunk-000/file-002.parquet").unlink()
    with pytest.raises(InputError, match="no label maps at .*masks/chunk-000/file-002.parquet"):
        EpisodeStore(root).read(2)


@pytest.mark.parametrize(("control_dt_s", "fps"), [(0.05, 20), (1 / 30, 30), (0.3, 1 / 0.3)])
def test_frames_per_second_are_those_of_the_timestamps(tmp_path, make_episode, control_dt_s, fps):
    store = EpisodeStore(tmp_path)
    store.append(make_episode(control_dt_s=control_dt_s))
    store.finalize()
    found = json.loads((tmp_path / "meta/info.json").read_text())["fps"]
    assert found == fps and type(found) is type(fps)


def test_image_statistics_have_a_value_per_channel_in_0_to_1(root):
    stats = json.loads((root / "meta/stats.json").read_text())["observation.images.wrist"]
    mean = np.array(stats["mean"])
    assert mean.shape == (3, 1, 1)
    np.testing.assert_allclose(mean, 0.5, atol=0.05)  # pixels are uniform


def test_finalizing_again_after_more_episodes_renumbers_the_later_ones(
    root, make_episode, assert_same
):
    store = EpisodeStore(root)
    store.append(make_episode(index=1, steps=1, text="lift"))
    store.finalize()
    data = _data(root).to_pydict()
    assert data["index"] == list(range(10))
    assert data["episode_index"] == [0, 0, 1, 2, 2, 2, 3, 3, 3, 3]
    assert_same(store.read(5), make_episode(index=5, steps=4, text="push"))


def test_finalizing_twice_rewrites_no_episode(root):
    before = {path: path.stat().st_ino for path in root.glob("data/*/*.parquet")}
    EpisodeStore(root).finalize()
    assert before == {path: path.stat().st_ino for path in root.glob("data/*/*.parquet")}


def test_finalizing_an_empty_folder_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="no episodes"):
        EpisodeStore(tmp_path).finalize()


def test_features_name_the_values_and_sizes_of_the_episodes_and_the_robot(
    tmp_path, make_other_episode
):
    store = EpisodeStore(tmp_path)
    store.append(make_other_episode())
    store.finalize()
    info = json.loads((tmp_path / "meta/info.json").read_text())
    assert info["robot_type"] == "five_joints"
    state, action = (info["features"][key] for key in ("observation.state", "action"))
    assert (state["shape"], state["names"][5]) == ([9], "force_x")
    assert (action["shape"], action["names"][-1]) == ([6], "gripper_target")
    assert info["features"]["observation.images.side"]["shape"] == [9, 16, 3]
