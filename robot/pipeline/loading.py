"""From checkpoints to objects: mask heads, policies, whole agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import nn

from robot.agent import Agent
from robot.envs.env import action_space
from robot.envs.robosuite import MAX_DELTA_M, MAX_DELTA_RAD, RobosuiteEnv
from robot.language import LanguageEncoder, RawSentences
from robot.perception.discriminator import Discriminator, MaskDiscriminator
from robot.perception.faults import (
    DilatedMasks,
    DroppedMasks,
    FaultyMasks,
    LabelMaps,
    ShiftedMasks,
    StaleMasks,
    WrongObjectMasks,
)
from robot.perception.inpaint import Inpaint
from robot.perception.mask_head import Head, MaskHead
from robot.perception.masking import Blur, Channel, Crop, CropBox, Deployment, Greyscale, Overlay, Unmasked
from robot.perception.sources import CachedMasks, LearnedMasks, MaskSource, NoMask, OracleMasks
from robot.policy import SAVED_POLICIES
from robot.train.checkpoint import describe_action_space, load, read_header
from robot.train.device import has_bf16
from robot.types import InputError

DEPLOYMENTS: dict[str, type[Deployment]] = {
    "overlay": Overlay,
    "blur": Blur,
    "greyscale": Greyscale,
    "crop": Crop,
    "crop_box": CropBox,
    "channel": Channel,
    "inpaint": Inpaint,
    "none": Unmasked,
}
FAULTS: dict[str, type[FaultyMasks]] = {
    "dropped": DroppedMasks,
    "shifted": ShiftedMasks,
    "dilated": DilatedMasks,
    "wrong_object": WrongObjectMasks,
    "stale": StaleMasks,
}
SOURCES = ("learned", "oracle", "none")
SHIPPED = Path(__file__).resolve().parent.parent / "weights"


def make_deployment(name: str, **options: Any) -> Deployment:
    """Return a deployment by name, or say which there are."""
    if name not in DEPLOYMENTS:
        raise InputError(f"got deployment {name!r}, expected one of {', '.join(DEPLOYMENTS)}; pass deployment=<one of these>")
    known = [field.name for field in fields(DEPLOYMENTS[name])]
    if unknown := sorted(set(options) - set(known)):
        raise InputError(
            f"got {', '.join(unknown)} for deployment {name}, expected {', '.join(known)}; leave out what it lacks"
        )
    return DEPLOYMENTS[name](**options)


def robosuite_action_space(*, control_dt_s: float) -> dict[str, Any]:
    """Describe the actions of RobosuiteEnv, as a checkpoint records them."""
    space = action_space(max_delta_m=MAX_DELTA_M, max_delta_rad=MAX_DELTA_RAD)
    return describe_action_space(low=space.low.tolist(), high=space.high.tolist(), control_dt_s=control_dt_s)


def _ivm(**options: Any) -> nn.Module:
    from robot.perception.ivm.pretrained import pretrained_ivm  # transformers' models take seconds to import

    return pretrained_ivm(**options)


def _ivm_discriminator(**options: Any) -> nn.Module:
    from robot.perception.ivm.pretrained import pretrained_discriminator

    return pretrained_discriminator(**options)


HEADS: dict[str, Callable[..., nn.Module]] = {"mask_head": MaskHead, "ivm_sam_llava": _ivm}
DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {
    "mask_discriminator": MaskDiscriminator,
    "ivm_discriminator": _ivm_discriminator,
}


def split_kind(options: Mapping[str, Any], builders: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return which builder a config asks for (`kind`, the first where it does not say) and that builder's arguments."""
    rest = dict(options)
    kind = rest.pop("kind", next(iter(builders)))
    if kind not in builders:
        raise InputError(f"got kind {kind!r}, expected one of {', '.join(builders)}; correct `kind` in the config")
    return kind, rest


def check_weights_of(options: Mapping[str, Any], builders: Mapping[str, Any]) -> None:
    """Raise InputError where a head or discriminator is of no known kind, or its pretrained weights cannot be had."""
    split_kind(options, builders)
    if "llava" in options:
        from robot.perception.ivm.pretrained import check_weights

        check_weights(llava=options["llava"], sam=options.get("sam"))


def load_head(path: Path) -> Head:
    """Return the mask head of a checkpoint."""
    head = load(path, HEADS)
    assert isinstance(head, Head)
    return head


def words_for(module: Head | Discriminator, language: LanguageEncoder | None = None) -> LanguageEncoder | RawSentences:
    """Return what turns goals into what the module reads; `language` where that is tokens and an encoder is there already."""
    if module.reads_sentences:
        return RawSentences()
    return LanguageEncoder() if language is None else language


