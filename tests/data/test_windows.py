import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from robot.batch import LanguageTokens
from robot.data.store import EpisodeStore
from robot.data.window_loading import load_windows
from robot.data.windows import PAST_END, Windows, join
from robot.spaces import Vector
from robot.types import InputError
from tests.robots import panda


def _language(texts: list[str]) -> LanguageTokens:
    """Sentence i is a token of value i."""
    tokens = torch.arange(len(texts)).float()[:, None, None].expand(-1, 2, 384)
    return LanguageTokens(tokens=tokens, valid=torch.ones(len(texts), 2, dtype=torch.bool))


@pytest.fixture
def windows() -> Windows:
    """Episodes of 3 and 2 frames. Frame f has pixels of value f, proprio f, deltas 10 f and gripper
    target f / 10.
    """
    frame = torch.arange(5)
    actions = (10.0 * frame)[:, None].repeat(1, 7)
    actions[:, -1] = frame / 10
    return Windows(
        composites=frame.to(torch.uint8)[:, None, None, None, None].repeat(1, 2, 6, 4, 4),
        proprio=frame[:, None].repeat(1, 10).float(),
        actions=actions,
        goal_ids=torch.tensor([0, 0, 0, 1, 1]),
        starts=torch.tensor([0, 3]),
        lengths=torch.tensor([3, 2]),
        weights=torch.tensor([1.0, 0.25]),
        language=_language(["push", "lift"]),
        spaces=panda(agentview=(8, 8), wrist=(8, 8)),
    )


def test_a_window_stops_at_the_end_of_its_episode(windows):
    indices = windows.windows_from(torch.tensor([0, 1, 2, 4]), 3)
    assert indices.tolist() == [
        [0, 1, 2],
        [1, 2, PAST_END],
        [2, PAST_END, PAST_END],
        [4, PAST_END, PAST_END],
    ]


def test_steps_past_the_end_hold_still_with_the_last_gripper_target(windows):
    batch = windows.batch(windows.windows_from(torch.tensor([1]), 4))
    hold = [0.0] * 6 + [0.2]
    expected = [[10.0] * 6 + [0.1], [20.0] * 6 + [0.2], hold, hold]
    torch.testing.assert_close(batch.actions, torch.tensor([expected]))
    assert batch.valid.tolist() == [[True, True, False, False]]


def test_the_observation_is_that_of_the_first_step(windows):
    batch = windows.batch(windows.windows_from(torch.tensor([2, 3]), 3))
    assert batch.observation.proprio[:, 0].tolist() == [2.0, 3.0]
    assert batch.observation.language.tokens[:, 0, 0].tolist() == [0.0, 1.0]
    torch.testing.assert_close(
        batch.observation.images[:, 0, 0, 0, 0], torch.tensor([2 / 255, 3 / 255])
    )
    assert batch.observation.images.shape == (2, 2, 6, 4, 4)


def test_the_brightest_pixel_is_one(windows):
    windows.composites[0] = 255
    assert windows.batch(torch.tensor([[0]])).observation.images.max() == 1.0


def test_a_window_carries_the_weight_of_its_episode(windows):
    assert windows.sample_weights(torch.tensor([[2, PAST_END], [3, 4]])).tolist() == [1.0, 0.25]


def test_a_window_may_have_a_weight_of_its_own_beside_its_episodes(windows):
    windows = Windows(
        **{**_fields(windows), "frame_weights": torch.tensor([1.0, 0.0, 2.0, 4.0, 0.0])}
    )
    assert windows.sample_weights(torch.tensor([[1, 2], [2, PAST_END], [3, 4]])).tolist() == [
        0.0,
        2.0,
        1.0,
    ]
    first = windows.sample(200, torch.Generator().manual_seed(0), 1)[:, 0]
    assert set(first.tolist()) == {0, 2, 3}


def test_the_same_generator_draws_the_same_windows(windows):
    def draw(seed):
        return windows.sample(50, torch.Generator().manual_seed(seed), 3)

    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))


def test_draws_are_uniform_over_frames(windows):
    first = windows.sample(10_000, torch.Generator().manual_seed(0), 1)[:, 0]
    np.testing.assert_allclose(torch.bincount(first).numpy() / 10_000, 0.2, atol=0.02)


def test_an_episode_of_weight_zero_is_never_drawn(windows):
    windows = Windows(**{**_fields(windows), "weights": torch.tensor([0.0, 1.0])})
    first = windows.sample(200, torch.Generator().manual_seed(0), 1)[:, 0]
    assert set(first.tolist()) == {3, 4}


