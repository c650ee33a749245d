"""What a page may ask for, as frozen types: each is one JSON object, its kind in `do`.

A message that is none of these raises InputError, whose sentence goes back to the page.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from robot.errors import InputError
from robot.system.parse import Count, NotNegative, Seed, options, parse

LONGEST_TEXT = 500  # characters
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Pixels = Annotated[float, Field(allow_inf_nan=False)]


@options
class Preview:
    """Show what a goal means in the present picture; nothing moves."""

    text: Text


@options
class Go:
    """Act on a goal. `confirmed` answers "may the arm move?" where a station asks."""

    text: Text
    confirmed: bool = False


@options
class Stop:
    """End what the robot is doing; it comes to rest."""


@options
class EmergencyStop:
    """Hold a real arm at once, until it is released."""


@options
class Release:
    """Release the emergency stop."""


@options
class Arrange:
    """Begin another scene; what is left out stays as it is."""

    task: str | None = None
    scene: str | None = None
    seed: Seed | None = None
    episode: NotNegative | None = None


@options
class AddBox:
    """Draw a box, in pixels of the frame; `index` adds it to a region of another camera."""

    camera: str
    box: tuple[Pixels, Pixels, Pixels, Pixels]
    index: Count | None = None


@options
class AddClick:
    """Click a point, in pixels of the camera's frame."""

    camera: str
    x: Pixels
    y: Pixels
    index: Count | None = None


@options
class Remove:
    """Remove a region, or all of them."""

    index: Count | None = None


@options
class Ask:
    """Answer a question about the regions."""

    text: Text


@options
class Segment:
    """Show the masks of everything in a camera's picture, of one granularity or of all; with
    `hides` show none.
    """

    camera: str
    granularity: Literal["part", "object", "scene"] | None = None
    hides: bool = False


@options
class Leave:
    """Leave the picture that was shown, for the scene."""


@dataclass(frozen=True)
class Picture:
    """Show an uploaded picture in place of the scene: the bytes of its file."""

    data: bytes


Command = (
    Preview
    | Go
    | Stop
    | EmergencyStop
    | Release
    | Arrange
    | AddBox
    | AddClick
    | Remove
    | Ask
    | Segment
    | Leave
    | Picture
)
COMMANDS: dict[str, type] = {
    "preview": Preview,
    "go": Go,
    "stop": Stop,
    "estop": EmergencyStop,
    "release": Release,
    "arrange": Arrange,
    "box": AddBox,
    "click": AddClick,
    "remove": Remove,
    "ask": Ask,
    "segment": Segment,
    "leave": Leave,
}


def command_of(message: str | bytes) -> Command:
    """Return the command in a message; one in bytes is a picture."""
    if isinstance(message, bytes):
        return Picture(message)
    try:
        values = json.loads(message)
    except (ValueError, RecursionError):
        raise InputError("got a message that is no JSON, expected an object with do") from None
    if not isinstance(values, dict) or values.get("do") not in COMMANDS:
        raise InputError(
            f"got a message without a known do, expected one of {', '.join(COMMANDS)}; reload "
            "the page"
        )
    kind = values.pop("do")
    return parse(COMMANDS[kind], values, at=kind)
