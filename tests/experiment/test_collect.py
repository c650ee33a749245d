"""Collection: what is there is reused, what is missing is made, a kill costs the episode
in flight.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robot.data.mask_frames import MaskRecord
from robot.data.store import EpisodeStore
from robot.experiment import collect
from robot.experiment.collect import (
    HOPELESS,
    MaskFrameOptions,
    Recipe,
    collect_demonstrations,
    collect_mask_frames,
)
from robot.rollout.corrupt import Mixture
from robot.system import command
from robot.system.cache import key
from robot.system.folder_lock import is_locked
from robot.types import Episode, Goal, InputError
from tests.robots import panda

ROOT = Path(__file__).resolve().parents[2]
QUIET = {"progress": lambda done, of: None}
PICK = {"task": "pick", "scene": "clean", "seed": 0, "image_size": 32, "workers": 1, **QUIET}
FRAMES = MaskFrameOptions(
    tasks=("pick",),
    scenes={"clean": 1.0},
    moments="expert",
    shards=1,
    seed=0,
    scenes_per_shard=1,
    snapshots=1,
    goals=1,
    absent_share=0.0,
    hard_share=0.0,
)
MASKS = {"image_size": 32, "workers": 1, **QUIET}


def episode(index: int, *, steps: int = 3) -> Episode:
    pixels = np.full((steps, 8, 8), index, np.uint8)
    return Episode(
        task="pick",
        goal=Goal("pick up the red cup"),
        images={"agentview": np.stack([pixels] * 3, axis=-1)},
        labels={"agentview": pixels % 4},
        proprio=np.zeros((steps, 10), np.float32),
        actions=np.full((steps, 7), index * 1e-6, np.float32),
        control_dt_s=0.05,
        spaces=panda(agentview=(8, 8)),
        success=True,
        seed=0,
        index=index,
        scene="clean",
    )


@pytest.fixture
def expert(monkeypatch):
    """Replace the simulator: every index is recorded but those in `fails`; returns
    (tried, fails).
    """
    tried: list[int] = []
    fails: set[int] = set()

    def make(*, root: Path, **_options):
        store = EpisodeStore(root)

        def work(index: int) -> int:
            tried.append(index)
            if index in fails:
                return 0
            store.append(episode(index))
            return 3

        return work

    monkeypatch.setattr(collect, "make_demonstrator", make)
    return tried, fails


def test_episodes_are_collected_in_order_and_made_a_dataset(expert, tmp_path):
    store = collect_demonstrations(root=tmp_path, episodes=3, **PICK)
    assert store.indices() == {0, 1, 2}
    assert (store.root / "meta/info.json").is_file()


def test_two_commands_do_not_fill_one_store_at_a_time(expert, tmp_path, monkeypatch):
    held = []

    def fill(store, make, **_):
        held.append(is_locked(store.root))
        store.append(episode(0))

    monkeypatch.setattr(collect, "_fill", fill)
    store = collect_demonstrations(root=tmp_path, episodes=1, **PICK)
    assert held == [True] and not is_locked(store.root)


def test_what_is_there_is_not_collected_again(expert, tmp_path):
    tried, _ = expert
    collect_demonstrations(root=tmp_path, episodes=3, **PICK)
    collect_demonstrations(root=tmp_path, episodes=2, **PICK)
    collect_demonstrations(root=tmp_path, episodes=5, **PICK)
    assert tried == [0, 1, 2, 3, 4]


def test_an_episode_out_of_the_experts_reach_is_replaced_by_the_next(expert, tmp_path):
    _, fails = expert
    fails |= {1, 3}
    assert collect_demonstrations(root=tmp_path, episodes=3, **PICK).indices() == {0, 2, 4}


def test_a_hole_that_a_kill_left_is_filled(expert, tmp_path):
    store = collect_demonstrations(root=tmp_path, episodes=3, **PICK)
    next(store.root.glob("data/chunk-*/file-001.parquet")).unlink()
    assert collect_demonstrations(root=tmp_path, episodes=3, **PICK).indices() == {0, 1, 2}


def test_a_cut_collection_ends_with_the_episodes_of_one_that_was_not(expert, tmp_path):
    _, fails = expert
    fails |= {0}
    store = collect_demonstrations(root=tmp_path, episodes=4, **PICK)
    assert store.indices() == {1, 2, 3, 4}
    for name in (
        "file-002",
        "file-003",
    ):  # 3 and 4 were in flight when it was cut, and only 4 was done
        next(store.root.glob(f"data/chunk-*/{name}.parquet")).unlink()
    assert collect_demonstrations(root=tmp_path, episodes=4, **PICK).indices() == {1, 2, 3, 4}


def test_a_hole_out_of_the_experts_reach_does_not_end_a_longer_collection(expert, tmp_path):
    _, fails = expert
    fails |= {1}
    collect_demonstrations(root=tmp_path, episodes=2, **PICK)
    assert collect_demonstrations(root=tmp_path, episodes=4, **PICK).indices() == {0, 2, 3, 4}


def test_an_expert_that_never_succeeds_is_reported(expert, tmp_path):
    _, fails = expert
    fails |= set(range(100))
    with pytest.raises(
        InputError, match=f"no success of the expert on pick/clean in {HOPELESS} episodes"
    ):
        collect_demonstrations(root=tmp_path, episodes=5, **PICK)


def test_progress_starts_where_the_store_stands_and_ends_full(expert, tmp_path):
    collect_demonstrations(root=tmp_path, episodes=2, **PICK)
    heard = []
    collect_demonstrations(
        root=tmp_path, episodes=4, **PICK | {"progress": lambda done, of: heard.append((done, of))}
    )
    assert heard[0] == (2, 4) and heard[-1] == (4, 4)


def test_stores_of_other_options_lie_elsewhere(expert, tmp_path):
    changes = [{}, {"seed": 1}, {"image_size": 64}, {"scene": "distract"}, {"robot": "UR5e"}]
    stores = [
        collect_demonstrations(root=tmp_path, episodes=1, **PICK | change).root
        for change in changes
    ]
    assert len(set(stores)) == len(changes)


def test_each_simulator_has_demonstrations_of_its_own():
    options = {"seed": 7, "image_size": 128, "robot": "Panda", "quality": None}
    folders = [
        Recipe("pick", "clean", **options, backend=backend).folder
        for backend in ("robosuite", "mujoco")
    ]
    assert len(set(folders)) == 2


@pytest.mark.parametrize(
    ("change", "folder"),
    [
        ({}, "pick-clean-669ad10b"),
        ({"robot": "UR5e"}, "pick-clean-30e21436"),
        (
            {"quality": Mixture(corrupted=0.6, kinds={"stall": 0.5, "noisy": 0.5})},
            "pick-clean-machine-eb7cbe22",
        ),
    ],
)
def test_demonstrations_of_earlier_versions_are_found_again(change, folder, monkeypatch):
    monkeypatch.setattr("robot.system.cache.GENERATION", 4)
    options = {"seed": 7, "image_size": 128, "robot": "Panda", "quality": None}
    assert Recipe("pick", "clean", **options | change).folder == folder


MACHINE = {"quality": Mixture(corrupted=0.5, kinds={"stall": 1})}


def test_machine_demonstrations_are_made_by_a_mixture_in_a_store_of_their_own(
    expert, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(
        collect,
        "make_machine",
        lambda *, mixture, **how: asked.append(mixture) or collect.make_demonstrator(**how),
    )
    trusted = collect_demonstrations(root=tmp_path, episodes=1, **PICK)
    machine = collect_demonstrations(root=tmp_path, episodes=1, **PICK | MACHINE)
    assert trusted.root.name == key("pick-clean", {"seed": 0, "image_size": 32}), (
        "as before there were others"
    )
    assert machine.root.name.startswith("pick-clean-machine-")
    assert [(mixture.corrupted, mixture.kinds) for mixture in asked] == [(0.5, {"stall": 1})]


def test_a_key_does_not_depend_on_the_order_of_options():
    assert key("a", {"x": 1, "y": 2}) == key("a", {"y": 2, "x": 1}) != key("a", {"x": 2, "y": 1})


def test_a_corrupt_episode_is_named_with_a_remedy(expert, tmp_path):
    store = collect_demonstrations(root=tmp_path, episodes=2, **PICK)
    path = next(store.root.glob("data/chunk-*/file-001.parquet"))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(
        InputError, match=r"file-001.parquet.*delete it and collect episode 1 again"
    ):
        collect_demonstrations(root=tmp_path, episodes=2, **PICK)


def test_a_full_disk_is_noticed_before_anything_is_made(expert, tmp_path, monkeypatch):
    monkeypatch.setattr(
        command.shutil, "disk_usage", lambda path: namedtuple("usage", "free")(free=1000)
    )
    with pytest.raises(InputError, match="free some space"):
        collect_demonstrations(root=tmp_path, episodes=2, **PICK)
    with pytest.raises(InputError, match="free some space"):
        collect_mask_frames(FRAMES, root=tmp_path, shards=[0, 1], **MASKS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task": "fold"}, "got task 'fold', expected one of pick"),
        ({"scene": "foggy"}, "got scene 'foggy', expected one of clean"),
        ({"episodes": 0}, "expected at least 1 of each"),
        ({"workers": 0}, "expected at least 1 of each"),
        ({"task": "lift", "scene": "lookalike"}, "for robosuite's own tasks"),
    ],
)
def test_a_collection_that_cannot_be_is_refused(change, says, expert, tmp_path):
    with pytest.raises(InputError, match=says):
        collect_demonstrations(root=tmp_path, **{"episodes": 2, **PICK, **change})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tasks": ("lift",)}, "got task 'lift' for mask frames"),
        ({"scenes": {"foggy": 1.0}}, "got scene 'foggy'"),
    ],
)
def test_mask_frames_that_cannot_be_are_refused(change, says, tmp_path):
    with pytest.raises(InputError, match=says):
        collect_mask_frames(replace(FRAMES, **change), root=tmp_path, shards=[0], **MASKS)
    assert list(tmp_path.iterdir()) == []


def test_mask_frames_of_other_options_lie_elsewhere(tmp_path):
    changes = [
        {},
        {"seed": 1},
        {"tasks": ("place",)},
        {"scenes": {"clean": 0.5, "absent": 0.5}},
        {"moments": "staged"},
        {"scenes_per_shard": 2},
        {"snapshots": 2},
        {"goals": 2},
        {"absent_share": 0.5},
        {"hard_share": 0.5},
    ]
    stores = [
        collect_mask_frames(replace(FRAMES, **change), root=tmp_path, shards=[], **MASKS).root
        for change in changes
    ]
    assert len(set(stores)) == len(changes)


def test_more_shards_of_mask_frames_lie_beside_the_others(tmp_path):
    one, more = (
        collect_mask_frames(replace(FRAMES, shards=n), root=tmp_path, shards=[], **MASKS).root
        for n in (1, 2)
    )
    assert one == more


def test_missing_shards_are_made_and_others_are_left_alone(tmp_path, monkeypatch):
    made = []

    def make(*, root: Path, **_options):
        def work(index: int) -> int:
            made.append(index)
            record = {
                "goal": "go",
                "target_visible": True,
                "destination_visible": False,
                "camera": "agentview",
            }
            pixels = np.zeros((8, 8, 3), np.uint8)
            one = MaskRecord(image=pixels, label=pixels[..., 0], scene="clean", seed=0, **record)
            collect.MaskFrameStore(root).append_shard(index, [one])
            return 1

        return work

    monkeypatch.setattr("robot.rollout.mask_frames.make_mask_frames", make)
    store = collect_mask_frames(FRAMES, root=tmp_path, shards=range(3), **MASKS)
    (store.root / "shard-00001.parquet").unlink()
    again = collect_mask_frames(FRAMES, root=tmp_path, shards=[0, 1, 2, 30], **MASKS)
    assert again.shards() == [0, 1, 2, 30]
    assert made == [0, 1, 2, 1, 30]


COLLECTING = """
import sys
from pathlib import Path
from robot.experiment.collect import collect_demonstrations
if __name__ == "__main__":
    collect_demonstrations(root=Path(sys.argv[1]), task="pick", scene="clean",
    episodes=50, seed=0, image_size=32, workers=2,
                           progress=lambda done, of: None)