def test_weights_that_are_all_zero_are_bad_input(windows):
    with pytest.raises(InputError, match="none of weight > 0"):
        Windows(**{**_fields(windows), "weights": torch.zeros(2)})


def test_arrays_of_different_lengths_are_bad_input(windows):
    with pytest.raises(InputError, match="got 5 composites.*episodes of 4 frames"):
        Windows(**{**_fields(windows), "lengths": torch.tensor([3, 1])})


def test_batches_apply_the_augmentation_to_floats_and_nothing_else(windows):
    seen = []

    def brighten(images, generator):
        seen.append(generator)
        return images + 1

    generator = torch.Generator().manual_seed(0)
    batch, weights = next(windows.batches(8, horizon=2, generator=generator, augment=brighten))
    torch.testing.assert_close(
        batch.observation.images[:, 0, 0, 0, 0], batch.observation.proprio[:, 0] / 255 + 1
    )
    assert seen == [generator]
    assert weights.shape == (8,)
    assert windows.composites.max() == 4


def _many(column: int, outlier: float, *, frames: int = 50) -> Windows:
    """Joint targets without bounds that move from 0 to 1, and one outlier in frame 7."""
    joints = Vector(
        names=("shoulder", "elbow"),
        units=("unknown",) * 2,
        low=(-math.inf,) * 2,
        high=(math.inf,) * 2,
        groups=(("joints", 2),),
        relative=(False,) * 2,
    )
    actions = torch.linspace(0, 1, frames)[:, None].repeat(1, 2)
    proprio = actions.clone()
    actions[7, column] = outlier
    return Windows(
        composites=torch.zeros(frames, 2, 6, 4, 4, dtype=torch.uint8),
        proprio=proprio,
        actions=actions,
        goal_ids=torch.zeros(frames, dtype=torch.long),
        starts=torch.tensor([0]),
        lengths=torch.tensor([frames]),
        weights=torch.ones(1),
        language=_language(["push"]),
        spaces=replace(panda(agentview=(8, 8), wrist=(8, 8)), state=joints, action=joints),
    )


def test_an_outlier_that_would_squeeze_the_normalisation_is_rejected_by_name_and_frame():
    with pytest.raises(
        InputError, match=r"got action elbow 5000 in frame 7 .* between 0.02.* and 1:"
    ):
        _many(1, 5000.0).statistics()


def test_a_rare_value_of_the_same_order_is_kept():
    assert _many(0, 8.0).statistics()["action"]["max"] == [8.0, 1.0]


def test_statistics_are_those_of_all_frames(windows):
    action = windows.statistics()["action"]
    assert (action["min"][0], action["max"][0], action["mean"][0]) == (0.0, 40.0, 20.0)
    np.testing.assert_allclose(action["std"][0], np.sqrt(200))  # 10 sqrt((4 + 1 + 0 + 1 + 4) / 5)
    assert windows.proprio_statistics()["max"] == [4.0] * 10


def _fields(windows: Windows) -> dict:
    return {name: value for name, value in vars(windows).items() if not name.startswith("_")}


@pytest.fixture
def store(tmp_path, make_episode):
    store = EpisodeStore(tmp_path)
    for index, steps, text in ((0, 3, "push"), (1, 2, "lift"), (4, 5, "push")):
        store.append(make_episode(index=index, steps=steps, text=text))
    store.set_weights({1: 0.125})
    return store


def _compose(frames, labels, goal):
    """RGB of every second pixel, then the labels three times."""
    rgb = np.stack([images[:, ::2, ::2].transpose(0, 3, 1, 2) for images in frames], axis=1)
    roles = np.stack([maps[:, None, ::2, ::2] for maps in labels], axis=1)
    return np.concatenate([rgb, np.repeat(roles, 3, axis=2)], axis=2)


def test_loaded_windows_hold_the_episodes_end_to_end(store):
    windows = load_windows(store, compose=_compose, language=_language)
    assert windows.composites.shape == (10, 2, 6, 6, 8)
    assert (windows.starts.tolist(), windows.lengths.tolist()) == ([0, 3, 5], [3, 2, 5])
    assert windows.goal_ids.tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    assert windows.weights.tolist() == [0.5, 0.125, 0.5]
    episode = store.read(1)
    np.testing.assert_array_equal(windows.actions[3:5].numpy(), episode.actions)
    np.testing.assert_array_equal(windows.proprio[3:5].numpy(), episode.proprio)
    np.testing.assert_array_equal(
        windows.composites[4, 1, 2].numpy(), episode.images["wrist"][1, ::2, ::2, 2]
    )
    np.testing.assert_array_equal(
        windows.composites[4, 0, 5].numpy(), episode.labels["agentview"][1, ::2, ::2]
    )


