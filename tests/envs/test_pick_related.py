"""`pick_related`: what is meant is clear, and success is that of the thing meant."""

from __future__ import annotations

import numpy as np
import pytest

from robot.envs.mujoco import MujocoEnv
from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.related import HOME_M, draw_related
from robot.envs.tabletop.scene import sample_scene
from robot.words.related import GRIPPER
from robot.words.related_phrases import read_related

TASK = "pick_related"


@pytest.fixture(scope="module")
def env():
    made = MujocoEnv(task=TASK, image_size=32)
    yield made
    made.close()


def scenes(scene: str, count: int = 60):
    for index in range(count):
        yield sample_scene(task=TASK, scene=scene, seed=7, index=index)


@pytest.mark.parametrize("scene", ["clean", "distract", "lookalike"])
def test_the_next_thing_is_three_centimetres_away(scene):
    """By the places alone, for the relations that need no camera."""
    seen = 0
    for shown in scenes(scene):
        goal = read_related(shown.goal)
        assert goal is not None and shown.target is not None
        related, at = goal.related, {p.body: p for p in shown.placements}
        shapes = cat.body_names()
        others = [
            p
            for p in shown.placements
            if p.body != shown.target and related.target.noun in (None, shapes[p.body])
        ]
        mine = at[shown.target]
        assert others and related.target.noun in (None, shapes[mine.body])
        if related.relation in ("front", "behind") and related.anchor is None:
            sign = 1 if related.relation == "front" else -1
            seen += 1
            assert all(sign * (mine.x - p.x) >= 0.03 for p in others)
        elif related.anchor == GRIPPER:
            away = [float(np.hypot(p.x - HOME_M[0], p.y - HOME_M[1])) for p in (mine, *others)]
            seen += 1
            assert min(away[1:]) - away[0] >= 0.05
    assert seen >= 5


def test_every_sort_of_relation_is_asked_for():
    rng = np.random.default_rng(0)
    assert {draw_related(rng=rng).relation for _ in range(300)} == {
        *("left", "right", "front", "behind"),
        *("nearest", "farthest", "small", "large"),
    }


def test_target_and_goal_are_the_same_in_every_scene():
    for one, other in zip(scenes("clean", 10), scenes("distract", 10), strict=True):
        assert (one.goal, one.target) == (other.goal, other.target)


def test_where_it_is_absent_nothing_of_its_kind_stands_there():
    for shown in scenes("absent", 20):
        noun = read_related(shown.goal).related.target.noun
        assert shown.target is None and noun is not None
        assert noun not in {cat.body_names()[p.body] for p in shown.placements}


@pytest.mark.parametrize("index", [0, 1])
def test_the_expert_takes_the_thing_that_is_meant(env, index):
    env.reset(seed=11, options={"episode": index, "scene": "distract"})
    assert play(env, env.expert(rng=np.random.default_rng(0)))


def test_another_thing_is_the_wrong_one(env):
    env.reset(seed=11, options={"episode": 2})
    expert = env.wrong_expert(rng=np.random.default_rng(0))
    assert not play(env, expert, steps=70)
    assert env.task.wrong_object(env.sim)


def play(env, expert, *, steps: int = 150) -> bool:
    for _ in range(steps):
        success, truncated = env.advance(np.asarray(expert.act())[None])
        if success or truncated:
            return success
    return False


def test_a_sentence_of_ones_own_is_followed(env):
    env.reset(seed=11, options={"episode": 3, "goal": "take the rightmost thing"})
    placed = {p.body: p.y for p in env.task.scene.placements}
    assert env.judged and env.task.scene.target == max(placed, key=placed.__getitem__)
