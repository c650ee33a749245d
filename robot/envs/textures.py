"""Where robosuite's picture files of textures lie."""

from __future__ import annotations

from pathlib import Path

from robot.envs.tabletop.catalogue import catalogue


def texture_file(name: str) -> str:
    """Return the path of one of robosuite's textures."""
    from robosuite.utils.mjcf_utils import (
        xml_path_completion,  # here: robosuite takes seconds to import
    )

    return xml_path_completion(f"textures/{name}.png")


def training_textures() -> list[Path]:
    """Return the files of the textures of randomised scenes; the procedural ones have none."""
    return [Path(texture_file(name)) for name in catalogue()["textures"]["training"]]
