"""Regions of a goal on the wire and in the journal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robot.deploy.exchange import Keys, observation_of, regions_message, viewpoints_message
from robot.deploy.journal import Header, Journal, Step, read_journal
from robot.deploy.remote import message_of
from robot.deploy.wire import WireError, pack, unpack
from robot.end_effector import panda_spaces
from robot.spaces import Camera
from robot.types import Frame, Goal, Observation, Region, Viewpoint

SPACES = panda_spaces(cameras=[Camera("agentview", 16, 16)], control_dt_s=0.05)
MASK = np.eye(16, dtype=bool)
REGIONS = (
    Region("agentview", box=(1.0, 2.0, 5.0, 7.0)),
    Region("agentview", click=(3.5, 4.0), mask=MASK, index=2),
)


def an_observation(regions: tuple[Region, ...]) -> Observation:
    return Observation(
        frames=(Frame("agentview", np.zeros((16, 16, 3), np.uint8)),),
        proprio=np.zeros(len(SPACES.state), np.float32),
        goal=Goal("put <region1> on <region2>", regions),
        time_s=0.0,
    )


@pytest.mark.parametrize("regions", [(), REGIONS])
def test_a_server_reads_the_goal_that_a_client_sent(regions):
    sent = an_observation(regions)
    message = {**message_of(sent, keys=Keys()), **regions_message(regions)}
    read = observation_of(unpack(pack(message)), spaces=SPACES, keys=Keys())
    assert read.goal == sent.goal


@pytest.mark.parametrize(
    "content, said",
    [
        (3, "a list of maps"),
        ([{"index": 1}], "a list of maps"),
        ([{"camera": "agentview"}], "without a place"),
        ([{"camera": "agentview", "box": [3, 1, 2, 4]}], "x0 < x1"),
        ([{"camera": "agentview", "box": "left"}], "a list of maps"),
    ],
)
def test_malformed_regions_are_explained_to_the_client(content, said):
    message = {**message_of(an_observation(()), keys=Keys()), "regions": content}
    with pytest.raises(WireError, match=said):
        observation_of(unpack(pack(message)), spaces=SPACES, keys=Keys())


def test_a_server_reads_where_the_cameras_of_a_client_stand():
    viewpoint = Viewpoint(np.diag([9.0, 9.0, 1.0]), np.eye(4), on_hand=True)
    frames = [replace(an_observation(()).frames[0], viewpoint=viewpoint)]
    message = {**message_of(an_observation(()), keys=Keys()), **viewpoints_message(frames)}
    read = observation_of(unpack(pack(message)), spaces=SPACES, keys=Keys()).frames[0].viewpoint
    assert read is not None and read.on_hand
    np.testing.assert_array_equal(read.K, viewpoint.K)
    np.testing.assert_array_equal(read.T_table_camera, viewpoint.T_table_camera)
    assert viewpoints_message(an_observation(()).frames) == {}


@pytest.mark.parametrize(
    "content",
    [
        3,
        {"agentview": {"K": np.eye(3)}},
        {"agentview": {"K": np.zeros((3, 3)), "T_table_camera": np.eye(4)}},
        {"agentview": {"K": np.eye(3), "T_table_camera": np.full((4, 4), np.nan)}},
        {"agentview": {"K": "wide", "T_table_camera": np.eye(4)}},
    ],
)
def test_a_malformed_viewpoint_is_explained_to_the_client(content):
    message = {**message_of(an_observation(()), keys=Keys()), "viewpoints": content}
    with pytest.raises(WireError, match="from camera to K"):
        observation_of(unpack(pack(message)), spaces=SPACES, keys=Keys())


def test_a_recording_keeps_the_regions_of_its_goal(tmp_path):
    header = Header(0, "put", "put <region1> on <region2>", "clean", 0, SPACES, regions=REGIONS)
    journal = Journal(tmp_path / "a.journal", header)
    journal.append(
        Step(
            images={"agentview": np.zeros((16, 16, 3), np.uint8)},
            proprio=np.zeros(len(SPACES.state), np.float32),
            action=np.zeros(len(SPACES.action), np.float32),
            columns={},
        )
    )
    journal.end(success=True, extra={})
    episode = read_journal(tmp_path / "a.journal")
    assert episode is not None and episode.goal == Goal(header.goal, REGIONS)
