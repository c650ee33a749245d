"""Who supplies regions for words: any detector, through one function.

find = OurDetector(reader)              # or PretrainedDetector.load("google/owlvit-base-patch32")
regions = regions_from(find(frame, "red cup"))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Bool

from robot.perception.regions.everything import segment_everything
from robot.perception.regions.reader import RegionReader
from robot.perception.weights import no_weights, require_weights
from robot.types import Frame, InputError, Region

AT_LEAST = 0.3


@dataclass(frozen=True, eq=False)
class Detection:
    """A box [px] that shows what a text names, with a score in [0, 1] and a mask where there is
    one.
    """

    camera: str
    box: tuple[float, float, float, float]
    text: str
    score: float
    mask: Bool[np.ndarray, "h w"] | None = None


class Detector(Protocol):
    """Find in a frame what a text names; several things by "a cup. a plate.". Best first."""

    def __call__(self, frame: Frame, text: str) -> tuple[Detection, ...]: ...


def regions_from(detections: Sequence[Detection]) -> tuple[Region, ...]:
    """Return detections as regions, numbered from 1."""
    return tuple(
        Region(d.camera, box=d.box, mask=d.mask, index=k) for k, d in enumerate(detections, start=1)
    )


def phrases_in(text: str) -> tuple[str, ...]:
    """Return the things that a text names: "a cup. a plate." names two. InputError without one."""
    phrases = tuple(part.strip() for part in text.split(".") if part.strip())
    if not phrases:
        raise InputError(f"got text {text!r}, expected what to look for; pass 'a red cup'")
    return phrases


class OurDetector:
    """Segment everything, then ask of each mask whether it is what the text says."""

    def __init__(self, reader: RegionReader, *, at_least: float = AT_LEAST) -> None:
        self.reader, self.at_least = reader, at_least

    def __call__(self, frame: Frame, text: str) -> tuple[Detection, ...]:
        phrases = phrases_in(text)
        segments = segment_everything(frame, self.reader)
        if not segments:
            return ()
        look = self.reader.look(frame, [segment.region for segment in segments])
        chances = self.reader.agreement(look, phrases)
        found = [
            Detection(
                camera=frame.camera,
                box=segment.region.bounds,
                text=phrase,
                score=float(chances[k, p]),
                mask=segment.region.mask,
            )
            for k, segment in enumerate(segments)
            for p, phrase in enumerate(phrases)
            if chances[k, p] >= self.at_least
        ]
        return tuple(sorted(found, key=lambda d: -d.score))


class PretrainedDetector:
    """A zero-shot detector of transformers (OWL-ViT, OWLv2, Grounding DINO); its boxes get masks
    from `reader` where one is given.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        reader: RegionReader | None = None,
        at_least: float = AT_LEAST,
    ) -> None:
        self.model, self.processor = model.eval(), processor
        self.reader, self.at_least = reader, at_least

    @classmethod
    def load(cls, name: str, **options: Any) -> PretrainedDetector:
        """Load weights by their name on the Hugging Face hub, or from a folder. InputError where
        there are none.
        """
        require_weights(name)
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

        try:
            model = AutoModelForZeroShotObjectDetection.from_pretrained(name)
            processor = AutoProcessor.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise no_weights(name, str(error).splitlines()[0]) from error
        return cls(model, processor, **options)

    @torch.inference_mode()
    def __call__(self, frame: Frame, text: str) -> tuple[Detection, ...]:
        phrases = phrases_in(text)
        inputs = self.processor(text=[list(phrases)], images=frame.image, return_tensors="pt")
        output = self.model(**inputs)
        found = self.processor.post_process_grounded_object_detection(
            output,
            threshold=self.at_least,
            target_sizes=[frame.image.shape[:2]],
            text_labels=[list(phrases)],
        )[0]
        detections = [
            Detection(frame.camera, _within(box.tolist(), frame), str(label), float(score))
            for box, label, score in zip(
                found["boxes"], found["text_labels"], found["scores"], strict=True
            )
        ]
        whole = [d for d in detections if d.box[0] < d.box[2] and d.box[1] < d.box[3]]
        return tuple(sorted(self._with_masks(frame, whole), key=lambda d: -d.score))

    def _with_masks(self, frame: Frame, detections: Sequence[Detection]) -> list[Detection]:
        if self.reader is None or not detections:
            return list(detections)
        masks = self.reader.masks_of(frame, [d.box for d in detections])
        return [
            replace(d, mask=mask if mask.any() else None)
            for d, mask in zip(detections, masks, strict=True)
        ]


def _within(box: Sequence[float], frame: Frame) -> tuple[float, float, float, float]:
    """Return the part of a box that lies in the frame."""
    height, width = frame.image.shape[:2]
    x0, y0, x1, y1 = box
    return max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1)
