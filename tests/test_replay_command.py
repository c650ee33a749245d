"""`launch/replay.py`: a policy beside a recorded dataset."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from launch import replay
from robot.checkpoint import save
from robot.data.store import EpisodeStore
from robot.policy import make_policy
from tests.experiment.toy import POLICY, SPACES, episode, write_demonstrations
from tests.policy.toy import UNIT
from tests.robots import other_arm

pytestmark = pytest.mark.usefixtures("hashed_words")


def policy_in(folder: Path, *, spaces=SPACES) -> Path:
    policy = make_policy("transformer", statistics=UNIT, options=POLICY | {"horizon": 8})
    metadata = {
        "spaces": spaces.to_json(),
        "masks": "none",
        "deployment": {"name": "none"},
        "seed": 0,
    }
    save(folder, policy, kind="transformer", config=policy.config(), metadata=metadata)
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run the command in an empty folder; return its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def ran(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["launch/replay.py", *arguments])
        code = 0
        try:
            replay.main()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        return code, *capfd.readouterr()

    return ran


def test_it_prints_the_error_of_every_dimension_and_writes_a_picture(run, tmp_path):
    data = write_demonstrations(tmp_path / "recorded", episodes=2)
    checkpoint = policy_in(tmp_path / "policy")
    code, out, err = run(f"recording={data}", f"checkpoint={checkpoint}", "execute=4")
    assert code == 0, err
    results = Path(out.splitlines()[-1])
    written = json.loads(results.read_text())
    assert written["steps"] == 12 and list(written["errors"]) == list(SPACES.action.names)
    assert written["errors"]["delta_x"]["unit"] == "m"
    expected = np.abs(np.concatenate([episode(k).actions[:, 0] for k in (0, 1)])).mean()
    assert written["errors"]["delta_x"]["still_mean"] == pytest.approx(expected, abs=1e-6)
    assert "gripper_target" in out and (results.parent / "open-loop.png").is_file()


def test_bad_input_is_one_sentence_and_exit_code_2(run, tmp_path):
    data = write_demonstrations(tmp_path / "recorded", episodes=1)
    bare = EpisodeStore(tmp_path / "bare")
    bare.append(_without_labels())
    mine = policy_in(tmp_path / "policy")
    other = policy_in(tmp_path / "other", spaces=other_arm(agentview=(32, 32), wrist=(32, 32)))
    for arguments, says in (
        ([f"recording={tmp_path}/none", f"checkpoint={mine}"], "which is no folder"),
        (
            [f"recording={data}", f"checkpoint={mine}", "execute=9"],
            "got execute=9, expected at most",
        ),
        ([f"recording={data}", f"checkpoint={other}"], "a robot for the policy"),
        (
            [f"recording={bare.root}", f"checkpoint={mine}", "masks=oracle"],
            "without label maps of agentview",
        ),
    ):
        code, _, err = run(*arguments)
        assert code == 2 and says in err and err.count("\n") == 1, err
    assert not (tmp_path / "runs").exists()


def _without_labels():
    return replace(episode(0), labels={})
