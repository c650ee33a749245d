"""Ctrl-C and SIGTERM in every stage of the commands, ten times each: all processes end within five
seconds, one sentence, exit code 130 or 143, and the next start continues.

Minutes a stage: `make test-slow ARGS="tests/test_interruptions.py -n 1"`.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TIMES = 10
LIMIT_S = 5.0
TOY = ("train_policy.py", "experiment=toy")
# what a command prints when the stage begins, and the command, with more of that stage than ten
# starts can finish
STAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "imports": ("", TOY),
    "demonstrations": ("collect clean", (*TOY, "data.episodes=100")),
    "mask frames": (
        "collect mask frames",
        (*TOY, "data.mask_frames.scenes_per_shard=20", "data.mask_frames.shards=30"),
    ),
    "mask head": (
        "mask head",
        (*TOY, "mask_training.steps=9000", "mask_training.checkpoint_every=5000"),
    ),
    "policy": ("policy masked", (*TOY, "train.steps=9000", "train.checkpoint_every=5000")),
    "evaluation": ("evaluate", (*TOY, "evaluation.episodes=100")),
    "ablation": ("evaluate", ("launch/ablate.py", "preset=toy", "evaluation.episodes=60")),
    "collect": ("collect", ("launch/collect.py", "episodes=200")),
    "evaluate": ("evaluate", ("launch/evaluate.py", "checkpoint=tabletop", "episodes=100")),
}


def processes_of(mark: str) -> list[int]:
    """Return the living processes that inherited a mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def wait_for_stage(process: subprocess.Popen, printed: Path, begins: str) -> None:
    deadline = time.monotonic() + 240
    while begins and not any(
        line.startswith(begins) for line in printed.read_text(errors="replace").splitlines()
    ):
        assert process.poll() is None, printed.with_name("err").read_text()[-2000:]
        assert time.monotonic() < deadline, "the stage never began"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_command_can_be_stopped_at_any_moment(stage, tmp_path):
    begins, (script, *arguments) = STAGES[stage]
    rng, mark = random.Random(stage), f"INTERRUPTED={stage}-{os.getpid()}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment |= {"WANDB_MODE": "offline", "INTERRUPTED": mark.partition("=")[2]}
    printed, errors = tmp_path / "out", tmp_path / "err"
    for number in range(TIMES):
        with printed.open("w") as out, errors.open("w") as err:
            process = subprocess.Popen(
                [sys.executable, ROOT / script, *arguments],
                cwd=tmp_path,
                env=environment,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        wait_for_stage(process, printed, begins)
        time.sleep(rng.choice([0.0, 0.3, 1.0, 2.0, 4.0, 8.0]) if begins else rng.uniform(0.2, 2))
        assert process.poll() is None, errors.read_text()[-2000:]
        which = (signal.SIGINT, signal.SIGTERM)[number % 2]
        told = time.monotonic()
        if number % 4 in (0, 3):  # as a terminal does
            os.killpg(process.pid, which)
        else:
            process.send_signal(which)
        process.wait(timeout=30)
        while processes_of(mark) and time.monotonic() < told + 30:
            time.sleep(0.05)
        took_s, said = time.monotonic() - told, errors.read_text()
        print(f"{stage} {number} {which.name} {took_s:.2f} s")
        assert process.returncode == 128 + which, said
        assert said.startswith("error: ") and said.count("\n") == 1, said
        assert took_s <= LIMIT_S
        assert not list(tmp_path.glob("runs/*/results.json"))
