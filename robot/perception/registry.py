"""What perception can be made of, by the names that configs and checkpoints use: deployments,
faults, discriminators. Heads: robot/perception/head/base.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from inspect import signature
from typing import Any

import numpy as np
from torch import nn

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
from robot.perception.head.label_discriminator import MaskDiscriminator
from robot.perception.sources import MaskSource
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


def _ivm_discriminator(**options: Any) -> nn.Module:
    from robot.perception.ivm.pretrained import pretrained_discriminator

    return pretrained_discriminator(**options)


DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {
    "mask_discriminator": MaskDiscriminator,
    "ivm_discriminator": _ivm_discriminator,
}


def split_kind(
    options: Mapping[str, Any], builders: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return which builder a config asks for (`kind`, the first where it does not say) and that
    builder's arguments.
    """
    rest = dict(options)
    kind = rest.pop("kind", next(iter(builders)))
    if kind not in builders:
        raise InputError(
            f"got kind {kind!r}, expected one of {', '.join(builders)}; correct `kind` in the "
            "config"
        )
    return kind, rest


def check_weights_of(options: Mapping[str, Any], builders: Mapping[str, Any]) -> None:
    """Raise InputError where a head or discriminator is of no known kind, or its pretrained weights
    cannot be had.
    """
    split_kind(options, builders)
    if "llava" in options:
        from robot.perception.ivm.pretrained import check_weights

        check_weights(llava=options["llava"], sam=options.get("sam"))


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
