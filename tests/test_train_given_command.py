"""launch/train_given.py: demonstrations of a robot of one's own -> a policy that plans."""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from launch.given_training import given_training
from robot.agent import Agent
from robot.checkpoint import save
from robot.data.robomimic import export_robomimic
from robot.data.store import EpisodeStore
from robot.errors import InputError
from robot.experiment.calibrated_eyes import calibrated_eyes
from robot.experiment.given_data import held_out_of, spaces_of_store
from robot.perception.head.mask_head import MaskHead
from robot.spaces import Camera, cameras_to_json
from robot.types import Frame, Goal, Observation
from tests.data.foreign import JOINTS, write_foreign
from tests.experiment.toy import HEAD, write_demonstrations, write_tiers
from tests.refusals import composed

TOY = (
    *("policy=transformer", "policy.image_size=16", "policy.width=8", "policy.layers=2"),
    *("policy.keypoints=4", "policy.dim=16", "policy.depth=1", "policy.heads=2"),
    *("policy.horizon=4", "policy.vision=cnn", "train.steps=3", "train.warmup_steps=1"),
    *("train.checkpoint_every=2", "train.log_every=1", "batch_size=4", "wandb=disabled"),
)


MOVED = "relocate={copies: 2, x_m: [0.4, 0.7], y_m: [-0.2, 0.2]}"


@pytest.fixture
def one_camera_head(tmp_path_factory) -> Path:
    config: dict[str, Any] = HEAD | {"cameras": 1}
    camera = [Camera("any", height=32, width=32)]
    metadata = {"cameras": cameras_to_json(camera), "vocabulary": "tabletop"}
    return save(
        tmp_path_factory.mktemp("head"),
        MaskHead(**config),
        kind="mask_head",
        config=config,
        metadata=metadata,
    )


def run_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> dict:
    monkeypatch.chdir(tmp_path)
    config = composed("train_given", [*TOY, *overrides])
    OmegaConf.resolve(config)
    given_training(config)()
    return json.loads(next(tmp_path.glob("runs/*/results.json")).read_text())


def observation_of(agent: Agent, goal: str) -> Observation:
    frames = tuple(
        Frame(
            camera=camera.name,
            image=np.zeros((camera.height, camera.width, 3), np.uint8),
            time_s=0.0,
        )
        for camera in agent.spaces.cameras
    )
    state = np.full(len(agent.spaces.state), 0.5, np.float32)
    return Observation(frames=frames, proprio=state, goal=Goal(goal), time_s=0.0)


def test_a_policy_from_a_folder_of_lerobots_own_plans(tmp_path, monkeypatch):
    root = write_foreign(tmp_path / "so100", video=True)
    results = run_of(tmp_path, monkeypatch, f"path={root}")
    agent = Agent.load(results["agent"])
    plan = agent.plan(observation_of(agent, "grab the cube"))
    assert plan.chunk.actions.shape == (4, 3) and np.isfinite(plan.chunk.actions).all()
    assert (results["episodes"], results["held_out"]) == (2, 1)
    assert [error["name"] for error in results["errors"]] == JOINTS
    # the recorded joints lead the state by 0.5, and go on by 0.1 a step
    assert all(0.5 < error["hold_still"] < 0.9 for error in results["errors"])
    assert all(math.isfinite(error["policy"]) for error in results["errors"])


SCORING = (
    *("scoring.folds=2", "scoring.training.steps=3", "scoring.training.warmup_steps=1"),
    *("scoring.horizon=4", "scoring.policy.image_size=16", "scoring.policy.width=8"),
    *("scoring.policy.layers=2", "scoring.policy.keypoints=4", "scoring.policy.dim=16"),
    *("scoring.policy.depth=1", "scoring.policy.heads=2", "scoring.discriminator.dim=8"),
    "scoring.batch_size=4",
)


def test_corrections_are_a_trusted_tier_that_a_discriminator_weighs_by(tmp_path, monkeypatch):
    trusted, machine = write_tiers(tmp_path / "tiers", trusted=2, machine=4)
    how = (f"path={machine}", f"also=[{trusted}]", "weighting=dwsl", *SCORING)
    results = run_of(tmp_path, monkeypatch, *how)
    assert (results["episodes"], results["held_out"]) == (5, 1)
    kinds = {kind["kind"]: kind for kind in results["kinds"]}
    assert {name: kind["episodes"] for name, kind in kinds.items()} == {
        "trusted": 2,
        "clean": 2,
        "stall": 1,
    }
    mean = sum(kind["mean_weight"] * kind["episodes"] for kind in kinds.values()) / 5
    assert mean == pytest.approx(1.0, abs=1e-3)
    assert Agent.load(results["agent"]).spaces.camera_names == ("agentview", "wrist")


@pytest.mark.slow
def test_masks_of_a_head_travel_with_the_policy(tmp_path, monkeypatch, one_camera_head):
    root = write_foreign(tmp_path / "so100", video=False)
    how = (f"path={root}", "masks=learned", f"head={one_camera_head}")
    results = run_of(tmp_path, monkeypatch, *how)
    assert (Path(results["agent"]) / "mask_head.safetensors").is_file()
    agent = Agent.load(results["agent"])
    assert agent.plan(observation_of(agent, "grab the cube")).mask is not None


