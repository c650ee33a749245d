"""Training a policy: resumed exactly, done only once, and honest about what it was made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from robot.checkpoint import read_header
from robot.envs.textures import training_textures
from robot.language import LanguageEncoder
from robot.perception.compose.masking import Overlay, Unmasked
from robot.policy import load_policy
from robot.rollout.agents import check_robot
from robot.spaces import Spaces
from robot.system.parse import Spec, parse
from robot.train import policy
from robot.train.demonstrations import Selection, load_all, make_look
from robot.train.mask_head import train_mask_head
from robot.train.policy import Augmentation, make_augment, train_policy
from robot.types import Goal, InputError
from tests.data.foreign import write_foreign
from tests.experiment.toy import (
    AUGMENT,
    SIDE,
    SPACES,
    augmentation_of,
    head_training,
    policy_training,
    training_of,
    write_demonstrations,
    write_mask_frames,
)

pytestmark = pytest.mark.usefixtures("hashed_words")


class Cut(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory):
    return write_demonstrations(tmp_path_factory.mktemp("demonstrations"))


def cut_at(step: int, steps: list[int]):
    def log(done: int, values) -> None:
        steps.append(done)
        if done == step:
            raise Cut

    return log


def test_a_training_that_was_cut_off_goes_on_and_ends_as_if_it_had_not_been(
    demonstrations, tmp_path
):
    options = policy_training(demonstrations)
    whole = load_file(train_policy(options, directory=tmp_path / "whole"))
    seen: list[int] = []
    with pytest.raises(Cut):
        train_policy(options, directory=tmp_path / "cut", log=cut_at(5, seen))
    resumed = load_file(train_policy(options, directory=tmp_path / "cut", log=cut_at(-1, seen)))
    assert seen == [1, 2, 3, 4, 5, 5, 6], "from the last checkpoint on, after step 4"
    assert whole.keys() == resumed.keys()
    for name in whole:
        torch.testing.assert_close(resumed[name], whole[name], rtol=0, atol=0, msg=name)


def test_a_policy_that_is_there_is_not_trained_again(demonstrations, tmp_path, monkeypatch):
    options = policy_training(demonstrations)
    first = train_policy(options, directory=tmp_path)
    monkeypatch.setattr(policy, "train_seeded", lambda *_, **__: pytest.fail("trained again"))
    assert train_policy(options, directory=tmp_path) == first


def test_another_seed_trains_another_policy(demonstrations, tmp_path):
    short = policy_training(demonstrations, training=training_of(steps=1))
    one, other = (
        load_file(train_policy(replace(short, seed=seed), directory=tmp_path / str(seed)))
        for seed in (0, 1)
    )
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_a_policy_knows_what_it_was_made_of(demonstrations, tmp_path):
    file = train_policy(policy_training(demonstrations), directory=tmp_path)
    metadata = read_header(file)["metadata"]
    assert metadata["masks"] == "oracle" and metadata["deployment"]["name"] == "overlay"
    assert Spaces.from_json(metadata["spaces"]) == SPACES
    assert metadata["demonstrations"] == [demonstrations.name]
    assert (metadata["episodes"], metadata["seed"]) == (3, 0)
    assert (metadata["weighting"], metadata["scores"]) == ("uniform", None)
    assert metadata["vocabulary"] == "tabletop"  # all that its goals name


def test_a_trained_policy_is_for_its_control_period_and_no_other(demonstrations, tmp_path):
    file = train_policy(policy_training(demonstrations), directory=tmp_path)
    check_robot(file, SPACES)
    with pytest.raises(InputError, match=r"control_dt_s 0\.1 s, expected 0\.05 s"):
        check_robot(file, replace(SPACES, control_dt_s=0.1))


def test_a_trained_policy_is_loaded_to_act(demonstrations, tmp_path):
    file = train_policy(policy_training(demonstrations), directory=tmp_path)
    assert not load_policy(file).training


def test_a_policy_has_as_many_cameras_as_its_demonstrations(demonstrations, tmp_path):
    options = policy_training(demonstrations)
    counted = {name: v for name, v in options.policy.options.items() if name != "cameras"}
    file = train_policy(replace(options, policy=Spec("transformer", counted)), directory=tmp_path)
    assert read_header(file)["config"]["encoder"]["cameras"] == 2


def test_a_policy_learns_through_the_head_that_was_trained_before_it(demonstrations, tmp_path):
    frames = write_mask_frames(tmp_path / "frames")
    head = train_mask_head(head_training(), frames=frames, directory=tmp_path / "head")
    options = policy_training(demonstrations, masks="learned")
    learned = train_policy(options, head=head, directory=tmp_path / "learned")
    oracle = train_policy(policy_training(demonstrations), directory=tmp_path / "oracle")
    assert read_header(learned)["metadata"]["masks"] == "learned"
    assert any(
        not torch.equal(ours, theirs)
        for ours, theirs in zip(
            load_file(learned).values(), load_file(oracle).values(), strict=True
        )
    )


def test_a_policy_on_pasted_backgrounds_acts_without_masks(demonstrations, tmp_path):
    options = policy_training(
        demonstrations,
        masks="none",
        deployment=Unmasked(),
        augmentation=augmentation_of(backgrounds=0.7),
    )
    file = train_policy(options, directory=tmp_path, textures=training_textures()[:2])
    metadata = read_header(file)["metadata"]
    assert (metadata["masks"], metadata["deployment"]["name"]) == ("none", "none")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"masks": "guessed"}, "got masks 'guessed', expected one of learned, oracle, none"),
        ({"masks": "learned"}, "got masks learned without a mask head"),
        ({"weighting": "dwsl"}, "got weighting dwsl without scores of a discriminator"),
        ({"weighting": "best"}, "got weighting 'best', expected one of uniform"),
        ({"episodes": 5}, "got 3 demonstrations in .*, expected 5; collect more"),
    ],
)
def test_a_training_that_cannot_be_is_refused(change, says, demonstrations, tmp_path):
    with pytest.raises(InputError, match=says):
        train_policy(policy_training(demonstrations, **change), directory=tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ring": 2}, "got augment.ring=2, expected at most 1"),
        ({"shift": -1}, "got augment.shift=-1, expected 0 or above"),
        ({"blur": 1}, "got augment.blur, which the config does not have"),
        ({"jitter": {"hue": 1}}, "got augment.jitter.*hue"),
    ],
)
def test_an_augmentation_that_cannot_be_is_refused(change, says):
    with pytest.raises(InputError, match=says):
        parse(Augmentation, AUGMENT | change, at="augment")


def test_what_is_not_masked_trains_without_a_ring():
    assert make_augment(augmentation_of(), deployment=Overlay()).ring == 1.0
    unmasked = make_augment(augmentation_of(), deployment=Unmasked())
    assert (unmasked.ring, unmasked.fill) == (0.0, None)


def test_augmentation_restores_the_fill_that_the_deployment_paints():
    assert make_augment(augmentation_of(), deployment=Overlay(fill=0.1)).fill == 0.1


# --- demonstrations as a policy sees them


def windows_of(*selections: Selection):
    language = LanguageEncoder.hashed()
    look = make_look("oracle", head=None, language=language)
    return load_all(selections, look=look, deployment=Overlay(), size=16, language=language)


def test_demonstrations_of_several_stores_come_store_after_store(demonstrations, tmp_path):
    other = write_demonstrations(tmp_path / "other")
    windows = windows_of(Selection(demonstrations, 2), Selection(other, 2))
    assert len(windows) == 4 * 6
    assert windows.starts.tolist() == [0, 6, 12, 18]
    one = windows_of(Selection(demonstrations, 2))
    torch.testing.assert_close(windows.composites[:12], one.composites)


def test_each_store_keeps_its_own_sentences(demonstrations, tmp_path):
    other = write_demonstrations(tmp_path / "other")
    windows = windows_of(Selection(demonstrations, 2), Selection(other, 2))
    assert windows.goal_ids.tolist() == [0] * 6 + [1] * 6 + [2] * 6 + [3] * 6
    assert len(windows.language.tokens) == 4


def test_stores_may_give_different_numbers_of_demonstrations(demonstrations, tmp_path):
    other = write_demonstrations(tmp_path / "other")
    assert len(windows_of(Selection(demonstrations, 1), Selection(other, 3))) == 4 * 6


def test_too_few_demonstrations_are_reported(demonstrations):
    with pytest.raises(InputError, match="got 3 demonstrations in .*, expected 5; collect more"):
        windows_of(Selection(demonstrations, 5))


def test_demonstrations_without_labels_are_no_use_to_the_oracle():
    look = make_look("oracle", head=None, language=LanguageEncoder.hashed())
    with pytest.raises(InputError, match="got demonstrations without masks"):
        look([np.zeros((1, SIDE, SIDE, 3), np.uint8)], None, Goal("go"))


@pytest.mark.parametrize("video", [True, False])
def test_a_policy_learns_from_a_dataset_that_lerobot_recorded(tmp_path, video):
    root = write_foreign(tmp_path / "so100", video=video)
    options = policy_training(root, masks="none", deployment=Unmasked())
    made = train_policy(options, directory=tmp_path / "policy")
    spaces = Spaces.from_json(read_header(made)["metadata"]["spaces"])
    assert spaces.action.names == ("shoulder_pan.pos", "elbow_flex.pos", "gripper.pos")
    assert spaces.camera_names == ("front", "side")
    statistics = load_policy(tmp_path / "policy").config()["statistics"]
    assert statistics["action"]["min"] == pytest.approx([0.5] * 3)
    assert statistics["action"]["max"] == pytest.approx([2.9] * 3)  # episode 2, step 4


def test_masks_of_a_dataset_without_labels_are_asked_of_a_head(tmp_path):
    root = write_foreign(tmp_path / "so100", video=False)
    with pytest.raises(InputError, match="without masks, expected labels"):
        train_policy(policy_training(root), directory=tmp_path / "policy")
