"""What a training on given demonstrations asks for, parsed and checked without torch."""

from __future__ import annotations

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
from robot.train.options import Augmentation, Training

if TYPE_CHECKING:
    from robot.perception.compose.masking import Deployment

HDF5 = (".hdf5", ".h5")


@options
class Given:
    """configs/train_given.yaml. The last `held_out` share of the episodes is not trained on."""

    path: Path
    name: FolderName
    masks: Literal["learned", "none"]
    head: Path | None
    deployment: Any
    policy: FlatSpec
    train: Training
    augment: Augmentation
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
        return
    check_head(given, spaces_of_store(given.path))


def spaces_of_store(path: Path) -> Spaces:
    """Return the spaces of given demonstrations; raise InputError unless there are two or more,
    and the first can be read, frames and all.
    """
    if not path.is_dir():
        raise InputError(
            f"got path={path}, expected a folder with a LeRobotDataset v3, or an HDF5 file that "
            "robot.data.robomimic wrote; correct it"
        )
    store = EpisodeStore(path)
    indices = sorted(store.indices())
    if len(indices) < 2:
        raise InputError(
            f"got {len(indices)} episodes in {path}, expected at least 2: one to train on, one to "
            "measure on; record more"
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
