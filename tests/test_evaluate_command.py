"""What launch/evaluate.py leaves behind, on episodes that are given: no simulator."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from omegaconf import OmegaConf

from launch.evaluation import evaluation
from robot.errors import InputError
from tests.experiment.test_report import filmed, result
from tests.refusals import composed

NAME = "tabletop (learned)"


def checked(monkeypatch, *overrides: str):
    """Return the work of the command, its options checked."""
    monkeypatch.setattr("launch.evaluation.require_gl", lambda: None)
    config = composed("evaluate", ["checkpoint=tabletop", "wandb=disabled", *overrides])
    OmegaConf.resolve(config)
    return evaluation(config)


def test_wandb_gets_what_was_asked_rates_masks_and_a_video(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("launch.evaluation.require_gl", lambda: None)
    episodes = [filmed(result(NAME, 0, success=True, task="pick"))]
    monkeypatch.setattr("launch.evaluating.evaluate_cells", lambda *_, **__: episodes)
    config = composed("evaluate", ["checkpoint=tabletop", "wandb=offline", "episodes=1"])
    OmegaConf.resolve(config)
    evaluation(config)()
    run = next(tmp_path.glob("runs/*-evaluate"))
    assert json.loads((run / "results.json").read_text())
    folder = next(run.glob("wandb/offline-run-*"))
    media = {path.suffix for path in folder.rglob("media/**/*") if path.is_file()}
    assert {".png", ".mp4"} <= media
    content = next(folder.glob("*.wandb")).read_bytes()
    for text in (f"success/{NAME}/pick/clean", '"checkpoint"', '"deployment"'):
        assert text.encode() in content


def test_an_agent_without_masks_is_a_baseline(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("launch.evaluation.require_gl", lambda: None)
    monkeypatch.setattr("launch.evaluating.evaluate_cells", lambda *_, **__: [])
    stories = []

    def note(*_, story, **__):
        stories.append(story)
        raise SystemExit

    monkeypatch.setattr("launch.evaluating.write", note)
    overrides = ["checkpoint=tabletop", "wandb=disabled", "perception=none"]
    config = composed("evaluate", overrides)
    OmegaConf.resolve(config)
    work = evaluation(config)
    with suppress(SystemExit):
        work()
    assert stories[0].baselines == ["tabletop (none)"]


@pytest.mark.parametrize(
    ("goal", "says"),
    [
        ("flibber the zorp", "unknown words: flibber, zorp; say it otherwise"),
        ("pick up the red duck", "red duck is not among what it has learned"),
        ("stop", "expected a request"),
    ],
)
@pytest.mark.parametrize("perception", ["learned", "oracle"])
def test_a_goal_that_nothing_could_act_on_is_refused_before_any_episode(
    monkeypatch, goal, says, perception
):
    monkeypatch.setattr("launch.evaluating.entrant_of", None)  # it would load the weights
    with pytest.raises(InputError) as error:
        checked(monkeypatch, f"goal={goal}", f"perception={perception}")
    assert f"got goal {goal!r}" in str(error.value) and says in str(error.value)


def test_an_understood_goal_runs_whatever_the_scene_holds_and_says_what_counts_for_nothing(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("launch.evaluating.entrant_of", lambda asked: None)

    def no_cells(*_, **__):
        raise SystemExit

    monkeypatch.setattr("launch.evaluating.cells_of", no_cells)
    work = checked(monkeypatch, "goal=pick up the small red cup")
    with suppress(SystemExit):
        work()
    assert "note: 'small' counts for nothing" in capsys.readouterr().out
