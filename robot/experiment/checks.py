"""What cannot work raises InputError here, before any long work."""

from __future__ import annotations

from collections.abc import Sequence

from robot.dwsl import NEED_SCORES
from robot.envs.arm_spaces import CAMERAS, CONTROL_DT_S
from robot.envs.gl import require_gl
from robot.envs.make import check_backend
from robot.envs.registry import TABLETOP, check_scene
from robot.experiment.arms import Arm
from robot.experiment.collect import check_mask_scenes
from robot.experiment.config import Common, Data
from robot.experiment.datasets import measures_masks, needs_frames
from robot.perception.head.base import HEADS
from robot.perception.registry import check_spec
from robot.policy import POLICIES, make_policy
from robot.policy.normalize import unit_statistics
from robot.policy.registry import Policy
from robot.rollout.corrupt import check_mixture
from robot.system.device import pick_device, pick_dtype
from robot.system.parse import Spec, buildable
from robot.train.demonstration_discriminator import Scoring
from robot.train.log import check_mode
from robot.train.loop import Training
from robot.train.mask_head import check_start
from robot.types import InputError


def check(arms: Sequence[Arm], common: Common) -> None:
    """Check a comparison whose trainings are those of `arms`."""
    require_gl()
    check_mode(common.wandb)
    check_scenes(arms, common)
    check_policies(arms, common)
    check_seeds(common)
    check_scoring(common.scoring)
    check_weightings([arm.weighting for arm in arms], common.data, common.scoring, task=common.task)
    if needs_frames(arms, common):
        check_head(common)
    check_measured_scenes(arms, common)


def check_scenes(arms: Sequence[Arm], common: Common) -> None:
    """Check that tasks and scenes exist, and that there is one of each to evaluate."""
    evaluation = common.evaluation
    for scene in dict.fromkeys(scene for arm in arms for scene in arm.scenes):
        check_scene(common.task, scene)
    if not evaluation.tasks or not evaluation.scenes:
        raise InputError(
            "got no task or no scene to evaluate, expected at least one of each; pass "
            "'evaluation.scenes=[clean]'"
        )
    for key, names in (
        ("tasks", evaluation.tasks),
        ("scenes", evaluation.scenes),
        ("mask_scenes", evaluation.mask_scenes),
    ):
        check_once(names, at=f"evaluation.{key}")
    for arm in arms:
        check_once(arm.scenes, at=f"arms.{arm.name}.scenes")
    if len(evaluation.tasks) > 1 and not set(evaluation.tasks) <= set(TABLETOP):
        raise InputError(
            f"got evaluation.tasks={list(evaluation.tasks)}, expected tabletop tasks where there "
            "are several; leave one"
        )
    for task in evaluation.tasks:
        for scene in evaluation.scenes:
            check_scene(task, scene)
    for task in dict.fromkeys((common.task, *evaluation.tasks)):
        check_backend(common.env.backend, robot=common.env.robot, task=task)
    if evaluation.headline_scene is not None:
        check_scene("pick", evaluation.headline_scene)  # this task need not have it


def check_once(names: Sequence[str], *, at: str) -> None:
    """Raise InputError where a name stands twice: its episodes would count twice, and narrow the
    intervals.
    """
    if twice := [name for name in names if list(names).count(name) > 1]:
        raise InputError(f"got {twice[0]} twice in {at}, expected each once; drop one")


def check_policies(arms: Sequence[Arm], common: Common) -> None:
    """Check that policies can be built, trained and evaluated as configured."""
    if common.env.control_dt_s != CONTROL_DT_S:
        raise InputError(
            f"got env.control_dt_s={common.env.control_dt_s}, expected {CONTROL_DT_S}: "
            "demonstrations are recorded at that period"
        )
    check_devices(common.train, common.mask_training)
    for arm in arms:
        policy = build_policy(arm.policy, at=f"the policy of arm {arm.name}")
        if common.evaluation.execute > policy.horizon:
            raise InputError(
                f"got evaluation.execute={common.evaluation.execute}, expected at most the "
                f"{policy.horizon} actions of a chunk; lower it"
            )


