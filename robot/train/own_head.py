"""Train a mask head on nothing but the labels that lie beside demonstrations: what a masked arm is
worth when it gets no labelled frame that a policy without masks would not get, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from robot.data.mask_frames import MaskFrameStore, MaskRecord
from robot.data.mask_shards import shard_numbers
from robot.data.store import EpisodeStore
from robot.system.progress import Announce, silent
from robot.train.demonstrations import Selection
from robot.train.loop import Log
from robot.train.mask_head import HeadTraining, train_mask_head
from robot.types import Episode, InputError, Label

SHARDS = 10  # eight to learn from, two held out: a fifth of the episodes calibrates the head
EVERY = 4  # frames from one look to the next: neighbours are alike


def train_own_head(
    options: HeadTraining,
    *,
    demonstrations: tuple[Selection, ...],
    directory: Path,
    log: Log | None = None,
    announce: Announce = silent,
) -> Path:
    """Train a head from random weights on the labels of demonstrations; return its checkpoint in
    `directory`. Resumes; done is done.
    """
    frames = directory / "frames"
    if not (directory / "model.safetensors").is_file():
        announce("reading labels of demonstrations")
        write_frames(demonstrations, root=frames)
    return train_mask_head(options, frames=frames, directory=directory, log=log, announce=announce)


def write_frames(demonstrations: Sequence[Selection], *, root: Path) -> None:
    """Write the labelled looks of demonstrations as mask frames, episodes dealt out to SHARDS
    shards; those that are there stay.
    """
    store, numbers = MaskFrameStore(root), shard_numbers(SHARDS)
    chosen = [(chosen.root, index) for chosen in demonstrations for index in chosen.indices()]
    if len(chosen) < SHARDS:
        raise InputError(
            f"got {len(chosen)} demonstrations for a mask head of their own, expected at least "
            f"{SHARDS}; raise data.episodes"
        )
    for number in store.missing(numbers):
        dealt = chosen[numbers.index(number) :: SHARDS]
        records = [
            record for of, index in dealt for record in records_of(EpisodeStore(of).read(index))
        ]
        store.append_shard(number, records)


def records_of(episode: Episode) -> Iterator[MaskRecord]:
    """Yield every EVERY-th look of an episode, its cameras side by side."""
    if missing := sorted(set(episode.images) - set(episode.labels)):
        raise InputError(
            f"got no masks of {', '.join(missing)} beside episode {episode.index}, expected labels "
            "for every camera; leave own_head out"
        )
    for moment in range(0, len(episode), EVERY):
        for camera, images in episode.images.items():
            labels = episode.labels[camera][moment]
            yield MaskRecord(
                image=images[moment],
                label=labels,
                goal=episode.goal.text,
                target_visible=bool((labels == Label.TARGET).any()),
                destination_visible=bool((labels == Label.DESTINATION).any()),
                camera=camera,
                scene=episode.scene,
                seed=episode.seed,
            )
