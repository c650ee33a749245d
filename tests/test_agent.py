"""The agent with masks and policies that say what the test wants."""

from __future__ import annotations

import copy
import inspect
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from robot.agent import Agent, StateRange
from robot.checkpoint import save
from robot.language import LanguageEncoder
from robot.perception.compose.masking import Overlay, Unmasked
from robot.perception.faults import StaleMasks
from robot.perception.head.mask_head import MaskHead
from robot.perception.regions.follow import RegionMasks
from robot.perception.regions.verify import VerifiedMasks
from robot.perception.sources import CachedMasks, LearnedMasks, NoMask, reader_of
from robot.policy import make_policy
from robot.types import Frame, Goal, InputError, Mask, MaskStatus, Observation, Region
from robot.words.reader import GoalReader
from tests.experiment.toy import HEAD, POLICY
from tests.policy.toy import UNIT
from tests.robots import panda

ROOT = Path(__file__).resolve().parents[1]
SIDE, SIZE, STEPS = 32, 16, 8
CAMERAS = ("agentview", "wrist")
SPACES = panda(agentview=(SIDE, SIDE), wrist=(SIDE, SIDE))


def observation() -> Observation:
    """Return two frames of pure green."""
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[..., 1] = 255
    frames = tuple(Frame(camera=camera, image=image, time_s=1.5) for camera in CAMERAS)
    return Observation(
        frames=frames,
        proprio=np.zeros(10, np.float32),
        goal=Goal("pick up the red cup"),
        time_s=1.5,
    )


