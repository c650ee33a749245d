"""Training windows at memory speed: every frame of the demonstrations as uint8 in one tensor,
batches by indexing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Generator, Tensor

from robot.batch import LanguageTokens, PolicyBatch, PolicyObservation
from robot.data.statistics import of_vectors, to_json
from robot.data.store import EpisodeStore
from robot.spaces import Spaces, check_spaces
from robot.types import Episode, Goal, InputError

PAST_END = -1  # a step after the episode's last frame, in the indices of a window

# (frames (T, H, W, 3) of each camera, labels (T, H, W) of each or None where the episode has none,
# goal) -> composites (T, N, 6, h, w)
Compose = Callable[
    [
        Sequence[UInt8[np.ndarray, "t _ _ 3"]],
        Sequence[UInt8[np.ndarray, "t _ _"]] | None,
        Goal,
    ],
    UInt8[np.ndarray, "t n 6 h w"],
]
Encode = Callable[[list[str]], LanguageTokens]
Progress = Callable[[int, int], None]  # (episodes done, episodes in all)
Augment = Callable[[Float[Tensor, "b n 6 h w"], Generator], Float[Tensor, "b n 6 h w"]]


@dataclass(frozen=True, eq=False)
class Windows:
    """F frames of E episodes laid end to end, N cameras, G goals.

    Composites are uint8 (masked RGB, then target, destination and gripper coverage), proprio and
    actions physical. Episode e holds the frames [starts[e], starts[e] + lengths[e]); `weights` are
    the episodes' demonstration weights, and `frame_weights`, where there are any, those of the
    windows that start at each frame, beside them. What has weight 0 is never drawn.
    """

    composites: UInt8[Tensor, "f n 6 h w"]
    proprio: Float[Tensor, "f s"]
    actions: Float[Tensor, "f a"]
    goal_ids: Int[Tensor, " f"]
    starts: Int[Tensor, " e"]
    lengths: Int[Tensor, " e"]
    weights: Float[Tensor, " e"]
    language: LanguageTokens
    spaces: Spaces
    frame_weights: Float[Tensor, " f"] | None = None

    # Derived once, so that a draw costs no search.
    _episode: Tensor = field(init=False, repr=False)  # (F,) episode of each frame
    _last: Tensor = field(init=False, repr=False)  # (F,) last frame of each frame's episode
    _drawable: Tensor = field(init=False, repr=False)  # (<= F,) frames of weight > 0

    def __post_init__(self) -> None:
        frames, total = len(self.composites), int(self.lengths.sum())
        if not frames == len(self.proprio) == len(self.actions) == len(self.goal_ids) == total:
            raise InputError(
                f"got {frames} composites, {len(self.proprio)} proprio rows, {len(self.actions)} "
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
        object.__setattr__(
            self, "_drawable", torch.nonzero(self._weights_of(torch.arange(frames)) > 0).squeeze(1)
        )
        if not len(self._drawable):
            raise InputError(
                f"got {len(self.weights)} episodes, none of weight > 0, expected at least one to "
                "train on"
            )

    def __len__(self) -> int:
        return len(self.composites)

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
        images = self.composites.index_select(0, frames).to(
            device
        )  # whole rows: faster than [frames]
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
        """Return what a policy's constructor takes as normalisation statistics."""
        return {"action": self.action_statistics(), "proprio": self.proprio_statistics()}


def _augmented(batch: PolicyBatch, augment: Augment, generator: Generator) -> PolicyBatch:
    seen = batch.observation
    images = augment(seen.images, generator)
    observation = PolicyObservation(images=images, proprio=seen.proprio, language=seen.language)
    return PolicyBatch(observation=observation, actions=batch.actions, valid=batch.valid)


