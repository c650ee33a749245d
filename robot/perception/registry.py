"""What perception can be made of, by the names that configs and checkpoints use: heads,
deployments, faults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
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
from robot.perception.names import SOURCES as SOURCES
from robot.perception.names import (
    check_deployment,
    check_deployment_section,
    check_fault,
    check_kind,
)
from robot.perception.sources import LearnedMasks, MaskSource
from robot.perception.weights import check_weights
from robot.system.parse import Spec, buildable
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


def make_deployment(name: str, **options: Any) -> Deployment:
    """Return a deployment by name, or say which there are."""
    check_deployment(name, options)
    return DEPLOYMENTS[name](**options)


def _parsed(section: object) -> Deployment:
    if isinstance(section, Deployment):
        return section
    check_deployment_section(section)
    return make_deployment(**section)  # type: ignore[arg-type]


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
    check_kind(spec.kind, tuple(builders), at=at)
    if "llava" in spec.options:
        check_weights(spec.options)
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
    check_fault(name, options)
    if FAULTS[name] is WrongObjectMasks:
        options["labels"] = labels
    return FAULTS[name](source, rng=rng, **options)
