"""Train a policy on demonstrations seen through a mask source and a deployment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robot.batch import PolicyBatch
from robot.checkpoint import save
from robot.data.store import EpisodeStore
from robot.data.windows import Augment, Windows, load_windows
from robot.language import LanguageEncoder, RawSentences
from robot.perception.compose.augment import CompositeAugment, Photometric
from robot.perception.compose.backgrounds import OnBackgrounds, PasteBackgrounds
from robot.perception.compose.masking import (
    Channel,
    Deployment,
    compose,
    mask_from_labels,
    to_uint8,
)
from robot.perception.head.base import Head
from robot.perception.registry import make_deployment
from robot.policy import POLICIES
from robot.system.device import pick_device
from robot.system.progress import Announce, silent
from robot.train.backgrounds import ForegroundLook, empty_rooms, texture_pictures
from robot.train.demonstration_weights import chosen_episodes, weigh
from robot.train.loop import Log, train
from robot.types import Goal, InputError


def train_policy(
    *,
    demonstrations: Sequence[Path],
    episodes: int | Sequence[int],
    directory: Path,
    kind: str,
    policy: Mapping[str, Any],
    masks: str,
    head: Path | None,
    deployment: Mapping[str, Any],
    augment: Mapping[str, Any],
    training: Mapping[str, Any],
    batch_size: int,
    seed: int,
    action_space: Mapping[str, Any],
    weighting: str = "uniform",
    scores: str | None = None,
    log: Log | None = None,
    announce: Announce = silent,
) -> Path:
    """Train a policy of `kind` on `episodes` demonstrations, in all or of each store; return the
    checkpoint.

    Resumes; done is done. `masks` says what the policy sees through: the learned head, the oracle's
    labels, or none. With `augment.backgrounds` a policy without masks sees pictures behind the
    objects, which the demonstrations' labels tell from the room. `weighting`
    (robot.dwsl.WEIGHTINGS) weighs the windows; `scores` names those that `judge` stored beside the
    demonstrations.
    """
    file = directory / "model.safetensors"
    if file.is_file():
        return file
    if kind not in POLICIES:
        raise InputError(
            f"got policy {kind!r}, expected one of {', '.join(POLICIES)}; pass policy=<one of "
            "these>"
        )
    language, pasted = LanguageEncoder(), augment.get("backgrounds", 0)
    windows = load_all(
        demonstrations,
        episodes=episodes,
        look=ForegroundLook(empty_rooms(demonstrations))
        if pasted
        else make_look(masks, head=head, language=language),
        deployment=Channel() if pasted else make_deployment(**deployment),
        size=policy["image_size"],
        language=language,
        announce=announce,
    )
    if weighting != "uniform":
        windows = weigh(
            windows, demonstrations, episodes=episodes, weighting=weighting, scores=scores
        )
    change: Augment = make_augment(augment, deployment=make_deployment(**deployment))
    if pasted:
        change = OnBackgrounds(
            PasteBackgrounds(texture_pictures(size=policy["image_size"]), share=pasted), change
        )
    torch.manual_seed(seed)
    module = POLICIES[kind](statistics=windows.statistics(), **policy)
    average = train(
        module,
        policy_batches(
            windows, batch_size=batch_size, horizon=policy["horizon"], augment=change, seed=seed
        ),
        checkpoint_dir=directory / "training",
        generator=torch.Generator().manual_seed(seed),
        log=log,
        **training,
    )
    metadata = {
        "action_space": dict(action_space),
        "masks": masks,
        "deployment": dict(deployment),
        "demonstrations": [path.name for path in demonstrations],
        "episodes": len(windows.starts),
        "seed": seed,
    } | ({} if weighting == "uniform" else {"weighting": weighting, "scores": scores})
    return save(directory, average.cpu(), kind=kind, config=average.config(), metadata=metadata)  # type: ignore[operator]


Look = Callable[
    [np.ndarray, np.ndarray | None, Goal], Tensor
]  # frames (M, H, W, 3), labels (M, H, W), goal -> (M, 3, H, W)


def make_look(masks: str, *, head: Path | None, language: LanguageEncoder) -> Look:
    """Return what turns recorded frames into mask probabilities, as the agent's mask source of that
    name would.
    """
    if masks == "learned":
        if head is None:
            raise InputError(
                "got masks learned without a mask head; pass head=<checkpoint> or masks=oracle"
            )
        loaded = Head.load(head)
        return _LearnedLook(loaded.to(pick_device()), loaded.word_encoder(language))
    if masks == "oracle":
        return _labels_look
    if masks == "none":
        return lambda frames, labels, goal: torch.ones(len(frames), 3, *frames.shape[1:3])
    raise InputError(
        f"got masks {masks!r}, expected one of learned, oracle, none; pass perception=<one of "
        "these>"
    )


def _labels_look(frames: np.ndarray, labels: np.ndarray | None, goal: Goal) -> Tensor:
    if labels is None:
        raise InputError(
            "got demonstrations without masks, expected labels beside the frames; use "
            "perception=learned"
        )
    return mask_from_labels(torch.from_numpy(labels))


class _LearnedLook:
    def __init__(self, head: Head, language: LanguageEncoder | RawSentences) -> None:
        self._head, self._language = head, language

    def __call__(self, frames: np.ndarray, labels: np.ndarray | None, goal: Goal) -> Tensor:
        return self._head.predict(frames, self._language.encode([goal.text])).logits.sigmoid()


def load_all(
    roots: Sequence[Path],
    *,
    episodes: int | Sequence[int],
    look: Look,
    deployment: Deployment,
    size: int,
    language: LanguageEncoder,
    announce: Announce = silent,
) -> Windows:
    """Load `episodes` demonstrations (`chosen_episodes`) as windows of composites."""

    def composed(frames: np.ndarray, labels: np.ndarray | None, goal: Goal) -> np.ndarray:
        steps, cameras = frames.shape[:2]
        flat = frames.reshape(-1, *frames.shape[2:])
        probability = look(
            flat, None if labels is None else labels.reshape(-1, *labels.shape[2:]), goal
        )
        seen = to_uint8(compose(flat, probability, deployment=deployment, size=size))
        return seen.view(steps, cameras, *seen.shape[1:]).numpy()

    def progress(done: int, of: int) -> None:
        announce(f"reading demonstrations {done}/{of}")

    parts = [
        load_windows(
            EpisodeStore(root),
            compose=composed,
            language=language.encode,
            indices=indices,
            progress=progress,
        )
        for root, indices in zip(roots, chosen_episodes(roots, episodes), strict=True)
    ]
    return parts[0] if len(parts) == 1 else _joined(parts, language)


def _joined(parts: Sequence[Windows], language: LanguageEncoder) -> Windows:
    """Lay the windows of several stores end to end."""
    frames = np.cumsum([0, *(len(p) for p in parts)])
    goals = np.cumsum([0, *(len(p.language.tokens) for p in parts)])

    def shifted(name, offsets):
        return torch.cat([getattr(p, name) + int(o) for p, o in zip(parts, offsets, strict=False)])

    def joined(name):
        return torch.cat([getattr(p, name) for p in parts])

    return Windows(
        composites=joined("composites"),
        proprio=joined("proprio"),
        actions=joined("actions"),
        goal_ids=shifted("goal_ids", goals),
        starts=shifted("starts", frames),
        lengths=joined("lengths"),
        weights=joined("weights"),
        language=type(parts[0].language)(
            tokens=torch.cat([p.language.tokens for p in parts]),
            valid=torch.cat([p.language.valid for p in parts]),
        ),
    )


def make_augment(options: Mapping[str, Any], *, deployment: Deployment) -> CompositeAugment:
    """Return the augmentation, its backgrounds left out; what restores the fill does so only for
    deployments that fill.
    """
    rest = {k: v for k, v in options.items() if k not in ("jitter", "backgrounds")}
    fill = getattr(deployment, "fill", None)
    if fill is None:
        rest["ring"] = 0.0  # a ring around the mask is drawn where the rest is painted over
    jitter = Photometric(**options["jitter"]) if options.get("jitter") else None
    return CompositeAugment(jitter=jitter, fill=fill, **rest)


def policy_batches(
    windows: Windows, *, batch_size: int, horizon: int, augment: Augment, seed: int
) -> Callable[[int], Iterator[tuple[PolicyBatch, Tensor]]]:
    """Return batches as a function of the first step; the batch of a step depends on (seed, step)
    only.
    """

    def batches(step: int) -> Iterator[tuple[PolicyBatch, Tensor]]:
        while True:
            generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
            yield next(
                windows.batches(batch_size, horizon=horizon, generator=generator, augment=augment)
            )
            step += 1

    return batches
