"""What cannot work raises InputError here, before any long work: what robot.experiment.early finds
without torch, then networks and devices themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

from robot.envs.arm_spaces import CAMERAS
from robot.envs.gl import require_gl
from robot.experiment.arms import Arm
from robot.experiment.config import Common
from robot.experiment.early import check_comparison, check_head_options, check_sizes
from robot.experiment.early import check_once as check_once
from robot.experiment.early import check_weightings as check_weightings
from robot.experiment.options import needs_head
from robot.perception.head.base import HEADS
from robot.perception.registry import check_spec
from robot.policy import make_policy
from robot.policy.normalize import unit_statistics
from robot.policy.registry import Policy
from robot.system.device import pick_device, pick_dtype
from robot.system.parse import Spec, buildable
from robot.train.demonstration_discriminator import Scoring
from robot.train.log import check_mode
from robot.train.options import Training
from robot.types import InputError


def check(arms: Sequence[Arm], common: Common) -> None:
    """Check a comparison whose trainings are those of `arms`."""
    require_gl()
    check_mode(common.wandb)
    check_comparison(arms, common)
    check_policies(arms, common)
    check_scoring(common.scoring)
    check_weightings([arm.weighting for arm in arms], common.data, common.scoring, task=common.task)
    if needs_head(arms, common) or any(arm.own_head for arm in arms):
        check_mask_head(common.mask_head)


def check_policies(arms: Sequence[Arm], common: Common) -> None:
    """Check that policies can be built, trained and evaluated as configured."""
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
    check_sizes(policy, at=at)
    with buildable(at):
        return make_policy(
            policy.kind,
            statistics=unit_statistics(action=1, proprio=1),  # their number changes nothing here
            options=policy.options,
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


def check_mask_head(head: Spec) -> None:
    """Check that a mask head can be built, and that the env has its cameras."""
    check_head_options(head)
    check_spec(head, HEADS, at="mask_head")