def test_chosen_episodes_and_cameras_are_loaded_in_the_order_asked_for(store):
    windows = load_windows(
        store, compose=_compose, language=_language, indices=[4, 0], cameras=["wrist"]
    )
    assert windows.lengths.tolist() == [5, 3]
    np.testing.assert_array_equal(
        windows.composites[5, 0, 0].numpy(), store.read(0).images["wrist"][0, ::2, ::2, 0]
    )


def test_only_every_second_frame_is_composed_and_starts_a_window(store):
    windows = load_windows(store, compose=_compose, language=_language, look_every=2)
    assert len(windows) == len(windows.actions) == 10
    assert windows.look_of is not None
    assert windows.look_of.tolist() == [0, -1, 1, 2, -1, 3, -1, 4, -1, 5]
    drawn = windows.sample(200, torch.Generator().manual_seed(0), 2)[:, 0]
    assert set(drawn.tolist()) == {0, 2, 3, 5, 7, 9}
    batch = windows.batch(windows.windows_from(torch.tensor([7]), 2))
    expected = store.read(4).images["wrist"][2, ::2, ::2, 0] / 255.0
    np.testing.assert_allclose(batch.observation.images[0, 1, 0].numpy(), expected, atol=1e-6)
    assert batch.valid.tolist() == [[True, True]]  # its second action is that of frame 8


def test_a_window_cannot_start_where_nothing_was_composed(store):
    windows = load_windows(store, compose=_compose, language=_language, look_every=2)
    with pytest.raises((IndexError, RuntimeError)):
        windows.batch(windows.windows_from(torch.tensor([1]), 2))


@pytest.mark.parametrize("first", [1, 2])
def test_joined_windows_find_their_composites(store, first):
    parts = [
        load_windows(store, compose=_compose, language=_language, look_every=every)
        for every in (first, 2)
    ]
    joined = join(parts)
    for frame in (0, 2, 3, 5):
        for offset, part in ((0, parts[0]), (10, parts[1])):
            of_part = part.batch(torch.tensor([[frame]])).observation.images
            of_joined = joined.batch(torch.tensor([[frame + offset]])).observation.images
            torch.testing.assert_close(of_joined, of_part)


def test_loading_reports_every_episode(store):
    heard = []
    load_windows(
        store, compose=_compose, language=_language, progress=lambda *done: heard.append(done)
    )
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_composing_an_episode_without_labels_gets_none(tmp_path, make_episode):
    store = EpisodeStore(tmp_path)
    store.append(make_episode(labels={}))
    got = []

    def compose(frames, labels, goal):
        got.append(labels)
        return np.zeros((len(frames[0]), 2, 6, 4, 4), np.uint8)

    load_windows(store, compose=compose, language=_language)
    assert got == [None]


def test_cameras_that_are_not_there_are_bad_input(store):
    with pytest.raises(InputError, match="cameras \\['front'\\]"):
        load_windows(store, compose=_compose, language=_language, cameras=["front"])


def test_an_empty_store_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="no episodes to load"):
        load_windows(EpisodeStore(tmp_path), compose=_compose, language=_language)


def test_windows_of_cameras_of_different_sizes_and_another_arm(tmp_path, make_other_episode):
    store = EpisodeStore(tmp_path)
    store.append(make_other_episode(steps=3))
    shapes = []

    def compose(frames, labels, goal):
        shapes.extend(images.shape[1:3] for images in frames)
        return np.zeros((len(frames[0]), 3, 6, 4, 4), np.uint8)

    windows = load_windows(store, compose=compose, language=_language)
    assert shapes == [(12, 16), (10, 10), (9, 16)]
    assert windows.spaces == store.spaces
    batch = windows.batch(windows.windows_from(torch.tensor([1]), 3))
    assert batch.observation.proprio.shape == (1, 9) and batch.actions.shape == (1, 3, 6)
    hold = [0.0] * 5 + [float(store.read(0).actions[2, 5])]
    torch.testing.assert_close(batch.actions[0, 2], torch.tensor(hold))
    assert len(windows.statistics()["proprio"]["min"]) == 9


def test_an_absolute_action_holds_its_last_target(windows):
    action = replace(windows.spaces.action, relative=(False,) * 7)
    windows = Windows(**{**_fields(windows), "spaces": replace(windows.spaces, action=action)})
    batch = windows.batch(windows.windows_from(torch.tensor([1]), 4))
    torch.testing.assert_close(batch.actions[0, 3], batch.actions[0, 1])
