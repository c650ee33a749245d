"""What a policy server and its clients say to each other: observations, answers, the greeting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from robot.agent import Plan
from robot.deploy.wire import WireError
from robot.spaces import Spaces
from robot.types import (
    ActionChunk,
    Frame,
    Goal,
    InputError,
    Mask,
    MaskStatus,
    Observation,
    Region,
    Viewpoint,
)

PROTOCOL = "openpi"
VERSION = 1  # of what this project adds to openpi's exchange
STATE, PROMPT = "observation/state", "prompt"
TIME, WANT_MASK, EPISODE = "time_s", "want_mask", "episode"
REGIONS = "regions"  # of the goal, where it has some
VIEWPOINTS = "viewpoints"  # of cameras that know where they stand
ACTIONS, MASK, TIMING = "actions", "mask", "server_timing"


@dataclass(frozen=True)
class Keys:
    """Where an observation holds what: openpi's conventions unless a robot has its own.

    `images` names the key of each camera; a camera that it leaves out is `observation/<camera>`.
    """

    images: Mapping[str, str] = field(default_factory=dict)
    state: str = STATE
    prompt: str = PROMPT

    def of_camera(self, camera: str) -> str:
        return self.images.get(camera, f"observation/{camera}")


def greeting(spaces: Spaces, keys: Keys, *, server: str) -> dict[str, Any]:
    """Return what a server says first: what it speaks, and what an observation has to hold."""
    return {
        "protocol": PROTOCOL,
        "version": VERSION,
        "server": server,
        "spaces": spaces.to_json(),
        "keys": {
            "images": {name: keys.of_camera(name) for name in spaces.camera_names},
            "state": keys.state,
            "prompt": keys.prompt,
        },
    }


def observation_of(content: Any, *, spaces: Spaces, keys: Keys) -> Observation:
    """Read an observation. Raises WireError that names the first thing that is missing or wrong."""
    if not isinstance(content, dict):
        raise WireError(f"got {_kind(content)}, expected a map with {_wanted(spaces, keys)}")
    goal = content.get(keys.prompt)
    if not isinstance(goal, str):
        raise WireError(f"got {_kind(goal)} for {keys.prompt}, expected text: what to do")
    time_s = content.get(TIME, 0.0)
    if not isinstance(time_s, int | float) or not np.isfinite(time_s):
        raise WireError(f"got {_kind(time_s)} for {TIME}, expected seconds, or leave it out")
    viewpoints = _viewpoints(content.get(VIEWPOINTS, {}))
    frames = tuple(
        Frame(name, _image(content, keys.of_camera(name)), float(time_s), viewpoints.get(name))
        for name in spaces.camera_names
    )
    return Observation(
        frames=frames,
        proprio=_state(content, spaces=spaces, key=keys.state),
        goal=_goal(goal, content.get(REGIONS, ())),
        time_s=float(time_s),
    )


def regions_message(regions: Sequence[Region]) -> dict[str, Any]:
    """Return what a message says of a goal's regions: nothing where there are none."""
    if not regions:
        return {}
    return {
        REGIONS: [
            {
                "camera": region.camera,
                "index": region.index,
                **({} if region.box is None else {"box": [float(v) for v in region.box]}),
                **({} if region.click is None else {"click": [float(v) for v in region.click]}),
                **({} if region.mask is None else {"mask": region.mask.astype(np.uint8)}),
            }
            for region in regions
        ]
    }


def viewpoints_message(frames: Sequence[Frame]) -> dict[str, Any]:
    """Return what a message says of where cameras stand: nothing where that is not known."""
    known = {frame.camera: vars(frame.viewpoint) for frame in frames if frame.viewpoint is not None}
    return {VIEWPOINTS: known} if known else {}


def _viewpoints(content: Any) -> dict[str, Viewpoint]:
    """Read where cameras stand. Raises WireError for what is no camera's pose."""
    try:
        found = {
            str(name): Viewpoint(
                np.array(values["K"], np.float64),
                np.array(values["T_table_camera"], np.float64),
                bool(values.get("on_hand", False)),
            )
            for name, values in content.items()
        }
        for viewpoint in found.values():
            K, pose = viewpoint.K, viewpoint.T_table_camera
            sound = K.shape == (3, 3) and pose.shape == (4, 4) and np.isfinite(pose).all()
            if not sound or not np.isfinite(K).all() or abs(np.linalg.det(K)) < 1e-9:
                raise ValueError
    except (TypeError, ValueError, KeyError, AttributeError):
        raise WireError(
            f"got {_kind(content)} for {VIEWPOINTS}, expected a map from camera to K (3 x 3), "
            "T_table_camera (4 x 4) and on_hand; leave it out where they are not known"
        ) from None
    return found


