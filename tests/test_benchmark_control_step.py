"""Facts about benchmarks/control_step.py, most on a clock that only the agent moves."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import control_step, diffusion_policy
from benchmarks.diffusion_policy import PeerUnet
from benchmarks.timing import percentiles
from robot.checkpoint import save
from robot.language import LanguageEncoder
from robot.policy import TransformerPolicy
from robot.types import Frame, Goal, Observation
from tests.policy.toy import UNIT


class StillClock:
    """Says 0 s until something takes time."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def perf_counter(self) -> float:
        return self.now_s


class SlowAgent:
    """Plans for 5 ms of masks and 3 ms of policy; `waits_ms` are added to its plans, one after the
    other.
    """

    def __init__(self, clock: StillClock, waits_ms: list[float]) -> None:
        self.clock, self.waits_ms = clock, iter(waits_ms)

    def plan(self, observation, *, generator):
        self.clock.now_s += (8 + next(self.waits_ms, 0.0)) / 1e3
        composites = torch.zeros(1, 6, 8, 8)
        composites[:, 3, :4, :4] = 1  # one of four patches
        chunk = SimpleNamespace(actions=np.zeros((16, 7), np.float32))
        return SimpleNamespace(chunk=chunk, composites=composites, mask_ms=5.0, policy_ms=3.0)


LOOKS = [
    Observation(
        frames=tuple(
            Frame(camera=name, image=np.full((128, 128, 3), 90, np.uint8))
            for name in ("agentview", "wrist")
        ),
        proprio=np.zeros(10, np.float32),
        goal=Goal("grab the blue mug"),
        time_s=0.0,
    )
]


@pytest.fixture
def drive(monkeypatch):
    def run(*, decisions: int, execute: int, waits_ms: list[float]):
        clock = StillClock()
        monkeypatch.setattr(control_step, "time", clock)
        agent = SlowAgent(clock, waits_ms)
        return control_step.drive(agent, LOOKS, decisions=decisions, execute=execute, seed=0)  # type: ignore[arg-type]

    return run


@pytest.fixture
def small(monkeypatch):
    """Make the peer small, read no language model and start no simulator."""
    monkeypatch.setattr(diffusion_policy, "PeerUnet", partial(PeerUnet, widths=(8, 16, 32)))
    monkeypatch.setattr(control_step, "looks_of", lambda options: LOOKS)
    monkeypatch.setattr(control_step, "LanguageEncoder", LanguageEncoder.hashed)


def test_a_decision_is_the_time_of_one_plan(drive):
    assert drive(decisions=2, execute=4, waits_ms=[]).decisions == pytest.approx([8, 8])


def test_only_the_first_control_step_of_a_cycle_waits_for_the_decision(drive):
    np.testing.assert_allclose(
        drive(decisions=2, execute=4, waits_ms=[]).steps, [[8, 0, 0, 0]] * 2, atol=1e-9
    )


def test_decisions_of_the_warm_up_do_not_count(drive):
    assert drive(
        decisions=2, execute=4, waits_ms=[1000.0] * control_step.WARM_UP
    ).decisions.max() == pytest.approx(8)


def test_the_amortised_step_is_the_mean_of_its_cycle(drive):
    summary = control_step.summarise(drive(decisions=3, execute=4, waits_ms=[]))
    assert summary["amortised"]["p50_ms"] == pytest.approx(2)


def test_p99_of_control_steps_is_over_all_of_them(drive):
    # 100 decisions of 2 steps: 100 steps of 8 ms and 100 of 0 ms, so that p50 lies between and p99
    # is a decision.
    summary = control_step.summarise(drive(decisions=100, execute=2, waits_ms=[]))
    assert (summary["control_step"]["p50_ms"], summary["control_step"]["p99_ms"]) == pytest.approx(
        (4, 8)
    )


def test_masks_and_policy_are_reported_apart(drive):
    summary = control_step.summarise(drive(decisions=2, execute=2, waits_ms=[]))
    assert (summary["decision_masks"]["p50_ms"], summary["decision_policy"]["p50_ms"]) == (5, 3)


def test_the_share_of_kept_patches_is_told(drive):
    assert drive(decisions=2, execute=2, waits_ms=[]).kept == pytest.approx([0.25, 0.25])


def test_p99_of_0_to_100_is_99():
    assert percentiles(np.arange(101.0)) == {"p50_ms": 50, "p99_ms": 99}


def test_the_peer_has_the_published_number_of_weights():
    with torch.device("meta"):
        peer = PeerUnet()
    assert round(sum(p.numel() for p in peer.parameters()) / 1e6, 1) == 66.9


def test_the_peer_answers_with_a_chunk_of_actions():
    peer = PeerUnet(context=5, widths=(8, 16, 32))
    assert peer(torch.zeros(2, 16, 7), torch.zeros(2), torch.zeros(2, 5)).shape == (2, 16, 7)


@pytest.mark.parametrize(
    "argument",
    ["--decisions=0", "--threads=0", "--chunks=0", "--execute=0", "--execute=17", "--episodes=0"],
)
def test_bad_numbers_exit_with_2(argument, small, capsys):
    with pytest.raises(SystemExit) as exit:
        control_step.main([argument, "--threads=1"] if "threads" not in argument else [argument])
    assert exit.value.code == 2
    assert "expected at " in capsys.readouterr().err


def test_the_last_line_is_the_path_of_results_with_its_keys(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (0.25, 0.5, 1.0))
    control_step.main(["--decisions=2", "--chunks=1", "--threads=1", f"--runs={tmp_path}"])
    results = json.loads(Path(capsys.readouterr().out.splitlines()[-1]).read_text())
    assert (
        min(
            results[key]
            for key in ("p50_ms", "p99_ms", "decision_p99_ms", "amortised_p50_ms", "ratio")
        )
        > 0
    )
    assert list(results["policies"]) == ["diffusion", "transformer"]
    assert {policy["vision"] for policy in results["policies"].values()} == {"tokens"}
    assert results["mask_head"]["origin"] == "tabletop"
    assert results["machine"]["load_average_before"] == 0.25


def test_a_checkpoint_takes_the_place_of_the_fresh_policy_of_its_kind(tmp_path):
    policy = TransformerPolicy(statistics=UNIT, depth=1)
    save(
        tmp_path,
        policy,
        kind="transformer",
        config=policy.config(),
        metadata={"deployment": {"name": "blur"}},
    )
    parts = control_step.choose_parts([str(tmp_path)])
    assert (parts["transformer"].origin, parts["diffusion"].origin) == (str(tmp_path), "fresh")
    assert type(parts["transformer"].deployment).__name__ == "Blur"


def test_a_missing_checkpoint_exits_with_2(capsys):
    with pytest.raises(SystemExit) as exit:
        control_step.main(["--checkpoint=nowhere", "--threads=1"])
    assert exit.value.code == 2
    assert "nowhere" in capsys.readouterr().err
