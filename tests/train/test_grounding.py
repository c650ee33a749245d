"""An encoder that learns where objects are on mask frames, and the policies that are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from robot.checkpoint import policy_metadata
from robot.language import LanguageEncoder
from robot.perception.compose.masking import Channel, Unmasked
from robot.policy import load_policy
from robot.policy.registry import encoder_of
from robot.system.parse import Spec
from robot.train.grounding import EncoderTraining, train_encoder
from robot.train.policy import train_policy, what_is_seen
from tests.experiment.toy import (
    POLICY,
    episode,
    policy_training,
    training_of,
    write_demonstrations,
    write_mask_frames,
)

pytestmark = pytest.mark.usefixtures("hashed_words")
OPTIONS = {**POLICY, "vision": "cnn", "in_channels": 3}


def trained_encoder(root: Path) -> Path:
    options = EncoderTraining(
        shards=4,
        encoder=encoder_of(OPTIONS, cameras=2),
        training=training_of(),
        batch_size=4,
        seed=0,
    )
    frames = write_mask_frames(root / "frames")
    return train_encoder(options, frames=frames, directory=root / "encoder")


def grounded(store: Path, **change):
    whole = {"masks": "none", "deployment": Unmasked(), "policy": Spec("transformer", OPTIONS)}
    return policy_training(store, **{**whole, "grounding": 0.3, **change})


def test_a_grounded_policy_is_saved_as_one_that_was_never_told(tmp_path):
    store = write_demonstrations(tmp_path / "store")
    file = train_policy(grounded(store), directory=tmp_path / "grounded")
    plain = train_policy(grounded(store, grounding=0.0), directory=tmp_path / "plain")
    assert load_file(file).keys() == load_file(plain).keys()
    assert policy_metadata(file)["masks"] == "none"
    assert not torch.equal(load_file(file)["queries"], load_file(plain)["queries"])
    load_policy(file)


def test_training_sees_labels_as_coverage_and_acting_whole_frames(tmp_path):
    store = write_demonstrations(tmp_path / "store")
    options = grounded(store)
    look, deployment = what_is_seen(options, head=None, language=LanguageEncoder())
    recorded = episode(0)
    labels = list(recorded.labels.values())
    masks = look(list(recorded.images.values()), labels, recorded.goal)
    assert isinstance(deployment, Channel) and not isinstance(deployment, Unmasked)
    assert np.array_equal(masks[0][:, 0].numpy() > 0, labels[0] == 1)


def test_a_policy_starts_with_the_encoder_that_it_is_given(tmp_path):
    file = trained_encoder(tmp_path)
    options = grounded(
        write_demonstrations(tmp_path / "store"),
        training=training_of(steps=1, learning_rate=1e-12, weight_decay=0.0),
    )
    policy = load_file(train_policy(options, directory=tmp_path / "policy", encoder=file))
    encoder = load_file(file)
    assert {name.split(".")[0] for name in encoder} == {"language", "vision"}
    for name, weights in encoder.items():
        torch.testing.assert_close(policy[f"encoder.{name}"], weights, msg=name)


def test_an_encoder_that_is_there_is_not_trained_again(tmp_path, monkeypatch):
    file = trained_encoder(tmp_path)
    monkeypatch.setattr("robot.train.grounding.train_seeded", lambda *_, **__: pytest.fail("again"))
    options = EncoderTraining(
        shards=4,
        encoder=encoder_of(OPTIONS, cameras=2),
        training=training_of(),
        batch_size=4,
        seed=0,
    )
    assert train_encoder(options, frames=tmp_path / "frames", directory=file.parent) == file
