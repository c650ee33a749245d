"""Where the picture files of textures lie."""

from __future__ import annotations

from pathlib import Path

from robot.envs.tabletop.catalogue import catalogue


def training_textures() -> list[Path]:
    """Return the files of the textures of randomised scenes; the procedural ones have none."""
    from robosuite.utils.mjcf_utils import (
        xml_path_completion,  # here: robosuite takes seconds to import
    )

    return [
        Path(xml_path_completion(f"textures/{name}.png"))
        for name in catalogue()["textures"]["training"]
    ]
