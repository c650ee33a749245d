"""Staged moments: the arm and the objects are where an episode would have them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robot.envs.robosuite import RobosuiteEnv
from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop import staging
from robot.envs.tabletop.bodies import SHAPES
from robot.envs.tabletop.placing import Placement
from robot.envs.tabletop.scene import sample_scene
from robot.envs.tabletop.world import TABLE_TOP_M
from robot.types import Label


@pytest.fixture(scope="module")
def env():
    env = RobosuiteEnv(task="pick", image_size=64)
    env.reset(seed=0)
    yield env
    env.close()


@pytest.fixture
def only(monkeypatch):
    """Make every staged moment one of a kind, about the target, with nothing toppled."""

    def choose(moment: str) -> None:
        monkeypatch.setattr(staging, "MOMENTS", {moment: 1.0})
        monkeypatch.setattr(staging, "TARGET_SHARE", 1.0)
        monkeypatch.setattr(staging, "TOPPLED_SHARE", 0.0)

    return choose


def staged(env, index: int, *, task: str = "pick"):
    shown = sample_scene(task=task, scene="clean", seed=3, index=index)
    staging.stage(env.sim, scene=shown, rng=np.random.default_rng(index))
    return shown


def hand(env) -> np.ndarray:
    return env.data.site_xpos[env.sim.robots[0].eef_site_id["right"]].copy()


def test_at_home_the_arm_is_where_an_episode_starts(env, only):
    only("home")
    shown = staged(env, 0)
    assert hand(env)[:2] == pytest.approx([-0.1, 0.0], abs=0.06)
    assert env.sim.position(shown.target)[2] == pytest.approx(TABLE_TOP_M, abs=0.002)


def test_in_the_grasp_the_finger_tips_are_at_the_target(env, only):
    only("grasp")
    for index in range(10):
        shown = staged(env, index)
        assert np.linalg.norm(hand(env)[:2] - env.sim.position(shown.target)[:2]) < 0.03


def test_a_held_target_is_off_the_table_between_the_fingers(env, only):
    only("held")
    heights = []
    for index in range(10):
        shown = staged(env, index)
        offset = hand(env) - env.sim.position(shown.target)
        assert np.linalg.norm(offset[:2]) < 0.02 and 0.0 < offset[2] < 0.06
        heights.append(env.sim.position(shown.target)[2] - TABLE_TOP_M)
    assert max(heights) > 0.08


def test_a_target_that_is_being_placed_is_over_its_destination_and_sometimes_let_go(env, only):
    only("placing")
    heights, let_go = [], 0
    for index in range(20):
        shown = staged(env, index, task="duck_in_pot")
        target, destination = env.sim.position(shown.target), env.sim.position(shown.destination)
        assert np.linalg.norm(target[:2] - destination[:2]) < SHAPES["pot"].inner_radius
        heights.append(target[2] - destination[2])
        let_go += (
            env.data.qpos[env.sim.sim.model._model.joint("gripper0_right_finger_joint1").qposadr[0]]
            > 0.039
        )
    assert (
        min(heights) >= SHAPES["pot"].floor - 0.01 and min(heights) < 0.03 and max(heights) > 0.08
    )
    assert 0 < let_go < 10


def test_without_a_destination_a_target_that_would_be_placed_is_held(env, only):
    only("placing")
    shown = staged(env, 0)
    assert np.linalg.norm((hand(env) - env.sim.position(shown.target))[:2]) < 0.02


def test_the_hand_points_down_wherever_it_is(env, only):
    only("travel")
    for index in range(10):
        staged(env, index)
        assert (
            env.data.site_xmat[env.sim.robots[0].eef_site_id["right"]].reshape(3, 3)[2, 2] < -0.95
        )


def test_the_target_is_in_sight_of_the_wrist_when_the_hand_is_beside_it(env, only):
    only("beside")
    seen = 0
    for index in range(20):
        shown = staged(env, index)
        [maps] = env.label_maps_for([{env.sim.root_body(shown.target): Label.TARGET}])
        seen += (maps["wrist"] == Label.TARGET).any()
    assert seen >= 14


def test_some_things_lie_on_their_side(env, monkeypatch):
    monkeypatch.setattr(staging, "TOPPLED_SHARE", 1.0)
    monkeypatch.setattr(staging, "MOMENTS", {"home": 1.0})
    lying = 0
    for index in range(20):
        shown = staged(env, index)
        for placement in shown.placements:
            if placement.body.startswith(("cylinder", "cup")):
                assert abs(env.sim.rotation(placement.body)[2, 2]) < 1e-6
                lying += 1
    assert lying > 3


def test_a_moment_depends_on_scene_and_generator_only(env):
    staged(env, 4)
    first = env.data.qpos.copy()
    staged(env, 5)
    staged(env, 4)
    np.testing.assert_array_equal(env.data.qpos, first)


def test_what_is_seen_of_a_body_stretches_and_shrinks_back(env):
    def pixels(stretch) -> int:
        shown = sample_scene(task="pick", scene="clean", seed=3, index=0)
        tower = Placement("tower_0", x=0.1, y=0.15, yaw=0.0, colour=(1, 0, 0), stretch=stretch)
        env.sim.apply(replace(shown, placements=(tower,)))
        [maps] = env.label_maps_for([{env.sim.root_body("tower_0"): Label.TARGET}])
        return int((maps["agentview"] == Label.TARGET).sum())

    compiled = pixels((1.0, 1.0, 1.0))
    assert pixels((1.0, 1.0, 1.6)) > 1.2 * compiled > 1.2 * pixels((0.7, 0.7, 1.0)) > 0
    assert pixels((1.0, 1.0, 1.0)) == compiled


def test_a_lying_capsule_grows_along_itself_and_rests_on_the_table(env):
    model, ref = env.sim.sim.model._model, env.sim.bodies["capsule_0"]
    shown = sample_scene(task="pick", scene="clean", seed=3, index=0)
    capsule = Placement(
        "capsule_0", x=0.1, y=0.15, yaw=0.0, colour=(1, 0, 0), stretch=(1.5, 0.8, 0.8)
    )
    env.sim.apply(replace(shown, placements=(capsule,)))
    radius, half = model.geom_size[ref.seen[0]][:2]
    assert (radius, half) == pytest.approx((0.8 * 0.018, 1.5 * 0.018))
    assert model.geom_pos[ref.seen[0]][2] == pytest.approx(radius)
    touched = [g for g in ref.geoms if g not in ref.seen]
    assert model.geom_size[touched[0]][:2] == pytest.approx((0.018, 0.018))


def test_a_pattern_lasts_until_the_body_is_shown_without(env):
    model, ref = env.sim.sim.model._model, env.sim.bodies["egg_0"]
    shown = sample_scene(task="pick", scene="clean", seed=3, index=0)
    egg = Placement("egg_0", x=0.1, y=0.15, yaw=0.0, colour=(1, 0, 0))
    materials = []
    for pattern in (None, 0.5, None):
        env.sim.apply(replace(shown, placements=(replace(egg, pattern=pattern),)))
        materials.append(int(model.geom_matid[ref.tinted[0]]))
    assert materials[0] == materials[2] != materials[1]


@pytest.mark.parametrize("scene", ["distract", "lookalike", "randomised", "strangers"])
def test_no_two_objects_of_a_scene_reach_into_each_other_handles_included(env, scene):
    for index in range(60):
        shown = sample_scene(
            task="red_cup_on_silver_pan" if index % 2 else "duck_in_pot",
            scene=scene,
            seed=4,
            index=index,
        )
        env.sim.apply(shown)
        assert touching(env) == set(), index
    one, other, *rest = shown.placements
    moved = replace(other, x=one.x, y=one.y)
    env.sim.apply(replace(shown, placements=(one, moved, *rest)))
    assert {one.body, other.body} in touching(env)  # contacts are those of what is shown


def touching(env) -> set[frozenset[str]]:
    """Return the pairs of objects that touch each other."""
    model, data = env.sim.sim.model._model, env.sim.sim.data._data
    catalogue = {ref.body_id: name for name, ref in env.sim.bodies.items()}
    roots = [
        model.body_rootid[model.geom_bodyid[contact.geom]] for contact in data.contact[: data.ncon]
    ]
    pairs = (frozenset(catalogue.get(root, "") for root in pair) for pair in roots)
    return {pair for pair in pairs if len(pair) == 2 and "" not in pair}


def test_every_object_of_an_episode_begins_at_rest_on_the_table(env):
    rise = {}
    for index in range(12):
        env.reset(seed=4, options={"episode": index, "scene": "distract"})
        before = {p.body: env.sim.position(p.body)[2] for p in env.task.scene.placements}
        env.advance(np.zeros((10, 7), np.float32))
        rise |= {body: env.sim.position(body)[2] - height for body, height in before.items()}
    assert {f"{mesh}_0" for mesh in cat.catalogue()["meshes"]} <= set(rise)
    assert all(abs(moved) < 0.003 for moved in rise.values()), rise