def resolve_checkpoint(name: str | Path) -> Path:
    """Return the folder of a checkpoint: a path, or the name of weights that are shipped."""
    path = Path(name)
    if not path.exists() and (SHIPPED / str(name)).is_dir():
        return SHIPPED / str(name)
    if not path.exists():
        shipped = ", ".join(sorted(p.name for p in SHIPPED.iterdir() if p.is_dir())) if SHIPPED.is_dir() else "none"
        raise InputError(f"got checkpoint {str(name)!r}, expected an existing path or one of the shipped: {shipped}")
    return path


@overload
def resolve_head(name: str) -> Path: ...
@overload
def resolve_head(name: str | None) -> Path | None: ...
def resolve_head(name: str | None) -> Path | None:
    """Return the file of a mask head: a checkpoint, its folder, or the name of weights that are shipped; None stays None."""
    if name is None:
        return None
    path = resolve_checkpoint(name)
    file = path / "mask_head.safetensors" if (path / "mask_head.safetensors").is_file() else path
    if (kind := read_header(file)["kind"]) not in HEADS:
        raise InputError(f"got a checkpoint of {kind} at {file}, expected a mask head: one of {', '.join(HEADS)}")
    return file


def policy_metadata(path: Path) -> dict[str, Any]:
    """Return what a policy's checkpoint says about how it was trained: demonstrations, deployment, mask source."""
    return read_header(path).get("metadata", {})


def load_policy(path: Path, *, control_dt_s: float) -> nn.Module:
    """Return a policy made for RobosuiteEnv's action space, or refuse."""
    return load(path, SAVED_POLICIES, action_space=robosuite_action_space(control_dt_s=control_dt_s))


def make_source(name: str, *, head: Path | None, language: LanguageEncoder, env: RobosuiteEnv | None) -> MaskSource:
    """Return the mask source `name`; the oracle reads `env`."""
    if name == "none":
        return NoMask()
    if name == "oracle":
        assert env is not None, "an oracle needs a simulator"
        return OracleMasks(env.label_maps)
    if name != "learned":
        raise InputError(f"got perception {name!r}, expected one of {', '.join(SOURCES)}; pass perception=<one of these>")
    if head is None:
        raise InputError("got perception learned without a mask head; pass head=<checkpoint> (launch/train_mask.py makes one)")
    loaded = load_head(head)
    return LearnedMasks(loaded, words_for(loaded, language), bfloat16=has_bf16(torch.device("cpu")))


def make_fault(name: str, source: MaskSource, *, labels: LabelMaps, rng: np.random.Generator, **options: Any) -> FaultyMasks:
    """Return `source` with a fault by name, or say which there are; `labels` shows another object as the target."""
    if name not in FAULTS:
        raise InputError(
            f"got mask fault {name!r}, expected one of {', '.join(FAULTS)}; pass faults=[{{name: <one of these>}}]"
        )
    known = set(signature(FAULTS[name]).parameters) - {"source", "rng", "labels"}
    if unknown := sorted(set(options) - known):
        raise InputError(
            f"got {', '.join(unknown)} for mask fault {name}, expected {', '.join(sorted(known))}; leave out what it lacks"
        )
    if FAULTS[name] is WrongObjectMasks:
        options["labels"] = labels
    return FAULTS[name](source, rng=rng, **options)


def make_agent(
    env: RobosuiteEnv,
    *,
    policy: Path,
    perception: str,
    head: Path | None,
    deployment: Mapping[str, Any],
    mask_period: int,
    faults: Sequence[Mapping[str, Any]] = (),
) -> Agent:
    """Return the agent of a policy checkpoint, seeing through `perception`; `faults` are injected in order, the last outermost.

    Faults draw from seed 0 until the agent is reset with a generator.
    """
    language = LanguageEncoder()
    source = make_source(perception, head=head, language=language, env=env)
    source = source if mask_period == 1 else CachedMasks(source, mask_period)
    for fault in faults:
        source = make_fault(source=source, labels=env.other_object_maps, rng=np.random.default_rng(0), **fault)
    loaded = load_policy(policy, control_dt_s=env.control_dt_s)
    return Agent(
        masks=source,
        deployment=make_deployment(**deployment),
        policy=loaded,  # type: ignore[arg-type]
        language=language,
        image_size=loaded.config()["image_size"],  # type: ignore[operator]
        control_dt_s=env.control_dt_s,
    )
