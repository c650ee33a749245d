"""Training a mask head: resumed exactly, done only once, calibrated on frames it has not seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from robot.checkpoint import file_digest, read_header
from robot.data.mask_frames import MaskFrameStore
from robot.language import LanguageEncoder
from robot.perception.head.base import Head
from robot.system.parse import Spec
from robot.train import mask_head as mask
from robot.train.mask_head import check_start, mask_batches, train_mask_head
from robot.types import InputError
from tests.experiment.toy import HEAD, head_training, training_of, write_mask_frames

pytestmark = pytest.mark.usefixtures("hashed_words")


class Cut(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return write_mask_frames(tmp_path_factory.mktemp("frames"))


def cut_at(step: int, steps: list[int]):
    def log(done: int, values) -> None:
        steps.append(done)
        if done == step:
            raise Cut

    return log


def test_a_training_that_was_cut_off_goes_on_and_ends_as_if_it_had_not_been(frames, tmp_path):
    options = {"frames": frames, "directory": tmp_path / "cut"}
    whole = load_file(train_mask_head(head_training(), frames=frames, directory=tmp_path / "whole"))
    seen: list[int] = []
    with pytest.raises(Cut):
        train_mask_head(head_training(), log=cut_at(5, seen), **options)
    resumed = load_file(train_mask_head(head_training(), log=cut_at(-1, seen), **options))
    assert seen == [1, 2, 3, 4, 5, 5, 6], "from the last checkpoint on, after step 4"
    assert whole.keys() == resumed.keys()
    for name in whole:
        torch.testing.assert_close(resumed[name], whole[name], rtol=0, atol=0, msg=name)


def test_a_head_that_is_there_is_not_trained_again(frames, tmp_path, monkeypatch):
    first = train_mask_head(head_training(), frames=frames, directory=tmp_path)
    monkeypatch.setattr(mask, "train_seeded", lambda *_, **__: pytest.fail("trained again"))
    assert train_mask_head(head_training(), frames=frames, directory=tmp_path) == first


def test_a_head_is_calibrated_on_frames_that_it_was_not_trained_on(frames, tmp_path, monkeypatch):
    loaded = []
    load = MaskFrameStore.load
    monkeypatch.setattr(
        mask.MaskFrameStore,
        "load",
        lambda self, *, shards: loaded.append(shards) or load(self, shards=shards),
    )
    file = train_mask_head(head_training(), frames=frames, directory=tmp_path)
    assert loaded == [[0, 1], [30, 31]]
    head, held_out = Head.load(file), read_header(file)["metadata"]["held_out"]
    assert (head.presence_temperature != 1).any()
    again = MaskFrameStore(frames).load(shards=[30, 31])
    assert held_out == pytest.approx(
        mask.calibrate_head(head, again, language=LanguageEncoder.hashed())
    )


def test_a_head_knows_its_cameras(frames, tmp_path):
    file = train_mask_head(head_training(), frames=frames, directory=tmp_path)
    assert [camera.name for camera in Head.load(file).trained_cameras] == ["agentview", "wrist"]


def test_batches_of_a_step_do_not_depend_on_where_training_began(frames):
    batches = mask_batches(
        MaskFrameStore(frames).load(),
        language=LanguageEncoder.hashed(),
        cameras=2,
        batch_size=4,
        seed=1,
    )
    from_start, later = batches(0), batches(2)
    wound = [next(from_start) for _ in range(3)][2]
    direct = next(later)
    torch.testing.assert_close(wound.frames, direct.frames, rtol=0, atol=0)
    torch.testing.assert_close(wound.labels, direct.labels, rtol=0, atol=0)


def test_a_share_of_hues_reaches_the_batches(frames):
    plain, turned = (
        next(
            mask_batches(
                MaskFrameStore(frames).load(),
                language=LanguageEncoder.hashed(),
                cameras=2,
                batch_size=4,
                seed=1,
                hue_share=share,
            )(0)
        )
        for share in (0.0, 1.0)
    )
    assert plain.frames.shape == turned.frames.shape
    assert not plain.frames.equal(turned.frames)


def test_frames_of_one_camera_are_refused_by_a_head_of_two(frames):
    all_frames = MaskFrameStore(frames).load()
    one_sided = all_frames.select(np.flatnonzero(np.array(all_frames.cameras) == "wrist"))
    with pytest.raises(InputError, match=r"got mask frames of \['wrist'\] for a head of 2 cameras"):
        one_sided.looks(cameras=2)
    assert one_sided.looks(cameras=1).shape == (len(one_sided), 1)


def test_a_head_goes_on_from_another(frames, tmp_path):
    first = train_mask_head(head_training(), frames=frames, directory=tmp_path / "first")
    still = head_training(training=training_of(learning_rate=1e-12, weight_decay=0.0), seed=9)
    second = train_mask_head(still, frames=frames, directory=tmp_path / "second", start=first)
    before, after = load_file(first), load_file(second)
    learned = [  # what is calibrated is fitted anew
        name for name in before if not name.startswith("presence_")
    ]
    assert learned
    for name in learned:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-8, msg=name)
    assert read_header(second)["metadata"]["start_sha256"] == file_digest(first)


def test_another_size_of_head_does_not_go_on(frames, tmp_path):
    head = train_mask_head(head_training(), frames=frames, directory=tmp_path)
    check_start(head, Spec("mask_head", HEAD))
    with pytest.raises(
        InputError, match="expected the same; set head_start=null to train from scratch"
    ):
        check_start(head, Spec("mask_head", HEAD | {"dim": 32}))
