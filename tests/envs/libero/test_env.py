"""LIBERO behind the env API; `make test-libero` sets its packages up."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import robot.envs  # noqa: F401  (registers)
from robot.envs.libero.files import initial_states
from robot.envs.libero.grasping import extent, held
from robot.types import InputError, Label

pytestmark = pytest.mark.libero

STAY = np.array([0.0] * 6 + [1.0], np.float32)
WORDS = "pick the cream cheese and place it in the basket"
PERTURBED = ("position", "task", "object", "semantic", "environment")


def target_of(env) -> str:
    return next(body for body, role in env.task.roles(env.sim).items() if role == Label.TARGET)


def shown(env, scene: str, *, episode: int = 0):
    return env.reset(seed=0, options={"scene": scene, "episode": episode})


def test_an_official_state_is_shown_whatever_the_seed(env):
    state = initial_states("libero_object", 1, "official")[3]
    things = []
    for seed in (0, 7):
        env.reset(seed=seed, options={"scene": "official", "episode": 3})
        assert env.goal == WORDS
        things.append(env.object_states()["cream_cheese_1_main"])
    np.testing.assert_allclose(*things, atol=1e-9)
    free = env.model.joint("cream_cheese_1_joint0").qposadr[0]
    np.testing.assert_allclose(things[0][:2], state[1 + free : 3 + free], atol=2e-3)  # settled


def test_a_drawn_state_depends_on_its_seed_alone(env):
    positions = []
    for seed in (1, 2, 1):
        env.reset(seed=seed, options={"scene": "clean", "episode": 0})
        positions.append(env.object_states()["cream_cheese_1_main"][:3])
    np.testing.assert_array_equal(positions[0], positions[2])
    assert np.abs(positions[0] - positions[1]).max() > 1e-3


def test_rearranged_things_stand_clear_of_each_other_on_the_floor(env):
    shown(env, "rearranged")
    boxes = [extent(env.sim, thing.root_body) for thing in env.sim.raw.objects_dict.values()]
    assert all(abs(box.bottom) < 0.02 for box in boxes)
    for k, one in enumerate(boxes):
        for other in boxes[:k]:
            apart = np.abs(one.centre - other.centre)[:2] - (one.half + other.half)[:2]
            assert apart.max() > 0


def test_frames_are_upright_and_labels_show_target_destination_and_gripper(env):
    observation, _ = shown(env, "official")
    assert env.observation_space.contains(observation)
    labels = env.label_maps()["agentview"]
    rows = {role: np.nonzero(labels == role)[0].mean() for role in (Label.TARGET, Label.GRIPPER)}
    assert rows[Label.GRIPPER] < rows[Label.TARGET]  # the arm comes from the far side
    columns = np.nonzero(labels == Label.DESTINATION)[1]
    assert columns.mean() > 64  # the basket stands on the robot's left, the picture's right
    assert all((labels == role).sum() > 20 for role in (1, 2, 3))


@pytest.mark.parametrize("scene", PERTURBED)
def test_a_perturbation_changes_what_its_name_says(env, scene):
    shown(env, "official")
    words, target, place = env.goal, target_of(env), env.object_states()["cream_cheese_1_main"]
    room = {env.model.body(k).name for k in range(env.model.nbody)}
    shown(env, scene)
    now = {env.model.body(k).name for k in range(env.model.nbody)}
    changed = {
        "semantic": env.goal != words and "cream cheese" in env.goal,
        "task": env.goal != words and "alphabet soup" in env.goal,
        "object": target_of(env) == "red_" + target and env.goal == words,
        "environment": bool({name for name in now - room if "living" in name}),
    }
    if scene == "position":
        moved = np.linalg.norm((env.object_states()[target] - place)[:2])
        assert moved > 0.15 and env.goal == words and target_of(env) == target
    else:
        assert changed[scene]


def test_the_expert_succeeds_by_liberos_own_check(env):
    shown(env, "official", episode=1)
    expert, done, truncated = env.expert(rng=np.random.default_rng(0)), False, False
    grasped = False
    while not (done or truncated):
        done, truncated = env.advance(expert.act()[None])
        grasped |= held(env.sim) == target_of(env)
    assert done and grasped and env.sim.raw._check_success()
    assert not env.task.wrong_object(env.sim)


def test_its_time_limit_is_the_suites_horizon():
    made = gymnasium.make("robot/libero_object-0-v0", image_size=32)
    assert made.spec is not None and made.spec.max_episode_steps == 280
    check_env(made.unwrapped, skip_render_check=True)
    made.reset(seed=0)
    made.close()


def test_states_beyond_the_official_ones_are_one_sentence(env):
    with pytest.raises(InputError, match="which has 50; ask for fewer episodes"):
        shown(env, "official", episode=50)
