"""An uploaded picture in front of the page: nothing to move, all else is as on the table."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from robot.demo.state import Abilities, Choice, Found, Source, found_of
from robot.demo.station import Ending, Show, Stopped, Views
from robot.perception.head.base import Head
from robot.perception.pictures import look_at
from robot.spaces import Camera
from robot.types import Frame, Goal, InputError, Mask

CAMERA = "picture"
LONGEST_SIDE = 1024  # px, larger ones are shrunk
MOST_PIXELS = 50_000_000  # of an uploaded one


class PictureStation:
    """One picture."""

    source: Source = "picture"
    abilities = Abilities(acts=False, arranges=False)
    live_s: float | None = None
    choice: Choice | None = None
    goal = estopped = ""

    def __init__(self, image: UInt8[np.ndarray, "h w 3"], *, head: Callable[[], Head]) -> None:
        """`head` is the mask head that words are looked for with."""
        self.image, self._head = image, head
        height, width = image.shape[:2]
        self.cameras = (Camera(CAMERA, height=height, width=width),)

    def prepare(self) -> None:
        """Do nothing: the head is loaded already."""

    def look(self) -> Views:
        return {CAMERA: self.image}

    def frames(self) -> tuple[Frame, ...]:
        return (Frame(CAMERA, self.image),)

    def arrange(self, choice: Choice) -> None:
        raise InputError("a picture is what it is; go back to the scene for another one")

    def find(self, goal: Goal) -> tuple[Found | None, str]:
        (seen,) = look_at(self._head(), [self.image], goal.text)
        if not seen.sentence:
            return None, f"I do not look for that: {seen.reason}."
        mask = Mask(
            probability=(seen.probability,),
            presence=seen.presence[None],
            predicted_iou=np.array([seen.predicted_iou], np.float32),
            status=(seen.status,),
        )
        return found_of(mask, self.cameras), seen.reason

    def act(self, goal: Goal, *, show: Show, stopped: Stopped) -> Ending:
        raise InputError("a picture has no arm; go back to the scene to move")

    def estop(self) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def picture_of(data: bytes) -> UInt8[np.ndarray, "h w 3"]:
    """Return the upright RGB picture in the bytes of a file, at most LONGEST_SIDE px a side."""
    try:
        opened = Image.open(io.BytesIO(data))
        if opened.width * opened.height > MOST_PIXELS:
            raise InputError(
                f"got a picture of {opened.width} x {opened.height} px, expected at most "
                f"{MOST_PIXELS // 10**6} million pixels; shrink it"
            )
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise InputError(
            "got a file that is no picture, expected PNG, JPEG or WebP; choose another one"
        ) from error
    if min(upright.size) < 16:
        raise InputError(
            f"got a picture of {upright.width} x {upright.height} px, expected at least 16 a side; "
            "choose a larger one"
        )
    upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return np.asarray(upright)
