"""How a camera projects and where it is: a file that launch/calibrate.py writes, or OpenCV's own.

The camera's axes are OpenCV's: x right, y down, z forward. `T_base_camera` maps points of the
camera into the arm's base, `T_ee_camera` into its end effector (a camera on the wrist).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from robot.errors import InputError
from robot.hardware.camera import CameraError

# ours first; the others are those of OpenCV's own calibration programs
NAMES = {
    "K": ("K", "camera_matrix", "cameraMatrix"),
    "distortion": ("distortion", "distortion_coefficients", "distCoeffs", "D"),
    "T_base_camera": ("T_base_camera",),
    "T_ee_camera": ("T_ee_camera",),
}
COEFFICIENTS = (0, 4, 5, 8, 12, 14)  # numbers of them that OpenCV's models have
ROTATION_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Calibration:
    """Of captured pictures, before they are rotated or cropped."""

    height: int  # px
    width: int
    K: Float64[np.ndarray, "3 3"]
    distortion: Float64[np.ndarray, " d"]
    T_base_camera: Float64[np.ndarray, "4 4"] | None = None
    T_ee_camera: Float64[np.ndarray, "4 4"] | None = None

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise InputError(
                f"got pictures of {self.width} x {self.height} px, expected a size; set it"
            )
        focal_lengths = self.K[0, 0], self.K[1, 1]
        if (
            not np.isfinite(self.K).all()
            or min(focal_lengths) <= 0
            or (self.K[2] != (0, 0, 1)).any()
        ):
            raise InputError(
                f"got K={self.K.tolist()}, expected [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]; "
                "calibrate again"
            )
        if len(self.distortion) not in COEFFICIENTS or not np.isfinite(self.distortion).all():
            raise InputError(
                f"got distortion={self.distortion.tolist()}, expected OpenCV's 4, 5, 8, 12 or 14 "
                "finite numbers; calibrate again"
            )
        for name in ("T_base_camera", "T_ee_camera"):
            if (pose := getattr(self, name)) is not None:
                check_pose(pose, name=name)

    def scaled_to(self, *, height: int, width: int) -> Calibration:
        """Return the calibration of the same camera at another resolution of the same aspect."""
        x, y = width / self.width, height / self.height
        if abs(x - y) > 0.01 * x:
            raise CameraError(
                f"pictures of {width} x {height} px do not fit a calibration of {self.width} x "
                f"{self.height}; capture at the size that was calibrated, or calibrate again"
            )
        scale = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
        return Calibration(
            height, width, scale @ self.K, self.distortion, self.T_base_camera, self.T_ee_camera
        )


class Undistortion:
    """Straightens pictures; K stays as it is, the distortion becomes none."""

    def __init__(self, calibration: Calibration) -> None:
        self._calibration = calibration
        self._size: tuple[int, int] | None = None
        self._maps: tuple[np.ndarray, np.ndarray] | None = None

    def apply(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """Return a captured picture undistorted. Raises CameraError for another aspect ratio."""
        height, width = image.shape[:2]
        if self._maps is None or self._size != (height, width):
            lens = self._calibration.scaled_to(height=height, width=width)
            first, second = cv2.initUndistortRectifyMap(
                lens.K, lens.distortion, np.eye(3), lens.K, (width, height), cv2.CV_16SC2
            )
            self._maps, self._size = (first, second), (height, width)
        return cv2.remap(image, *self._maps, interpolation=cv2.INTER_LINEAR)


def check_pose(pose: Float64[np.ndarray, "r c"], *, name: str) -> None:
    """Raise InputError unless a matrix is a rotation and a translation."""
    rigid = (
        pose.shape == (4, 4)
        and bool(np.isfinite(pose).all())
        and np.allclose(pose[3], (0, 0, 0, 1))
        and np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=ROTATION_TOLERANCE)
        and np.linalg.det(pose[:3, :3]) > 0
    )
    if not rigid:
        raise InputError(
            f"got {name}={pose.tolist()}, expected a rotation and a translation in metres as a "
            "4 x 4 matrix; correct it"
        )


def read_calibration(path: Path) -> Calibration:
    """Return a calibration from JSON, or from OpenCV's YAML, XML or JSON."""
    if not path.is_file():
        raise InputError(
            f"got calibration={path}, which does not exist; make it with launch/calibrate.py"
        )
    values = _from_json(path) if path.suffix.lower() == ".json" else _from_opencv(path)
    found = {
        name: next((values[key] for key in keys if values.get(key) is not None), None)
        for name, keys in NAMES.items()
    }
    height, width = values.get("image_height"), values.get("image_width")
    if found["K"] is None or height is None or width is None:
        raise InputError(
            f"got {path} with {', '.join(sorted(values)) or 'nothing'}, expected image_width, "
            "image_height and K (or camera_matrix); make it with launch/calibrate.py"
        )
    try:
        return Calibration(
            height=int(height),
            width=int(width),
            K=_matrix(found["K"], (3, 3)),
            distortion=np.asarray(
                [] if found["distortion"] is None else found["distortion"], np.float64
            ).ravel(),
            T_base_camera=_pose(found["T_base_camera"]),
            T_ee_camera=_pose(found["T_ee_camera"]),
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error


def write_calibration(
    path: Path, calibration: Calibration, *, notes: Mapping[str, Any] | None = None
) -> None:
    """Write a calibration as plain JSON. Inverse: `read_calibration`, which ignores the notes."""
    content = {
        "image_width": calibration.width,
        "image_height": calibration.height,
        "K": calibration.K.tolist(),
        "distortion": calibration.distortion.tolist(),
    }
    for name in ("T_base_camera", "T_ee_camera"):
        if (pose := getattr(calibration, name)) is not None:
            content[name] = pose.tolist()
    path.write_text(json.dumps(content | dict(notes or {}), indent=2) + "\n")


def _from_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"got {path}, which is no JSON ({error}); correct it") from error
    if not isinstance(content, dict):
        raise InputError(f"got {path} without names, expected K and the like; correct it")
    return {name: _of_opencv_json(value) for name, value in content.items()}


def _of_opencv_json(value: Any) -> Any:
    if isinstance(value, dict) and {"rows", "cols", "data"} <= set(value):
        return np.asarray(value["data"], np.float64).reshape(value["rows"], value["cols"])
    return value


def _from_opencv(path: Path) -> dict[str, Any]:
    try:
        storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
        root = storage.root()
        nodes = {name: root.getNode(name) for name in root.keys()}  # noqa: SIM118
        values = {name: _node(node) for name, node in nodes.items()}
        storage.release()
    except (cv2.error, SystemError, UnicodeDecodeError) as error:
        raise InputError(
            f"got {path}, which OpenCV cannot read; pass its YAML (it begins with %YAML:1.0) or "
            "a JSON file of launch/calibrate.py"
        ) from error
    return values


def _node(node: cv2.FileNode) -> Any:
    if node.isMap():
        return node.mat()
    if node.isSeq():
        return [_node(node.at(k)) for k in range(node.size())]
    return node.real() if node.isReal() or node.isInt() else None


def _matrix(value: Any, shape: tuple[int, int]) -> Float64[np.ndarray, "r c"]:
    return np.asarray(value, np.float64).reshape(shape)


def _pose(value: Any) -> Float64[np.ndarray, "4 4"] | None:
    return None if value is None else _matrix(value, (4, 4))
