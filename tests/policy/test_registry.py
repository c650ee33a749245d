"""Policies from flat options and from checkpoints of earlier versions."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from robot.checkpoint import SHIPPED, load, read_header, save
from robot.policy import POLICIES, EncoderConfig, load_policy, make_policy
from robot.policy.registry import nest_encoder, upgrade_config
from robot.types import InputError
from tests.policy.toy import HORIZON, UNIT, observation

FLAT = {"cameras": 1, "image_size": 8, "width": 8, "layers": 2, "keypoints": 4, "dim": 32}


def test_options_of_the_encoder_are_moved_under_encoder_and_others_stay():
    assert nest_encoder({"vision": "cnn", "horizon": 4, "dim": 8}) == {
        "horizon": 4,
        "encoder": {"vision": "cnn", "dim": 8},
    }


def test_a_policy_made_from_flat_options_has_them():
    policy = make_policy("flow", statistics=UNIT, options={**FLAT, "vision": "cnn", "horizon": 4})
    assert policy.encoder.config == EncoderConfig(vision="cnn", **FLAT)
    assert policy.horizon == 4


def test_a_config_of_this_version_is_left_as_it_is():
    config = make_policy("flow", statistics=UNIT, options=FLAT).config()
    assert upgrade_config(config) == config


def test_a_flat_config_without_vision_meant_the_cnn():
    assert upgrade_config({"width": 8})["encoder"] == {"vision": "cnn", "width": 8}


def test_a_flat_config_with_vision_keeps_it():
    assert upgrade_config({"vision": "tokens"})["encoder"] == {"vision": "tokens"}


@pytest.mark.parametrize("kind", POLICIES)
@pytest.mark.parametrize("vision", ["cnn", "tokens"])
def test_a_checkpoint_with_a_flat_config_acts_as_the_policy_that_was_saved(tmp_path, kind, vision):
    options = {**FLAT, "vision": vision, "horizon": HORIZON, "depth": 1}
    policy = make_policy(kind, statistics=UNIT, options=options).eval()
    flat = {name: value for name, value in policy.config().items() if name != "encoder"}
    encoder = {k: v for k, v in asdict(policy.encoder.config).items() if k != "stride"}
    if vision == "cnn":
        del encoder["vision"]
    save(tmp_path, policy, kind=kind, config=flat | encoder)
    loaded, seen = load_policy(tmp_path), observation(2)
    one, other = (p.sample(seen, torch.Generator().manual_seed(1)) for p in (policy, loaded))
    assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["tabletop", "place"])
def test_shipped_policies_have_the_cnn_and_all_their_weights(name):
    policy = load_policy(SHIPPED / name)
    assert policy.encoder.config == EncoderConfig(vision="cnn")
    assert "encoder" not in read_header(SHIPPED / name)["config"]


def test_weights_that_are_not_finite_are_refused(tmp_path):
    policy = make_policy("transformer", statistics=UNIT, options=FLAT)
    with torch.no_grad():
        policy.queries[0, 0] = float("nan")
    save(tmp_path, policy, kind="transformer", config=policy.config())
    with pytest.raises(InputError, match=r"NaN or infinite values in 1 of .* \(queries first\)"):
        load(tmp_path, POLICIES)
