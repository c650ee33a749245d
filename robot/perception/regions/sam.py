"""SAM through transformers, where its weights are at hand: boxes and clicks -> masks, segment
everything.

    sam = Sam.load("facebook/sam-vit-base")
    sam.mask_of(frame, box=(20, 30, 44, 52))
    sam.everything(frame)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool

from robot.perception.regions.everything import Segment, mask_iou, numbered
from robot.perception.weights import no_weights, require_weights
from robot.types import Frame, InputError, Region

GRANULARITIES = ("part", "object", "scene")  # of SAM's three masks for a click, by size
POINTS = 16  # per side of the grid of clicks that segments everything
AT_LEAST, STABLE, SAME = 0.88, 0.9, 0.7  # predicted IoU, stability, IoU of repeats: SAM's own rules
OFFSET = 1.0  # of the logits, up and down, that a stable mask does not notice


class Sam:
    """A SamModel with its processor."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model, self.processor = model.eval(), processor

    @classmethod
    def load(cls, name: str = "facebook/sam-vit-base") -> Sam:
        """Load weights by their name on the Hugging Face hub, or from a folder. InputError where
        there are none.
        """
        require_weights(name)
        from transformers import SamModel, SamProcessor

        try:
            return cls(SamModel.from_pretrained(name), SamProcessor.from_pretrained(name))
        except (OSError, ValueError) as error:
            raise no_weights(name, str(error).splitlines()[0]) from error

    def mask_of(
        self,
        frame: Frame,
        *,
        box: tuple[float, float, float, float] | None = None,
        click: tuple[float, float] | None = None,
    ) -> Bool[np.ndarray, "h w"]:
        """Return SAM's best mask for a box or a click [px]."""
        if (box is None) == (click is None):
            raise InputError("got both or neither of box and click, expected one; pass one of them")
        if box is not None:
            logits, scores = self._prompted(frame, input_boxes=[[list(box)]])
        else:
            assert click is not None
            logits, scores = self._prompted(frame, input_points=[[[list(click)]]])
        return logits[0, int(scores[0].argmax())] > 0

    def everything(
        self, frame: Frame, *, points: int = POINTS, at_least: float = AT_LEAST
    ) -> tuple[Segment, ...]:
        """Segment everything by a grid of clicks; the three masks of each are part, object and
        scene, by size.
        """
        height, width = frame.image.shape[:2]
        steps = (np.arange(points) + 0.5) / points
        clicks = [[[float(x * width), float(y * height)]] for y in steps for x in steps]
        logits, scores = self._prompted(frame, input_points=[clicks])
        found: list[tuple[str, float, np.ndarray]] = []
        for of_click, quality in zip(logits, scores, strict=True):
            order = np.argsort((of_click > 0).sum(axis=(1, 2)))
            for granularity, k in zip(GRANULARITIES, order, strict=True):
                mask = of_click[k] > 0
                if quality[k] >= at_least and mask.any() and _stability(of_click[k]) >= STABLE:
                    found.append((granularity, float(quality[k]), mask))
        return numbered(
            [
                Segment(Region(frame.camera, mask=mask), granularity, score)
                for granularity, score, mask in _without_repeats(found)
            ]
        )

    @torch.inference_mode()
    def _prompted(self, frame: Frame, **prompts: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return mask logits (prompts, 3, H, W) and predicted IoU (prompts, 3)."""
        inputs = self.processor(images=frame.image, return_tensors="pt", **prompts)
        prompted = {
            name: value.float()  # points and boxes come in double precision
            for name, value in inputs.items()
            if name in ("pixel_values", "input_points", "input_boxes")
        }
        output = self.model(**prompted, multimask_output=True)
        logits = self.processor.image_processor.post_process_masks(
            output.pred_masks,
            inputs["original_sizes"],
            inputs["reshaped_input_sizes"],
            binarize=False,
        )[0]
        return logits.numpy(), output.iou_scores[0].numpy()


def _stability(logits: np.ndarray) -> float:
    """Return how little a mask changes where its threshold moves."""
    return float((logits > OFFSET).sum() / max(1, (logits > -OFFSET).sum()))


def _without_repeats(
    found: Sequence[tuple[str, float, np.ndarray]],
) -> list[tuple[str, float, np.ndarray]]:
    """Keep the best of masks that show the same, whatever their granularity."""
    kept: list[tuple[str, float, np.ndarray]] = []
    for item in sorted(found, key=lambda item: -item[1]):
        if all(mask_iou(item[2], other[2]) < SAME for other in kept):
            kept.append(item)
    return kept
