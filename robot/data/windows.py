"""Training windows at memory speed: every frame of the demonstrations as uint8 in one tensor,
batches by indexing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import Generator, Tensor

from robot.batch import LanguageTokens, PolicyBatch, PolicyObservation
from robot.data.statistics import of_vectors, to_json
from robot.spaces import Spaces, Vector, check_spaces
from robot.types import InputError

# What counts as an outlier where no bounds say what is possible: values without which the range of
# a dimension would be OUTLIER_RATIO times smaller, at most OUTLIER_SHARE of all at either end.
OUTLIER_RATIO, OUTLIER_SHARE = 100.0, 1e-3
SMALLEST_CORE = 2e-2  # a dimension that moves less counts as constant, whatever its noise

PAST_END = -1  # a step after the episode's last frame, in the indices of a window
NOT_LOOKED_AT = -1  # a frame without composites, in Windows.look_of

Augment = Callable[[Float[Tensor, "b n 6 h w"], Generator], Float[Tensor, "b n 6 h w"]]


@dataclass(frozen=True, eq=False)
class Windows:
    """F frames of E episodes laid end to end, L of them looked at, N cameras, G goals.

    Composites are uint8 (masked RGB, then target, destination and gripper coverage), proprio and
    actions physical. `look_of` is the row of each frame's composites, NOT_LOOKED_AT where no window
    may start; None where every frame has its own. Episode e holds the frames [starts[e], starts[e]
    + lengths[e]); `weights` are the episodes' demonstration weights, and `frame_weights`, where
    there are any, those of the windows that start at each frame, beside them. What has weight 0 is
    never drawn.
    """

    composites: UInt8[Tensor, "l n 6 h w"]
    proprio: Float[Tensor, "f s"]
    actions: Float[Tensor, "f a"]
    goal_ids: Int[Tensor, " f"]
    starts: Int[Tensor, " e"]
    lengths: Int[Tensor, " e"]
    weights: Float[Tensor, " e"]
    language: LanguageTokens
    spaces: Spaces
    frame_weights: Float[Tensor, " f"] | None = None
    look_of: Int[Tensor, " f"] | None = None

    # Derived once, so that a draw costs no search.
    _episode: Tensor = field(init=False, repr=False)  # (F,) episode of each frame
    _last: Tensor = field(init=False, repr=False)  # (F,) last frame of each frame's episode
    _drawable: Tensor = field(init=False, repr=False)  # (<= F,) frames of weight > 0

    def __post_init__(self) -> None:
        frames, total = len(self.proprio), int(self.lengths.sum())
        looks = len(self.composites) if self.look_of is None else len(self.look_of)
        if not frames == looks == len(self.actions) == len(self.goal_ids) == total:
            raise InputError(
                f"got {looks} composites, {frames} proprio rows, {len(self.actions)} "
                f"actions, {len(self.goal_ids)} "
                f"goal ids and episodes of {total} frames in all, expected the same number of "
                "each: concatenate them per frame"
            )
        if self.frame_weights is not None and len(self.frame_weights) != frames:
            raise InputError(
                f"got {len(self.frame_weights)} frame weights, expected {frames}: one per frame"
            )
        episode = torch.repeat_interleave(torch.arange(len(self.lengths)), self.lengths)
        object.__setattr__(self, "_episode", episode)
        object.__setattr__(self, "_last", (self.starts + self.lengths - 1)[episode])
        drawable = self._weights_of(torch.arange(frames)) > 0
        if self.look_of is not None:
            drawable &= self.look_of != NOT_LOOKED_AT
        object.__setattr__(self, "_drawable", torch.nonzero(drawable).squeeze(1))
        if not len(self._drawable):
            raise InputError(
                f"got {len(self.weights)} episodes, none of weight > 0, expected at least one to "
                "train on"
            )

    def __len__(self) -> int:
        return len(self.proprio)

    def sample(self, batch_size: int, generator: Generator, horizon: int) -> Int[Tensor, "b t"]:
        """Draw windows uniformly over frames: the frames of `horizon` steps, PAST_END beyond the
        episode's last.
        """
        drawn = torch.randint(
            len(self._drawable), (batch_size,), generator=generator, device=generator.device
        )
        return self.windows_from(self._drawable[drawn.cpu()], horizon)

    def windows_from(self, first: Int[Tensor, " b"], horizon: int) -> Int[Tensor, "b t"]:
        """Return the windows that start at given frames."""
        steps = first[:, None] + torch.arange(horizon)
        return torch.where(steps <= self._last[first, None], steps, PAST_END)

    def batch(
        self, indices: Int[Tensor, "b t"], *, device: torch.device | str = "cpu"
    ) -> PolicyBatch:
        """Return the windows as a batch: what was seen at the first step, and the actions of all
        steps.

        Steps past the end hold still (no change, the episode's last targets), `valid` False. Images
        cross to `device` as uint8, a quarter of the bytes, and become floats in [0, 1] there.
        """
        first, valid = indices[:, 0], indices != PAST_END
        relative = torch.tensor(self.spaces.action.relative)
        hold = self.actions[self._last[first]].masked_fill(relative, 0.0)
        actions = torch.where(valid[..., None], self.actions[indices.clamp(min=0)], hold[:, None])
        return PolicyBatch(
            observation=self._observation(first, device=device),
            actions=actions.to(device),
            valid=valid.to(device),
        )

    def after(
        self, indices: Int[Tensor, "b t"], *, device: torch.device | str = "cpu"
    ) -> PolicyObservation:
        """Return what was seen after the last step of each window: the episode's last frame where
        it ends sooner.
        """
        first = indices[:, 0]
        return self._observation(
            torch.minimum(first + indices.shape[1], self._last[first]), device=device
        )

    def _observation(
        self, frames: Int[Tensor, " b"], *, device: torch.device | str
    ) -> PolicyObservation:
        rows = frames if self.look_of is None else self.look_of[frames]
        # whole rows: faster than [rows]; raises where a frame was not looked at
        images = self.composites.index_select(0, rows).to(device)
        return PolicyObservation(
            images=images.to(torch.float32).div_(255),
            proprio=self.proprio[frames].to(device),
            language=self.language[self.goal_ids[frames]].to(device),
        )

    def sample_weights(self, indices: Int[Tensor, "b t"]) -> Float[Tensor, " b"]:
        """Return the demonstration weight of each window, to multiply its loss by."""
        return self._weights_of(indices[:, 0])

    def _weights_of(self, first: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        of_episode = self.weights[self._episode[first]]
        return of_episode if self.frame_weights is None else of_episode * self.frame_weights[first]

    def batches(
        self,
        batch_size: int,
        *,
        horizon: int,
        generator: Generator,
        augment: Augment | None = None,
        device: torch.device | str = "cpu",
    ) -> Iterator[tuple[PolicyBatch, Float[Tensor, " b"]]]:
        """Draw (batch, demonstration weights) forever; `augment` acts on the float composites, on
        `device`.
        """
        while True:
            indices = self.sample(batch_size, generator, horizon)
            batch = self.augmented(indices, augment, generator, device=device)
            yield batch, self.sample_weights(indices).to(device)

    def augmented(
        self,
        indices: Int[Tensor, "b t"],
        augment: Augment | None,
        generator: Generator,
        *,
        device: torch.device | str = "cpu",
    ) -> PolicyBatch:
        """Return `batch(indices)` with its composites augmented."""
        batch = self.batch(indices, device=device)
        return batch if augment is None else _augmented(batch, augment, generator)

    def action_statistics(self) -> dict[str, list]:
        """Return mean, std, min and max of the actions, in physical units."""
        return to_json(of_vectors(self.actions.numpy()))

    def proprio_statistics(self) -> dict[str, list]:
        """Return mean, std, min and max of the proprioception, in physical units."""
        return to_json(of_vectors(self.proprio.numpy()))

    def statistics(self) -> dict[str, dict[str, list]]:
        """Return what a policy's constructor takes as normalisation statistics. Raise InputError
        where a few outliers would squeeze all other values.
        """
        check_ranges(self.actions.numpy(), self.spaces.action, what="action")
        check_ranges(self.proprio.numpy(), self.spaces.state, what="state value")
        return {"action": self.action_statistics(), "proprio": self.proprio_statistics()}


def check_ranges(values: Float32[np.ndarray, "f d"], space: Vector, *, what: str) -> None:
    """Raise InputError where the range of a value is due to a handful of outliers.

    Min-max normalisation maps the range to [-1, 1]: with one glitch of a sensor in it, all that was
    demonstrated lies in a sliver in the middle. Values within the bounds that the spaces declare
    are never outliers, however rare.
    """
    extremes = math.ceil(OUTLIER_SHARE * len(values))
    if len(values) <= 2 * extremes:
        return
    ordered = np.sort(values, axis=0)
    core_low, core_high = ordered[extremes], ordered[-1 - extremes]
    low, high = (np.array(bound, np.float32) for bound in (space.low, space.high))
    beyond = (ordered[0] < low) | (ordered[-1] > high) | ~np.isfinite(low) | ~np.isfinite(high)
    core = np.maximum(core_high - core_low, SMALLEST_CORE)
    squeezed = beyond & (ordered[-1].astype(np.float64) - ordered[0] > OUTLIER_RATIO * core)
    if squeezed.any():
        column = int(squeezed.argmax())
        distance = np.maximum(
            core_low[column] - values[:, column], values[:, column] - core_high[column]
        )
        frame = int(distance.argmax())
        raise InputError(
            f"got {what} {space.names[column]} {values[frame, column]:g} in frame {frame} of the "
            f"demonstrations, expected values like all but {2 * extremes} of {len(values)}, which "
            f"lie between {core_low[column]:g} and {core_high[column]:g}: a policy normalised over "
            "such a range would learn none of them, so correct or leave out that episode"
        )


def _augmented(batch: PolicyBatch, augment: Augment, generator: Generator) -> PolicyBatch:
    seen = batch.observation
    images = augment(seen.images, generator)
    observation = PolicyObservation(images=images, proprio=seen.proprio, language=seen.language)
    return PolicyBatch(observation=observation, actions=batch.actions, valid=batch.valid)


def join(parts: Sequence[Windows]) -> Windows:
    """Lay the windows of several stores end to end."""
    if len(parts) == 1:
        return parts[0]
    for number, part in enumerate(parts[1:], start=2):
        check_spaces(
            parts[0].spaces,
            part.spaces,
            what=f"dataset {number} of {len(parts)} to train on",
            exact=True,
            remedy="Train on datasets of one robot and its cameras",
        )
    frames = _offsets(len(part) for part in parts)
    goals = _offsets(len(part.language.tokens) for part in parts)

    def joined(name: str, offsets: Sequence[int] | None = None) -> Tensor:
        columns = [getattr(part, name) for part in parts]
        if offsets is not None:
            columns = [column + by for column, by in zip(columns, offsets, strict=True)]
        return torch.cat(columns)

    language = LanguageTokens(
        tokens=torch.cat([part.language.tokens for part in parts]),
        valid=torch.cat([part.language.valid for part in parts]),
    )
    return Windows(
        composites=joined("composites"),
        proprio=joined("proprio"),
        actions=joined("actions"),
        goal_ids=joined("goal_ids", goals),
        starts=joined("starts", frames),
        lengths=joined("lengths"),
        weights=joined("weights"),
        language=language,
        spaces=parts[0].spaces,
        look_of=_joined_looks(parts),
    )


def _joined_looks(parts: Sequence[Windows]) -> Int[Tensor, " f"] | None:
    if all(part.look_of is None for part in parts):
        return None
    rows = [torch.arange(len(p)) if p.look_of is None else p.look_of for p in parts]
    offsets = _offsets(len(part.composites) for part in parts)
    return torch.cat(
        [
            torch.where(of_part == NOT_LOOKED_AT, NOT_LOOKED_AT, of_part + by)
            for of_part, by in zip(rows, offsets, strict=True)
        ]
    )


def _offsets(counts: Iterable[int]) -> list[int]:
    """Return where each of several parts begins once they are laid end to end."""
    return list(itertools.accumulate(counts, initial=0))[:-1]
