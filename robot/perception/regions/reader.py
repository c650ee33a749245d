"""Regions of a frame -> words: what each is, how two relate, whether it is what a phrase says.

    reader = RegionReader.load("tabletop")
    reader.describe(frame, regions)                       # a RegionReading each, one forward pass
    reader.ask(frame, regions, "is region 1 the red cube?")
    reader.is_a(frame, mask, "red cube")                  # a probability
    reader.mask_of(frame, box)                            # box -> mask

Every answer about a region is a function of the frame and that region; relations, of two. What is
said is read off classifiers by a grammar (robot.perception.regions.sentences); nothing is written
freely.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool

from robot.checkpoint import load, resolve_checkpoint
from robot.language import LanguageEncoder
from robot.perception.regions.frames import Scaled, box_on, mask_on, scaled
from robot.perception.regions.masks import paste
from robot.perception.regions.network import RegionNetwork, Regions, Seen
from robot.perception.regions.readings import (
    Answer,
    Look,
    RegionReading,
    check_indices,
    check_place,
    readings_of,
)
from robot.perception.regions.sizes import ReaderSizes
from robot.system.device import pick_device
from robot.system.parse import parse
from robot.types import Frame, Region

KIND = "region_reader"
FILE = "region_reader.safetensors"  # beside other shipped weights of one name
FOUND = 0.5  # probability of a pixel of a mask


def network_of(**config: object) -> RegionNetwork:
    """Return the network, not trained, that the JSON of a checkpoint describes."""
    return RegionNetwork(parse(ReaderSizes, config))


BUILDERS = {KIND: network_of}


class RegionReader:
    """A region network with the words that it reads."""

    def __init__(self, network: RegionNetwork, *, language: LanguageEncoder | None = None) -> None:
        self.network = network.eval()
        self.language = language or LanguageEncoder()

    @classmethod
    def load(cls, name: str | Path = "tabletop", device: str | None = None) -> RegionReader:
        """Return the reader of a checkpoint, its folder, or shipped weights by name."""
        folder = resolve_checkpoint(name)
        beside = folder / FILE
        network = load(beside if beside.is_file() else folder, BUILDERS)
        assert isinstance(network, RegionNetwork)
        return cls(network.to(pick_device(device) if device else "cpu"))

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    # --- what others call

    def describe(self, frame: Frame, regions: Sequence[Region]) -> tuple[RegionReading, ...]:
        """Return what is said of each region, in their order, from one forward pass.

        Regions are boxes, masks or clicks in this frame, numbered by `index`. InputError where two
        have one index, or a region lies beyond the frame.
        """
        return self.look(frame, regions).readings

    def ask(self, frame: Frame, regions: Sequence[Region], question: str) -> Answer:
        """Answer a question about regions ("region 1", "<region2>") with text, reason and
        probability. InputError for a question of no known kind, or about a region that is not
        given.
        """
        from robot.perception.regions.answers import answer  # which imports this module

        return answer(self, self.look(frame, regions), question)

    def is_a(self, frame: Frame, mask: Bool[np.ndarray, "h w"], phrase: str) -> float:
        """Return the probability that a mask shows what a phrase says; 0 for an empty mask."""
        if not mask.any():
            return 0.0
        look = self.look(frame, (Region(frame.camera, mask=mask),))
        return float(self.agreement(look, [phrase])[0, 0])

    def mask_of(
        self, frame: Frame, box: tuple[float, float, float, float]
    ) -> Bool[np.ndarray, "h w"]:
        """Return the mask of the thing that a box [px] is around."""
        return self.masks_of(frame, [box])[0]

    # --- what those are made of

    @torch.inference_mode()
    def look(self, frame: Frame, regions: Sequence[Region]) -> Look:
        """Encode a frame and read its regions."""
        check_indices(regions)
        small = scaled(frame.image)
        seen = self.see(small)
        regions = tuple(self._with_extent(frame, region, seen, small) for region in regions)
        if not regions:
            nothing = torch.zeros(0, 0, 1)
            return Look(frame, (), (), nothing, nothing, nothing)
        reading = self.network.read(seen, self._as_tensors(regions, frame, small))
        readings = readings_of(regions, reading)
        return Look(
            frame=frame,
            regions=regions,
            readings=readings,
            tokens=reading.tokens[0],
            relations=reading.relations[0].sigmoid(),
            offsets_m=reading.offsets[0],
        )

    @torch.inference_mode()
    def agreement(self, look: Look, phrases: Sequence[str]) -> np.ndarray:
        """Return the probability (R, P) that each region is what each phrase says."""
        words = self.language.encode(list(phrases)).to(self.device)
        read = self.network.phrases.read(words)  # p queries dim
        tokens = look.tokens[:, None].expand(-1, len(phrases), -1)
        log_yes = self.network.phrases(tokens, read[None].expand(len(tokens), -1, -1, -1))
        visible = np.array([reading.visible for reading in look.readings])
        return log_yes.exp().cpu().numpy() * visible[:, None]

    @torch.inference_mode()
    def masks_of(
        self, frame: Frame, boxes: Sequence[tuple[float, float, float, float]]
    ) -> Bool[np.ndarray, "r h w"]:
        """Return the masks of the things that boxes [px] are around, from one forward pass."""
        small = scaled(frame.image)
        return self.draw(self.see(small), [box_on(box, small) for box in boxes], small)

    def see(self, small: Scaled) -> Seen:
        """Encode a frame at the size that the network was trained at."""
        planes = torch.from_numpy(np.ascontiguousarray(small.image)).permute(2, 0, 1)[None]
        return self.network.look(planes.to(self.device))

    def draw(
        self, seen: Seen, boxes: Sequence[tuple[float, float, float, float]], small: Scaled
    ) -> Bool[np.ndarray, "r h w"]:
        """Return masks at the frame's own size for boxes in the scaled frame."""
        if not boxes:
            return np.zeros((0, *small.original), dtype=bool)
        placed = torch.tensor(boxes, dtype=torch.float32, device=self.device)
        logits = self.network.draw(seen, placed[None])[0]
        height, width = small.original
        scale = torch.tensor([width / seen.width, height / seen.height] * 2, device=self.device)
        drawn = paste(logits, placed * scale, height=height, width=width)
        return (drawn > FOUND).cpu().numpy()

    def _as_tensors(self, regions: Sequence[Region], frame: Frame, small: Scaled) -> Regions:
        boxes = torch.tensor([box_on(region.bounds, small) for region in regions])
        masks = np.stack([mask_on(region.mask, small) for region in regions])
        has_mask = torch.tensor([region.mask is not None for region in regions])
        one = Regions(
            boxes=boxes[None].float(),
            masks=torch.from_numpy(masks)[None],
            has_mask=has_mask[None],
            valid=torch.ones(1, len(regions), dtype=torch.bool),
        )
        return Regions(**{name: value.to(self.device) for name, value in vars(one).items()})

    def _with_extent(self, frame: Frame, region: Region, seen: Seen, small: Scaled) -> Region:
        """Return a region that has a box or a mask: a click becomes the smallest mask that
        holds it.
        """
        check_place(region, frame)
        if region.box is not None or region.mask is not None:
            return region
        from robot.perception.regions.everything import segment_seen, smallest_at

        assert region.click is not None
        segments = segment_seen(self, frame, seen, small)
        found = smallest_at(segments, region.click)
        mask = None if found is None else found.region.mask
        return Region(region.camera, mask=mask, click=region.click, index=region.index)


@cache
def shipped_reader() -> RegionReader:
    """Return the shipped reader, loaded once."""
    return RegionReader.load()
