"""Goals with regions in a simulator: what a box lies on is what the episode asks for."""

from __future__ import annotations

import numpy as np
import pytest

from robot.envs.make import EnvOptions, make_env
from robot.envs.regions import overlaps
from robot.types import Goal, Observation, Region

SEED = 3


def test_overlap_is_intersection_over_union_of_pixels():
    instances = np.full((6, 8), -1, np.int32)
    instances[1:3, 1:5] = 7  # eight pixels
    instances[4:6, 0:2] = 9
    found = overlaps(Region("a", box=(3.0, 0.0, 7.0, 4.0)), instances)
    assert found == {7: 4 / (16 + 8 - 4)}
    assert overlaps(Region("a", click=(1.5, 4.2)), instances) == {9: 1 / 4}
    assert overlaps(Region("a", mask=instances == 7), instances) == {7: 1.0}
    assert overlaps(Region("a", box=(6.0, 3.0, 8.0, 6.0)), instances) == {}


@pytest.fixture(scope="module")
def env():
    made = make_env("pick", EnvOptions(backend="mujoco", image_size=128))
    yield made
    made.close()


def region_of(env, body: str, *, index: int = 1) -> Region:
    mask = env.instance_maps()["agentview"] == env.sim.bodies[body].body_id
    return Region("agentview", box=Region("agentview", mask=mask).bounds, index=index)


def an_episode_with_copies(env) -> tuple[int, str, str]:
    """Return an episode of `duplicates`, its target and a copy."""
    for episode in range(20):
        env.reset(seed=SEED, options={"scene": "duplicates", "episode": episode})
        scene = env.task.scene
        copies = [p.body for p in scene.placements if p.noun == scene.target_noun]
        if len(copies) > 1:
            return episode, copies[0], copies[1]
    raise AssertionError("twenty scenes without a copy")


def test_success_is_that_of_the_copy_which_the_box_lies_on(env):
    episode, target, copy = an_episode_with_copies(env)
    options = {"scene": "duplicates", "episode": episode}
    for body in (target, copy):
        goal = Goal("pick up <region1>", (region_of(env, body),))
        raw, _ = env.reset(seed=SEED, options={**options, "goal": goal})
        assert env.task.scene.target == body and env.judged
        assert Observation.from_env(raw, env.spaces).goal == goal
    raw, _ = env.reset(seed=SEED, options=options)
    assert "regions" not in raw["goal"] and env.task.scene.target == target


def test_two_copies_are_told_apart_by_their_index(env):
    episode, target, copy = an_episode_with_copies(env)
    regions = (region_of(env, copy), region_of(env, target, index=2))
    for first, second in ((1, 2), (2, 1)):
        options = {
            "scene": "duplicates",
            "episode": episode,
            "goal": f"pick up <region{first}>, not <region{second}>",
            "regions": regions,
        }
        env.reset(seed=SEED, options=options)
        assert env.task.scene.target == (copy if first == 1 else target)


def test_a_box_on_the_bare_table_asks_for_nothing_that_could_succeed(env):
    env.reset(seed=SEED, options={"scene": "clean", "episode": 0})
    free = env.instance_maps()["agentview"]
    bodies = {env.model.body(name).id for name in env.object_states()}
    rows, columns = np.nonzero(~np.isin(free, list(bodies)))
    empty = Region("agentview", click=(float(columns[0]), float(rows[0])))
    goal = Goal("pick up <region1>", (empty,))
    env.reset(seed=SEED, options={"scene": "clean", "episode": 0, "goal": goal})
    assert not env.judged


def test_a_thing_that_the_model_calls_otherwise_is_judged_too(env):
    """Meshes: the scene's "can_0" is the model's "can_0_main"."""
    for episode in range(20):
        env.reset(seed=SEED, options={"scene": "distract", "episode": episode})
        bodies = [p.body for p in env.task.scene.placements]
        others = [body for body in bodies if env.sim.root_body(body) != body]
        if others:
            break
    goal = Goal("pick up <region1>", (region_of(env, others[0]),))
    options = {"scene": "distract", "episode": episode, "goal": goal}
    env.reset(seed=SEED, options=options)
    assert env.task.scene.target == others[0] and env.judged
    assert not env.task.success(env.sim)  # which asks where it is


def test_observations_of_region_goals_say_where_their_cameras_stand(env):
    """A thing's middle projects into its pixels in both cameras, the hand's too."""
    episode, target, _ = an_episode_with_copies(env)
    goal = Goal("pick up <region1>", (region_of(env, target),))
    options = {"scene": "duplicates", "episode": episode}
    assert "viewpoints" not in env.reset(seed=SEED, options=options)[0]
    raw, _ = env.reset(seed=SEED, options={**options, "goal": goal})
    base = env.data.xpos[env.arm.base]
    here = env.object_states()[env.task.scene.target][:3]  # on the table's top, 0.8 m high
    middle = [here[0] - base[0], here[1] - base[1], 0.02, 1.0]
    for frame in Observation.from_env(raw, env.spaces).frames:
        assert frame.viewpoint is not None
        assert frame.viewpoint.on_hand == (frame.camera == "wrist")
        seen = np.linalg.inv(frame.viewpoint.T_table_camera) @ middle
        x, y = (frame.viewpoint.K @ seen[:3])[:2] / seen[2]
        pixels = env.instance_maps()[frame.camera] == env.sim.bodies[target].body_id
        assert pixels[int(y), int(x)]
