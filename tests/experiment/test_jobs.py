"""Trainings in processes of their own, each once what it needs is there. Workers import the
functions below: they stay at the top of this module.
"""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

import pytest

from robot.experiment.jobs import Stage, StageId, Trained, Watch, run_stages
from robot.system.progress import Bars
from robot.types import InputError

HEAD, SCORES = StageId("mask head"), StageId("demonstration discriminator")


def train_head(*, directory: Path, log, announce, says: str) -> Path:
    for step in (1, 2):
        log(step, {"loss": 1.0 / step})
    (directory / "head").write_text(says)
    return directory / "head"


def train_on(*, directory: Path, log, announce, demonstrations: int, head: Path | None) -> Path:
    seen = "nothing" if head is None else head.read_text()
    announce("reading")
    log(1, {"loss": 0.5})
    (directory / "policy").write_text(f"{seen}, {demonstrations} demonstrations")
    return directory / "policy"


def read_scores(*, directory: Path, log, announce, scores: Path) -> Path:
    (directory / "policy").write_text(f"weighted by {scores.read_text()}")
    return directory / "policy"


def refuse(*, directory: Path, log, announce) -> Path:
    raise InputError("got a loss of nan, expected a number; lower the rate")


def take_long(*, directory: Path, log, announce) -> Path:
    (directory / "begun").touch()
    time.sleep(5)
    (directory / "ended").touch()
    return directory / "ended"


def policy(arm: str) -> StageId:
    return StageId("policy", arm)


def stage(identity: StageId, train, root: Path, **order) -> Stage:
    directory = root / str(identity).replace(" ", "-")
    return Stage(identity, train, 2, directory, wandb_mode="disabled", **order)


def run(*stages: Stage, workers: int = 1, progress: Bars | None = None) -> Trained:
    return run_stages(stages, workers=workers, progress=progress or Bars(hidden=True))


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    root = tmp_path_factory.mktemp("jobs")
    needs = {"needs": {"head": HEAD}}
    stages = [  # those that wait stand first
        stage(policy("masked"), partial(train_on, demonstrations=4), root, **needs),
        stage(policy("greyscale"), partial(train_on, demonstrations=5), root, **needs),
        stage(HEAD, partial(train_head, says="a red cup"), root),
        stage(policy("unmasked"), partial(train_on, demonstrations=6, head=None), root),
        stage(
            policy("weighed"),
            partial(read_scores, scores=root / "mask-head/head"),
            root,
            waits_for=(HEAD,),
        ),
    ]
    progress = Bars(hidden=True)
    trained = run(*stages, workers=2, progress=progress)
    return trained, {task.description: task for task in progress.tasks}


def test_a_stage_gets_the_checkpoint_of_the_one_it_needs(ran):
    checkpoints = ran[0].checkpoints
    assert checkpoints[policy("masked")].read_text() == "a red cup, 4 demonstrations"
    assert checkpoints[policy("greyscale")].read_text() == "a red cup, 5 demonstrations"


def test_a_stage_that_needs_none_gets_none(ran):
    text = ran[0].checkpoints[policy("unmasked")].read_text()
    assert text == "nothing, 6 demonstrations"


def test_a_stage_begins_after_those_it_waits_for(ran):
    assert ran[0].checkpoints[policy("weighed")].read_text() == "weighted by a red cup"


def test_every_stage_has_its_checkpoint_its_seconds_and_a_bar_that_is_full(ran):
    trained, shown = ran
    assert set(trained.checkpoints) == set(trained.seconds)
    assert {str(identity) for identity in trained.checkpoints} == set(shown)
    assert all(seconds > 0 for seconds in trained.seconds.values())
    assert all(task.completed == task.total == 2 for task in shown.values())


def test_every_stage_keeps_a_log(ran):
    lines = (ran[0].checkpoints[HEAD].parent / "log.jsonl").read_text().splitlines()
    assert [(json.loads(line)["step"], json.loads(line)["loss"]) for line in lines] == [
        (1, 1.0),
        (2, 0.5),
    ]


def test_a_stage_is_called_by_its_kind_its_arm_and_its_seed():
    assert str(StageId("policy", "masked", 3)) == "policy masked seed 3"
    assert str(StageId("policy", "masked")) == "policy masked"
    assert str(StageId("mask head", seed=0)) == "mask head seed 0"
    assert str(SCORES) == "demonstration discriminator"


def test_a_bar_says_what_a_stage_does_beside_its_steps(tmp_path):
    heard = []

    class Heard(Bars):
        def update(self, task_id, **change):
            heard.append((change["completed"], change["text"]))

    made = stage(policy("unmasked"), partial(train_on, demonstrations=4, head=None), tmp_path)
    run(made, progress=Heard(hidden=True))
    assert heard == [(None, ""), (None, "reading"), (1, "loss 0.5000"), (2, "")]


def test_the_time_of_a_stage_that_waits_does_not_run(tmp_path):
    running = []

    class Watched(Bars):
        def update(self, task_id, **change):
            running.append([task.started for task in self.tasks])
            super().update(task_id, **change)

    head = stage(HEAD, partial(train_head, says=""), tmp_path)
    waiting = stage(policy("masked"), partial(train_head, says=""), tmp_path, waits_for=(HEAD,))
    run(head, waiting, progress=Watched(hidden=True))
    assert running == 4 * [[True, False]] + 4 * [[True, True]]  # begins, two steps, done


def test_a_stage_that_was_there_already_took_no_time(tmp_path):
    made = stage(HEAD, partial(train_head, says=""), tmp_path)
    made.directory.mkdir()
    (made.directory / "model.safetensors").touch()
    trained = run(made)
    assert set(trained.checkpoints) == {HEAD} and trained.seconds == {}


def test_bad_input_in_a_stage_is_bad_input_here_and_what_waits_is_never_finished(tmp_path):
    broken, waiting = (
        stage(policy(name), train, tmp_path)
        for name, train in (("broken", refuse), ("waiting", take_long))
    )
    with pytest.raises(InputError, match="got a loss of nan"):
        run(broken, waiting)
    if (waiting.directory / "begun").exists():
        time.sleep(6)
    assert not (waiting.directory / "ended").exists()


def test_what_needs_a_stage_that_failed_never_begins(tmp_path):
    broken = stage(HEAD, refuse, tmp_path)
    needing = stage(policy("masked"), take_long, tmp_path, waits_for=(HEAD,))
    with pytest.raises(InputError, match="got a loss of nan"):
        run(broken, needing)
    assert not needing.directory.exists()


def test_stages_that_wait_for_each_other_are_our_mistake(tmp_path):
    stages = [
        stage(one, take_long, tmp_path, waits_for=(other,))
        for one, other in ((HEAD, SCORES), (SCORES, HEAD))
    ]
    with pytest.raises(RuntimeError, match="got stages that wait for each other"):
        run(*stages)


def test_a_watch_keeps_the_seconds_of_every_part():
    watch = Watch()
    with watch("collect"):
        time.sleep(0.02)
    with watch("train"):
        pass
    assert list(watch.stage_s) == ["collect", "train"]
    assert watch.stage_s["collect"] >= 0.02
