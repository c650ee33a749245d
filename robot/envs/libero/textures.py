"""Smaller textures for LIBERO's scenes, made once: theirs take 150 MB and two seconds of every new
framebuffer, and a frame of some hundred pixels cannot show the difference.
"""

from __future__ import annotations

import hashlib
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2

SIZE = 512  # pixels of the longer side


def shrink_textures(xml: str, *, folder: Path, size: int = SIZE) -> str:
    """Return the model XML with textures of more than `size` pixels replaced by smaller ones
    from `folder`, which are made where they are missing.
    """
    root = ET.fromstring(xml)
    for texture in root.iter("texture"):
        file = texture.get("file")
        if file is not None and texture.get("gridsize") is None:
            texture.set("file", str(shrunk(Path(file), folder=folder, size=size)))
    return ET.tostring(root, encoding="unicode")


def shrunk(file: Path, *, folder: Path, size: int = SIZE) -> Path:
    """Return a picture of at most `size` pixels that looks like that of `file`."""
    stat = file.stat()
    identity = f"{file}|{stat.st_size}|{stat.st_mtime_ns}|{size}".encode()
    made = folder / f"{file.stem}-{hashlib.blake2b(identity, digest_size=8).hexdigest()}.png"
    if made.is_file():
        return made
    image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if image is None or max(image.shape[:2]) <= size:
        return file
    factor = size / max(image.shape[:2])
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    folder.mkdir(parents=True, exist_ok=True)
    part = made.with_suffix(f".{os.getpid()}.part.png")
    cv2.imwrite(str(part), small)
    part.replace(made)
    return made
