"""Facts about benchmarks/looks.py, in the simulator."""

from __future__ import annotations

import numpy as np
from rich.console import Console

from benchmarks.looks import LOOK_EVERY, expert_looks
from robot.types import Label


def test_looks_lie_one_chunk_apart_and_show_the_target():
    looks = expert_looks(
        task="pick", scene="distract", episodes=1, seed=0, console=Console(quiet=True)
    )
    times_s = [look.observation.time_s for look in looks]
    np.testing.assert_allclose(np.diff(times_s), LOOK_EVERY * 0.05)
    assert times_s[0] == 0 and len(looks) > 3
    assert all(look.labels.shape == (2, 128, 128) for look in looks)
    assert (looks[0].labels == Label.TARGET).any()
    assert {look.observation.goal for look in looks} == {looks[0].observation.goal}