def load_windows(
    store: EpisodeStore,
    *,
    compose: Compose,
    language: Encode,
    indices: Sequence[int] | None = None,
    cameras: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Windows:
    """Load episodes (all, or those of `indices`), one at a time: the raw frames of one episode are
    all that is ever in memory.

    `cameras` names the order of the camera axis; it is that of the recordings when left out.
    """
    chosen = sorted(store.indices()) if indices is None else list(indices)
    if not chosen:
        raise InputError(
            f"got no episodes to load from {store.root}, expected at least one: collect some first"
        )
    summaries = [store.summary(index) for index in chosen]
    spaces = _with_cameras(summaries[0].spaces, cameras)
    lengths = torch.tensor([summary.length for summary in summaries])
    starts = lengths.cumsum(0) - lengths
    goals = {
        text: number
        for number, text in enumerate(dict.fromkeys(summary.goal.text for summary in summaries))
    }
    frames = int(lengths.sum())
    proprio, actions = (
        torch.empty(frames, len(vector)) for vector in (spaces.state, spaces.action)
    )
    composites = None
    for done, (index, start) in enumerate(zip(chosen, starts.tolist(), strict=True), start=1):
        episode = store.read(index)
        composed = torch.as_tensor(
            compose(*_per_camera(episode, spaces.camera_names), episode.goal)
        )
        if composites is None:  # its size is known once the first episode is composed
            composites = torch.empty((frames, *composed.shape[1:]), dtype=torch.uint8)
        rows = slice(start, start + len(episode))
        composites[rows] = composed
        proprio[rows], actions[rows] = (
            torch.from_numpy(episode.proprio),
            torch.from_numpy(episode.actions),
        )
        if progress is not None:
            progress(done, len(chosen))
    assert composites is not None
    return Windows(
        composites=composites,
        proprio=proprio,
        actions=actions,
        goal_ids=torch.tensor(
            [goals[summary.goal.text] for summary in summaries]
        ).repeat_interleave(lengths),
        starts=starts,
        lengths=lengths,
        weights=torch.tensor([summary.weight for summary in summaries]),
        language=language(list(goals)),
        spaces=spaces,
    )


def _with_cameras(spaces: Spaces, names: Sequence[str] | None) -> Spaces:
    """Return the spaces with the cameras in the order of `names`."""
    if names is None:
        return spaces
    known = {camera.name: camera for camera in spaces.cameras}
    if unknown := [name for name in names if name not in known]:
        raise InputError(
            f"got cameras {unknown}, expected some of {list(known)}: name what was recorded"
        )
    return replace(spaces, cameras=tuple(known[name] for name in names))


def _per_camera(
    episode: Episode, cameras: Sequence[str]
) -> tuple[list[np.ndarray], list[np.ndarray] | None]:
    """Return the frames and, where all cameras have some, the labels of each camera."""
    if missing := [camera for camera in cameras if camera not in episode.images]:
        raise InputError(
            f"got no images of {missing} in episode {episode.index}, expected cameras "
            f"{list(cameras)} as in the first episode"
        )
    frames = [episode.images[camera] for camera in cameras]
    labelled = all(camera in episode.labels for camera in cameras)
    return frames, [episode.labels[camera] for camera in cameras] if labelled else None


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
    frames = np.cumsum([0, *(len(part) for part in parts)])
    goals = np.cumsum([0, *(len(part.language.tokens) for part in parts)])

    def joined(name: str, offsets: Sequence[int] | None = None) -> Tensor:
        columns = [getattr(part, name) for part in parts]
        if offsets is not None:
            columns = [column + int(by) for column, by in zip(columns, offsets, strict=False)]
        return torch.cat(columns)

    language = LanguageTokens(
        tokens=torch.cat([part.language.tokens for part in parts]),
        valid=torch.cat([part.language.valid for part in parts]),
    )
    return Windows(
        composites=joined("composites"),
        proprio=joined("proprio"),
        actions=joined("actions"),
        goal_ids=joined("goal_ids", goals.tolist()),
        starts=joined("starts", frames.tolist()),
        lengths=joined("lengths"),
        weights=joined("weights"),
        language=language,
        spaces=parts[0].spaces,
    )
