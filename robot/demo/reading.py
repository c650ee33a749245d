"""What the region reader says on the page: masks for boxes and clicks, segments, names, answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from robot.perception.regions.conversation import Conversation
from robot.perception.regions.everything import Segment, segment_everything, smallest_at
from robot.perception.regions.export import to_json
from robot.perception.regions.reader import RegionReader
from robot.types import Frame, InputError, Region
from robot.words.regions import indices_in


class Reading:
    """A region reader in conversation about what is in front of the page."""

    def __init__(self, reader: RegionReader) -> None:
        self._reader = reader
        self._talk: Conversation | None = None

    def begin(self) -> None:
        """Forget the rounds before: something else is in front of the page."""
        self._talk = None

    def segments(self, frame: Frame, granularity: str | None) -> tuple[Segment, ...]:
        """Return what a frame shows, of one granularity or of all."""
        if granularity is None:
            return segment_everything(frame, self._reader)
        return segment_everything(frame, self._reader, granularities=(granularity,))

    def with_mask(self, frame: Frame, region: Region, segments: Sequence[Segment]) -> Region:
        """Return a region with the mask of the thing that it is about: that in its box, or the
        smallest of the segments shown, else of all, that holds its click.
        """
        if region.box is not None:
            mask = self._reader.mask_of(frame, region.box)
            return replace(region, mask=mask) if mask.any() else region
        if region.click is None:
            return region
        shown = [segment for segment in segments if segment.region.camera == frame.camera]
        found = smallest_at(shown or self.segments(frame, None), region.click)
        return region if found is None else replace(region, mask=found.region.mask)

    def records(self, frames: Sequence[Frame], regions: Sequence[Region]) -> list[dict[str, Any]]:
        """Return what is said of each region, as robot.perception.regions.export writes it, with
        its camera.
        """
        return [
            {"camera": frame.camera, **record}
            for frame in frames
            if (own := in_camera(regions, frame.camera))
            for record in to_json(self._reader.describe(frame, own))
        ]

    def ask(self, frames: Sequence[Frame], regions: Sequence[Region], question: str) -> str:
        """Return the answer to a question, with its reason, in the light of the rounds before."""
        frame = camera_asked(frames, regions, question)
        own = in_camera(regions, frame.camera)
        if self._talk is None:
            self._talk = Conversation(self._reader, frame, own)
        else:
            self._talk.show(frame, own)
        answer = self._talk.ask(question)
        text = answer.text[:1].upper() + answer.text[1:]
        return f"{text}. {_sentence(answer.reason)}" if answer.reason else f"{text}."


def in_camera(regions: Sequence[Region], camera: str) -> tuple[Region, ...]:
    return tuple(region for region in regions if region.camera == camera)


def camera_asked(frames: Sequence[Frame], regions: Sequence[Region], question: str) -> Frame:
    """Return the frame of the first camera that shows every region that a question names.

    Raises InputError where none does, or where no region is drawn.
    """
    named = set(indices_in(question))
    cameras: Mapping[str, set[int]] = {
        frame.camera: {region.index for region in in_camera(regions, frame.camera)}
        for frame in frames
    }
    for frame in frames:
        if cameras[frame.camera] and named <= cameras[frame.camera]:
            return frame
    if not regions:
        raise InputError(
            "got a question and no region, expected one to ask about; draw a box, or click on a "
            'mask, and ask "what is region 1?"'
        )
    regions_named = " and ".join(map(str, sorted(named)))
    raise InputError(
        f"got a question about region {regions_named}, which no camera shows together; draw them "
        "in one camera"
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
