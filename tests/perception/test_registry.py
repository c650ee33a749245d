"""From checkpoints to agents: what is found, what is refused and how."""

from __future__ import annotations

import re

import pytest

from robot.checkpoint import resolve_checkpoint, save
from robot.envs.robosuite import RobosuiteEnv, robosuite_spaces
from robot.language import LanguageEncoder
from robot.perception import registry as loading
from robot.perception.compose.masking import Crop, Overlay, Unmasked
from robot.perception.head.base import Head
from robot.perception.registry import make_deployment
from robot.perception.sources import CachedMasks, NoMask, OracleMasks
from robot.policy import make_policy
from robot.rollout.agents import load_policy, make_agent, make_source
from robot.types import InputError
from tests.experiment.toy import POLICY
from tests.policy.toy import UNIT

pytestmark = pytest.mark.usefixtures("hashed_words")


@pytest.fixture
def policy_file(tmp_path):
    policy = make_policy("transformer", statistics=UNIT, options=POLICY)
    metadata = {"spaces": robosuite_spaces().to_json()}
    return save(tmp_path, policy, kind="transformer", config=policy.config(), metadata=metadata)


def test_a_deployment_is_made_by_name():
    assert make_deployment("overlay", fill=0.2) == Overlay(fill=0.2)
    assert make_deployment("crop") == Crop() and make_deployment("none") == Unmasked()


def test_an_unknown_deployment_is_refused_with_those_there_are():
    there = "overlay, blur, greyscale, crop, crop_box, channel, inpaint, none"
    with pytest.raises(InputError, match=f"got deployment 'fog', expected one of {there}"):
        make_deployment("fog")


def test_a_path_is_a_checkpoint_and_so_is_the_name_of_shipped_weights(tmp_path, monkeypatch):
    (tmp_path / "weights/tabletop").mkdir(parents=True)
    monkeypatch.setattr(loading, "SHIPPED", tmp_path / "weights")
    assert resolve_checkpoint(tmp_path) == tmp_path
    assert resolve_checkpoint("tabletop") == tmp_path / "weights/tabletop"
    with pytest.raises(
        InputError,
        match="got checkpoint 'nothing-here', expected an existing path or one of the shipped: tab",
    ):
        resolve_checkpoint("nothing-here")


def test_a_policy_is_refused_where_a_mask_head_is_asked_for(policy_file):
    with pytest.raises(
        InputError,
        match="got a checkpoint of transformer at .*, expected a mask head: one of mask_head",
    ):
        Head.resolve(str(policy_file))


@pytest.mark.parametrize("name", ["tabletop", "place"])
def test_shipped_policies_load_and_are_small(name):
    folder = resolve_checkpoint(name)
    load_policy(folder, spaces=robosuite_spaces())
    assert all(file.stat().st_size < 8e6 for file in folder.iterdir())


def test_the_shipped_head_loads_and_takes_two_cameras():
    head = Head.load(Head.resolve("tabletop"))
    assert head.cameras == 2 and not head.reads_sentences
    assert head.trained_cameras == robosuite_spaces().cameras


def test_sources_are_made_by_name():
    language = LanguageEncoder.hashed()
    assert isinstance(make_source("none", head=None, language=language, env=None), NoMask)
    with pytest.raises(
        InputError, match="got perception 'sonar', expected one of learned, oracle, none"
    ):
        make_source("sonar", head=None, language=language, env=None)
    with pytest.raises(InputError, match="got perception learned without a mask head"):
        make_source("learned", head=None, language=language, env=None)


def test_a_policy_is_no_mask_head(policy_file):
    with pytest.raises(InputError, match=re.escape("got a checkpoint of kind 'transformer'")):
        Head.load(policy_file)


@pytest.mark.parametrize(
    ("perception", "period", "source"),
    [("none", 1, NoMask), ("oracle", 1, OracleMasks), ("none", 3, CachedMasks)],
)
def test_an_agent_is_made_of_a_checkpoint_and_a_perception(policy_file, perception, period, source):
    how = {"perception": perception, "mask_period": period, "deployment": {"name": "overlay"}}
    made = make_agent(env_that_was_never_built(), policy=policy_file, head=None, **how)
    assert isinstance(made.masks, source)
    assert (made.image_size, made.control_dt_s) == (POLICY["image_size"], 0.05)


def env_that_was_never_built() -> RobosuiteEnv:
    """Return what an agent asks of an env."""
    env = object.__new__(RobosuiteEnv)
    env.spaces = robosuite_spaces()
    return env
