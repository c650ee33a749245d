"""What the arms of a comparison are: a recipe each, and what they share; read from a config,
refused where they cannot be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robot.envs.registry import check_scene
from robot.envs.robosuite import CONTROL_DT_S
from robot.experiment.collect import check_mask_scenes
from robot.perception.compose.masking import Deployment
from robot.perception.head.base import HEADS, Head
from robot.perception.registry import SOURCES, check_weights_of, make_deployment
from robot.policy import POLICIES
from robot.policy.normalize import UNIT
from robot.system.device import pick_device, pick_dtype
from robot.train.mask_head import check_start
from robot.train.policy import make_augment
from robot.types import InputError


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one arm is trained. `scenes` share its demonstrations evenly, `steps` multiplies the
    common number of steps.

    `augment` with `backgrounds` above 0 pastes textures behind the objects (see
    robot.train.backgrounds).
    """

    name: str
    perception: str  # learned, oracle, none
    deployment: Mapping[str, Any]
    scenes: tuple[str, ...]
    steps: float
    augment: Mapping[str, Any]
    weighting: str = "uniform"  # of its demonstrations, one of robot.dwsl.WEIGHTINGS
    policy: Mapping[str, Any] = field(
        default_factory=dict
    )  # keyword arguments that go over those of Shared.policy

    def __post_init__(self) -> None:
        if self.perception not in SOURCES:
            raise InputError(
                f"got arms.{self.name}.perception={self.perception}, expected one of "
                f"{', '.join(SOURCES)}"
            )
        if not self.scenes or self.steps <= 0:
            raise InputError(
                f"got scenes {list(self.scenes)} and steps {self.steps} for arm {self.name}, "
                "expected a scene and steps above 0"
            )
        if self.pastes and self.perception != "none":
            raise InputError(
                f"got augment.backgrounds={self.augment['backgrounds']} for arm {self.name}, which "
                "masks its frames: expected "
                "perception none; set augment.backgrounds=0"
            )
        make_augment(self.augment, deployment=self.applied())

    @property
    def pastes(self) -> bool:
        return self.augment.get("backgrounds", 0) > 0

    def applied(self) -> Deployment:
        """Return the deployment, or refuse what it cannot be."""
        return make_deployment(**self.deployment)


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What all arms of a comparison share: the sections of train_policy.yaml by name. `mask_frames`
    are those of collection.
    """

    root: Path
    task: str
    policy: Mapping[str, Any]  # keyword arguments, and `_target_`
    data: Mapping[
        str, Any
    ]  # episodes, seed, and quality: None where all demonstrations are trusted
    mask_frames: Mapping[str, Any]
    judging: Mapping[
        str, Any
        # keywords of robot.train.demonstration_discriminator.judge, used where a recipe's weighting
        # asks for scores
    ]
    training: Mapping[str, Any]
    batch_size: int
    mask_head: Mapping[str, Any]
    mask_training: Mapping[str, Any]
    head_start: Path | None  # the head that the training of heads goes on from
    mask_batch_size: int
    image_size: int
    control_dt_s: float
    workers: int
    wandb: str

    def __post_init__(self) -> None:
        _ = self.kind  # refuses a policy that is none

    @property
    def kind(self) -> str:
        """Return the policy's name in POLICIES."""
        target = str(self.policy["_target_"])
        for kind, cls in POLICIES.items():
            if target == f"robot.policy.{cls.__name__}":
                return kind
        expected = ", ".join(f"robot.policy.{cls.__name__}" for cls in POLICIES.values())
        raise InputError(
            f"got policy._target_={target}, expected one of {expected}; pass policy=<one of "
            f"{', '.join(POLICIES)}>"
        )


def shared_of(config: Mapping[str, Any]) -> Shared:
    """Return what the arms share from a command's resolved config (configs/train_policy.yaml or one
    that extends it).
    """
    data = config["data"]
    return Shared(
        root=Path(data["root"]),
        task=config["task"],
        policy=config["policy"],
        data={name: data[name] for name in ("episodes", "seed", "quality")},
        mask_frames=data["mask_frames"],
        judging=config["judge"],
        training=config["train"],
        batch_size=config["batch_size"],
        mask_head=config["mask_head"],
        mask_training=config["mask_training"],
        head_start=Head.resolve(config["head_start"]),
        mask_batch_size=config["mask_batch_size"],
        image_size=config["env"]["image_size"],
        control_dt_s=config["env"]["control_dt_s"],
        workers=config["workers"],
        wandb=config["wandb"],
    )


