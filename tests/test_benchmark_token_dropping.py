"""Facts about benchmarks/token_dropping.py, without a simulator."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import token_dropping
from robot.policy import EncoderConfig


@pytest.fixture
def small(monkeypatch):
    config = EncoderConfig(image_size=16, width=8, layers=2, keypoints=2)
    monkeypatch.setattr(token_dropping, "DEFAULT_ENCODER", config)


def test_the_last_line_is_the_path_of_results_with_its_keys(small, tmp_path, capsys):
    token_dropping.main(["--kept=0.25", "--rounds=1", "--threads=1", f"--runs={tmp_path}"])
    results = json.loads(Path(capsys.readouterr().out.splitlines()[-1]).read_text())
    assert (
        min(results[key] for key in ("p50_ms", "p99_ms", "ratio", "cpu_ratio", "ratio_to_cnn")) > 0
    )
    assert 0.1 < results["kept_share"] < 0.4 and results["patches"] == 2 * 16
    assert set(results["encoders"]) == {"all", "kept", "cnn"}


def test_the_share_of_kept_patches_is_counted_over_both_cameras():
    look = torch.zeros(2, 6, 8, 8)
    look[0, 3, 0, 0] = 1  # one of eight patches
    assert token_dropping.kept_share([look]) == 1 / 8


def test_nothing_is_dropped_from_an_uncovered_look():
    look = torch.rand(2, 6, 8, 8)
    assert token_dropping.kept_share([token_dropping.uncovered(look)]) == 1
    assert torch.equal(token_dropping.uncovered(look)[:, :3], look[:, :3])


def test_p99_of_0_to_100_is_99():
    times = np.stack([np.arange(101.0), np.full(101, 7.0)], axis=1)
    assert token_dropping.summarise(times) == {"p50_ms": 50, "p99_ms": 99, "cpu_p50_ms": 7}


@pytest.mark.parametrize("argument", ["--episodes=0", "--rounds=0", "--threads=0", "--kept=1.5"])
def test_bad_numbers_exit_with_2(argument, capsys):
    with pytest.raises(SystemExit) as stopped:
        token_dropping.main([argument])
    assert stopped.value.code == 2
    assert "expected" in capsys.readouterr().err