class Masks:
    """The target is the upper left quarter of every frame."""

    def __init__(self, status: MaskStatus = MaskStatus.FOUND) -> None:
        self.status = status

    def __call__(self, frames, goal) -> Mask:
        probability = np.zeros((len(frames), 3, SIDE, SIDE), np.float32)
        probability[:, 0, : SIDE // 2, : SIDE // 2] = 0.9
        return Mask(
            probability=tuple(probability),
            presence=np.ones((len(frames), 2), np.float32),
            predicted_iou=np.ones(len(frames), np.float32),
            status=(self.status,) * len(frames),
        )


class Policy:
    """Always moves and closes; remembers what it was shown."""

    def sample(self, observation, generator=None):
        self.seen = observation
        noise = torch.zeros(()) if generator is None else torch.rand((), generator=generator)
        return (
            torch.full((1, STEPS, 7), 0.01) * torch.tensor([1, 1, 1, 1, 1, 1, 0.0]) + 1e-3 * noise
        )


def make(
    policy: Policy | None = None, *, status: MaskStatus = MaskStatus.FOUND, **options
) -> Agent:
    everything = {
        "masks": Masks(status),
        "deployment": Overlay(),
        "image_size": SIZE,
        "spaces": SPACES,
    } | options
    return Agent(
        policy=policy or Policy(),
        language=LanguageEncoder.hashed(),
        **everything,
    )


def test_a_plan_has_a_chunk_a_mask_and_a_composite_per_camera():
    plan = make().plan(observation())
    assert plan.chunk.actions.shape == (STEPS, 7) and plan.chunk.actions.dtype == np.float32
    assert plan.composites.shape == (2, 6, SIZE, SIZE)
    assert [roles.shape for roles in plan.mask.probability] == [(3, SIDE, SIDE)] * 2
    assert (plan.chunk.time_s, plan.chunk.control_dt_s) == (1.5, 0.05)
    assert plan.mask_ms > 0 and plan.policy_ms > 0


def test_the_policy_sees_composites_proprioception_and_words():
    policy = Policy()
    plan = make(policy).plan(observation())
    torch.testing.assert_close(policy.seen.images[0], plan.composites)
    assert policy.seen.proprio.shape == (1, 10)
    assert int(policy.seen.language.valid.sum()) == 5  # "pick up the red cup"


def test_what_the_mask_leaves_out_is_grey_and_not_covered():
    composites = make().plan(observation()).composites
    half = SIZE // 2
    kept, hidden = composites[:, :, :half, :half], composites[:, :, half:, half:]
    torch.testing.assert_close(
        kept[:, :3], torch.tensor([0.0, 1.0, 0.0])[:, None, None].expand_as(kept[:, :3])
    )
    torch.testing.assert_close(hidden[:, :3], torch.full_like(hidden[:, :3], 0.5))
    assert (
        (kept[:, 3] == 1).all()
        and (composites[:, 3, half:, half:] == 0).all()
        and (composites[:, 4:] == 0).all()
    )


def test_an_unmasked_agent_sees_the_whole_frame():
    composites = make(deployment=Unmasked()).plan(observation()).composites
    assert (composites[:, 1] == 1).all() and (composites[:, 3:] == 1).all()


def test_the_agent_holds_still_with_an_open_gripper_when_the_target_is_absent():
    actions = make(status=MaskStatus.ABSENT).plan(observation()).chunk.actions
    np.testing.assert_array_equal(
        actions, np.tile(np.array([0, 0, 0, 0, 0, 0, 1], np.float32), (STEPS, 1))
    )


def acts(agent: Agent) -> bool:
    return bool((agent.plan(observation()).chunk.actions[:, :6] > 0).all())


def test_the_agent_acts_when_the_target_is_found():
    assert acts(make(status=MaskStatus.FOUND))


def test_the_agent_looks_twice_more_at_what_may_be_the_target_then_acts_for_good():
    agent = make(status=MaskStatus.UNCERTAIN)
    assert [acts(agent) for _ in range(4)] == [False, False, True, True]
    agent.reset()
    assert not acts(agent)


def test_an_agent_told_not_to_look_again_acts_on_what_may_be_the_target():
    assert acts(make(status=MaskStatus.UNCERTAIN, looks_again=0))


def test_an_agent_told_not_to_hold_acts_on_what_it_cannot_see():
    assert acts(make(status=MaskStatus.ABSENT, hold_when_absent=False))


def test_a_plan_is_a_function_of_the_generator():
    drawn = [
        make().plan(observation(), generator=torch.Generator().manual_seed(k)).chunk.actions
        for k in (1, 1, 2)
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_a_goal_that_asks_for_nothing_stops_an_agent_that_had_found_its_target():
    agent = make()
    assert acts(agent)
    found = agent.masks

    def stopped(frames, goal):
        return replace(found(frames, goal), status=(MaskStatus.ABSENT,) * 2, sentence="")

    agent.masks = stopped
    assert not acts(agent)


def test_the_policy_reads_the_sentence_that_the_head_was_asked():
    policy, agent = Policy(), make()
    agent.policy, found = policy, agent.masks
    agent.masks = lambda frames, goal: replace(found(frames, goal), sentence="the cup")
    agent.plan(observation())
    assert int(policy.seen.language.valid.sum()) == 2


@pytest.mark.parametrize("text", ["stop", "do not take the red cup", "word " * 40])
def test_no_agent_acts_on_words_that_are_not_understood(text):
    policy = Policy()
    agent = make(policy, reader=GoalReader.of("tabletop"))
    assert acts(agent)
    with pytest.warns(UserWarning, match="is not acted on"):
        plan = agent.plan(replace(observation(), goal=Goal(text)))
    assert not plan.chunk.actions[:, :6].any() and plan.mask.sentence == ""
    assert int(policy.seen.language.valid.sum()) == 1
    assert acts(agent)


def test_warming_up_plans_once_for_something_that_was_learned_and_leaves_no_trace(recwarn):
    policy = Policy()
    agent = make(policy, reader=GoalReader.of("tabletop"))
    before = copy.deepcopy(vars(agent.patience))
    agent.warm_up()
    assert policy.seen is not None and policy.seen.images.shape[1] == len(SPACES.cameras)
    words = LanguageEncoder.hashed().encode(["pick up the red cube"])
    torch.testing.assert_close(policy.seen.language.tokens, words.tokens)
    assert vars(agent.patience) == before and not recwarn.list


def test_an_agent_acts_without_a_word_that_was_not_learned_and_warns_once():
    agent = make(Policy(), reader=GoalReader.of("tabletop"))
    small = replace(observation(), goal=Goal("pick up the small red cup"))
    with pytest.warns(UserWarning, match="'small' counts for nothing") as warned:
        for _ in range(3):
            plan = agent.plan(small)
    assert plan.chunk.actions[:, :6].any() and len(warned) == 1


def test_a_policy_without_a_head_hears_the_words_of_training():
    policy = Policy()
    agent = make(policy, reader=GoalReader.of("tabletop"))
    assert agent.plan(replace(observation(), goal=Goal("please take the crimson mug, will you")))
    words = LanguageEncoder.hashed().encode(["pick up the red cup"])
    torch.testing.assert_close(policy.seen.language.tokens, words.tokens)


def test_an_agent_without_a_vocabulary_acts_on_any_words():
    plan = make().plan(replace(observation(), goal=Goal("tidy up")))
    assert plan.chunk.actions[:, :6].any()


def test_the_reader_of_a_head_is_found_behind_faults_and_caches():
    reader = GoalReader.of("tabletop")
    learned = LearnedMasks(MaskHead(), LanguageEncoder.hashed(), reader=reader)
    stale = StaleMasks(CachedMasks(learned, 2), rng=np.random.default_rng(0))
    assert reader_of(stale) is reader and reader_of(NoMask()) is None


def test_a_new_goal_is_looked_for_anew():
    agent = make()
    assert acts(agent)
    agent.masks = Masks(MaskStatus.ABSENT)
    assert acts(agent)  # behind the hand
    seen = replace(observation(), goal=Goal("lift the blue ball"))
    assert (agent.plan(seen).chunk.actions[:, :6] == 0).all()


# --- the state


def with_state(value: float, *, index: int = 2) -> Observation:
    seen = observation()
    seen.proprio[index] = value
    return seen


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_state_that_is_not_finite_is_refused_by_name(value):
    with pytest.raises(InputError, match="got NaN or infinite ee_position_z in the state"):
        make().plan(with_state(value))


UNIT_RANGE = StateRange(low=np.full(10, -1, np.float32), high=np.full(10, 1, np.float32))


def test_a_state_far_outside_of_training_is_warned_of_once():
    agent = make(trained_range=UNIT_RANGE)
    with pytest.warns(UserWarning, match=r"ee_position_z 11.5 \(trained -1 to 1\)"):
        agent.plan(with_state(11.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent.plan(with_state(11.5))


def test_a_state_a_little_outside_of_training_is_not_warned_of():
    with warnings.catch_warnings(record=True) as caught:
        make(trained_range=UNIT_RANGE).plan(with_state(10.9))
    assert caught == []


def test_a_value_that_hardly_moved_in_training_has_the_room_of_the_normalisation():
    statistics = {"proprio": {"min": [0.0, 0.5], "max": [1.0, 0.5]}}
    found = StateRange.of(statistics)
    np.testing.assert_allclose(found.low, [0.0, 0.49])
    np.testing.assert_allclose(found.high, [1.0, 0.51])


# --- loading


def test_a_shipped_agent_loads_without_a_simulator_and_acts():
    """As docs/python.md says: in a process of its own, so that no other test has imported one."""
    code = (
        "import sys; from robot.agent import Agent; agent = Agent.load('tabletop', device='cpu');"
        "print(type(agent.masks).__name__, agent.image_size, 'mujoco' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["VerifiedMasks", "64", "False"], done.stderr[-1000:]


def test_a_policy_without_the_head_that_it_sees_through_is_refused_until_one_is_given():
    with pytest.raises(InputError, match='without the mask head.*; pass head="tabletop"'):
        Agent.load("place", device="cpu")
    masks = Agent.load("place", head="tabletop", device="cpu").masks
    assert isinstance(masks, VerifiedMasks) and isinstance(masks.source.source, LearnedMasks)
    masks = Agent.load("place", head="tabletop", device="cpu", verify=False).masks
    assert isinstance(masks, RegionMasks) and isinstance(masks.source, LearnedMasks)


def test_a_policy_of_a_simulators_masks_needs_others(tmp_path):
    with pytest.raises(InputError, match="trained with a simulator's masks, expected others"):
        Agent.load(policy_in(tmp_path, masks="oracle"), device="cpu")
    agent = Agent.load(policy_in(tmp_path, masks="oracle"), masks=NoMask(), device="cpu")
    assert isinstance(agent.masks, NoMask)


def test_masks_for_a_policy_of_whole_frames_need_a_deployment(tmp_path):
    folder = policy_in(tmp_path, masks="none")
    with pytest.raises(InputError, match="trained on whole frames, expected none"):
        Agent.load(folder, head="tabletop", device="cpu")
    agent = Agent.load(folder, head="tabletop", deployment=Overlay(), device="cpu")
    assert isinstance(reader_of(agent.masks), GoalReader)


def test_a_mask_head_is_no_policy(tmp_path):
    save(tmp_path, MaskHead(**HEAD), kind="mask_head", config=HEAD)
    with pytest.raises(InputError, match="got a checkpoint of kind 'mask_head'"):
        Agent.load(tmp_path)


def policy_in(folder: Path, *, masks: str) -> Path:
    policy = make_policy("transformer", statistics=UNIT, options=POLICY)
    metadata = {"spaces": SPACES.to_json(), "masks": masks, "deployment": {"name": "overlay"}}
    save(folder, policy, kind="transformer", config=policy.config(), metadata=metadata)
    return folder


@pytest.mark.parametrize("name", ["tabletop", "place"])
def test_a_shipped_policy_holds_still_at_stop_whatever_its_masks(name):
    agent = Agent.load(name, masks=NoMask(), device="cpu")
    assert agent.reader.read("stop").sentences == ()


def test_a_policy_that_names_no_vocabulary_hears_any_words(tmp_path):
    agent = Agent.load(policy_in(tmp_path, masks="none"), device="cpu")
    assert agent.reader.read("stop").sentences == ("stop",)


def test_a_policy_of_whole_frames_takes_no_regions(tmp_path):
    agent = Agent.load(policy_in(tmp_path, masks="none"), device="cpu")
    goal = Goal("pick up <region1>", (Region("agentview", box=(1.0, 1.0, 9.0, 9.0)),))
    with pytest.raises(InputError, match="for a policy of whole frames, expected words alone"):
        agent.plan(replace(observation(), goal=goal))


def bare(function):
    """Return a function without the type checker of the tests, which users do not have."""
    return inspect.unwrap(getattr(function, "__func__", function))


def check(kind, **given) -> None:
    """Check what is given for a frozen type, as its constructor does for users."""
    value = object.__new__(kind)
    for name, content in given.items():
        object.__setattr__(value, name, content)
    kind.__post_init__(value)


def check_frame(change) -> None:
    check(Frame, camera="wrist", image=change(observation().frames[0].image))


def check_observation(**given) -> None:
    check(Observation, **{**vars(observation()), **given})


RAW = {
    "images": {f.camera: f.image for f in observation().frames},
    "proprio": SPACES.state.unflatten(observation().proprio),
    "goal": {"text": "pick up the red cup"},
    "time": {name: np.zeros(1) for name in (*CAMERAS, "proprio")},
}


@pytest.mark.parametrize(
    ("misuse", "says"),
    [
        (lambda: bare(Agent.plan)(make(), RAW), r"type dict to plan for.*Observation.from_env\("),
        (lambda: bare(Agent.plan)(make(), observation(), generator=0), "pass torch.Generator"),
        (lambda: check_frame(lambda i: i.transpose(2, 0, 1)), r"moveaxis\(image, 0, -1\)"),
        (lambda: check_frame(lambda i: (i / 255).astype(np.float32)), r"pass \(255 \* image"),
        (lambda: check_frame(lambda i: i.astype(float)), r"pass image.astype\(np.uint8\)"),
        (lambda: check_frame(lambda i: i[..., 0]), r"pass np.stack\(\[image\] \* 3"),
        (lambda: check_frame(lambda i: i[..., [0, 1, 2, 2]]), "drop an alpha channel"),
        (lambda: check_frame(lambda i: i[..., :1]), r"np.repeat\(image, 3, axis=-1\)"),
        (lambda: check_frame(lambda i: i[..., :2]), "pass one colour picture"),
        (lambda: check_frame(lambda i: i[None]), r"pass one picture, image\[0\]"),
        (lambda: check_frame(torch.from_numpy), r"type Tensor as a frame.*np.asarray\(image\)"),
        (lambda: check_observation(frames=RAW["images"]), "expected a tuple of them"),
        (lambda: check_observation(goal="lift it"), r"type str as a goal.*write Goal\("),
        (lambda: check(Goal, text=Goal("lift"), regions=()), "type Goal as the text of a goal"),
        (lambda: check_observation(proprio=[0.0] * 10), "type list as proprio"),
        (lambda: check_observation(proprio=np.zeros(10)), r"array float64 \(10,\) as proprio"),
        (
            lambda: make().plan(replace(observation(), proprio=np.zeros(9, np.float32))),
            "got a state of 9 values, expected the 10 .* order: ee_position_x",
        ),
        (lambda: bare(Observation.from_env)((RAW, {}), SPACES), "that is a value of type tuple"),
        (lambda: bare(Observation.from_env)(RAW, "tabletop"), "pass env.unwrapped.spaces"),
        (lambda: Observation.from_env(RAW | {"goal": "lift"}, SPACES), "dictionary at goal"),
        (lambda: bare(Agent.load)(Agent, "tabletop", masks="none"), "expected a mask source"),
        (lambda: bare(Agent.load)(Agent, "tabletop", deployment="blur"), "make_deployment"),
    ],
)
def test_a_misuse_is_told_with_what_to_write_instead(misuse, says):
    with pytest.raises(InputError, match=says):
        misuse()
