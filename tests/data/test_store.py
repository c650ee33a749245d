import json
from dataclasses import replace

import numpy as np
import pytest

from robot.data.parquet import write_table
from robot.data.store import EpisodeStore
from robot.data.summary import decode, encode, summarise
from robot.data.table import episode_to_table
from robot.types import Goal, InputError, Region


def test_an_episode_reads_back_as_it_was_written(tmp_path, make_episode, assert_same):
    store = EpisodeStore(tmp_path)
    store.append(make_episode(index=3))
    assert_same(EpisodeStore(tmp_path).read(3), make_episode(index=3))


def test_regions_of_a_goal_read_back_with_and_without_a_mask(tmp_path, make_episode, assert_same):
    mask = np.zeros((12, 16), bool)
    mask[2:4, 5:9] = True
    regions = (
        Region("wrist", (5.0, 2.0, 9.0, 4.0), mask),
        Region("agentview", (0.0, 0.5, 3.0, 4.0)),
    )
    episode = make_episode(goal=Goal("put this there", regions))
    store = EpisodeStore(tmp_path)
    store.append(episode)
    assert_same(store.read(0), episode)


def test_an_episode_without_labels_reads_back(tmp_path, make_episode, assert_same):
    store = EpisodeStore(tmp_path)
    store.append(make_episode(labels={}))
    assert_same(store.read(0), make_episode(labels={}))


def test_columns_of_a_recording_read_back_and_are_one_format(tmp_path, make_episode, assert_same):
    columns = {
        "time_s": np.arange(4) / 20,
        "is_correction": np.array([False, True, True, False]),
        "mask_status": np.arange(4),
    }
    store = EpisodeStore(tmp_path)
    store.append(make_episode(columns=columns))
    assert_same(store.read(0), make_episode(columns=columns))
    with pytest.raises(InputError, match="got the columns {} in episode 1"):
        store.append(make_episode(index=1))
    store.finalize()
    features = json.loads((tmp_path / "meta/info.json").read_text())["features"]
    assert features["recording.is_correction"] == {"dtype": "bool", "shape": [1], "names": None}
    assert_same(store.read(0), make_episode(columns=columns))


@pytest.mark.parametrize("column", [np.zeros(3), np.zeros((4, 2)), np.zeros(4, np.complex64)])
def test_a_column_of_another_length_or_type_is_bad_input(tmp_path, make_episode, column):
    with pytest.raises(InputError, match="got column x .* expected \\(4,\\) of float32"):
        EpisodeStore(tmp_path).append(make_episode(columns={"x": column}))


def test_numpy_scalars_in_an_episode_are_accepted(tmp_path, make_episode, with_unchecked):
    store = EpisodeStore(tmp_path)
    scalars = {"success": np.bool_(True), "seed": np.int64(7), "weight": np.float32(0.25)}
    store.append(with_unchecked(make_episode(), **scalars))
    assert (store.read(0).success, store.read(0).seed, store.read(0).weight) == (True, 7, 0.25)


def test_iteration_is_in_the_order_of_the_indices(tmp_path, make_episode):
    store = EpisodeStore(tmp_path)
    for index in (1001, 2, 0):
        store.append(make_episode(index=index))
    assert [episode.index for episode in store] == [0, 2, 1001]
    assert len(store) == 3
    assert store.indices() == {0, 2, 1001}


def test_missing_names_what_is_still_to_be_collected(tmp_path, make_episode):
    store = EpisodeStore(tmp_path)
    for index in (0, 2):
        store.append(make_episode(index=index))
    assert store.missing(5) == [1, 3, 4]


def test_a_taken_index_is_refused(tmp_path, make_episode):
    store = EpisodeStore(tmp_path)
    store.append(make_episode())
    with pytest.raises(InputError, match="episode index 0"):
        store.append(make_episode())


def test_an_unknown_index_is_named_with_the_known_ones(tmp_path, make_episode):
    store = EpisodeStore(tmp_path)
    store.append(make_episode(index=4))
    with pytest.raises(InputError, match="got episode index 9.*1 episodes from 4 to 4"):
        store.read(9)


