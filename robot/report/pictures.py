"""Pictures of what the agent sees: mask overlays, film strips, and the frames of a video. All are
uint8 RGB arrays.

Camera frames are small (128 px); `fit` enlarges them so that a person can read them.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from robot.types import MASK_CHANNELS, InputError, Label

TILE = 256  # pixels; a 64- or 128-px frame fits a whole number of times
GAP = 4  # pixels between tiles
GAP_GREY = 22  # apart from the mid-grey that masked pixels are filled with
COLORS = {
    Label.TARGET: (230, 159, 0),
    Label.DESTINATION: (86, 180, 233),
    Label.GRIPPER: (0, 158, 115),
}  # Okabe-Ito


def fit(image: UInt8[np.ndarray, "h w 3"], *, size: int = TILE) -> UInt8[np.ndarray, "size size 3"]:
    """Fit a frame into a square of `size` pixels, in its own aspect ratio: exact pixels where the
    factor is whole, Lanczos elsewhere.
    """
    longest = max(image.shape[:2])
    height, width = (max(1, round(side * size / longest)) for side in image.shape[:2])
    kernel = Image.Resampling.LANCZOS if size % longest else Image.Resampling.NEAREST
    tile = np.full((size, size, 3), GAP_GREY, np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    fitted = Image.fromarray(image).resize((width, height), kernel)
    tile[top : top + height, left : left + width] = np.asarray(fitted)
    return tile


def composite_rgb(composite: Float[np.ndarray, "c h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Turn a policy composite in [0, 1] (RGB first, coverage after) into a picture."""
    return (np.clip(composite[:3], 0.0, 1.0).transpose(1, 2, 0) * 255.0).round().astype(np.uint8)


def heat(
    frame: UInt8[np.ndarray, "h w 3"], probability: Float[np.ndarray, "c h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Tint a dimmed grey frame with each mask channel's colour, as strongly as the channel is
    probable.
    """
    grey = frame.mean(axis=-1, keepdims=True).repeat(3, axis=-1) * 0.55
    for channel, amount in zip(MASK_CHANNELS, np.clip(probability, 0.0, 1.0), strict=True):
        alpha = 0.85 * amount[..., None]
        grey = (1 - alpha) * grey + alpha * np.array(COLORS[channel])
    return grey.round().astype(np.uint8)


def drawn(
    frame: UInt8[np.ndarray, "h w 3"], labels: UInt8[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw a label map over a picture of its size: half of each role's colour, and a line of all
    of it around, without which an orange tint on green passes for a yellow object.
    """
    picture = frame.copy()
    thickness = max(1, min(labels.shape) // 200)
    for role in MASK_CHANNELS:
        where = labels == role.value
        picture[where] = picture[where] // 2 + np.array(COLORS[role], np.uint8) // 2
        outlines, _ = cv2.findContours(where.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, COLORS[role], thickness)
    return picture


def overlay(
    frame: UInt8[np.ndarray, "h w 3"],
    probability: Float[np.ndarray, "c h w"],
    composite: Float[np.ndarray, "d h2 w2"],
    *,
    tile: int = TILE,
) -> UInt8[np.ndarray, "h3 w3 3"]:
    """Show the frame, the mask probabilities on it and what the policy sees."""
    tiles = {
        "camera": frame,
        "mask": heat(frame, probability),
        "policy sees": composite_rgb(composite),
    }
    return grid([[write_on(fit(image, size=tile), name) for name, image in tiles.items()]])


def episode_rows(
    images: Sequence[Mapping[str, UInt8[np.ndarray, "h w 3"]]],
    composites: Sequence[Float[np.ndarray, "n c h2 w2"]],
) -> dict[str, list[UInt8[np.ndarray, "_ _ 3"]]]:
    """Turn what was kept at every moment into one row per view: the cameras, then what the policy
    sees of each.
    """
    cameras = list(images[0]) if len(images) else []
    seen = {camera: [moment[camera] for moment in images] for camera in cameras}
    acted_on = {
        f"policy: {camera}": [composite_rgb(moment[place]) for moment in composites]
        for place, camera in enumerate(cameras)
    }
    return seen | acted_on


def film_strip(
    rows: Mapping[str, Sequence[UInt8[np.ndarray, "_ _ 3"]]],
    *,
    frames: int = 6,
    dt_s: float = 0.05,
    tile: int = 192,
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Show `frames` moments of an episode, first and last among them: one named row per view, the
    time on the first row.
    """
    lengths = {len(images) for images in rows.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(
            f"got rows of {sorted(lengths)} frames, expected rows of one length above 0; pass one "
            "episode's views"
        )
    moments = spread(lengths.pop(), count=frames)
    strip = [[fit(images[t], size=tile) for t in moments] for images in rows.values()]
    for name, row in zip(rows, strip, strict=True):
        row[0] = write_on(row[0], name)
    strip[0] = [
        write_on(image, f"{t * dt_s:.1f} s", corner="right")
        for image, t in zip(strip[0], moments, strict=True)
    ]
    return grid(strip)


def spread(length: int, *, count: int) -> tuple[int, ...]:
    """Return up to `count` evenly spaced indices of a sequence, the first and the last
    among them.
    """
    return tuple(
        dict.fromkeys(np.linspace(0, length - 1, min(count, length)).round().astype(int).tolist())
    )


def grid(
    rows: Sequence[Sequence[UInt8[np.ndarray, "h w 3"]]], *, gap: int = GAP
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Tile images of one size, `gap` grey pixels apart."""
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    canvas = np.full(
        (len(rows) * (height + gap) - gap, columns * (width + gap) - gap, 3),
        GAP_GREY,
        dtype=np.uint8,
    )
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            top, left = y * (height + gap), x * (width + gap)
            canvas[top : top + height, left : left + width] = image
    return canvas


def write_on(
    image: UInt8[np.ndarray, "h w 3"], text: str, *, corner: str = "left"
) -> UInt8[np.ndarray, "h w 3"]:
    """Write a short text on a dark plate in the upper left or upper right corner."""
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture, "RGBA")
    font = ImageFont.load_default(size=max(10, image.shape[0] // 14))
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow's wheels carry FreeType
    pad, width, height = 4, math.ceil(draw.textlength(text, font=font)), sum(font.getmetrics())
    x = 0 if corner == "left" else image.shape[1] - width - 2 * pad
    draw.rectangle((x, 0, x + width + 2 * pad, height + pad), fill=(0, 0, 0, 170))
    draw.text((x + pad, pad // 2), text, font=font, fill=(255, 255, 255, 255))
    return np.asarray(picture)


def picture_uri(image: UInt8[np.ndarray, "h w 3"], *, quality: int = 88) -> str:
    """Encode a picture as a WebP data URI, a tenth of PNG's size on rendered frames."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def save_picture(path: str, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """Write a picture file; the format is the name's ending."""
    Image.fromarray(image).save(path)
