"""LeRobot itself on what we write, in an environment of its own: `make` one with
`python3.12 -m venv DIR && DIR/bin/pip install 'lerobot[training]'` and run
`LEROBOT_TRAIN=DIR/bin/lerobot-train pytest -m interop tests/data/test_lerobot_train.py`.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from robot.data.store import EpisodeStore

pytestmark = pytest.mark.interop


@pytest.fixture
def lerobot_train() -> str:
    command = os.environ.get("LEROBOT_TRAIN") or shutil.which("lerobot-train")
    if command is None:
        pytest.skip("no lerobot-train: set LEROBOT_TRAIN to one in an environment of its own")
    return command


def test_act_learns_from_state_and_images_and_nothing_else(tmp_path, make_episode, lerobot_train):
    root, out = tmp_path / "recorded", tmp_path / "out"
    _record(root, make_episode)
    done = _train(lerobot_train, root, out)
    assert done.returncode == 0, done.stderr[-3000:]
    config = next(out.rglob("pretrained_model/config.json"))
    inputs = json.loads(config.read_text())["input_features"]
    assert {name: (about["type"], about["shape"]) for name, about in inputs.items()} == {
        "observation.state": ("STATE", [10]),
        "observation.images.agentview": ("VISUAL", [3, 64, 64]),
        "observation.images.wrist": ("VISUAL", [3, 64, 64]),
    }


def _record(root: Path, make_episode) -> None:
    store = EpisodeStore(root)
    for index in range(2):
        rng = np.random.default_rng(index)
        store.append(
            make_episode(
                index=index,
                steps=6,
                images={
                    name: rng.integers(0, 256, (6, 64, 64, 3), np.uint8)
                    for name in ("agentview", "wrist")
                },
                labels={
                    name: rng.integers(0, 4, (6, 64, 64), np.uint8)
                    for name in ("agentview", "wrist")
                },
            )
        )
    store.finalize()


def _train(command: str, root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    arguments = [
        "--dataset.repo_id=local/recorded",
        f"--dataset.root={root}",
        f"--output_dir={out}",
        "--policy.type=act",
        "--policy.device=cpu",
        "--policy.push_to_hub=false",
        "--policy.pretrained_backbone_weights=null",
        "--steps=2",
        "--save_freq=2",
        "--batch_size=2",
        "--num_workers=0",
    ]
    private = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")  # of this environment, not of lerobot's
    environment = {k: v for k, v in os.environ.items() if k not in private}
    return subprocess.run(
        [command, *arguments],
        env=environment | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
