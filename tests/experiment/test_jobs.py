"""Chains of trainings in processes of their own. Workers import the functions below: they stay at
the top of this module.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from robot.experiment import jobs
from robot.experiment.jobs import Chain, Stage, run_chains, run_rounds
from robot.system.progress import Bars
from robot.types import InputError


def train_head(*, directory: Path, log, announce, says: str) -> Path:
    for step in (1, 2):
        log(step, {"loss": 1.0 / step})
    (directory / "head").write_text(says)
    return directory / "head"


def train_on(*, directory: Path, log, announce, head: Path | None, demonstrations: int) -> Path:
    seen = "nothing" if head is None else head.read_text()
    announce("reading")
    log(1, {"loss": 0.5})
    (directory / "policy").write_text(f"{seen}, {demonstrations} demonstrations")
    return directory / "policy"


def refuse(*, directory: Path, log, announce) -> Path:
    raise InputError("got a loss of nan, expected a number; lower the rate")


def take_long(*, directory: Path, log, announce) -> Path:
    (directory / "begun").touch()
    time.sleep(5)
    (directory / "ended").touch()
    return directory / "ended"


def stage(name: str, train, root: Path, **options) -> Stage:
    return Stage(name, train, 2, root / name, options, "disabled")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    root = tmp_path_factory.mktemp("jobs")
    head = stage("mask head", train_head, root, says="a red cup")
    chains = [
        Chain(
            [
                head,
                stage("policy masked", train_on, root, head=None, demonstrations=4),
                stage("policy greyscale", train_on, root, head=None, demonstrations=5),
            ],
            {"policy masked": {"head": "mask head"}, "policy greyscale": {"head": "mask head"}},
        ),
        Chain([stage("policy unmasked", train_on, root, head=None, demonstrations=6)]),
    ]
    with Bars(hidden=True) as progress:
        checkpoints, seconds = run_chains(chains, workers=2, progress=progress)
    return checkpoints, seconds, {task.description: task for task in progress.tasks}


def test_a_later_stage_gets_the_checkpoint_of_an_earlier_one(ran):
    checkpoints, _, _ = ran
    assert checkpoints["policy masked"].read_text() == "a red cup, 4 demonstrations"
    assert checkpoints["policy greyscale"].read_text() == "a red cup, 5 demonstrations"
    assert checkpoints["policy unmasked"].read_text() == "nothing, 6 demonstrations"


def test_every_stage_has_its_checkpoint_its_seconds_and_a_bar_that_is_full(ran):
    checkpoints, seconds, shown = ran
    assert set(checkpoints) == set(seconds) == set(shown)
    assert all(value > 0 for value in seconds.values())
    assert all(task.completed == task.total == 2 for task in shown.values())


def test_a_bar_says_what_a_stage_does_beside_its_steps(tmp_path):
    heard = []

    class Heard(Bars):
        def update(self, task_id, **change):
            heard.append((change["completed"], change["text"]))

    chain = Chain([stage("policy", train_on, tmp_path, head=None, demonstrations=4)])
    run_chains([chain], workers=1, progress=Heard(hidden=True))
    assert heard == [(None, ""), (None, "reading"), (1, "loss 0.5000"), (2, "")]


def test_the_time_of_a_stage_that_waits_does_not_run(tmp_path):
    running = []

    class Watched(Bars):
        def update(self, task_id, **change):
            running.append([task.started for task in self.tasks])
            super().update(task_id, **change)

    stages = [stage(name, train_head, tmp_path, says="") for name in ("mask head", "policy")]
    run_chains([Chain(stages)], workers=1, progress=Watched(hidden=True))
    assert running == 4 * [[True, False]] + 4 * [[True, True]]  # begins, two steps, done


def test_a_stage_that_was_there_already_took_no_time(tmp_path):
    made = stage("policy", train_head, tmp_path, says="")
    made.directory.mkdir()
    (made.directory / "model.safetensors").touch()
    _, seconds = run_chains([Chain([made])], workers=1, progress=Bars(hidden=True))
    assert seconds == {}


def test_every_stage_keeps_a_log(ran):
    lines = (ran[0]["mask head"].parent / "log.jsonl").read_text().splitlines()
    assert [(json.loads(line)["step"], json.loads(line)["loss"]) for line in lines] == [
        (1, 1.0),
        (2, 0.5),
    ]


def test_bad_input_in_a_stage_is_bad_input_here_and_what_waits_is_never_finished(tmp_path):
    chains = [
        Chain([stage("broken", refuse, tmp_path)]),
        Chain([stage("waiting", take_long, tmp_path)]),
    ]
    with Bars(hidden=True) as progress, pytest.raises(InputError, match="got a loss of nan"):
        run_chains(chains, workers=1, progress=progress)
    if (tmp_path / "waiting/begun").exists():
        time.sleep(6)
    assert not (tmp_path / "waiting/ended").exists()


def test_rounds_run_one_after_the_other_and_an_empty_one_not_at_all(monkeypatch, tmp_path):
    ran = []

    def run_here(chains, **_):
        ran.append([made.name for chain in chains for made in chain.stages])
        return {name: tmp_path / name for name in ran[-1]}, dict.fromkeys(ran[-1], 1.0)

    monkeypatch.setattr(jobs, "run_chains", run_here)
    judge, policy = (
        Chain([stage(name, train_head, tmp_path)]) for name in ("judge", "policy unmasked")
    )
    progress = Bars(hidden=True)
    checkpoints, seconds = run_rounds([[judge], [], [policy]], workers=1, progress=progress)
    assert ran == [["judge"], ["policy unmasked"]]
    assert list(checkpoints) == list(seconds) == ["judge", "policy unmasked"]
