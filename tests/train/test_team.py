"""Two processes, as torchrun starts them, against one that sees both their batches at once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from robot.system.torchrun import Place, place, refuse_torchrun
from robot.train.by_step import ByStep
from robot.train.loop import train
from robot.train.team import Team
from robot.types import InputError
from tests.train.team_member import TRAINING, Plain
from tests.train.tiny import TinyBatch, batch_of_step

ROOT = Path(__file__).resolve().parents[2]


def team(folder: Path, *, broken_at: int) -> list[int]:
    """Run two processes to their end, "first" and "helper"; return their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    members = []
    for rank, name in enumerate(("first", "helper")):
        own = folder / name / "tiny"
        own.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.train.team_member", str(own), str(broken_at)]
        environment = os.environ | shared | {"RANK": str(rank), "PYTHONPATH": str(ROOT)}
        members.append(
            subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.DEVNULL)
        )
    return [member.wait(120) for member in members]


def alone() -> torch.Tensor:
    """Return the weights of one process that learns from the batches of both."""

    def pairs(start: int):
        for step in range(start, TRAINING.steps):
            both = batch_of_step(2 * step), batch_of_step(2 * step + 1)
            yield TinyBatch(*(torch.cat(parts) for parts in zip(*map(tensors, both), strict=True)))

    torch.manual_seed(0)
    average = train(Plain(), pairs, TRAINING)
    return torch.cat([w.flatten() for w in average.state_dict().values()])


def tensors(batch: TinyBatch) -> tuple[torch.Tensor, torch.Tensor]:
    return batch.images, batch.target


@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_processes_learn_what_one_does_from_both_batches(tmp_path, killed):
    if killed:
        assert 0 not in team(tmp_path, broken_at=4)  # the batches of two processes' two steps
    assert team(tmp_path, broken_at=100) == [0, 0]
    first, helper = (np.load(tmp_path / name / "tiny/said.npz") for name in ("first", "helper"))
    np.testing.assert_array_equal(first["weights"], helper["weights"])
    assert first["wrote"] and not helper["wrote"]
    np.testing.assert_allclose(first["weights"], alone().numpy(), rtol=1e-5, atol=1e-6)


def test_a_place_is_what_torchrun_says():
    assert place({}) == Place(0, 1) and not Place(0, 2).helps
    assert place({"RANK": "1", "WORLD_SIZE": "2"}) == Place(1, 2) and Place(1, 2).helps


def test_commands_that_do_not_share_their_training_out_say_so(monkeypatch):
    refuse_torchrun("ablate")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="got torchrun for ablate, expected it for launch/train_g"):
        refuse_torchrun("ablate")


def test_each_process_makes_its_own_steps_ahead():
    of_second = Team(Place(rank=1, size=2)).batches(ByStep(lambda k: k), start=3, ahead=True)
    in_turn = Team(Place(rank=1, size=2)).batches(ByStep(lambda k: k), start=3)
    assert list(islice(of_second, 4)) == list(islice(in_turn, 4)) == [7, 9, 11, 13]
    of_second.close()
