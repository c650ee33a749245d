"""`launch/score_demonstrations.py` from stores to results, at toy size, without a simulator."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from launch import score_demonstrations, scoring
from robot.data.scores import read_scores
from robot.experiment.jobs import Trained
from tests.experiment.toy import write_tiers

SETTINGS = [
    "data.episodes=2",
    "data.quality.episodes=4",
    "scoring.folds=2",
    "scoring.batch_size=4",
    "scoring.policy.image_size=16",
]
SETTINGS += [
    "scoring.horizon=4",
    "scoring.training.steps=2",
    "scoring.training.precision=fp32",
    "seed=3",
]
SMALL = {"width": 8, "layers": 2, "keypoints": 4, "dim": 16, "depth": 1, "heads": 2}


def run_here(stages, **_) -> Trained:
    """Train in this process."""
    (stage,) = stages
    return Trained({stage.id: stage.train(directory=stage.directory)}, {stage.id: 0.0})


@pytest.mark.usefixtures("hashed_words")
def test_it_writes_weights_numbers_and_pictures(tmp_path, monkeypatch, capsys):
    roots = write_tiers(tmp_path / "stores")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scoring, "collect_scenes", lambda data, **_: {"clean": tuple(roots)})
    monkeypatch.setattr(scoring, "run_stages", run_here)
    sizes = [f"scoring.policy.{key}={value}" for key, value in SMALL.items()] + [
        "scoring.discriminator.dim=16"
    ]
    monkeypatch.setattr(sys, "argv", ["score_demonstrations", *SETTINGS, *sizes])
    score_demonstrations.main()
    run = (tmp_path / capsys.readouterr().out.splitlines()[-1]).parent
    results = json.loads((run / "results.json").read_text())
    assert [(kind["kind"], kind["episodes"]) for kind in results["quality"]["kinds"]] == [
        ("trusted", 2),
        ("clean", 2),
        ("stall", 2),
    ]
    assert 0 <= results["quality"]["auroc"] <= 1
    assert {path.name for path in run.iterdir()} == {
        "config.yaml",
        "results.json",
        "weights.svg",
        "worst.png",
        "best.png",
    }
    for root, path in zip(roots, results["scores"], strict=True):
        assert len(read_scores(root, Path(path).stem)) == (2 if root.name == "trusted" else 4)
