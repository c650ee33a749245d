"""What a policy acts on and with, as data: the names, order, units and bounds of state and action,
the cameras and the control period. Recorded in every episode and checkpoint, declared by every env.

A `Vector` is flat where networks and files use it and grouped where an env shows it
(`flatten` and `unflatten`). `check_spaces` says by name how two robots differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from robot.errors import InputError

GRIPPER = "gripper"  # the group of an action that opens (its high bound) and closes the hand
SAME = 1e-6  # relative: bounds and periods are compared after a trip through float32 and JSON


@dataclass(frozen=True)
class Vector:
    """A vector of named values. `low` and `high` are -inf and inf where a value has no bound.

    `groups` are (name, size) in order: the entries of an env's dictionary that the vector is cut
    into. `relative` says of each value of an action whether it is a change per control step, so
    that 0 holds still, or a target, so that repeating it does.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    groups: tuple[tuple[str, int], ...]
    relative: tuple[bool, ...]

    def __post_init__(self) -> None:
        count = len(self.names)
        sizes = {len(self.units), len(self.low), len(self.high), len(self.relative)}
        if sizes != {count} or sum(size for _, size in self.groups) != count:
            raise InputError(
                f"got {count} names {list(self.names)}, but units, bounds or `relative` for "
                f"{sorted(sizes)} values and groups {dict(self.groups)}, expected one of each per "
                "name and groups that add up"
            )
        groups = [name for name, _ in self.groups]
        if len(set(self.names)) != count or len(set(groups)) != len(groups):
            raise InputError(
                f"got names {list(self.names)} in groups {groups}, expected each name once"
            )
        empty = [
            name
            for name, low, high in zip(self.names, self.low, self.high, strict=True)
            if not low < high
        ]
        if empty:
            raise InputError(f"got bounds without room for {empty}, expected low < high for each")

    def __len__(self) -> int:
        return len(self.names)

    def flatten(self, grouped: Mapping[str, np.ndarray]) -> Float32[np.ndarray, " n"]:
        """Return the values of an env's dictionary as one vector. Inverse: `unflatten`."""
        expected = dict(self.groups)
        found = {name: np.asarray(values).shape for name, values in grouped.items()}
        if found != {name: (size,) for name, size in expected.items()}:
            raise InputError(
                f"got values of shapes {found}, expected {expected}: what the space declares, no "
                "more and no less"
            )
        return np.concatenate([grouped[name] for name in expected]).astype(np.float32)

    def unflatten(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Return (..., n) values as one array per group. Inverse: `flatten`."""
        return {name: vector[..., columns] for name, columns in self.columns().items()}

    def columns(self) -> dict[str, slice]:
        """Return where each group lies in the vector."""
        stops = np.cumsum([size for _, size in self.groups]).tolist()
        return {
            name: slice(stop - size, stop)
            for (name, size), stop in zip(self.groups, stops, strict=True)
        }


@dataclass(frozen=True)
class Camera:
    """A camera by name, and the size of its frames in pixels."""

    name: str
    height: int
    width: int


@dataclass(frozen=True)
class Spaces:
    """State, action and cameras of one robot, in order; `robot_type` is its name in datasets."""

    state: Vector
    action: Vector
    cameras: tuple[Camera, ...]
    control_dt_s: float
    robot_type: str

    def __post_init__(self) -> None:
        names = [camera.name for camera in self.cameras]
        if len(set(names)) != len(names) or not self.control_dt_s > 0:
            raise InputError(
                f"got cameras {names} and control_dt_s {self.control_dt_s}, expected each camera "
                "once and a period above 0 s"
            )

    @property
    def camera_names(self) -> tuple[str, ...]:
        return tuple(camera.name for camera in self.cameras)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and numbers, null where a value has no bound. Inverse:
        `from_json`.
        """
        content = asdict(self)
        for vector in content["state"], content["action"]:
            for side in ("low", "high"):
                vector[side] = [x if math.isfinite(x) else None for x in vector[side]]
            vector["groups"] = [list(group) for group in vector["groups"]]
        return _as_lists(content)

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Spaces:
        """Invert `to_json`. Raises KeyError or TypeError on anything else."""
        return Spaces(
            state=_vector(content["state"]),
            action=_vector(content["action"]),
            cameras=cameras_from_json(content["cameras"]),
            control_dt_s=float(content["control_dt_s"]),
            robot_type=str(content["robot_type"]),
        )


def cameras_to_json(cameras: Iterable[Camera]) -> list[dict[str, Any]]:
    """Return cameras as JSON. Inverse: `cameras_from_json`."""
    return [asdict(camera) for camera in cameras]


def cameras_from_json(content: Sequence[Mapping[str, Any]]) -> tuple[Camera, ...]:
    """Invert `cameras_to_json`."""
    return tuple(Camera(**camera) for camera in content)


def hold_still(spaces: Spaces, state: Float32[np.ndarray, " s"]) -> Float32[np.ndarray, " a"]:
    """Return the action that stays where the robot is with the gripper open: no change, and for
    targets the state value of the same name.
    """
    action, values = spaces.action, dict(zip(spaces.state.names, state.tolist(), strict=True))
    still = np.array(
        [
            0.0 if relative else values.get(name, math.nan)
            for name, relative in zip(action.names, action.relative, strict=True)
        ],
        dtype=np.float32,
    )
    columns = action.columns()
    if GRIPPER in columns:
        still[columns[GRIPPER]] = action.high[columns[GRIPPER]]
    if unknown := [name for name, x in zip(action.names, still, strict=True) if math.isnan(x)]:
        raise InputError(
            f"got an object to wait for and no way to hold still: {', '.join(unknown)} are targets "
            "without a state value of the same name; pass hold_when_absent=False and looks_again=0"
        )
    return still


def not_finite(space: Vector, values: Float32[np.ndarray, " n"]) -> list[str]:
    """Return the names of the values that are NaN or infinite."""
    return [name for name, x in zip(space.names, values, strict=True) if not math.isfinite(x)]


def outside(
    values: Float32[np.ndarray, " n"], *, low: np.ndarray, high: np.ndarray, half_ranges: float
) -> Bool[np.ndarray, " n"]:
    """Say which values lie more than `half_ranges` half-ranges beyond [low, high]."""
    margin = half_ranges * (high - low) / 2
    return (values < low - margin) | (values > high + margin)


def check_spaces(
    made_for: Spaces, here: Spaces, *, what: str, exact: bool = False, remedy: str
) -> None:
    """Raise InputError that names every difference between what something was made for and what is
    at hand.

    `exact` wants the same robot and frame sizes, as within one dataset; otherwise frames may be
    larger than in training, because they are shrunk by area averaging, which loses nothing that
    training had.
    """
    if found := differences(made_for, here, exact=exact):
        raise InputError(f"got {what} that differs: {'; '.join(found)}. {remedy}")


def another_robot(made_for: Spaces, here: Spaces) -> str | None:
    """Return a note where a policy that fits learned on another robot: names, units and bounds are
    the same, reach and motion are not. None where it is the same, or one of the two is unnamed.
    """
    # the driver of a real Panda says whose driver it is
    names = [spaces.robot_type.removeprefix("franka_") for spaces in (made_for, here)]
    if names[0] == names[1] or "unknown" in names:
        return None
    return (
        f"note: this policy learned on robot {names[0]}, and this one is {names[1]}: state and "
        "action mean the same, so that it can act, but it never moved this one; train on "
        f"{names[1]}, or watch what it does"
    )


def check_cameras(made_for: Sequence[Camera], here: Sequence[Camera]) -> None:
    """Raise InputError, naming what differs, unless frames of these cameras, in this order, are
    what a policy was trained on, or larger.
    """
    if found := camera_differences(made_for, here, exact=False):
        raise InputError(
            f"got cameras that differ from those of training: {'; '.join(found)}. Pass their "
            "frames in that order"
        )


def differences(made_for: Spaces, here: Spaces, *, exact: bool) -> list[str]:
    """Return a phrase per difference, none where what was made for one robot fits the other."""
    found = [
        *vector_differences(made_for.state, here.state, what="state"),
        *vector_differences(made_for.action, here.action, what="action"),
        *camera_differences(made_for.cameras, here.cameras, exact=exact),
    ]
    if not _close(made_for.control_dt_s, here.control_dt_s):
        found.append(f"control_dt_s {here.control_dt_s:g} s, expected {made_for.control_dt_s:g} s")
    if exact and made_for.robot_type != here.robot_type:
        found.append(f"robot {here.robot_type}, expected {made_for.robot_type}")
    return found


def vector_differences(made_for: Vector, here: Vector, *, what: str) -> list[str]:
    """Return a phrase per difference of names, order, units, bounds and meaning."""
    if found := _name_differences(made_for.names, here.names, what=f"{what} value"):
        return found
    return [
        f"{what} {name} {field} {got}, expected {expected}"
        for field, theirs, ours in (
            ("unit", made_for.units, here.units),
            ("low", made_for.low, here.low),
            ("high", made_for.high, here.high),
            ("relative", made_for.relative, here.relative),
        )
        for name, expected, got in zip(made_for.names, theirs, ours, strict=True)
        if not _close(expected, got)
    ]


def camera_differences(
    made_for: Sequence[Camera], here: Sequence[Camera], *, exact: bool
) -> list[str]:
    """Return a phrase per camera that is missing, unknown, in another place or of a size that
    matters.
    """
    names = [camera.name for camera in made_for], [camera.name for camera in here]
    if found := _name_differences(*names, what="camera"):
        return found
    return [
        f"camera {got.name} of {got.width}x{got.height} px, expected {trained.width}x"
        f"{trained.height} px" + ("" if exact else " or larger at the same aspect ratio")
        for trained, got in zip(made_for, here, strict=True)
        if got != trained and (exact or not _shrinks_to(got, trained))
    ]


def _shrinks_to(camera: Camera, trained: Camera) -> bool:
    """Return whether frames shrink to the trained size without changing their aspect ratio (by more
    than a pixel).
    """
    skew = abs(camera.height * trained.width - camera.width * trained.height)
    return camera.height >= trained.height and skew <= max(camera.height, camera.width)


def _name_differences(made_for: Sequence[str], here: Sequence[str], *, what: str) -> list[str]:
    missing = [name for name in made_for if name not in here]
    unknown = [name for name in here if name not in made_for]
    found = [f"no {what} {', '.join(missing)}"] if missing else []
    found += [f"unknown {what} {', '.join(unknown)}"] if unknown else []
    if found:
        return [*found, f"expected {', '.join(made_for) or 'none'}"]
    if list(made_for) != list(here):
        return [f"{what}s in the order {', '.join(here)}, expected {', '.join(made_for)}"]
    return []


def _close(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == b or abs(a - b) <= SAME * max(1.0, abs(a))
    return a == b


def _as_lists(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _as_lists(value) for key, value in content.items()}
    return [_as_lists(x) for x in content] if isinstance(content, tuple | list) else content


def _vector(content: Mapping[str, Any]) -> Vector:
    return Vector(
        names=tuple(content["names"]),
        units=tuple(content["units"]),
        low=tuple(-math.inf if x is None else float(x) for x in content["low"]),
        high=tuple(math.inf if x is None else float(x) for x in content["high"]),
        groups=tuple((str(name), int(size)) for name, size in content["groups"]),
        relative=tuple(bool(x) for x in content["relative"]),
    )
