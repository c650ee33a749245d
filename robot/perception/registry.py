"""What perception can be made of, by the names that configs and checkpoints use: heads,
deployments, faults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import PlainValidator
from torch import nn

from robot.language import LanguageEncoder
from robot.perception.compose.inpaint import Inpaint
from robot.perception.compose.masking import (
    Blur,
    Channel,
    Crop,
    CropBox,
    Deployment,
    Greyscale,
    Overlay,
    Unmasked,
)
from robot.perception.faults import (
    DilatedMasks,
    DroppedMasks,
    FaultyMasks,
    LabelMaps,
    ShiftedMasks,
    StaleMasks,
    WrongObjectMasks,
)
from robot.perception.head.base import Head
from robot.perception.head.label_discriminator import MaskDiscriminator
from robot.perception.sources import LearnedMasks, MaskSource
from robot.system.parse import Spec, buildable
from robot.types import InputError
from robot.words.reader import GoalReader

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


def make_deployment(name: str, **options: Any) -> Deployment:
    """Return a deployment by name, or say which there are."""
    if name not in DEPLOYMENTS:
        raise InputError(
            f"got deployment {name!r}, expected one of {', '.join(DEPLOYMENTS)}; pass "
            "deployment=<one of these>"
        )
    known = [field.name for field in fields(DEPLOYMENTS[name])]
    if unknown := sorted(set(options) - set(known)):
        raise InputError(
            f"got {', '.join(unknown)} for deployment {name}, expected {', '.join(known)}; leave "
            "out what it lacks"
        )
    return DEPLOYMENTS[name](**options)


def _parsed(section: object) -> Deployment:
    if isinstance(section, Deployment):
        return section
    if not isinstance(section, Mapping) or not isinstance(section.get("name"), str):
        raise InputError(f"got deployment={section}, expected a section with a name; add name")
    return make_deployment(**section)


AnyDeployment = Annotated[Deployment, PlainValidator(_parsed)]  # in sections of a config


def describe_deployment(deployment: Deployment) -> dict[str, Any]:
    """Return a deployment as JSON. Inverse: `make_deployment`."""
    name = next(name for name, cls in DEPLOYMENTS.items() if cls is type(deployment))
    return {"name": name, **asdict(deployment)}


def _ivm_discriminator(**options: Any) -> nn.Module:
    from robot.perception.ivm.pretrained import pretrained_discriminator

    return pretrained_discriminator(**options)


DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {
    "mask_discriminator": MaskDiscriminator,
    "ivm_discriminator": _ivm_discriminator,
}


def check_spec(spec: Spec, builders: Mapping[str, Callable[..., nn.Module]], *, at: str) -> None:
    """Raise InputError where the kind is unknown, its pretrained weights are unavailable, or its
    options make no network.
    """
    if spec.kind not in builders:
        raise InputError(
            f"got {at}.kind={spec.kind}, expected one of {', '.join(builders)}; choose one of these"
        )
    if "llava" in spec.options:
        from robot.perception.ivm.pretrained import check_weights

        sam = spec.options.get("sam")
        check_weights(llava=str(spec.options["llava"]), sam=None if sam is None else str(sam))
        return
    with buildable(at):
        builders[spec.kind](**spec.options)


def learned_masks(
    head: Path | str, *, device: torch.device, language: LanguageEncoder | None = None
) -> LearnedMasks:
    """Return the mask source of a head: a checkpoint, its folder, or the name of shipped
    weights.
    """
    loaded = Head.load(head).to(device)
    return LearnedMasks(
        loaded, loaded.word_encoder(language), reader=GoalReader.of(loaded.vocabulary)
    )


def make_fault(
    name: str, source: MaskSource, *, labels: LabelMaps, rng: np.random.Generator, **options: Any
) -> FaultyMasks:
    """Return `source` with a fault by name, or say which there are; `labels` shows another object
    as the target.
    """
    if name not in FAULTS:
        raise InputError(
            f"got mask fault {name!r}, expected one of {', '.join(FAULTS)}; pass faults=[{{name: "
            f"<one of these>}}]"
        )
    known = set(signature(FAULTS[name]).parameters) - {"source", "rng", "labels"}
    if unknown := sorted(set(options) - known):
        raise InputError(
            f"got {', '.join(unknown)} for mask fault {name}, expected {', '.join(sorted(known))}; "
            "leave out what it lacks"
        )
    if FAULTS[name] is WrongObjectMasks:
        options["labels"] = labels
    return FAULTS[name](source, rng=rng, **options)