def test_a_summary_tells_all_but_the_arrays(tmp_path, make_episode):
    store = EpisodeStore(tmp_path)
    store.append(make_episode(steps=6))
    summary = store.summary(0)
    assert (summary.length, summary.scene, summary.goal.text) == (
        6,
        "clutter",
        "put the red cube on the plate",
    )
    assert summary.image_shapes == {"agentview": (12, 16, 3), "wrist": (12, 16, 3)}


def test_another_image_size_is_refused_before_it_is_written(tmp_path, make_episode):
    EpisodeStore(tmp_path).append(make_episode())
    small = {camera: np.zeros((4, 6, 8, 3), np.uint8) for camera in ("agentview", "wrist")}
    smaller = make_episode(index=1, images=small, labels={})
    store = EpisodeStore(tmp_path)
    with pytest.raises(InputError, match="camera agentview of 8x6 px, expected 16x12 px"):
        store.append(smaller)
    assert store.indices() == {0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actions": np.full((4, 7), np.nan, np.float32)}, "not finite at step 0"),
        ({"actions": np.zeros((0, 7), np.float32)}, "0 steps"),
        ({"proprio": np.zeros((3, 10), np.float32)}, r"\(4, 10\)"),
        (
            {"images": {"agentview": np.zeros((3, 12, 16, 3), np.uint8)}},
            "images of camera agentview",
        ),
        (
            {"labels": {"agentview": np.zeros((4, 12, 16, 1), np.uint8)}},
            "labels of camera agentview",
        ),
        ({"index": -1}, "number the episodes from 0"),
        (
            {"actions": np.full((4, 7), 1e30, np.float32)},
            "got delta_x 1e\\+30 m at step 0 of episode 0, expected -0.05 to 0.05",
        ),
        ({"proprio": np.full((4, 10), -40.0, np.float32)}, "got ee_position_x -40 m"),
        ({"control_dt_s": 0.0}, "got control_dt_s 0.0 in episode 0, expected seconds above 0"),
        ({"control_dt_s": np.inf}, "got control_dt_s inf"),
        ({"goal": Goal(" ")}, "got an empty goal in episode 0"),
        ({"goal": Goal("that", (Region("top", (0.0, 0.0, 1.0, 1.0)),))}, r"cameras \['top'\]"),
        ({"weight": np.nan}, "got weight nan"),
        ({"tier": "gold"}, "got tier 'gold' in episode 0, expected one of trusted, machine"),
        (
            {"labels": {"agentview": np.zeros((4, 6, 8), np.uint8)}},
            "got labels of 8x6 px for camera agentview in episode 0, expected 16x12 px",
        ),
        ({"labels": {"top": np.zeros((4, 12, 16), np.uint8)}}, r"labels of cameras \['top'\]"),
        (
            {"labels": {"wrist": np.full((4, 12, 16), 9, np.uint8)}},
            "got label 9 for camera wrist in episode 0, expected 0 to 3",
        ),
    ],
)
def test_a_broken_episode_is_refused_and_nothing_is_written(
    tmp_path, make_episode, with_unchecked, change, message
):
    store = EpisodeStore(tmp_path)
    with pytest.raises(InputError, match=message):
        store.append(with_unchecked(make_episode(), **change))
    assert not list(tmp_path.rglob("*.*"))


def test_a_value_without_bounds_is_checked_too(tmp_path, make_other_episode, with_unchecked):
    proprio = make_other_episode().proprio.copy()
    proprio[2, 5] = 3e7
    with pytest.raises(InputError, match=r"got force_x 3e\+07 N at step 2.*-1e\+06 to 1e\+06"):
        EpisodeStore(tmp_path).append(with_unchecked(make_other_episode(), proprio=proprio))


def test_an_invalid_episode_on_disk_is_rejected_with_its_file(tmp_path, make_episode):
    table = episode_to_table(make_episode(labels={}, actions=np.full((4, 7), 1e30, np.float32)))
    write_table(tmp_path / "data/chunk-000/file-000.parquet", table)
    with pytest.raises(InputError, match="file-000.parquet: got delta_x 1e"):
        EpisodeStore(tmp_path).read(0)


