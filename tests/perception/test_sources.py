import warnings

import numpy as np
import pytest
import torch

from robot.language import LanguageEncoder, load_hashed
from robot.perception.compose.masking import Overlay, compose
from robot.perception.head.mask_head import MaskHead
from robot.perception.sources import CachedMasks, LearnedMasks, NoMask, OracleMasks
from robot.spaces import Camera
from robot.types import Frame, Goal, InputError, Mask, MaskStatus
from robot.words.reader import GoalReader

GOAL = Goal("lift the red cup")


def frames(time_s: float = 0.0, side: int = 32) -> list[Frame]:
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return [Frame(camera=name, image=image, time_s=time_s) for name in ("agentview", "wrist")]


def labels(agentview: int, wrist: int) -> dict[str, np.ndarray]:
    return {
        "agentview": np.full((32, 32), agentview, np.uint8),
        "wrist": np.full((32, 32), wrist, np.uint8),
    }


class Counting:
    """A source that counts its calls and hands out a fresh oracle mask."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, frames, goal):
        self.calls += 1
        return OracleMasks(lambda: labels(1, 0))(frames, goal)


@pytest.fixture(scope="module")
def learned() -> LearnedMasks:
    return LearnedMasks(MaskHead(), LanguageEncoder.hashed())


def test_learned_masks_have_one_entry_per_frame(learned):
    mask = learned(frames(), GOAL)
    assert (
        np.shape(mask.probability) == (2, 3, 32, 32)
        and mask.presence.shape == (2, 2)
        and mask.predicted_iou.shape == (2,)
    )
    assert len(mask.status) == 2 and mask.age_s == 0


@pytest.mark.parametrize("bias, status", [(50, MaskStatus.FOUND), (-50, MaskStatus.ABSENT)])
def test_learned_status_follows_the_calibrated_presence(bias, status):
    head = MaskHead()
    head.presence_bias.fill_(bias)
    assert LearnedMasks(head, LanguageEncoder.hashed())(frames(), GOAL).status == (status, status)


def test_a_target_that_one_camera_sees_is_found_for_all():
    mask = OracleMasks(lambda: labels(0, 1))(frames(), GOAL)
    assert mask.status == (MaskStatus.FOUND, MaskStatus.FOUND)
    assert mask.presence[:, 0].tolist() == [0, 1]


def test_a_destination_alone_is_not_a_target():
    assert OracleMasks(lambda: labels(2, 2))(frames(), GOAL).status[0] is MaskStatus.ABSENT


def test_oracle_reads_the_labels_anew_at_every_call():
    current = labels(1, 1)
    source = OracleMasks(lambda: current)
    source(frames(), GOAL)
    current = labels(0, 0)
    assert np.sum(source(frames(), GOAL).probability) == 0


def test_oracle_refuses_a_camera_without_labels():
    with pytest.raises(InputError, match="wrist"):
        OracleMasks(lambda: {"agentview": np.zeros((32, 32), np.uint8)})(frames(), GOAL)


def test_cache_asks_once_per_period():
    source = Counting()
    cached = CachedMasks(source, 3)
    for step in range(7):
        cached(frames(step * 0.05), GOAL)
    assert source.calls == 3


def test_cached_mask_tells_its_age():
    cached = CachedMasks(Counting(), 3)
    ages = [cached(frames(step * 0.05), GOAL).age_s for step in range(4)]
    assert ages == pytest.approx([0, 0.05, 0.1, 0])


def test_new_goal_and_new_episode_are_not_answered_from_the_cache():
    source = Counting()
    cached = CachedMasks(source, 100)
    cached(frames(1.0), GOAL)
    cached(frames(1.1), Goal("lift the blue cup"))
    cached(frames(0.0), Goal("lift the blue cup"))
    assert source.calls == 3


def test_no_mask_keeps_the_whole_frame():
    views = frames()
    composite = compose(
        np.stack([f.image for f in views]),
        np.stack(NoMask()(views, GOAL).probability),
        deployment=Overlay(),
        size=32,
    )
    torch.testing.assert_close(
        composite[0, :3], torch.from_numpy(views[0].image).permute(2, 0, 1) / 255
    )


def sized(**cameras: tuple[int, int]) -> list[Frame]:
    """Return grey frames of cameras name=(height, width)."""
    return [
        Frame(camera=name, image=np.full((*size, 3), 90, np.uint8))
        for name, size in cameras.items()
    ]


MIXED = {"front": (48, 64), "wrist": (32, 32), "side": (30, 40)}


def shapes(mask: Mask) -> list[tuple[int, ...]]:
    return [roles.shape for roles in mask.probability]


@pytest.mark.parametrize("period", [1, 2])
def test_every_camera_is_masked_at_its_own_size(period):
    maps = {name: np.ones(size, np.uint8) for name, size in MIXED.items()}
    wanted = [(3, *size) for size in MIXED.values()]
    for source in (NoMask(), OracleMasks(lambda: maps)):
        assert shapes(CachedMasks(source, period)(sized(**MIXED), GOAL)) == wanted


def test_a_head_of_one_camera_takes_any_number_of_any_size():
    head = MaskHead()
    head.trained_cameras = (Camera("front", 32, 32),)
    mask = LearnedMasks(head, LanguageEncoder.hashed())(sized(**MIXED), GOAL)
    assert shapes(mask) == [(3, *size) for size in MIXED.values()]
    assert mask.presence.shape == (3, 2) and len(mask.status) == 3


def test_a_head_of_two_cameras_refuses_others_by_name():
    head = MaskHead(cameras=2)
    head.trained_cameras = (Camera("agentview", 32, 32), Camera("wrist", 32, 32))
    source = LearnedMasks(head, LanguageEncoder.hashed())
    assert len(source(sized(agentview=(64, 64), wrist=(32, 32)), GOAL).probability) == 2
    with pytest.raises(InputError, match="no camera wrist; unknown camera side"):
        source(sized(agentview=(32, 32), side=(32, 32)), GOAL)
    with pytest.raises(InputError, match="cameras in the order wrist, agentview, expected agentv"):
        source(sized(wrist=(32, 32), agentview=(32, 32)), GOAL)
    with pytest.raises(InputError, match="camera wrist of 40x32 px, expected 32x32 px or larger"):
        source(sized(agentview=(32, 32), wrist=(32, 40)), GOAL)


def test_a_head_sees_larger_frames_as_large_as_those_of_its_training():
    head = MaskHead()
    head.trained_cameras = (Camera("agentview", 32, 32),)
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    source = LearnedMasks(head, LanguageEncoder.hashed())
    seen = [source([Frame(camera="a", image=image)], GOAL) for image in (small, large)]
    np.testing.assert_array_equal(seen[0].presence, seen[1].presence)
    shrunk = seen[1].probability[0].reshape(3, 32, 2, 32, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(shrunk, seen[0].probability[0], atol=0.1)


@pytest.mark.parametrize("above, below", [(0.3, 0.7), (1.2, 0.1)])
def test_presence_thresholds_out_of_order_are_refused(above, below):
    with pytest.raises(InputError, match="found_above"):
        LearnedMasks(MaskHead(), LanguageEncoder.hashed(), found_above=above, absent_below=below)


def test_a_missing_target_is_absent_and_does_not_cover_the_frame():
    head = MaskHead()
    head.presence_bias.fill_(-50)
    with torch.no_grad():
        head.decoder.hyper[-1].bias.fill_(-50)  # type: ignore[union-attr]
    mask = LearnedMasks(head, LanguageEncoder.hashed())(frames(), GOAL)
    assert mask.status == (MaskStatus.ABSENT, MaskStatus.ABSENT)
    assert Overlay().coverage(torch.from_numpy(np.stack(mask.probability))).mean() < 0.5


class Asked(LanguageEncoder):
    """Remembers the sentences that it encodes."""

    def encode(self, sentences):
        self.sentences = [*getattr(self, "sentences", []), *sentences]
        return super().encode(sentences)


def reading(*, bias: float = 50) -> tuple[LearnedMasks, Asked]:
    """Return a source that finds everything, and the encoder that it asks through."""
    head, language = MaskHead(), Asked(load=load_hashed)
    head.presence_bias.fill_(bias)
    return LearnedMasks(head, language, reader=GoalReader.of("tabletop")), language


def test_the_head_is_asked_in_the_words_of_its_training():
    source, language = reading()
    mask = source(frames(), Goal("please take the crimson mug"))
    assert language.sentences == ["pick up the red cup"] == [mask.sentence]
    assert mask.status[0] is MaskStatus.FOUND


@pytest.mark.parametrize("text", ["stop", "do not take the red cup", "拿起红色的杯子"])
def test_words_that_ask_for_nothing_find_nothing_and_are_warned_of_once(text):
    source, language = reading()
    with pytest.warns(UserWarning, match="is not acted on"):
        mask = source(frames(), Goal(text))
    assert mask.status == (MaskStatus.ABSENT,) * 2 and mask.sentence == ""
    assert not hasattr(language, "sentences") and not np.any(mask.probability)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source(frames(0.1), Goal(text))


def test_a_goal_without_a_colour_asks_for_all_until_one_is_found_and_then_for_that_one():
    source, language = reading()
    first = source(frames(0.0), Goal("the mug"))
    assert len(language.sentences) == 4 and first.sentence in language.sentences
    assert source(frames(0.4), Goal("the mug")).sentence == first.sentence
    assert language.sentences[4:] == [first.sentence]
    source(frames(0.0), Goal("the mug"))
    source(frames(0.0), Goal("the mug"))
    source(frames(0.0), Goal("the ball"))
    assert len(language.sentences) > 8


def test_a_head_that_names_no_vocabulary_is_asked_what_the_goal_says(learned):
    assert learned(frames(), Goal("拿起红色的杯子")).sentence is None