def _goal(text: str, regions: Any) -> Goal:
    """Read a goal with its regions. Raises WireError that says what is wrong with one."""
    try:
        return Goal(text, tuple(_region(dict(region)) for region in regions))
    except InputError as error:
        raise WireError(str(error)) from None
    except (TypeError, ValueError, KeyError, AttributeError):
        raise WireError(
            f"got {_kind(regions)} for {REGIONS}, expected a list of maps with camera, index and "
            "one of box (4 numbers), click (2 numbers), mask (uint8 (H, W))"
        ) from None


def _region(content: dict[Any, Any]) -> Region:
    def numbers(name: str) -> Any:
        return tuple(float(v) for v in content[name]) if name in content else None

    mask = content.get("mask")
    return Region(
        camera=str(content["camera"]),
        index=int(content.get("index", 1)),
        box=numbers("box"),
        click=numbers("click"),
        mask=None if mask is None else mask.astype(bool),
    )


def answer_of(plan: Plan, *, with_mask: bool) -> dict[str, Any]:
    """Return the answer to an observation: openpi's `actions`, and what was seen and decided."""
    mask: dict[str, Any] = {
        "status": plan.mask.status[0].value,
        "presence": plan.mask.presence,
        "predicted_iou": plan.mask.predicted_iou,
        "age_s": plan.mask.age_s,
        "sentence": plan.mask.sentence,
        "verified": plan.mask.verified,
    }
    if with_mask:
        mask["probability"] = [
            np.round(255 * roles).astype(np.uint8) for roles in plan.mask.probability
        ]
    return {
        ACTIONS: plan.chunk.actions,
        "waits": plan.waits,  # for an object that is not found: the actions hold still
        MASK: mask,
        "policy_timing": {"mask_ms": plan.mask_ms, "policy_ms": plan.policy_ms},
    }


def actions_of(answer: Any, *, width: int) -> np.ndarray:
    """Return the (T, width) actions of an answer. Raises WireError for anything else."""
    actions = answer.get(ACTIONS) if isinstance(answer, dict) else None
    if (
        isinstance(actions, np.ndarray)
        and actions.ndim == 2
        and actions.shape[1] == width
        and len(actions)
        and np.isfinite(actions).all()
    ):
        return actions.astype(np.float32)
    raise WireError(f"got {_kind(actions)} for {ACTIONS}, expected finite numbers (T, {width})")


def chunk_of(answer: Any, *, spaces: Spaces, time_s: float) -> ActionChunk:
    """Return the answer's chunk, which begins at the observation's time."""
    return ActionChunk(
        actions=actions_of(answer, width=len(spaces.action)),
        control_dt_s=spaces.control_dt_s,
        time_s=time_s,
    )


def mask_of(answer: Mapping[str, Any], observation: Observation) -> Mask:
    """Return the masks that the server saw. Raises WireError where the answer has none that fit."""
    try:
        mask = answer[MASK]
        probability = tuple(roles.astype(np.float32) / 255 for roles in mask["probability"])
        sizes = [(3, *frame.image.shape[:2]) for frame in observation.frames]
        if [roles.shape for roles in probability] != sizes:
            raise ValueError
        return Mask(
            probability=probability,
            presence=np.asarray(mask["presence"], np.float32),
            predicted_iou=np.asarray(mask["predicted_iou"], np.float32),
            status=(MaskStatus(mask["status"]),) * len(sizes),
            age_s=float(mask["age_s"]),
            sentence=mask["sentence"],
            verified=mask.get("verified"),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise WireError(
            "got an answer without the masks of the frames that were sent; the server has to be "
            "one of this project, of the same version"
        ) from None


def _image(content: Mapping[Any, Any], key: str) -> np.ndarray:
    image = content.get(key)
    if (
        isinstance(image, np.ndarray)
        and image.dtype == np.uint8
        and image.ndim == 3
        and image.shape[2] == 3
        and image.size
    ):
        return image.copy()  # of a read-only view
    raise WireError(f"got {_kind(image)} for {key}, expected a uint8 picture (H, W, 3), RGB")


def _state(content: Mapping[Any, Any], *, spaces: Spaces, key: str) -> np.ndarray:
    state, count = content.get(key), len(spaces.state)
    if isinstance(state, np.ndarray) and state.shape == (count,) and state.dtype.kind != "b":
        with np.errstate(over="ignore"):  # infinite is refused by name where it is looked at
            return state.astype(np.float32)
    raise WireError(
        f"got {_kind(state)} for {key}, expected {count} numbers: {', '.join(spaces.state.names)}"
    )


def _wanted(spaces: Spaces, keys: Keys) -> str:
    images = (keys.of_camera(name) for name in spaces.camera_names)
    return ", ".join((*images, keys.state, keys.prompt))


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, np.ndarray):
        return f"an array {tuple(value.shape)} of {value.dtype}"
    return f"a {type(value).__name__}"