@pytest.mark.slow
def test_robomimic_files_of_ours_are_read_too(tmp_path, monkeypatch):
    store = EpisodeStore(write_demonstrations(tmp_path / "store", episodes=3))
    export_robomimic(store, tmp_path / "demos.hdf5", env_name="robot/pick-v0")
    results = run_of(tmp_path, monkeypatch, f"path={tmp_path / 'demos.hdf5'}")
    assert (results["episodes"], results["held_out"]) == (2, 1)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["path=nowhere"], "got path=nowhere, expected a folder"),
        (["path=nowhere.hdf5"], "does not exist"),
        (["path={root}", "masks=learned"], "without a mask head"),
        (["path={root}", "masks=learned", "head=tabletop"], "got cameras that differ"),
        (["path={root}", "policy.dim=18"], "got dim 18"),
        (["path={root}", "held_out=1"], "held_out=1"),
        (["path={root}", "also=[nowhere]"], "got path=nowhere, expected a folder"),
        (["path={root}", "weighting=fixed"], "for 2 trusted and 0 machine episodes"),
        (["path={root}", "weighting=oracle"], "got weighting=oracle"),
        (["path={root}", MOVED], "got relocate with masks=none"),
        (["path={root}", "masks=learned", "head={head}", MOVED], "no calibration of"),
        (["path={root}", "masks=learned", "head={head}", MOVED, "weighting=fixed"], "got"),
        (["path={tiers}/machine", "also=[{root}]"], "expected the same robot"),
        (
            ["path={tiers}/machine", "also=[{tiers}/trusted]", "weighting=dwsl", "scoring.folds=5"],
            "for 3 trusted and 3 machine episodes, expected at least 5 of each",
        ),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(
    tmp_path, monkeypatch, one_camera_head, overrides, says
):
    monkeypatch.chdir(tmp_path)
    root, tiers = write_foreign(tmp_path / "so100", video=False), tmp_path / "tiers"
    write_tiers(tiers, trusted=3)
    given = [
        option.replace("{root}", str(root))
        .replace("{tiers}", str(tiers))
        .replace("{head}", str(one_camera_head))
        for option in overrides
    ]
    with pytest.raises(InputError, match=says):
        given_training(composed("train_given", [*TOY, *given]))
    assert {path.name for path in tmp_path.iterdir()} == {"so100", "tiers"}


def test_at_least_one_episode_is_held_out_and_one_is_learned():
    assert [held_out_of(total, share=0.1) for total in (2, 9, 20, 100)] == [1, 1, 2, 10]
    assert held_out_of(3, share=0.99) == 2


WRITE = """
import sys
import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset
joints = ["shoulder.pos", "gripper.pos"]
shape = dict(shape=(2,), names=joints, dtype="float32")
image = dict(shape=(64, 64, 3), names=["height", "width", "channels"], dtype=sys.argv[2])
features = {"observation.state": shape, "action": shape, "observation.images.front": image}
data = LeRobotDataset.create("me/mine", fps=10, root=sys.argv[1], robot_type="mine",
                             features=features, use_videos=sys.argv[2] == "video")
rng = np.random.default_rng(0)
for episode in range(3):
    for step in range(12):
        state = np.array([step / 12, episode / 3], np.float32)
        data.add_frame({"observation.state": state, "action": state + np.float32(0.1),
                        "observation.images.front": rng.integers(0, 255, (64, 64, 3), np.uint8),
                        "task": "open the drawer"})
    data.save_episode()
data.finalize()
"""


@pytest.mark.interop
@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_dataset_that_lerobot_writes_is_learned_from(tmp_path, monkeypatch, kind):
    """`LEROBOT_PYTHON=DIR/bin/python pytest -m interop`, with lerobot installed in DIR."""
    python = os.environ.get("LEROBOT_PYTHON")
    if python is None:
        pytest.skip("no LEROBOT_PYTHON: set it to the Python of an environment with lerobot")
    root = tmp_path / "mine"
    done = subprocess.run(
        [python, "-c", WRITE, str(root), kind],
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    results = run_of(tmp_path, monkeypatch, f"path={root}")
    agent = Agent.load(results["agent"])
    plan = agent.plan(observation_of(agent, "open the drawer"))
    assert plan.chunk.actions.shape == (4, 2)
    assert all(error["hold_still"] > 0.1 for error in results["errors"][:1])


def test_calibration_files_say_where_the_cameras_stand(tmp_path):
    lens = {"image_width": 200, "image_height": 100, "distortion": []}
    lens["K"] = [[150, 0, 99.5], [0, 150, 49.5], [0, 0, 1]]  # centres of pixels are whole
    poses = {"front": {"T_base_camera": np.eye(4).tolist()}, "hand": {"T_ee_camera": None}}
    poses["hand"]["T_ee_camera"] = [[1, 0, 0, 0], [0, 1, 0, 0.05], [0, 0, 1, -0.1], [0, 0, 0, 1]]
    files = {name: tmp_path / f"{name}.json" for name in (*poses, "nowhere")}
    for name, file in files.items():
        file.write_text(json.dumps(lens | poses.get(name, {})))
    front, hand = calibrated_eyes(files, cameras=["front", "hand"])
    assert (front.on_hand, hand.on_hand) == (False, True)
    assert np.allclose(front.K, [[0.75, 0, 0.5], [0, 1.5, 0.5], [0, 0, 1]])
    assert np.allclose(hand.pose[:3, 3], [0, 0.05, -0.1])
    with pytest.raises(InputError, match="does not say where"):
        calibrated_eyes(files, cameras=["nowhere"])


def test_episodes_whose_files_are_gone_are_told_of(tmp_path):
    write_tiers(tmp_path, trusted=3)
    store = EpisodeStore(tmp_path / "trusted")
    store.finalize()
    assert store.lost() == 0 and spaces_of_store(store.root)
    sorted(store.root.glob("data/*/*.parquet"))[-1].unlink()
    with pytest.raises(InputError, match="got 2 episodes in .*, expected the 3 that its meta"):
        spaces_of_store(store.root)
