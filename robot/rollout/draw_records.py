"""Pictures of scene graphs and of records, for people to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from robot.data import png
from robot.data.rle import decode
from robot.instruct.graph import SceneGraph

COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178))
COLOURS = (*COLOURS, (213, 94, 0), (204, 121, 167), (150, 150, 150))
SCALE, LINE, MARGIN = 3, 15, 6
DRAWN = ("left", "front", "near", "on", "in", "touching", "grasped", "occludes", "blocks")


def draw_graph(graph: SceneGraph, image: np.ndarray) -> Image.Image:
    """Return the frame with tinted masks, boxes and names, and the relations beside it."""
    things = [o for o in graph.objects if o.pixels and o.kind not in ("surface", "robot")]
    tinted = image.astype(float)
    for k, o in enumerate(things):
        if o.mask is not None:
            tinted[o.mask] = 0.5 * tinted[o.mask] + 0.5 * np.array(COLOURS[k % len(COLOURS)])
    size = (image.shape[1] * SCALE, image.shape[0] * SCALE)
    picture = Image.fromarray(tinted.round().astype(np.uint8)).resize(size)
    names = {o.id: f"{o.colour or ''} {o.cls}".strip() for o in graph.objects}
    lines = [
        f"{names[r.head]} {r.name} {names[r.tail]}  ({r.margin:.2f} {r.unit})"
        for r in graph.relations
        if r.name in DRAWN and r.head in names and r.tail in names
    ]
    page = Image.new("RGB", (size[0] + 380, max(size[1], LINE * (len(lines) + 2))), "white")
    page.paste(picture, (0, 0))
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    for k, o in enumerate(things):
        if o.box is not None:
            x0, y0, x1, y1 = (SCALE * v for v in o.box)
            colour = COLOURS[k % len(COLOURS)]
            pen.rectangle((x0, y0, x1, y1), outline=colour, width=2)
            pen.text((x0 + 2, max(0, y0 - 14)), names[o.id], fill=colour, font=font)
    goal = "" if graph.goal is None else graph.goal.text
    for k, line in enumerate([f"goal: {goal}", *lines]):
        pen.text((size[0] + MARGIN, MARGIN + LINE * k), line, fill="black", font=font)
    return page


def draw_record(row: Mapping, root: Path, *, width: int = 256) -> Image.Image:
    """Return a record's images with the relevance mask in blue and the answer mask in orange, its
    question and answer below.
    """
    tiles = []
    for path, answer, needed in zip(
        row["images"], row["answer_masks"], row["relevance_masks"], strict=True
    ):
        image = png.decode((root / path).read_bytes()).astype(float) * 0.6
        for rle, colour in ((needed, COLOURS[1]), (answer, COLOURS[0])):
            mask = decode(rle)
            image[mask] = 0.45 * image[mask] + 0.55 * np.array(colour)
        tile = Image.fromarray(image.round().astype(np.uint8))
        tiles.append(tile.resize((width, round(width * tile.height / tile.width))))
    text = [row["generator"], *_wrapped(row["question"], width), f"answer: {row['answer']}"]
    if row["options"]:
        text += _wrapped("options: " + " | ".join(row["options"]), width)
    height = max(tile.height for tile in tiles)
    page = Image.new("RGB", ((width + MARGIN) * len(tiles), height + LINE * len(text) + 8), "white")
    for k, tile in enumerate(tiles):
        page.paste(tile, (k * (width + MARGIN), 0))
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(11)
    for k, line in enumerate(text):
        pen.text((2, height + 4 + LINE * k), line, fill="black" if k else "grey", font=font)
    return page


def _wrapped(text: str, width: int) -> list[str]:
    letters, lines, line = width // 6, [], ""
    for word in text.split():
        if len(line) + len(word) + 1 > letters and line:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line]


def page_of(pictures: Sequence[Image.Image], *, columns: int) -> Image.Image:
    """Return pictures in rows."""
    rows = [pictures[k : k + columns] for k in range(0, len(pictures), columns)]
    heights = [max(p.height for p in row) for row in rows]
    widths = [sum(p.width for p in row) for row in rows]
    page = Image.new("RGB", (max(widths), sum(heights) + MARGIN * len(rows)), "white")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for picture in row:
            page.paste(picture, (left, top))
            left += picture.width
        top += height + MARGIN
    return page