def recipes_of(config: Mapping[str, Any]) -> list[Recipe]:
    """Return the arms of a resolved config; `deployment`, `augment`, `weighting`, `policy` of an
    arm go over the common.
    """
    for name, arm in arm_sections(config["arms"]).items():
        if unknown := sorted(set(arm.get("policy") or {}) - set(config["policy"])):
            expected = ", ".join(option for option in config["policy"] if option != "_target_")
            raise InputError(
                f"got {', '.join(unknown)} for arms.{name}.policy, expected some of {expected}; "
                "correct the name"
            )
    return [
        Recipe(
            name=name,
            perception=arm["perception"],
            deployment={"name": "none"}
            if arm["perception"] == "none"
            else dict(arm.get("deployment") or config["perception"]["deployment"]),
            scenes=tuple(arm["scenes"]),
            steps=arm["steps"],
            augment=dict(arm.get("augment") or config["augment"]),
            weighting=arm.get("weighting") or config["weighting"],
            policy=dict(arm.get("policy") or {}),
        )
        for name, arm in config["arms"].items()
    ]


def arm_sections(arms: Any) -> Mapping[str, Mapping[str, Any]]:
    """Return the arms, or refuse what are none."""
    if not isinstance(arms, Mapping) or not arms:
        raise InputError(
            f"got arms={arms}, expected a section with an arm in it, arms.<name>={{perception, "
            f"scenes, steps}}"
        )
    for name, arm in arms.items():
        given = set(arm) if isinstance(arm, Mapping) else set()
        if missing := sorted({"perception", "scenes", "steps"} - given):
            raise InputError(
                f"got no {', '.join(missing)} for arm {name}, expected how it is trained; see "
                "configs/"
            )
    return arms


def headline_scene_of(evaluation: Mapping[str, Any]) -> str | None:
    """Return the scene of a report's headline, None where it is not evaluated; refuse one that does
    not exist.
    """
    scene = evaluation["headline_scene"]
    if scene is not None:
        check_scene("pick", scene)  # it may be one that this task does not have
    return scene if scene in evaluation["scenes"] else None


def policy_options(recipe: Recipe, *, shared: Shared) -> dict[str, Any]:
    """Return the keyword arguments of an arm's policy."""
    return {name: value for name, value in shared.policy.items() if name != "_target_"} | dict(
        recipe.policy
    )


def check_training(
    recipes: Sequence[Recipe], *, shared: Shared, evaluation: Mapping[str, Any]
) -> None:
    """Refuse policies that cannot be built, trained or evaluated so, before anything long
    starts.
    """
    if shared.control_dt_s != CONTROL_DT_S:
        raise InputError(
            f"got env.control_dt_s={shared.control_dt_s}, expected {CONTROL_DT_S}: demonstrations "
            "are recorded at that period"
        )
    for training in (shared.training, shared.mask_training):
        pick_dtype(training["precision"], pick_device(training.get("device")))
    for recipe in recipes:
        policy = POLICIES[shared.kind](statistics=UNIT, **policy_options(recipe, shared=shared))
        if evaluation["execute"] > policy.horizon:
            raise InputError(
                f"got evaluation.execute={evaluation['execute']}, expected at most the "
                f"{policy.horizon} actions of a chunk"
            )
    seeds = {"data.seed": shared.data["seed"], "data.mask_frames.seed": shared.mask_frames["seed"]}
    if shared.data["quality"]:
        seeds["data.quality.seed"] = shared.data["quality"]["seed"]
    if learned := [name for name, seed in seeds.items() if seed == evaluation["seed"]]:
        raise InputError(
            f"got evaluation.seed={evaluation['seed']}, which is {learned[0]}, too: arms would "
            "meet what they learned from; "
            "choose another one"
        )


def check_head_training(shared: Shared) -> None:
    """Refuse mask frames of what there is not, a head without its weights, and one that cannot go
    on from `head_start`.
    """
    check_weights_of(shared.mask_head, HEADS)
    if shared.head_start is not None:
        check_start(shared.head_start, shared.mask_head)
    check_mask_scenes(shared.mask_frames["tasks"], shared.mask_frames["scenes"])
