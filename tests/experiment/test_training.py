"""The two training stages: resumed exactly, done only once, and honest about what they were made
of.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from robot.checkpoint import file_digest, read_header
from robot.data.mask_frames import MaskFrameStore
from robot.language import LanguageEncoder
from robot.perception.compose.masking import Overlay, Unmasked
from robot.perception.head.base import Head
from robot.rollout.agents import load_policy
from robot.spaces import Spaces
from robot.train import mask_head as mask
from robot.train import policy
from robot.train.mask_head import train_mask_head
from robot.train.policy import load_all, make_augment, make_look, train_policy
from robot.types import InputError
from tests.experiment.toy import (
    AUGMENT,
    HEAD,
    POLICY,
    SIDE,
    SPACES,
    TRAINING,
    write_demonstrations,
    write_mask_frames,
)

pytestmark = pytest.mark.usefixtures("hashed_words")


class Cut(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory):
    return write_demonstrations(tmp_path_factory.mktemp("demonstrations"))


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return write_mask_frames(tmp_path_factory.mktemp("frames"))


def run_policy(root: Path, *, demonstrations: Path, log=None, **change) -> Path:
    options = {
        "demonstrations": [demonstrations],
        "episodes": 3,
        "directory": root,
        "kind": "transformer",
        "policy": POLICY,
        "masks": "oracle",
        "head": None,
        "deployment": {"name": "overlay"},
        "augment": AUGMENT,
        "training": TRAINING,
        "batch_size": 4,
        "seed": 0,
        "control_dt_s": 0.05,
    }
    return train_policy(**options | change, log=log)


def run_head(root: Path, *, frames: Path, log=None) -> Path:
    return train_mask_head(
        frames=frames,
        shards=4,
        directory=root,
        head=HEAD,
        training=TRAINING,
        batch_size=4,
        seed=0,
        log=log,
    )


def cut_at(step: int, steps: list[int]):
    def log(done: int, values) -> None:
        steps.append(done)
        if done == step:
            raise Cut

    return log


def weights(file: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(file)


@pytest.mark.parametrize("stage", ["policy", "head"])
def test_a_stage_that_was_cut_off_goes_on_and_ends_as_if_it_had_not_been(
    stage, demonstrations, frames, tmp_path
):
    run = run_policy if stage == "policy" else run_head
    source = {"demonstrations": demonstrations} if stage == "policy" else {"frames": frames}
    whole = weights(run(tmp_path / "whole", **source))
    seen: list[int] = []
    with pytest.raises(Cut):
        run(tmp_path / "cut", log=cut_at(5, seen), **source)
    resumed = weights(run(tmp_path / "cut", log=cut_at(-1, seen), **source))
    assert seen == [1, 2, 3, 4, 5, 5, 6], "from the last checkpoint on, after step 4"
    assert whole.keys() == resumed.keys()
    for name in whole:
        torch.testing.assert_close(resumed[name], whole[name], rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("stage", ["policy", "head"])
def test_a_stage_that_is_done_is_not_done_again(
    stage, demonstrations, frames, tmp_path, monkeypatch
):
    run, module = (run_policy, policy) if stage == "policy" else (run_head, mask)
    source = {"demonstrations": demonstrations} if stage == "policy" else {"frames": frames}
    first = run(tmp_path, **source)
    monkeypatch.setattr(module, "train", lambda *_, **__: pytest.fail("trained again"))
    assert run(tmp_path, **source) == first


def test_a_policy_knows_what_it_was_made_of(demonstrations, tmp_path):
    said = read_header(run_policy(tmp_path, demonstrations=demonstrations))["metadata"]
    assert said["masks"] == "oracle" and said["deployment"] == {"name": "overlay"}
    assert Spaces.from_json(said["spaces"]) == SPACES
    assert (said["demonstrations"], said["episodes"], said["seed"]) == ([demonstrations.name], 3, 0)


def test_a_trained_policy_is_loaded_for_its_control_period_and_no_other(demonstrations, tmp_path):
    file = run_policy(tmp_path, demonstrations=demonstrations)
    assert not load_policy(file, spaces=SPACES).training
    with pytest.raises(InputError, match=r"control_dt_s 0\.1 s, expected 0\.05 s"):
        load_policy(file, spaces=replace(SPACES, control_dt_s=0.1))


def test_a_policy_learns_through_the_head_that_was_trained_before_it(
    demonstrations, frames, tmp_path
):
    head = run_head(tmp_path / "head", frames=frames)
    file = run_policy(
        tmp_path / "policy", demonstrations=demonstrations, masks="learned", head=head
    )
    assert read_header(file)["metadata"]["masks"] == "learned"


def test_a_head_is_calibrated_on_frames_that_it_was_not_trained_on(frames, tmp_path, monkeypatch):
    loaded = []
    load = mask.MaskFrameStore.load
    monkeypatch.setattr(
        mask.MaskFrameStore,
        "load",
        lambda self, *, shards: loaded.append(shards) or load(self, shards=shards),
    )
    file = run_head(tmp_path, frames=frames)
    assert loaded == [[0, 1], [30, 31]]
    assert (Head.load(file).presence_temperature != 1).any()
    assert 0 <= read_header(file)["metadata"]["held_out"]["mean_iou"] <= 1


def test_batches_of_a_step_do_not_depend_on_where_training_began(frames):
    store = mask.MaskFrameStore(frames)
    batches = mask.mask_batches(
        store.load(), language=LanguageEncoder.hashed(), cameras=2, batch_size=4, seed=1
    )
    from_start, later = batches(0), batches(2)
    wound = [next(from_start) for _ in range(3)][2]
    direct = next(later)
    torch.testing.assert_close(wound.frames, direct.frames, rtol=0, atol=0)
    torch.testing.assert_close(wound.labels, direct.labels, rtol=0, atol=0)


def windows_of(roots: list[Path], *, episodes: int):
    language = LanguageEncoder.hashed()
    look = make_look("oracle", head=None, language=language)
    return load_all(
        roots, episodes=episodes, look=look, deployment=Overlay(), size=16, language=language
    )


def test_demonstrations_are_shared_evenly_by_several_stores(demonstrations, tmp_path):
    other = write_demonstrations(tmp_path / "other")
    windows = windows_of([demonstrations, other], episodes=4)
    assert len(windows.starts) == 4 and len(windows) == 4 * 6
    assert windows.starts.tolist() == [0, 6, 12, 18]
    assert (
        windows.goal_ids.tolist() == [0] * 6 + [1] * 6 + [2] * 6 + [3] * 6
    )  # each store keeps its own sentences
    assert len(windows.language.tokens) == 4
    one = windows_of([demonstrations], episodes=2)
    torch.testing.assert_close(windows.composites[:12], one.composites)


def test_too_few_demonstrations_are_reported(demonstrations):
    with pytest.raises(InputError, match="got 3 demonstrations in .*, expected 5; collect more"):
        windows_of([demonstrations], episodes=5)


def test_what_is_not_masked_trains_without_a_ring():
    assert make_augment(AUGMENT, deployment=Overlay()).ring == 1.0
    unmasked = make_augment(AUGMENT, deployment=Unmasked())
    assert (unmasked.ring, unmasked.fill) == (0.0, None)


def test_augmentation_restores_the_fill_that_the_deployment_paints():
    assert make_augment(AUGMENT, deployment=Overlay(fill=0.1)).fill == 0.1


def test_a_policy_on_pasted_backgrounds_acts_without_masks(demonstrations, tmp_path):
    options = {"masks": "none", "deployment": {"name": "none"}}
    file = run_policy(
        tmp_path, demonstrations=demonstrations, augment=AUGMENT | {"backgrounds": 0.7}, **options
    )
    said = read_header(file)["metadata"]
    assert (said["masks"], said["deployment"]) == ("none", {"name": "none"})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"masks": "guessed"}, "got masks 'guessed', expected one of learned, oracle, none"),
        ({"masks": "learned"}, "got masks learned without a mask head"),
        ({"kind": "lookup"}, "got policy 'lookup', expected one of diffusion, flow, transformer"),
        ({"deployment": {"name": "fog"}}, "got deployment 'fog', expected one of overlay"),
    ],
)
def test_a_training_that_cannot_be_is_refused(change, says, demonstrations, tmp_path):
    with pytest.raises(InputError, match=says):
        run_policy(tmp_path, demonstrations=demonstrations, **change)


def test_demonstrations_without_labels_are_no_use_to_the_oracle():
    import numpy as np

    from robot.types import Goal

    look = make_look("oracle", head=None, language=LanguageEncoder.hashed())
    with pytest.raises(InputError, match="got demonstrations without masks"):
        look([np.zeros((1, SIDE, SIDE, 3), np.uint8)], None, Goal("go"))


def test_frames_of_one_camera_are_refused_by_a_head_of_two(frames):
    all_frames = MaskFrameStore(frames).load()
    one_sided = all_frames.select(np.flatnonzero(np.array(all_frames.cameras) == "wrist"))
    with pytest.raises(InputError, match=r"got mask frames of \['wrist'\] for a head of 2 cameras"):
        one_sided.looks(cameras=2)
    assert one_sided.looks(cameras=1).shape == (len(one_sided), 1)


def test_a_head_goes_on_from_another(frames, tmp_path):
    first, still = run_head(tmp_path / "first", frames=frames), TRAINING | {"learning_rate": 0.0}
    second = train_mask_head(
        frames=frames,
        shards=4,
        directory=tmp_path / "second",
        head=HEAD,
        training=still,
        batch_size=4,
        seed=9,
        start=first,
    )
    before, after = weights(first), weights(second)
    learned = [
        name for name in before if not name.startswith("presence_")
    ]  # what is calibrated is fitted anew
    assert learned and all(torch.equal(before[name], after[name]) for name in learned)
    assert read_header(second)["metadata"]["start_sha256"] == file_digest(first)


def test_another_size_of_head_does_not_go_on(frames, tmp_path):
    with pytest.raises(
        InputError, match="expected the same; set head_start=null to train from scratch"
    ):
        mask.check_start(run_head(tmp_path, frames=frames), HEAD | {"dim": 32})
