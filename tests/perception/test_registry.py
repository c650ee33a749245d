"""From checkpoints to agents: what is found, what is refused and how."""

from __future__ import annotations

from pathlib import Path

import pytest

from robot import checkpoint
from robot.agent import Agent
from robot.checkpoint import resolve_checkpoint, save
from robot.envs.arm_spaces import arm_spaces
from robot.envs.robosuite import RobosuiteEnv
from robot.perception.compose.masking import Crop, Overlay, Unmasked
from robot.perception.faults import DroppedMasks, StaleMasks
from robot.perception.head.base import Head
from robot.perception.head.mask_head import MaskHead
from robot.perception.regions.follow import RegionMasks
from robot.perception.registry import make_deployment
from robot.perception.sources import CachedMasks, LearnedMasks, NoMask, OracleMasks
from robot.policy import make_policy
from robot.rollout.agents import AgentSpec, check_robot, make_agent, make_source
from robot.system.parse import Spec
from robot.types import InputError
from tests.experiment.toy import HEAD, POLICY
from tests.policy.toy import UNIT

pytestmark = pytest.mark.usefixtures("hashed_words")


@pytest.fixture
def policy_file(tmp_path):
    policy = make_policy("transformer", statistics=UNIT, options=POLICY)
    metadata = {"spaces": arm_spaces().to_json()}
    return save(tmp_path, policy, kind="transformer", config=policy.config(), metadata=metadata)


def test_a_head_is_the_file_in_the_folder_that_its_training_left(tmp_path):
    file = save(tmp_path, MaskHead(**HEAD), kind="mask_head", config=HEAD)
    assert Head.resolve(str(tmp_path)) == Head.resolve(str(file)) == file


def test_a_deployment_is_made_by_name():
    assert make_deployment("overlay", fill=0.2) == Overlay(fill=0.2)
    assert make_deployment("crop") == Crop() and make_deployment("none") == Unmasked()


def test_an_unknown_deployment_is_refused_with_those_there_are():
    there = "overlay, blur, greyscale, crop, crop_box, channel, inpaint, none"
    with pytest.raises(InputError, match=f"got deployment 'fog', expected one of {there}"):
        make_deployment("fog")


def test_a_path_is_a_checkpoint_and_so_is_the_name_of_shipped_weights(tmp_path, monkeypatch):
    (tmp_path / "weights/tabletop").mkdir(parents=True)
    monkeypatch.setattr(checkpoint, "SHIPPED", tmp_path / "weights")
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
        Head.load(policy_file)


@pytest.mark.parametrize("name", ["tabletop", "place"])
def test_shipped_policies_load_and_are_small(name):
    folder = resolve_checkpoint(name)
    check_robot(folder, arm_spaces())
    assert Agent.load(folder, head="tabletop").spaces.cameras == arm_spaces().cameras
    assert all(file.stat().st_size < 8e6 for file in folder.iterdir())


def test_the_shipped_head_loads_and_takes_two_cameras():
    head = Head.load(Head.resolve("tabletop"))
    assert head.cameras == 2 and not head.reads_sentences
    assert head.trained_cameras == arm_spaces().cameras


def test_learned_masks_need_a_head():
    with pytest.raises(InputError, match="got perception learned without a mask head"):
        make_source(seen_through("learned"), env_that_was_never_built())


def test_learned_masks_are_those_of_the_head():
    spec = seen_through("learned", head=Head.resolve("tabletop"))
    source = make_source(spec, env_that_was_never_built())
    assert isinstance(source, LearnedMasks)


@pytest.mark.parametrize(
    ("perception", "period", "source"),
    [("none", 1, NoMask), ("oracle", 1, OracleMasks), ("none", 3, CachedMasks)],
)
def test_an_agent_is_made_of_a_checkpoint_and_a_perception(policy_file, perception, period, source):
    spec = seen_through(perception, policy=policy_file, mask_period=period)
    made = make_agent(env_that_was_never_built(), spec)
    # what is pointed at is not asked of the source; with none, nothing can be pointed at
    asked = made.masks.source if isinstance(made.masks, RegionMasks) else made.masks
    assert isinstance(asked, source)
    assert (made.image_size, made.spaces) == (POLICY["image_size"], arm_spaces())
    assert made.deployment == Overlay()


def test_faults_wrap_the_masks_the_last_outermost(policy_file):
    faults = (Spec("stale", {"calls": 1}), Spec("dropped", {"share": 0.5}))
    spec = seen_through("oracle", policy=policy_file, faults=faults)
    made = make_agent(env_that_was_never_built(), spec)
    assert isinstance(made.masks, RegionMasks)  # around all: what is pointed at is not asked for
    dropped = made.masks.source
    assert isinstance(dropped, DroppedMasks) and isinstance(dropped.source, StaleMasks)


def test_a_policy_of_another_robot_is_refused(policy_file):
    env = env_that_was_never_built()
    env.spaces = arm_spaces(control_dt_s=0.1)
    with pytest.raises(InputError, match=r"that differs: control_dt_s 0.1 s, expected 0.05 s"):
        make_agent(env, seen_through("none", policy=policy_file))


def seen_through(perception: str, *, policy: Path = Path("policy"), **change) -> AgentSpec:
    options = {"head": None, "deployment": Overlay()} | change
    return AgentSpec(policy=policy, perception=perception, **options)


def env_that_was_never_built() -> RobosuiteEnv:
    """Return what an agent asks of an env."""
    env = object.__new__(RobosuiteEnv)
    env.spaces = arm_spaces()
    return env
