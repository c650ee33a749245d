"""Options of cameras for tests: configs/camera/default.yaml with what a test changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from robot.hardware.cameras.options import CameraOptions, cameras_of

DEFAULT = Path(__file__).resolve().parents[2] / "configs" / "camera" / "default.yaml"


def camera_options(source: object, *, name: str = "front", **changes: Any) -> CameraOptions:
    default = yaml.safe_load(DEFAULT.read_text())
    return cameras_of({name: {"source": str(source), **changes}}, default=default)[0]
