"""Recorded demonstrations -> training windows as the agent will see them, each with a weight."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from robot.data.scores import read_scores
from robot.data.store import EpisodeStore
from robot.data.window_loading import load_windows
from robot.data.windows import Windows, join
from robot.dwsl import NEED_SCORES, WEIGHTINGS, Evidence, check_weighting
from robot.language import LanguageEncoder, RawSentences
from robot.perception.compose.masking import (
    Deployment,
    compose_cameras,
    mask_from_labels,
    to_uint8,
)
from robot.perception.head.base import Head, MaskOutput
from robot.perception.head.look import look_through
from robot.system.device import pick_device
from robot.system.progress import Announce, silent
from robot.types import CLEAN, Goal, InputError, quality_of

PerCamera = Sequence[np.ndarray]
Masks = Sequence[Float[Tensor, "t 3 _ _"]]  # per camera
# frames (T, H, W, 3) and labels (T, H, W) of each camera, goal -> probabilities of each
Look = Callable[[PerCamera, PerCamera | None, Goal], Masks]


@dataclass(frozen=True)
class Selection:
    """The first `episodes` demonstrations of the store at `root`."""

    root: Path
    episodes: int

    def indices(self) -> list[int]:
        """Return the episodes' indices; InputError where the store holds fewer."""
        found = sorted(EpisodeStore(self.root).indices())[: self.episodes]
        if len(found) < self.episodes:
            raise InputError(
                f"got {len(found)} demonstrations in {self.root}, expected {self.episodes}; "
                "collect more"
            )
        return found


def load_all(
    selections: Sequence[Selection],
    *,
    look: Look,
    deployment: Deployment,
    size: int,
    language: LanguageEncoder,
    look_every: int = 1,
    announce: Announce = silent,
) -> Windows:
    """Load the selected demonstrations as windows of composites, store after store; every
    `look_every`-th frame may start one.
    """

    def composed(frames: PerCamera, labels: PerCamera | None, goal: Goal) -> np.ndarray:
        masks = look(frames, labels, goal)
        return to_uint8(compose_cameras(frames, masks, deployment=deployment, size=size)).numpy()

    def progress(done: int, of: int) -> None:
        announce(f"reading demonstrations {done}/{of}")

    parts = [
        load_windows(
            EpisodeStore(selection.root),
            compose=composed,
            language=language.encode,
            indices=selection.indices(),
            look_every=look_every,
            progress=progress,
        )
        for selection in selections
    ]
    return join(parts)


def make_look(masks: str, *, head: Path | None, language: LanguageEncoder) -> Look:
    """Return what turns recorded frames into mask probabilities, as the agent's mask source of that
    name would.
    """
    match masks:
        case "learned" if head is not None:
            loaded = Head.load(head)
            return _LearnedLook(loaded, loaded.word_encoder(language))
        case "learned":
            raise InputError(
                "got masks learned without a mask head; pass head=<checkpoint> or masks=oracle"
            )
        case "oracle":
            return labels_look
        case "none":
            return whole_look
        case _:
            raise InputError(
                f"got masks {masks!r}, expected one of learned, oracle, none; pass "
                "perception=<one of these>"
            )


def whole_look(frames: PerCamera, labels: PerCamera | None, goal: Goal) -> Masks:
    """Keep everything."""
    return [torch.ones(len(images), 3, *images.shape[1:3]) for images in frames]


def labels_look(frames: PerCamera, labels: PerCamera | None, goal: Goal) -> Masks:
    """Take the labels that the simulator left beside the frames."""
    if labels is None:
        raise InputError(
            "got demonstrations without masks, expected labels beside the frames; use "
            "perception=learned"
        )
    return [mask_from_labels(torch.from_numpy(roles)) for roles in labels]


class _LearnedLook:
    def __init__(self, head: Head, language: LanguageEncoder | RawSentences) -> None:
        self._head, self._language = head.to(pick_device()), language

    @torch.inference_mode()
    def __call__(self, frames: PerCamera, labels: PerCamera | None, goal: Goal) -> Masks:
        planes = [torch.from_numpy(images).permute(0, 3, 1, 2) for images in frames]
        seen = look_through(self._head, planes, ask=partial(self._ask, goal=goal))
        return [masks.clone() for masks in seen.probability]

    def _ask(self, planes: Tensor, *, goal: Goal) -> MaskOutput:
        return self._head.predict(planes, self._language.encode([goal.text]))


def with_weights(
    windows: Windows, selections: Sequence[Selection], *, weighting: str, scores: str | None
) -> Windows:
    """Return the windows of `load_all(selections)` with the weights of a weighting, one each."""
    check_weighting(weighting)
    needed = weighting in NEED_SCORES
    if needed and scores is None:
        raise InputError(
            f"got weighting {weighting} without scores of a discriminator; run "
            "launch/score_demonstrations.py and name its scores"
        )
    known = evidence_of(selections, scores=scores if needed else None)
    return replace(windows, frame_weights=WEIGHTINGS[weighting](known))


def evidence_of(selections: Sequence[Selection], *, scores: str | None) -> Evidence:
    """Return what is known of every window of the selections, in the order of `load_all`."""
    parts = [part for selection in selections for part in _evidence(selection, scores=scores)]
    return Evidence(
        trusted=torch.cat([part.trusted for part in parts]),
        clean=torch.cat([part.clean for part in parts]),
        scores=_joined([part.scores for part in parts]),
        weights=_joined([part.weights for part in parts]),
    )


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    known = [part for part in parts if part is not None]
    return torch.cat(known) if len(known) == len(parts) else None


def _evidence(selection: Selection, *, scores: str | None) -> Iterator[Evidence]:
    """Yield what is known of every window, episode by episode."""
    store = EpisodeStore(selection.root)
    found = {} if scores is None else read_scores(selection.root, scores)
    for index in selection.indices():
        summary = store.summary(index)
        of_tier = torch.full((summary.length,), summary.tier == "trusted")
        clean = torch.full((summary.length,), quality_of(summary.extra) == CLEAN)
        if scores is None:
            yield Evidence(trusted=of_tier, clean=clean)
            continue
        if index not in found or len(found[index].scores) != summary.length:
            raise InputError(
                f"got no scores {scores} for episode {index} of {selection.root}; delete "
                f"{selection.root / 'scores'} and score again"
            )
        yield Evidence(
            trusted=of_tier,
            clean=clean,
            scores=torch.from_numpy(found[index].scores),
            weights=torch.from_numpy(found[index].weights),
        )
