"""What a training on given demonstrations asks for, parsed and checked without torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from robot.checkpoint import cameras_of, read_header
from robot.data.robomimic import check_exported
from robot.data.store import EpisodeStore
from robot.errors import InputError
from robot.experiment.options import Wandb
from robot.perception.names import check_deployment_section
from robot.policy.sizes import check_policy
from robot.spaces import Spaces, camera_differences
from robot.system.device_name import check_device
from robot.system.parse import Count, FlatSpec, FolderName, Seed, options
from robot.train.log import check_mode
from robot.train.options import Augmentation, Relocation, Training

if TYPE_CHECKING:
    from robot.perception.compose.masking import Deployment

HDF5 = (".hdf5", ".h5")


@options
class Given:
    """configs/train_given.yaml. The last `held_out` share of the episodes of `path` is not trained
    on.
    """

    path: Path
    also: tuple[Path, ...]
    weighting: Literal["uniform", "trusted_only", "fixed", "dwsl"]
    scoring: Any
    name: FolderName
    masks: Literal["learned", "none"]
    head: Path | None
    deployment: Any
    policy: FlatSpec
    train: Training
    augment: Augmentation
    relocate: Relocation | None
    calibrations: Mapping[str, Path]
    held_out: Annotated[float, Field(gt=0, lt=1)]
    batch_size: Count
    look_every: Count
    seed: Seed
    wandb: Wandb

    def made_deployment(self) -> Deployment:
        """Return how pixels that the mask rejects are shown."""
        from robot.perception.registry import make_deployment  # torch: seconds

        return make_deployment(**{"name": "none"} if self.masks == "none" else self.deployment)


def check_given(given: Given) -> None:
    """Raise InputError for what cannot be trained, before torch is imported."""
    check_deployment_section(given.deployment)
    check_policy(given.policy.kind, given.policy.options)
    check_device(given.train.device)
    check_mode(given.wandb)
    if given.masks == "none" and given.augment.backgrounds:
        raise InputError(
            f"got augment.backgrounds={given.augment.backgrounds}, which needs labels that given "
            "demonstrations do not have; set it to 0"
        )
    if given.path.suffix in HDF5:
        check_exported(given.path)
        if given.also or given.weighting != "uniform" or given.relocate:
            raise InputError(
                f"got an HDF5 file with weighting={given.weighting}, {len(given.also)} folders "
                "beside it or relocate, expected uniform and none: its episodes have no tiers; "
                "convert it first (robot.data.robomimic)"
            )
        return
    spaces = spaces_of_store(given.path)
    for folder in given.also:
        if spaces_of_store(folder, fewest=1) != spaces:
            raise InputError(
                f"got {folder}, recorded with other state, action or cameras than {given.path}, "
                "expected the same robot; train on it alone"
            )
    check_head(given, spaces)
    check_tiers(given)
    check_relocation(given, spaces)


def check_relocation(given: Given, spaces: Spaces) -> None:
    """Raise InputError where demonstrations are to be moved that cannot be."""
    if given.relocate is None:
        return
    name = given.deployment["name"]
    if given.masks == "none" or given.weighting != "uniform" or name != "overlay":
        raise InputError(
            f"got relocate with masks={given.masks}, weighting={given.weighting} and deployment "
            f"{name}, expected masks=learned, weighting=uniform and overlay: only what a mask "
            "keeps can be moved; leave relocate out"
        )
    from robot.experiment.calibrated_eyes import calibrated_eyes  # OpenCV

    calibrated_eyes(given.calibrations, cameras=spaces.camera_names)


def check_tiers(given: Given) -> None:
    """Raise InputError where a weighting has nothing to weigh."""
    if given.weighting == "uniform":
        return
    total = len(EpisodeStore(given.path))
    learned = total - held_out_of(total, share=given.held_out)
    tiers = Counter(_tiers(given.path)[:learned] + [t for f in given.also for t in _tiers(f)])
    fewest = given.scoring["folds"] if given.weighting == "dwsl" else 1
    if any(tiers[tier] < fewest for tier in ("trusted", "machine")):
        raise InputError(
            f"got weighting={given.weighting} for {tiers['trusted']} trusted and "
            f"{tiers['machine']} machine episodes, expected at least {fewest} of each; add folders "
            "with also=[...], or pass weighting=uniform"
        )
    masks, head = given.scoring["masks"], given.scoring["head"]
    unlabelled = [str(f) for f in (given.path, *given.also) if not _has_labels(f)]
    if given.weighting == "dwsl" and masks == "oracle" and unlabelled:
        raise InputError(
            f"got weighting=dwsl for {', '.join(unlabelled)} without masks, expected some beside "
            "the frames; pass scoring.masks=learned scoring.head=<checkpoint>"
        )
    if given.weighting == "dwsl" and masks == "learned" and head is None:
        raise InputError(
            "got scoring.masks=learned without a mask head, expected one; pass "
            "scoring.head=<checkpoint>"
        )


def _tiers(path: Path) -> list[str]:
    store = EpisodeStore(path)
    return [store.summary(index).tier for index in sorted(store.indices())]


def _has_labels(path: Path) -> bool:
    store = EpisodeStore(path)
    return bool(store.read(min(store.indices())).labels)


def held_out_of(total: int, *, share: float) -> int:
    """Return how many of `total` episodes are kept from training: at least one, and not all."""
    return min(total - 1, max(1, round(share * total)))


def spaces_of_store(path: Path, *, fewest: int = 2) -> Spaces:
    """Return the spaces of given demonstrations; raise InputError unless there are enough, and the
    first can be read, frames and all.
    """
    if not path.is_dir():
        raise InputError(
            f"got path={path}, expected a folder with a LeRobotDataset v3, or an HDF5 file that "
            "robot.data.robomimic wrote; correct it"
        )
    store = EpisodeStore(path)
    indices = sorted(store.indices())
    if len(indices) < fewest:
        wanted = "1" if fewest == 1 else f"{fewest}: one to train on, one to measure on"
        raise InputError(
            f"got {len(indices)} episodes in {path}, expected at least {wanted}; record more"
        )
    if lost := store.lost():
        raise InputError(
            f"got {len(indices)} episodes in {path}, expected the {len(indices) + lost} that its "
            "meta/info.json counts: restore the data files that are gone, or delete meta/ to go on "
            "without them"
        )
    store.read(indices[0])
    return store.summary(indices[0]).spaces


def check_head(given: Given, spaces: Spaces) -> None:
    """Raise InputError where masks are learned and there is no head for these cameras."""
    if given.masks == "none":
        return
    if given.head is None:
        raise InputError(
            "got masks=learned without a mask head, expected one; pass head=<checkpoint>, or "
            "masks=none"
        )
    config = read_header(given.head)["config"]
    if config.get("cameras", 1) == 1:
        return
    if found := camera_differences(cameras_of(given.head), spaces.cameras, exact=False):
        raise InputError(
            f"got cameras that differ from those of the mask head {given.head}: "
            f"{'; '.join(found)}. Pass a head trained with mask_head.cameras=1, which takes any, "
            "or masks=none"
        )