def test_set_weights_survives_reopening_and_merges(tmp_path, make_episode):
    store = EpisodeStore(tmp_path)
    for index in range(3):
        store.append(make_episode(index=index))
    store.set_weights({0: 0.1, 1: 0.2})
    store.set_weights({1: 0.9})
    reopened = EpisodeStore(tmp_path)
    assert [episode.weight for episode in reopened] == [0.1, 0.9, 0.5]
    assert reopened.summary(1).weight == 0.9


def test_weights_of_unknown_episodes_are_refused(tmp_path, make_episode):
    store = EpisodeStore(tmp_path)
    store.append(make_episode())
    with pytest.raises(InputError, match=r"unknown episodes \[7\]"):
        store.set_weights({7: 1.0})


def test_negative_weights_are_refused(tmp_path, make_episode):
    store = EpisodeStore(tmp_path)
    store.append(make_episode())
    with pytest.raises(InputError, match=r"negative ones for \[0\]"):
        store.set_weights({0: -1.0})


def test_finalizing_keeps_the_weights(tmp_path, make_episode):
    store = EpisodeStore(tmp_path)
    store.append(make_episode())
    store.set_weights({0: 0.75})
    store.finalize()
    assert store.read(0).weight == 0.75
    assert json.loads((tmp_path / "meta/weights.json").read_text()) == {"0": 0.75}


def test_an_equals_sign_in_the_folder_is_no_column(tmp_path, make_episode, assert_same):
    store = EpisodeStore(tmp_path / "env=robosuite")
    store.append(make_episode())
    assert_same(store.read(0), make_episode())


# --- spaces


def test_an_episode_of_any_state_actions_and_cameras_is_read_back_as_it_was(
    tmp_path, make_other_episode, assert_same
):
    store = EpisodeStore(tmp_path)
    store.append(make_other_episode())
    assert_same(store.read(0), make_other_episode())
    assert store.spaces == make_other_episode().spaces


def test_a_store_without_episodes_has_no_spaces(tmp_path):
    with pytest.raises(InputError, match="collect some first"):
        EpisodeStore(tmp_path).spaces  # noqa: B018


def test_an_episode_of_another_arm_is_refused_by_name_and_not_written(
    tmp_path, make_episode, make_other_episode
):
    store = EpisodeStore(tmp_path)
    store.append(make_episode())
    with pytest.raises(InputError, match="no state value ee_position_x.*another folder"):
        store.append(make_other_episode(index=1))
    assert store.indices() == {0}


def test_episodes_of_two_arms_that_lie_in_one_folder_are_not_finalized(
    tmp_path, make_episode, make_other_episode
):
    EpisodeStore(tmp_path / "a").append(make_episode())
    EpisodeStore(tmp_path / "b").append(make_other_episode(index=1))
    other = "data/chunk-000/file-001.parquet"
    (tmp_path / "b" / other).rename(tmp_path / "a" / other)
    with pytest.raises(InputError, match="got episode 1 beside episode 0 that differs"):
        EpisodeStore(tmp_path / "a").finalize()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cameras": ()}, "as its spaces declare: record"),
        ({"control_dt_s": 0.2}, "got control_dt_s 0.05 in episode 0, expected 0.2"),
    ],
)
def test_an_episode_that_is_not_of_its_spaces_is_refused(tmp_path, make_episode, change, message):
    episode = make_episode()
    with pytest.raises(InputError, match=message):
        EpisodeStore(tmp_path).append(replace(episode, spaces=replace(episode.spaces, **change)))


def test_an_episode_from_before_spaces_is_the_pandas(make_episode):
    summary = summarise(make_episode(), statistics={})
    content = json.loads(encode(summary))
    assert content.pop("spaces")
    assert decode(json.dumps(content).encode()).spaces == summary.spaces
    assert summary.spaces.robot_type == "panda"
