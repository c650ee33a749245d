"""Recorded episodes -> training windows, one episode in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from robot.batch import LanguageTokens
from robot.data.store import EpisodeStore
from robot.data.windows import NOT_LOOKED_AT, Windows
from robot.spaces import Spaces
from robot.types import Episode, Goal, InputError

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


@dataclass(frozen=True, eq=False)
class Rows:
    """F frames, of which L were looked at."""

    composites: UInt8[Tensor, "l n 6 h w"]
    proprio: Float[Tensor, "f s"]
    actions: Float[Tensor, "f a"]


def load_windows(
    store: EpisodeStore,
    *,
    compose: Compose,
    language: Encode,
    indices: Sequence[int] | None = None,
    cameras: Sequence[str] | None = None,
    look_every: int = 1,
    progress: Progress | None = None,
) -> Windows:
    """Load episodes (all, or those of `indices`), one at a time: the raw frames of one episode are
    all that is ever in memory.

    `cameras` names the order of the camera axis; it is that of the recordings when left out. Of
    each episode's frames, the first and then every `look_every`-th are composed and may start a
    window; state and actions of all are kept.
    """
    chosen = sorted(store.indices()) if indices is None else list(indices)
    if not chosen:
        raise InputError(
            f"got no episodes to load from {store.root}, expected at least one: collect some first"
        )
    summaries = [store.summary(index) for index in chosen]
    lengths = torch.tensor([summary.length for summary in summaries])
    look_of = _look_of(lengths, every=look_every)
    spaces = _with_cameras(summaries[0].spaces, cameras)
    episodes = map(store.read, chosen)
    composed = (_composed(one, spaces, compose=compose, every=look_every) for one in episodes)
    rows = end_to_end(
        _counted(composed, of=len(chosen), progress=progress),
        frames=len(look_of),
        looks=int(look_of.max()) + 1,
    )
    texts = [summary.goal.text for summary in summaries]
    goals = list(dict.fromkeys(texts))
    return Windows(
        composites=rows.composites,
        proprio=rows.proprio,
        actions=rows.actions,
        goal_ids=torch.tensor([goals.index(text) for text in texts]).repeat_interleave(lengths),
        starts=lengths.cumsum(0) - lengths,
        lengths=lengths,
        weights=torch.tensor([summary.weight for summary in summaries]),
        language=language(goals),
        spaces=spaces,
        look_of=None if look_every == 1 else look_of,
    )


def end_to_end(parts: Iterable[Rows], *, frames: int, looks: int) -> Rows:
    """Lay rows end to end in memory that is taken once: the sizes of a row are those of the first
    part, its counts `frames` and `looks` those of all.
    """
    counts = {"composites": looks, "proprio": frames, "actions": frames}
    columns: dict[str, Tensor] = {}
    filled = dict.fromkeys(counts, 0)
    for part in parts:
        for name, count in counts.items():
            rows = getattr(part, name)
            if name not in columns:
                columns[name] = torch.empty((count, *rows.shape[1:]), dtype=rows.dtype)
            columns[name][filled[name] : filled[name] + len(rows)] = rows
            filled[name] += len(rows)
    assert filled == counts, f"got {filled} rows, expected {counts}"
    return Rows(**columns)


def _composed(episode: Episode, spaces: Spaces, *, compose: Compose, every: int) -> Rows:
    """Return the rows of one episode."""
    frames, labels = _per_camera(episode, spaces.camera_names, every=every)
    return Rows(
        composites=torch.as_tensor(compose(frames, labels, episode.goal)),
        proprio=torch.from_numpy(episode.proprio),
        actions=torch.from_numpy(episode.actions),
    )


def _counted(parts: Iterable[Rows], *, of: int, progress: Progress | None) -> Iterator[Rows]:
    """Yield the parts, and report each once the next one is asked for."""
    for done, part in enumerate(parts, start=1):
        yield part
        if progress is not None:
            progress(done, of)


def _look_of(lengths: Int[Tensor, " e"], *, every: int) -> Int[Tensor, " f"]:
    """Return the row of each frame's composites where every `every`-th of an episode has some."""
    steps = torch.cat([torch.arange(length) for length in lengths.tolist()])
    looked_at = steps % every == 0
    return torch.where(looked_at, looked_at.cumsum(0) - 1, NOT_LOOKED_AT)


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
    episode: Episode, cameras: Sequence[str], *, every: int
) -> tuple[list[np.ndarray], list[np.ndarray] | None]:
    """Return every `every`-th frame and, where all cameras have some, label map of each camera."""
    if missing := [camera for camera in cameras if camera not in episode.images]:
        raise InputError(
            f"got no images of {missing} in episode {episode.index}, expected cameras "
            f"{list(cameras)} as in the first episode"
        )
    frames = [episode.images[camera][::every] for camera in cameras]
    labelled = all(camera in episode.labels for camera in cameras)
    return frames, [episode.labels[camera][::every] for camera in cameras] if labelled else None
