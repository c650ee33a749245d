"""The data flow as one object: frames and a goal -> masks -> composites -> policy -> actions.

    agent = Agent.load("tabletop")
    plan = agent.plan(observation)  # plan.chunk.actions: (T, A)

Simulation, evaluation and robots call this; nothing else knows all the stages.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from robot.batch import PolicyObservation
from robot.checkpoint import policy_metadata, policy_vocabulary, resolve_checkpoint, spaces_of
from robot.language import LanguageEncoder
from robot.perception.compose.masking import Deployment, compose_cameras
from robot.perception.regions.follow import RegionMasks
from robot.perception.regions.goals import has_regions
from robot.perception.regions.verify import verified_masks
from robot.perception.registry import learned_masks, make_deployment
from robot.perception.sources import (
    MaskSource,
    NoMask,
    RandomMasks,
    Unheeded,
    networks_of,
    nothing_of,
    reader_of,
)
from robot.policy.inpainting import Prefix
from robot.policy.normalize import SMALLEST_HALF_RANGE
from robot.policy.registry import load_policy
from robot.spaces import Camera, Spaces, check_cameras, hold_still, not_finite, outside
from robot.system.device import pick_device
from robot.types import ActionChunk, Frame, Goal, InputError, Mask, MaskStatus, Observation, kind_of
from robot.words.reader import GoalReader

# A robot off its path leaves the demonstrations by a few half-ranges, above all by turning where
# they hardly turn; ten half-ranges away something else is wrong: another unit, frame or robot.
FAR_HALF_RANGES = 10.0
NOTHING = "nothing"  # what the policy hears where the goal is not acted on
FAR_OUTSIDE = "the state is far outside of training"  # how the warning begins


class Policy(Protocol):
    """What samples chunks; one that can continue decided actions also takes `prefix=`."""

    def sample(
        self, observation: PolicyObservation, generator: torch.Generator | None = None
    ) -> Tensor: ...


@dataclass(frozen=True)
class StateRange:
    """Smallest and largest value of each state dimension in the demonstrations."""

    low: Float32[np.ndarray, " s"]
    high: Float32[np.ndarray, " s"]

    @staticmethod
    def of(statistics: Mapping[str, Mapping[str, Sequence[float]]]) -> StateRange:
        """Return the range that a policy's statistics hold; a value that hardly moved there gets
        the room that normalisation gives it.
        """
        low, high = (np.array(statistics["proprio"][bound], np.float32) for bound in ("min", "max"))
        room = np.maximum(SMALLEST_HALF_RANGE["proprio"] - (high - low) / 2, 0)
        return StateRange(low=low - room, high=high + room)


@dataclass(frozen=True)
class Plan:
    """What the agent decided at one observation, and what it saw: for executors, recorders and
    reports.
    """

    chunk: ActionChunk
    mask: Mask
    composites: Tensor  # (N, 6, h, w)
    mask_ms: float
    policy_ms: float
    waits: bool = False  # for the goal's object, or because the goal is not acted on


class Patience:
    """Says whether to wait for a goal's object or to act.

    An `absent` object is waited for (`hold_when_absent`); at an `uncertain` one the agent looks
    again, `looks_again` times, then acts on what it has. What was found once and is seen no longer
    is behind the hand, not gone: `reset` forgets it for the next episode, a new goal does too. A
    goal that asks for nothing is waited at for ever, a mask that shows another thing than the goal
    names (`Mask.verified`) until another look.
    """

    def __init__(self, *, hold_when_absent: bool = True, looks_again: int = 2) -> None:
        self.hold_when_absent, self.looks_again = hold_when_absent, looks_again
        self.reset()

    def reset(self) -> None:
        """Forget what was found."""
        self._goal, self._found, self._unsure = Goal(""), False, 0

    def waits(self, mask: Mask, *, goal: Goal) -> bool:
        """Take note of a look for a goal; tell whether it is one to wait at."""
        if goal != self._goal:
            self._goal, self._found, self._unsure = goal, False, 0
        if mask.sentence == "" or mask.verified is False:
            return True
        status = mask.status[0]
        self._unsure += status is MaskStatus.UNCERTAIN
        self._found |= status is MaskStatus.FOUND or self._unsure > self.looks_again
        return not self._found and (status is MaskStatus.UNCERTAIN or self.hold_when_absent)


class Agent:
    """Holds still until the goal's object is found, acts from then on (`Patience`). A goal that
    asks for nothing in the words of training (`reader`) is never acted on.
    """

    def __init__(
        self,
        *,
        masks: MaskSource,
        deployment: Deployment,
        policy: Policy,
        language: LanguageEncoder,
        image_size: int,
        spaces: Spaces,
        device: torch.device | str = "cpu",
        trained_range: StateRange | None = None,
        hold_when_absent: bool = True,
        looks_again: int = 2,
        reader: GoalReader | None = None,
    ) -> None:
        self.masks, self.deployment = masks, deployment
        self.policy, self.language, self.image_size = policy, language, image_size
        self.spaces, self.device, self.trained_range = spaces, device, trained_range
        self.patience = Patience(hold_when_absent=hold_when_absent, looks_again=looks_again)
        self.reader = reader or reader_of(masks) or GoalReader()
        self._unheeded = Unheeded()
        self._warned = False
        self._cameras: tuple[Camera, ...] = ()  # of the last look, when they fitted the policy's

    @classmethod
    def load(
        cls,
        checkpoint: Path | str,
        *,
        device: str | None = None,
        masks: MaskSource | None = None,
        head: Path | str | None = None,
        deployment: Deployment | None = None,
        verify: bool = True,
    ) -> Agent:
        """Load the agent of a trained policy, which sees what the policy was trained to see.

        Args:
            checkpoint: a folder with model.safetensors and, where its masks are learned,
                mask_head.safetensors; or the name of shipped weights, such as "tabletop".
            device: of policy and mask head; the best of this machine by default.
            masks: replaces the masks that it was trained with; needed where those were a
                simulator's. Goals with regions never ask them about a region.
            head: another mask head, a checkpoint or the name of shipped weights.
            deployment: replaces how pixels that the mask rejects are shown.
            verify: ask of every mask whether it shows what the goal names, and hold still where it
                does not, if the verifier knows the mask head's words.

        Raises:
            InputError: the checkpoint is missing, damaged or of another kind.
        """
        _check_replacements(masks, deployment)
        folder, place = resolve_checkpoint(checkpoint), pick_device(device)
        policy = load_policy(folder).to(place)  # first: it raises where the checkpoint is no policy
        about, language = policy_metadata(folder), LanguageEncoder()
        if head is not None and deployment is None and about.get("masks") == "none":
            raise InputError(
                f"got a mask head for {folder}, a policy trained on whole frames, expected none: "
                "it would not see its masks; pass a deployment, too, or leave it out"
            )
        if masks is None:
            masks = _trained_masks(folder, head=head, device=place, language=language)
        reader = reader_of(masks) or GoalReader.of(policy_vocabulary(folder))
        if not isinstance(masks, NoMask):  # a policy of whole frames would not see a region
            masks = RegionMasks(masks, device=place, reader=reader)
            masks = verified_masks(masks, language=language) if verify else masks
        return cls(
            masks=masks,
            deployment=deployment or make_deployment(**about["deployment"]),
            policy=policy,
            language=language,
            image_size=policy.encoder.config.image_size,
            spaces=spaces_of(folder),
            device=place,
            trained_range=StateRange.of(policy.config()["statistics"]),
            reader=reader,
        )

    def fork(self) -> Agent:
        """Return an agent of the same weights that remembers an episode of its own."""
        weights = [self.policy, self.language, self.reader, *networks_of(self.masks)]
        return copy.deepcopy(self, {id(shared): shared for shared in weights})

    def warm_up(self) -> None:
        """Plan once for a grey picture and remember nothing of it: the first plan takes seconds,
        most of them for loading the language model.
        """
        state = self.spaces.state
        middle = (np.array(state.low) + np.array(state.high)) / 2
        grey = Observation(
            frames=tuple(
                Frame(camera.name, np.full((camera.height, camera.width, 3), 128, np.uint8))
                for camera in self.spaces.cameras
            ),
            proprio=np.nan_to_num(middle, posinf=0.0, neginf=0.0).astype(np.float32),
            goal=Goal(self.reader.example),
            time_s=0.0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a state far outside of training
            self.fork().plan(grey)

    def reset(self, *, rng: np.random.Generator | None = None) -> None:
        """Begin a new episode, or a new goal; mask sources that are random draw from `rng` from
        here on.
        """
        self.patience.reset()
        if rng is not None and isinstance(self.masks, RandomMasks):
            self.masks.reseed(rng)

    @torch.inference_mode()
    def plan(
        self,
        observation: Observation,
        *,
        generator: torch.Generator | None = None,
        prefix: Prefix | None = None,
    ) -> Plan:
        """Return the next chunk of actions for what is seen now; `prefix` are those that will be
        executed while it is planned, for policies that can continue them (`takes_prefix`).

        Raises:
            InputError: no Observation, other cameras than the policy's, or a state that has another
                length or is not finite.
        """
        if not isinstance(observation, Observation):
            raise InputError(
                f"got {kind_of(observation)} to plan for, expected an Observation; of what "
                "env.reset() and env.step() return first, make one: "
                "Observation.from_env(observation, env.unwrapped.spaces)"
            )
        if not isinstance(generator, torch.Generator | None):
            raise InputError(
                f"got generator={generator!r}, expected one of torch; pass "
                "torch.Generator().manual_seed(0)"
            )
        self._check_cameras(observation)
        self._check_state(observation.proprio)
        began = perf_counter()
        mask, words = self._look(observation)
        composites = compose_cameras(
            [frame.image[None] for frame in observation.frames],
            [roles[None] for roles in mask.probability],
            deployment=self.deployment,
            size=self.image_size,
        )[0]
        masked = perf_counter()
        seen = PolicyObservation(
            images=composites[None],
            proprio=torch.from_numpy(observation.proprio)[None],
            language=self.language.encode([words]),
        )
        sample: Callable[..., Tensor] = self.policy.sample
        given = {"prefix": prefix} if prefix is not None and self.takes_prefix else {}
        sampled = sample(seen.to(self.device), generator, **given)
        actions = sampled[0].float().cpu().numpy()
        if waits := self.patience.waits(mask, goal=observation.goal):
            actions[:] = hold_still(self.spaces, observation.proprio)
        return Plan(
            chunk=ActionChunk(
                actions=actions, control_dt_s=self.spaces.control_dt_s, time_s=observation.time_s
            ),
            mask=mask,
            composites=composites,
            mask_ms=1e3 * (masked - began),
            policy_ms=1e3 * (perf_counter() - masked),
            waits=waits,
        )

    @property
    def takes_prefix(self) -> bool:
        """Return whether the policy can continue actions that are decided already."""
        return "prefix" in inspect.signature(self.policy.sample).parameters

    def _look(self, observation: Observation) -> tuple[Mask, str]:
        """Return the masks of a look, and the policy's words: those of training, where the goal has
        one meaning there.
        """
        text = observation.goal.text
        if has_regions(observation.goal):
            if isinstance(self.masks, NoMask):
                raise InputError(
                    f"got the goal {text!r} for a policy of whole frames, expected words alone: it "
                    "would not see a region; use a policy with masks"
                )
            mask = self.masks(observation.frames, observation.goal)
            return mask, mask.sentence or NOTHING
        read = self.reader.read(text)
        self._unheeded.of(text, read)
        if not read.sentences:
            return nothing_of(observation.frames), NOTHING
        mask = self.masks(observation.frames, observation.goal)
        meant = read.sentences[0] if len(read.sentences) == 1 else text
        return mask, mask.sentence or (NOTHING if mask.sentence == "" else meant)

    def _check_cameras(self, observation: Observation) -> None:
        """Raise InputError where a look is not through the policy's cameras, in their order."""
        cameras = tuple(
            Camera(frame.camera, *frame.image.shape[:2]) for frame in observation.frames
        )
        if cameras != self._cameras:
            check_cameras(self.spaces.cameras, cameras)
            self._cameras = cameras

    def _check_state(self, state: Float32[np.ndarray, " s"]) -> None:
        """Raise InputError for NaN or infinite values; warn once of those far outside training."""
        space = self.spaces.state
        if len(state) != len(space):
            raise InputError(
                f"got a state of {len(state)} values, expected the {len(space)} of the policy's "
                f"training, in this order: {', '.join(space.names)}"
            )
        if wrong := not_finite(space, state):
            raise InputError(
                f"got NaN or infinite {', '.join(wrong)} in the state, expected finite numbers: "
                "check the sensor or driver that they come from"
            )
        if self._warned or self.trained_range is None:
            return
        low, high = self.trained_range.low, self.trained_range.high
        far = outside(state, low=low, high=high, half_ranges=FAR_HALF_RANGES)
        if far.any():
            self._warned = True
            values = (
                f"{space.names[k]} {state[k]:.3g} (trained {low[k]:.3g} to {high[k]:.3g})"
                for k in np.flatnonzero(far)
            )
            warnings.warn(
                f"{FAR_OUTSIDE}: {', '.join(values)}; expect nothing of the policy there",
                stacklevel=4,  # above torch's wrapper: who called plan()
            )


def _check_replacements(masks: Any, deployment: Any) -> None:
    """Raise InputError for names, which commands take, where an agent takes what is named."""
    if masks is not None and not callable(masks):
        raise InputError(
            f"got masks={masks!r}, expected a mask source; pass one of "
            "robot.perception.sources, such as NoMask()"
        )
    if isinstance(deployment, str):
        raise InputError(
            f"got deployment={deployment!r}, expected a Deployment; pass "
            f"robot.perception.registry.make_deployment({deployment!r})"
        )


def _trained_masks(
    folder: Path, *, head: Path | str | None, device: torch.device, language: LanguageEncoder
) -> MaskSource:
    """Return the mask source that a policy was trained with."""
    trained = policy_metadata(folder)["masks"]
    if head is None and trained == "learned" and not (folder / "mask_head.safetensors").is_file():
        raise InputError(
            f"got {folder}, a policy without the mask head that it sees through, expected "
            'mask_head.safetensors beside it; pass head="tabletop"'
        )
    if head is not None or trained == "learned":
        return learned_masks(head or folder, device=device, language=language)
    if trained == "none":
        return NoMask()
    raise InputError(
        f"got {folder}, a policy trained with a simulator's masks, expected others; pass "
        'masks=... or head="tabletop"'
    )
