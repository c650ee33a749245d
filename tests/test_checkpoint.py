import json
from dataclasses import replace
from importlib.metadata import version

import pytest
import torch
from safetensors.torch import save_file

from robot.checkpoint import SHIPPED, cameras_of, load, read_header, save, spaces_of, upgrade_header
from robot.policy import POLICIES, TransformerPolicy
from robot.spaces import Spaces, differences
from robot.types import InputError
from tests.policy.toy import SMALL, observation
from tests.robots import panda
from tests.train.tiny import Tiny

SPACES = panda(agentview=(128, 128), wrist=(128, 128))


@pytest.fixture
def policy() -> TransformerPolicy:
    return TransformerPolicy(**SMALL)


@pytest.fixture
def checkpoint(tmp_path, policy):
    return save(
        tmp_path,
        policy,
        kind="transformer",
        config=policy.config(),
        metadata={"spaces": SPACES.to_json()},
    )


def test_a_loaded_policy_acts_like_the_saved_one(checkpoint, policy):
    seen, loaded = observation(2), load(checkpoint, POLICIES)
    assert torch.equal(loaded.sample(seen), policy.sample(seen))


def test_a_folder_names_the_checkpoint_in_it(checkpoint):
    assert isinstance(load(checkpoint.parent, POLICIES), TransformerPolicy)


def test_modules_other_than_policies_are_saved_and_loaded_too(tmp_path):
    tiny = Tiny(width=5)
    save(tmp_path / "tiny.safetensors", tiny, kind="tiny", config={"width": 5})
    assert torch.equal(
        load(tmp_path / "tiny.safetensors", {"tiny": Tiny}).head.weight, tiny.head.weight
    )


def test_the_header_holds_statistics_revision_versions_and_spaces(checkpoint):
    header = read_header(checkpoint)
    assert header["config"]["statistics"]["action"]["max"] == [1.0] * 7
    assert header["metadata"]["spaces"]["control_dt_s"] == 0.05
    assert header["git_revision"]
    assert header["versions"]["torch"] == version("torch")


def test_the_json_beside_it_says_the_same_as_the_header(checkpoint):
    assert json.loads(checkpoint.with_suffix(".json").read_text()) == read_header(checkpoint)


def test_no_temporary_file_is_left(checkpoint):
    assert sorted(p.name for p in checkpoint.parent.iterdir()) == [
        "model.json",
        "model.safetensors",
    ]


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no checkpoint"):
        load(tmp_path / "absent", POLICIES)


def test_a_truncated_file_is_refused(checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[:-10])
    with pytest.raises(InputError, match="damaged"):
        load(checkpoint, POLICIES)


def test_an_empty_file_is_refused(checkpoint):
    checkpoint.write_bytes(b"")
    with pytest.raises(InputError, match="damaged"):
        load(checkpoint, POLICIES)


def test_a_safetensors_file_of_another_project_is_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="header"):
        load(tmp_path, POLICIES)


def test_a_checkpoint_without_statistics_is_refused(tmp_path, policy):
    config = {key: value for key, value in policy.config().items() if key != "statistics"}
    save(tmp_path, policy, kind="transformer", config=config)
    with pytest.raises(InputError, match="statistics"):
        load(tmp_path, POLICIES)


def test_an_unknown_kind_is_refused_with_the_choices(checkpoint):
    with pytest.raises(InputError, match="diffusion"):
        load(checkpoint, {"diffusion": POLICIES["diffusion"]})


def test_weights_that_do_not_fit_are_refused_with_the_revision(tmp_path, policy):
    save(tmp_path, policy, kind="transformer", config={**policy.config(), "dim": 64})
    with pytest.raises(InputError, match="does not fit"):
        load(tmp_path, POLICIES)


def test_a_checkpoint_returns_the_spaces_that_it_was_saved_with(checkpoint):
    assert spaces_of(checkpoint) == SPACES


def test_a_checkpoint_without_spaces_is_no_policys(tmp_path, policy):
    save(tmp_path, policy, kind="transformer", config=policy.config())
    with pytest.raises(InputError, match="does not say for which state, actions and cameras"):
        spaces_of(tmp_path)
    assert cameras_of(tmp_path) == ()


def test_a_header_of_format_1_is_upgraded_to_the_panda_with_the_bounds_that_it_names():
    action_space = {
        "dim": 7,
        "names": ["dx_m", "dy_m", "dz_m", "rx_rad", "ry_rad", "rz_rad", "gripper"],
        "low": [-0.02] * 3 + [-0.2] * 3 + [0.0],
        "high": [0.02] * 3 + [0.2] * 3 + [1.0],
        "control_dt_s": 0.1,
    }
    old = {"format": 1, "kind": "flow", "metadata": {"action_space": action_space, "seed": 3}}
    new = upgrade_header(old)
    spaces = Spaces.from_json(new["metadata"]["spaces"])
    bounds = {"low": (-0.02,) * 3 + (-0.2,) * 3 + (0.0,), "high": (0.02,) * 3 + (0.2,) * 3 + (1.0,)}
    assert spaces == replace(SPACES, action=replace(SPACES.action, **bounds), control_dt_s=0.1)
    assert (new["format"], new["kind"], new["metadata"]["seed"]) == (2, "flow", 3)
    assert "action_space" not in new["metadata"]
    assert upgrade_header(new) == new


@pytest.mark.parametrize("name", ["tabletop", "place"])
def test_shipped_policies_were_made_for_todays_panda(name):
    assert differences(SPACES, spaces_of(SHIPPED / name), exact=True) == []


def test_the_shipped_head_was_trained_on_two_cameras_of_128_pixels():
    assert cameras_of(SHIPPED / "tabletop/mask_head.safetensors") == SPACES.cameras
