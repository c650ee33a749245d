"""The whole loop in real time: a simulated arm, a policy, the safety layer, a recording."""

from __future__ import annotations

import numpy as np

from benchmarks.fault_stage import Sweep, limits, simulation
from robot.data.store import EpisodeStore
from robot.deploy.journal import Header
from robot.deploy.loop import Loop
from robot.deploy.options import LoopOptions
from robot.deploy.planner import AsyncPlanner
from robot.deploy.recorder import EPISODES, Recorder
from robot.deploy.rig import Rig
from robot.hardware.safety import SafeArm
from robot.hardware.simulated import SimulatedArm

MOVED_M = 0.03


def test_an_agent_drives_and_is_recorded(tmp_path):
    arm = SimulatedArm(simulation())
    safe = SafeArm(arm, limits())
    safe.connect()
    rig = Rig(safe, arm.cameras)
    planner = AsyncPlanner(Sweep(rig.spaces))
    planner.start()
    recorder = Recorder(tmp_path, videos=False)
    began_y = safe.read().ee_position[1]
    loop = Loop(
        rig,
        planner,
        options=LoopOptions(fault_timeout_s=60.0),  # a busy computer is no fault here
        goal="sweep",
        recorder=recorder,
        succeeded=lambda: bool(abs(safe.read().ee_position[1] - began_y) > MOVED_M),
    )
    outcome = loop.run_episode(
        limit_s=60.0, header=Header(0, "sweep", "sweep", "clean", 0, rig.spaces)
    )
    planner.stop()
    recorder.close()
    safe.disconnect()
    assert outcome.ended == "success" and recorder.failure is None
    episode = EpisodeStore(tmp_path / EPISODES).read(0)
    assert len(episode) == outcome.steps
    assert np.ptp(episode.proprio[:, 1]) > MOVED_M / 2
    times = episode.columns["time_s"]
    assert (np.diff(times) > 0).all()
    assert (episode.columns["frame_age_s"] >= 0).all()
