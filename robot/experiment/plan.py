"""What a comparison has to do, in units of work, so that a person knows how long it will take."""

from __future__ import annotations

from collections.abc import Sequence

from robot.experiment.arms import Arm
from robot.experiment.config import Common
from robot.experiment.datasets import lots_of, measures_masks, shares_of
from robot.experiment.options import needs_frames, needs_head
from robot.system.estimate import Work, estimate, read_times, sentence, this_machine


def expected_time(arms: Sequence[Arm], trained: Sequence[Arm], common: Common) -> str:
    """Say in one line how long a comparison takes on this machine where nothing is there yet."""
    machine = this_machine()
    seconds = estimate(
        work_of(arms, trained, common),
        machine=machine,
        times=read_times(),
        workers=common.workers,
    )
    return f"{sentence(seconds, machine=machine)}; what is there already takes none"


def work_of(arms: Sequence[Arm], trained: Sequence[Arm], common: Common) -> list[Work]:
    """Return the work of a comparison of `arms` whose policies are trained for `trained`."""
    shares = shares_of(common.data, lots_of(trained))
    demonstrations = sum(sum(counts) for counts in shares.values())
    work = [Work("collection", "demonstration", demonstrations, parallel=True)]
    if needs_frames(trained, common):
        frames = common.data.mask_frames
        scenes = frames.shards * frames.scenes_per_shard
        work.append(Work("collection", "mask_scene", scenes, parallel=True))
    for seed in common.seeds:
        work += _trainings(trained, common, seed=seed, head=needs_head(trained, common))
    evaluation = common.evaluation
    cells = len(arms) * len(common.seeds) * len(evaluation.tasks) * len(evaluation.scenes)
    work.append(Work("evaluation", "episode", cells * evaluation.episodes, parallel=True))
    if measures_masks(trained, common):
        scenes = len(evaluation.mask_scenes) * evaluation.mask_scenes_each
        work.append(Work("evaluation", "measured_scene", scenes, parallel=True))
    return work


def _trainings(arms: Sequence[Arm], common: Common, *, seed: int, head: bool) -> list[Work]:
    """Return the steps of every training; the first arm with learned masks waits for the head."""
    work = []
    for arm in arms:
        chain = f"{arm.name} {seed}"
        if head and arm.perception == "learned":
            work.append(Work("training", "mask_head_step", common.mask_training.steps, chain=chain))
            head = False
        unit = f"policy_step_{arm.policy.options.get('vision', 'cnn')}"
        before = arm.grounding.frame_steps if arm.grounding else 0
        work.append(Work("training", unit, before + common.train.steps * arm.steps, chain=chain))
    return work