def check_devices(*trainings: Training) -> None:
    """Check that this machine can train so."""
    for training in trainings:
        pick_dtype(training.precision, pick_device(training.device))


def build_policy(policy: Spec, *, at: str) -> Policy:
    """Build an untrained policy; raise InputError where its options make none.

    Its cameras are those of the env.
    """
    if policy.kind not in POLICIES:
        raise InputError(
            f"got {policy.kind} for the kind of {at}, expected one of {', '.join(POLICIES)}; "
            "choose one of these"
        )
    if (cameras := policy.options.get("cameras", len(CAMERAS))) != len(CAMERAS):
        raise InputError(
            f"got {cameras} cameras for {at}, expected {len(CAMERAS)}: {', '.join(CAMERAS)}; "
            "leave it out"
        )
    with buildable(at):
        return make_policy(
            policy.kind,
            statistics=unit_statistics(action=1, proprio=1),  # their number changes nothing here
            options=policy.options,
        )


def check_seeds(common: Common) -> None:
    """Check that arms do not meet in evaluation what they learned from."""
    seeds = {"data.seed": common.data.seed, "data.mask_frames.seed": common.data.mask_frames.seed}
    if common.data.quality is not None:
        seeds["data.quality.seed"] = common.data.quality.seed
    if learned := [name for name, seed in seeds.items() if seed == common.evaluation.seed]:
        raise InputError(
            f"got evaluation.seed={common.evaluation.seed}, which is {learned[0]}, too: arms would "
            "meet what they learned from; choose another one"
        )


def check_scoring(scoring: Scoring) -> None:
    """Check that discriminators of demonstrations can be built and trained."""
    build_policy(scoring.policy, at="scoring.policy")
    check_devices(scoring.training)
    if scoring.discriminator.cameras != len(CAMERAS):
        raise InputError(
            f"got scoring.discriminator.cameras={scoring.discriminator.cameras}, expected "
            f"{len(CAMERAS)}: {', '.join(CAMERAS)}; leave it out"
        )


def check_weightings(weightings: Sequence[str], data: Data, scoring: Scoring, *, task: str) -> None:
    """Check that a mixture of demonstrations is possible, and that every weighting has something to
    weight.
    """
    if data.quality is None:
        if asked := [weighting for weighting in weightings if weighting != "uniform"]:
            raise InputError(
                f"got weighting={asked[0]} where all demonstrations are trusted; add data=mixed, "
                "or leave it out"
            )
        return
    check_mixture(task, data.quality.mixture)
    if data.quality.seed == data.seed:
        raise InputError(
            f"got data.quality.seed={data.seed}, expected another than data.seed: the scenes would "
            "be the same"
        )
    if not set(weightings) & set(NEED_SCORES):
        return
    if scoring.head is None and scoring.masks == "learned":
        raise InputError(
            "got scoring.masks=learned without a mask head; pass scoring.head=tabletop, or "
            "scoring.masks=oracle"
        )
    if min(data.tiers) < scoring.folds:
        raise InputError(
            f"got {data.tiers[0]} trusted and {data.tiers[1]} machine demonstrations for "
            f"scoring.folds={scoring.folds}, expected one of each in every fold; raise "
            "data.episodes and data.quality.episodes"
        )


def check_mask_head(head: Spec) -> None:
    """Check that a mask head can be built, and that the env has its cameras."""
    check_spec(head, HEADS, at="mask_head")
    if (cameras := head.options.get("cameras", 1)) not in (1, len(CAMERAS)):
        raise InputError(
            f"got mask_head.cameras={cameras}, expected 1 or {len(CAMERAS)}: {', '.join(CAMERAS)}; "
            "leave it out"
        )


def check_head(common: Common) -> None:
    """Check that the mask head can be built and trained."""
    check_mask_head(common.mask_head)
    if common.head_start is not None:
        check_start(common.head_start, common.mask_head)
    check_mask_scenes(common.data.mask_frames.tasks, common.data.mask_frames.scenes)


def check_measured_scenes(arms: Sequence[Arm], common: Common) -> None:
    """Check that the mask head, trained or given, can be measured where it will be."""
    if measures_masks(arms, common):
        check_mask_scenes([common.task], common.evaluation.mask_scenes)
