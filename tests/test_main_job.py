"""The whole main job at toy size through the real code path: one command, then others on what it
leaves behind.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from launch import collect, evaluate
from robot.agent import Agent
from robot.envs.arm_spaces import arm_spaces
from robot.perception.head.base import Head
from robot.rollout.agents import check_robot

ROOT = Path(__file__).resolve().parents[1]


def run_toy(folder: Path, *options: str) -> str:
    """Run the main job at toy size as a person would, in `folder`; return what it printed."""
    command = [
        sys.executable,
        ROOT / "train_policy.py",
        "env=robosuite",
        "experiment=toy",
        "wandb=disabled",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, f"data.root={folder / 'data'}", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def run_of(folder: Path, printed: str) -> Path:
    """Return the run directory, whose results.json is what a command prints last."""
    return folder / Path(printed.splitlines()[-1]).parent


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Return (folder, run directory, what was printed) of the job, run once however many processes
    share the tests.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "main-job"
    folder.mkdir(exist_ok=True)
    printed = folder / "printed.txt"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not printed.exists():
            printed.write_text(run_toy(folder))
    text = printed.read_text()
    return folder, run_of(folder, text), text


def test_it_ends_with_the_path_of_its_results(toy):
    folder, run, printed = toy
    assert printed.splitlines()[-1] == str((run / "results.json").relative_to(folder))
    assert run.parent == folder / "runs" and run.name.endswith("-toy")
    assert "report.html" in printed and (run / "report.html").is_file()


def test_its_results_hold_every_arm_in_every_scene(toy):
    results = json.loads((toy[1] / "results.json").read_text())
    cells = {(cell["arm"], cell["scene"]) for cell in results["cells"]}
    assert cells == {
        (arm, scene) for arm in ("masked", "unmasked") for scene in ("clean", "distract")
    }
    assert [mask["scene"] for mask in results["masks"]] == ["clean", "absent"]
    assert {
        "collect",
        "evaluate",
        "measure masks",
        "mask head",
        "policy masked",
        "policy unmasked",
    } <= set(results["stage_s"])
    assert len((toy[1] / "episodes.jsonl").read_text().splitlines()) == 4


def test_its_report_shows_pictures_and_videos_without_a_network(toy):
    page = (toy[1] / "report.html").read_text()
    assert "<video" in page and "data:image/" in page and "masked" in page
    assert not re.search(r"""(?:src|href)=["']https?://""", page)


def test_its_checkpoints_are_complete(toy):
    run = toy[1]
    for arm in ("masked", "unmasked"):
        check_robot(run / arm, arm_spaces())
        Agent.load(run / arm)
    Head.load(run / "masked/mask_head.safetensors")
    assert not (run / "unmasked/mask_head.safetensors").exists()


def contents(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def test_a_second_start_reuses_everything_and_finds_the_same(toy):
    folder, first, _ = toy
    before = contents(folder / "data")
    # without pictures, for which tests/experiment/test_cells.py has finished cells run again
    second = run_of(folder, run_toy(folder, "evaluation.keep=0"))
    assert contents(folder / "data") == before
    assert second != first and (second / "report.html").is_file()
    cells = [json.loads((run / "results.json").read_text())["cells"] for run in (first, second)]
    said = [[(cell["arm"], cell["scene"], cell["successes"]) for cell in each] for each in cells]
    assert said[0] == said[1]


def results_of(
    main: Callable[[], None], folder: Path, monkeypatch, capsys, *arguments: str
) -> dict:
    """Run a command in this process, in `folder`, and return its results."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["command", *arguments])
    main()
    return json.loads((folder / capsys.readouterr().out.splitlines()[-1]).read_text())


def test_its_checkpoint_is_evaluated_in_any_scene(toy, monkeypatch, capsys):
    folder, run, _ = toy
    how = [f"checkpoint={run / 'masked'}", "scene=[clean,absent]", "episodes=1", "workers=1"]
    results = results_of(evaluate.main, folder, monkeypatch, capsys, *how)
    assert [(cell["scene"], cell["episodes"]) for cell in results["cells"]] == [
        ("clean", 1),
        ("absent", 1),
    ]


def test_collection_finds_its_demonstrations(toy, monkeypatch, capsys):
    how = [f"root={toy[0] / 'data'}", "episodes=4", "workers=1"]
    results = results_of(collect.main, toy[0], monkeypatch, capsys, *how)
    assert results["episodes"] == 4 and results["steps"] > 40
