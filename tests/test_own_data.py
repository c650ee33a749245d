"""docs/own-data.md as a reader follows it: write arrays, train, act."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from launch.given_training import given_training
from robot.data.store import EpisodeStore
from tests.refusals import composed
from tests.test_train_given_command import TOY

PAGE = Path(__file__).resolve().parents[1] / "docs" / "own-data.md"


def script(number: int) -> str:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)[number]


def run(number: int, **given: Any) -> dict[str, Any]:
    names = {"__name__": "page", **given}
    exec(compile(script(number), str(PAGE), "exec"), names)
    return names


@pytest.mark.filterwarnings("error:the state is far outside")
def test_the_page_writes_a_data_set_trains_on_it_and_acts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = run(0)
    store = EpisodeStore(tmp_path / "recordings/my_arm")
    assert store.indices() == {0, 1, 2, 3} and (store.root / "meta/info.json").is_file()
    episode, recorded = store.read(3), written["my_episode"](3)
    assert episode.goal.text == "pick up the blue block" and episode.spaces == written["SPACES"]
    np.testing.assert_array_equal(episode.images["front"], recorded["frames"])
    np.testing.assert_array_equal(episode.actions, recorded["actions"])

    config = composed("train_given", [*TOY, "path=recordings/my_arm"])
    OmegaConf.resolve(config)
    given_training(config)()
    results = json.loads(next(tmp_path.glob("runs/*/results.json")).read_text())
    assert [error["name"] for error in results["errors"]] == list(written["ACTION"].names)

    plan = run(1, checkpoint=results["agent"])["plan"]
    assert plan.chunk.actions.shape == (4, 4) and np.isfinite(plan.chunk.actions).all()


def test_what_the_page_says_is_refused_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = script(0).replace("goal=Goal(recorded", 'goal=Goal("") if index else Goal(recorded')
    with pytest.raises(ValueError, match="got an empty goal in episode 1, expected a sentence"):
        exec(compile(code, str(PAGE), "exec"), {"__name__": "page"})