"""


def test_a_killed_collection_goes_on_where_it_was(tmp_path):
    """Two workers at work, SIGKILL for their parent, another start at once."""
    (tmp_path / "collecting.py").write_text(COLLECTING)
    first = subprocess.Popen(
        [sys.executable, tmp_path / "collecting.py", tmp_path / "data"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        deadline = time.monotonic() + 600
        while len(list((tmp_path / "data").glob("*/data/chunk-*/file-*.parquet"))) < 2:
            assert first.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    store = EpisodeStore(next((tmp_path / "data").iterdir()))
    kept = {index: store.read(index) for index in store.indices()}
    highest = max(kept)
    assert highest + 1 - len(kept) <= 1, "of two workers, the other's episode may be in flight"
    again = collect_demonstrations(root=tmp_path / "data", episodes=highest + 2, **PICK)
    assert again.indices() == set(range(highest + 2))
    for index, before in kept.items():
        np.testing.assert_array_equal(again.read(index).actions, before.actions)


def test_the_command_starts_without_torch_or_a_simulator():
    """Its workers import what it imports before they begin: seconds, on every start."""
    code = (
        "import sys, launch.collection, robot.rollout.demonstrate\n"
        "print(sorted({'torch', 'transformers', 'robosuite', 'trimesh'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
