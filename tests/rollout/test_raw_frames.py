"""Simulator state -> raw frames -> scene graphs, against what the simulator itself says."""

from __future__ import annotations

import numpy as np
import pytest

from robot.envs.mujoco import MujocoEnv
from robot.instruct.build import build_graph
from robot.rollout.raw_frames import raw_frames


@pytest.fixture(scope="module")
def env():
    made = MujocoEnv(task="place", image_size=128)
    made.reset(seed=3, options={"scene": "distract"})
    yield made
    made.close()


@pytest.fixture(scope="module")
def raws(env):
    return {raw.camera: raw for raw in raw_frames(env, episode="e", frame=0)}


def projected(raw, point):
    at = np.linalg.inv(raw.T_world_camera) @ np.append(point, 1.0)
    u, v, _ = raw.K @ at[:3] / at[2]
    return u, v, at[2]


def test_masks_lie_where_positions_project_so_no_picture_is_upside_down(raws):
    raw = raws["agentview"]
    seen = [o for o in build_graph(raw).objects if o.kind == "object" and o.visible_fraction == 1.0]
    assert len(seen) >= 4
    for o in seen:
        u, v, depth = projected(raw, o.position_m)
        x0, y0, x1, y1 = o.box
        assert x0 <= u <= x1 and y0 <= v <= y1
        assert o.depth_m[2] == pytest.approx(
            depth, abs=0.06
        )  # metres; a near surface, not its middle


def test_a_thing_keeps_its_id_in_every_camera(raws):
    ids = [[(t.id, t.cls) for t in raw.things] for raw in raws.values()]
    assert ids[0] == ids[1]


def test_what_stands_on_the_table_is_on_it_although_it_sleeps(raws):
    graph = build_graph(raws["agentview"])
    table = next(o.id for o in graph.objects if o.kind == "surface")
    standing = {o.id for o in graph.objects if o.kind in ("object", "receptacle")}
    assert standing == {r.head for r in graph.relations if r.name == "on" and r.tail == table}


def test_the_goal_names_the_target_and_the_destination_of_the_task(env, raws):
    graph = build_graph(raws["agentview"])
    roles = {env.model.body(name).id for name in env.task.roles(env.sim)}
    assert {*graph.goal.targets, *graph.goal.destinations} == roles
    assert graph.goal.satisfied is False


def test_what_hides_nothing_leaves_a_thing_whole_and_what_does_is_known(raws):
    graph = build_graph(raws["agentview"])
    hidden = {r.tail for r in graph.relations if r.name == "occludes"}
    for o in graph.objects:
        if o.kind == "object":
            assert (o.visible_fraction < 0.85) == (o.id in hidden)
