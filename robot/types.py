"""What crosses a package boundary: frozen types, never bare dictionaries.

Frames are uint8 RGB, upright, (H, W, 3). Positions are metres in the robot's base frame, rotations
are 6-D (the first two columns of the rotation matrix) or rotation vectors in radians, times are
monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from robot.errors import InputError as InputError  # robot.types is where everyone imports it from
from robot.spaces import Spaces


class Label(int, Enum):
    """Role of a pixel with respect to the goal; the values of a label map."""

    BACKGROUND = 0
    TARGET = 1
    DESTINATION = 2
    GRIPPER = 3


MASK_CHANNELS = (
    Label.TARGET,
    Label.DESTINATION,
    Label.GRIPPER,
)  # order of the channel axis of every mask


class MaskStatus(str, Enum):
    """What the mask head says about the target: what to do with it is the agent's business."""

    FOUND = "found"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, eq=False)
class Region:
    """Where one camera's frame shows a thing that a goal is about: a box, a mask or a click, or
    several of them.

    `box` is (x0, y0, x1, y1) in pixels, the maxima exclusive; `mask` has the frame's size and is
    not empty; `click` is (x, y) in pixels. `index` counts from 1 and is the k of `<regionk>` in the
    goal's text; regions of one index in different cameras show the same thing.
    """

    camera: str
    box: tuple[float, float, float, float] | None = None
    mask: Bool[np.ndarray, "h w"] | None = None
    click: tuple[float, float] | None = None
    index: int = 1

    def __post_init__(self) -> None:
        if problem := _problem_of(self):
            raise InputError(problem)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Return the box, or else the smallest box around the mask, or else the clicked pixel."""
        if self.box is not None:
            return self.box
        if self.mask is not None:
            rows, columns = (np.flatnonzero(self.mask.any(axis=axis)) for axis in (1, 0))
            ends = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
            x0, y0, x1, y1 = (float(end) for end in ends)
            return x0, y0, x1, y1
        assert self.click is not None
        x, y = np.floor(self.click)
        return float(x), float(y), float(x) + 1, float(y) + 1

    def _key(self) -> tuple:
        mask = None if self.mask is None else (self.mask.shape, self.mask.tobytes())
        return self.camera, self.index, self.box, self.click, mask

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Region) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


def _problem_of(region: Region) -> str | None:
    """Return what is wrong with a region whatever the frame, as a sentence."""
    box, mask, click = region.box, region.mask, region.click
    named = f"region {region.index} in {region.camera}"
    if region.index < 1:
        return f"got a region of index {region.index}, expected 1 or more: <region1> is the first"
    if box is None and mask is None and click is None:
        return f"got {named} without a place, expected a box, a mask or a click; pass one of them"
    if box is not None and not (
        len(box) == 4 and np.isfinite(box).all() and box[0] < box[2] and box[1] < box[3]
    ):
        return (
            f"got box {box} of {named}, expected (x0, y0, x1, y1) in pixels with x0 < x1 and "
            "y0 < y1; draw it from the upper left to the lower right"
        )
    if click is not None and not (len(click) == 2 and np.isfinite(click).all()):
        return f"got click {click} of {named}, expected (x, y) in pixels; pass two numbers"
    if mask is not None and not (mask.ndim == 2 and mask.dtype == bool and mask.any()):
        return (
            f"got a mask {mask.dtype} {mask.shape} of {named}, expected bool (H, W) with at least "
            "one pixel; pass the pixels of the thing"
        )
    return None


@dataclass(frozen=True)
class Goal:
    """What the robot is asked for: a sentence, and optional regions that it refers to as
    `<region1>` or "region 1". `robot.perception.regions.goals` reads the two together.
    """

    text: str
    regions: tuple[Region, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise InputError(
                f"got {kind_of(self.text)} as the text of a goal, expected a sentence; write "
                'Goal("pick up the red cup")'
            )
        places = [(region.index, region.camera) for region in self.regions]
        if twice := sorted({place for place in places if places.count(place) > 1}):
            index, camera = twice[0]
            raise InputError(
                f"got region {index} twice in {camera}, expected one of each index per camera; "
                f"pass index={max(index for index, _ in places) + 1} where it is another thing"
            )

    @property
    def indices(self) -> tuple[int, ...]:
        """Return the indices of the regions, each once, sorted."""
        return tuple(sorted({region.index for region in self.regions}))


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """How a camera projected when a frame was captured, and from where.

    `K` is in pixels of the frame, undistorted; pixel (row, column) covers u in [column, column +
    1). `T_table_camera` maps points of the camera (OpenCV's axes: x right, y down, z forward) into
    the robot's base frame with its origin at the height of the table's top, so that the table is
    z = 0. A camera `on_hand` moves with the gripper.
    """

    K: Float64[np.ndarray, "3 3"]
    T_table_camera: Float64[np.ndarray, "4 4"]
    on_hand: bool = False


@dataclass(frozen=True)
class Frame:
    """One camera image: uint8 RGB, upright. `viewpoint` is known of calibrated cameras."""

    camera: str
    image: UInt8[np.ndarray, "h w 3"]
    time_s: float = 0.0
    viewpoint: Viewpoint | None = None

    def __post_init__(self) -> None:
        if do := _remedy_of(self.image):
            raise InputError(
                f"got {kind_of(self.image)} as a frame of {self.camera}, expected a uint8 array "
                f"(H, W, 3), RGB, upright; {do}"
            )


def _remedy_of(image: Any) -> str:
    """Return what to do with a picture that is no frame; "" for one that is."""
    if not isinstance(image, np.ndarray):
        return "pass np.asarray(image)"
    if image.ndim == 4:
        return "pass one picture, image[0] of a batch of one"
    if image.ndim == 2:
        return "pass np.stack([image] * 3, axis=-1) of a grey one"
    if image.ndim == 3 and image.shape[-1] == 4:
        return "drop an alpha channel with image[..., :3]"
    if image.ndim == 3 and image.shape[-1] == 1:
        return "pass np.repeat(image, 3, axis=-1) of a grey one"
    if image.ndim != 3 or 3 not in (image.shape[-1], image.shape[0]):
        return "pass one colour picture"
    if image.shape[-1] != 3:
        return "move the channels to the end: np.ascontiguousarray(np.moveaxis(image, 0, -1))"
    if image.dtype == np.uint8:
        return ""
    if np.issubdtype(image.dtype, np.floating) and image.size and image.max() <= 1:
        return "pass (255 * image).round().astype(np.uint8)"
    return "pass image.astype(np.uint8), with values of 0 to 255"


def kind_of(value: object) -> str:
    """Return what a value is, for a sentence: its type, or an array's numbers and shape."""
    if isinstance(value, np.ndarray):
        return f"an array {value.dtype} {value.shape}"
    return "None" if value is None else f"a value of type {type(value).__name__}"


@dataclass(frozen=True)
class Observation:
    """What an agent sees at one control step."""

    frames: tuple[Frame, ...]
    proprio: Float32[np.ndarray, " s"]  # in the order of Spaces.state
    goal: Goal
    time_s: float

    def __post_init__(self) -> None:
        if isinstance(self.frames, Mapping) or not all(isinstance(f, Frame) for f in self.frames):
            raise InputError(
                "got frames that are no Frame each, expected a tuple of them; write "
                'frames=(Frame("agentview", image), ...)'
            )
        if not isinstance(self.goal, Goal):
            raise InputError(
                f"got {kind_of(self.goal)} as a goal, expected a Goal; write "
                'Goal("pick up the red cup")'
            )
        state = self.proprio
        if not isinstance(state, np.ndarray) or state.ndim != 1 or state.dtype != np.float32:
            raise InputError(
                f"got {kind_of(state)} as proprio, expected a float32 array of one value per name "
                "of spaces.state; pass np.asarray(values, np.float32), or what "
                "spaces.state.flatten(groups) returns"
            )

    @staticmethod
    def from_env(observation: Mapping, spaces: Spaces) -> Observation:
        """Turn the Gymnasium dictionary of the env API into an Observation, cameras and values in
        the order of `spaces`. Where it says how cameras stood (`"viewpoints"`), so do the frames.
        """
        if missing := _missing(observation):
            raise InputError(
                f"got an observation {missing}, expected that of an env of this package: images, "
                "proprio, goal and time; pass the first of what env.reset() and env.step() return"
            )
        if not isinstance(spaces, Spaces):
            raise InputError(
                f"got {kind_of(spaces)} as spaces, expected the env's; pass env.unwrapped.spaces"
            )
        times, images = observation["time"], observation["images"]
        viewpoints = observation.get("viewpoints", {})
        if set(images) != set(spaces.camera_names):
            raise InputError(
                f"got images of {sorted(images)}, expected those of {list(spaces.camera_names)}: "
                "what the env's spaces declare"
            )
        frames = tuple(
            Frame(name, images[name], float(times[name].item()), viewpoints.get(name))
            for name in spaces.camera_names
        )
        return Observation(
            frames=frames,
            proprio=spaces.state.flatten(observation["proprio"]),
            goal=Goal(observation["goal"]["text"], tuple(observation["goal"].get("regions", ()))),
            time_s=float(times["proprio"].item()),
        )


def _missing(observation: object) -> str:
    """Return how a value is no observation of the env API; "" for one."""
    if not isinstance(observation, Mapping):
        return f"that is {kind_of(observation)}"
    sections = ("images", "proprio", "goal", "time")
    if lacking := [key for key in sections if not isinstance(observation.get(key), Mapping)]:
        return f"without a dictionary at {', '.join(lacking)}"
    return ""


@dataclass(frozen=True)
class Mask:
    """Masks of N frames for one goal, each at its frame's size, channels in the order
    MASK_CHANNELS (target, destination, gripper).

    `presence` is the calibrated probability that target and destination are visible;
    `predicted_iou` is the head's own estimate of the IoU of its target mask; `age_s` is the time
    since the frame that the mask was computed on. `sentence` is what the head was asked in place of
    the goal's own words; "" where they ask for nothing that it can do, None where they stand.
    `verified` is whether the target's mask was found to show what the goal names, None where that
    was not asked.
    """

    probability: tuple[Float32[np.ndarray, "3 _ _"], ...]
    presence: Float32[np.ndarray, "n 2"]
    predicted_iou: Float32[np.ndarray, " n"]
    status: tuple[MaskStatus, ...]
    age_s: float = 0.0
    sentence: str | None = None
    verified: bool | None = None


@dataclass(frozen=True)
class ActionChunk:
    """Actions for the next T control steps, starting at the observation's time."""

    actions: Float32[np.ndarray, "t a"]
    control_dt_s: float
    time_s: float = 0.0


QUALITY = "quality"  # key of Episode.extra
CLEAN = "clean"


def quality_of(extra: Mapping[str, str]) -> str:
    """Return the quality that an episode's `extra` names: CLEAN, also where it names none, or a
    kind of corruption.
    """
    return extra.get(QUALITY, CLEAN)


@dataclass(frozen=True)
class Episode:
    """A recorded episode of T steps. `labels` hold a Label per pixel; `images[c][t]` is what was
    seen before `actions[t]`. `spaces` name what proprio and actions mean.

    `tier` is "trusted" (a verified demonstration) or "machine"; `weight` is the demonstration
    weight (1 until it is set). `extra["quality"]` names the corruption of a demonstration, where
    that is known (`quality_of`). `columns` are further values per step, (T,) each: what a
    recording knows of time, masks and corrections.
    """

    task: str
    goal: Goal
    images: Mapping[str, UInt8[np.ndarray, "t _ _ 3"]]
    labels: Mapping[str, UInt8[np.ndarray, "t _ _"]]
    proprio: Float32[np.ndarray, "t s"]
    actions: Float32[np.ndarray, "t a"]
    spaces: Spaces
    control_dt_s: float
    success: bool
    seed: int
    index: int
    scene: str
    tier: str = "trusted"
    weight: float = 1.0
    extra: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.actions)
