"""What cannot work, found without torch: it takes seconds to import, and what is refused is refused
before. robot.experiment.checks goes on where networks have to be built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from robot.data.record_frames import check_records
from robot.envs.arm_spaces import CAMERAS, CONTROL_DT_S
from robot.envs.libero.names import check_learned
from robot.envs.make import check_backend
from robot.envs.registry import LIBERO, TABLETOP, check_scene
from robot.errors import InputError
from robot.experiment.arm_options import ArmOptions, arm_options, chosen_sections, trained_sections
from robot.experiment.collect import check_mask_scenes
from robot.experiment.options import (
    CommonOptions,
    Data,
    common_options,
    measures_masks,
    needs_frames,
    needs_head,
)
from robot.perception.names import (
    DISCRIMINATOR_KINDS,
    HEAD_KINDS,
    check_discriminator_sizes,
    check_head_sizes,
    check_kind,
    check_start,
)
from robot.perception.weights import check_weights
from robot.policy.sizes import check_policy
from robot.rollout.corrupt import check_mixture
from robot.system.device_name import check_device
from robot.system.parse import Spec
from robot.weightings import NEED_SCORES

if TYPE_CHECKING:
    from robot.train.demonstration_discriminator import Scoring

PUBLISHED = ("ivm_sam_llava", "ivm_discriminator")


def check_config(config: Mapping[str, Any]) -> None:
    """Check the resolved config of a comparison as far as that needs no network."""
    chosen = arm_options(chosen_sections(config))
    common = common_options(config)
    arms = arm_options(trained_sections([arm.policy_of for arm in chosen], config))
    check_comparison(arms, common)
    discriminating = cast(Any, SimpleNamespace(**config["scoring"]))
    check_weightings([arm.weighting for arm in arms], common.data, discriminating, task=common.task)


def check_comparison(arms: Sequence[ArmOptions], common: CommonOptions) -> None:
    """Check a comparison whose trainings are those of `arms`."""
    check_scenes(arms, common)
    check_control_period(common)
    for training in (common.train, common.mask_training):
        check_device(training.device)
    for arm in arms:
        check_sizes(arm.policy, at=f"the policy of arm {arm.name}")
        check_execute(arm.policy, execute=common.evaluation.execute)
    check_seeds(common)
    if needs_head(arms, common):
        check_head(common)
    if needs_frames(arms, common):
        check_mask_scenes(common.data.mask_frames.tasks, common.data.mask_frames.shown)
        size = common.env.image_size
        check_records(common.data.records, cameras=list(CAMERAS), size=size)
    check_measured_scenes(arms, common)


def check_control_period(common: CommonOptions) -> None:
    """Check that the env runs at the period of the demonstrations."""
    if common.env.control_dt_s != CONTROL_DT_S:
        raise InputError(
            f"got env.control_dt_s={common.env.control_dt_s}, expected {CONTROL_DT_S}: "
            "demonstrations are recorded at that period; leave it out"
        )


def check_head(common: CommonOptions) -> None:
    """Check that the mask head fits the env and what it starts with."""
    check_head_options(common.mask_head)
    if common.head_start is not None:
        check_start(common.head_start, common.mask_head)


def check_sizes(policy: Spec, *, at: str) -> None:
    """Check that options make a policy, and one for the cameras of the env."""
    check_policy(policy.kind, policy.options, at=at)
    if (cameras := policy.options.get("cameras", len(CAMERAS))) != len(CAMERAS):
        raise InputError(
            f"got {cameras} cameras for {at}, expected {len(CAMERAS)}: {', '.join(CAMERAS)}; "
            "leave it out"
        )


def check_execute(policy: Spec, *, execute: int) -> None:
    """Check that a chunk is as long as what is executed of it."""
    horizon = policy.options.get("horizon", 16)
    if isinstance(horizon, int) and execute > horizon:
        raise InputError(
            f"got evaluation.execute={execute}, expected at most the {horizon} actions of a "
            "chunk; lower it"
        )


def check_head_options(head: Spec) -> None:
    """Check that options make a mask head, and one for the cameras of the env."""
    check_kind(head.kind, HEAD_KINDS, at="mask_head")
    if head.kind in PUBLISHED:
        check_weights(head.options)
        return
    sizes = ("widths", "blocks", "dim", "heads")
    check_head_sizes(**_given(head, sizes, widths=(48, 96, 128), blocks=(1, 2, 1), dim=96, heads=4))
    if (cameras := head.options.get("cameras", 1)) not in (1, len(CAMERAS)):
        raise InputError(
            f"got mask_head.cameras={cameras}, expected 1 or {len(CAMERAS)}: {', '.join(CAMERAS)}; "
            "leave it out"
        )


def check_label_discriminator(discriminator: Spec, *, at: str) -> None:
    """Check that options make a discriminator of mask labels."""
    check_kind(discriminator.kind, DISCRIMINATOR_KINDS, at=at)
    if discriminator.kind in PUBLISHED:
        check_weights(discriminator.options)
        return
    check_discriminator_sizes(
        **_given(discriminator, ("widths", "blocks", "fill"), widths=(), blocks=(), fill=0.5)
    )


def _given(spec: Spec, names: Sequence[str], **defaults: Any) -> dict[str, Any]:
    return {name: spec.options.get(name, defaults[name]) for name in names}


def check_scenes(arms: Sequence[ArmOptions], common: CommonOptions) -> None:
    """Check that tasks and scenes exist, and that there is one of each to evaluate."""
    evaluation = common.evaluation
    for scene in dict.fromkeys(scene for arm in arms for scene in arm.scenes):
        check_scene(common.task, scene)
        if common.task in LIBERO:
            check_learned(scene)
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
    if len(evaluation.tasks) > 1 and not any(
        set(evaluation.tasks) <= set(world) for world in (TABLETOP, LIBERO)
    ):
        raise InputError(
            f"got evaluation.tasks={list(evaluation.tasks)}, expected tabletop tasks where there "
            "are several, or tasks of LIBERO; leave one"
        )
    for task in evaluation.tasks:
        for scene in evaluation.scenes:
            check_scene(task, scene)
    for task in dict.fromkeys((common.task, *evaluation.tasks)):
        check_backend(common.env.backend, robot=common.env.robot, task=task)
    if evaluation.headline_scene is not None:
        # this task need not have it
        shown = common.task if common.task in LIBERO else "pick"
        check_scene(shown, evaluation.headline_scene)


def check_once(names: Sequence[str], *, at: str) -> None:
    """Raise InputError where a name stands twice: its episodes would count twice, and narrow the
    intervals.
    """
    if twice := [name for name in names if list(names).count(name) > 1]:
        raise InputError(f"got {twice[0]} twice in {at}, expected each once; drop one")


def check_seeds(common: CommonOptions) -> None:
    """Check that arms do not meet in evaluation what they learned from."""
    seeds = {"data.seed": common.data.seed, "data.mask_frames.seed": common.data.mask_frames.seed}
    if common.data.quality is not None:
        seeds["data.quality.seed"] = common.data.quality.seed
    if learned := [name for name, seed in seeds.items() if seed == common.evaluation.seed]:
        raise InputError(
            f"got evaluation.seed={common.evaluation.seed}, which is {learned[0]}, too: arms would "
            "meet what they learned from; choose another one"
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


def check_measured_scenes(arms: Sequence[ArmOptions], common: CommonOptions) -> None:
    """Check that the mask head, trained or given, can be measured where it will be."""
    if measures_masks(arms, common):
        check_mask_scenes([common.task], common.evaluation.mask_scenes)
