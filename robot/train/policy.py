"""Train a policy on demonstrations seen through a mask source and a deployment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from robot.batch import PolicyBatch
from robot.checkpoint import save
from robot.data.store import EpisodeStore
from robot.data.windows import Augment, Windows
from robot.language import LanguageEncoder
from robot.perception.compose.augment import CompositeAugment
from robot.perception.compose.backgrounds import OnBackgrounds, PasteBackgrounds
from robot.perception.compose.masking import Channel, Deployment
from robot.perception.registry import describe_deployment
from robot.policy import make_policy
from robot.policy.grounding import Grounded
from robot.system.cache import ADDED
from robot.system.parse import Spec
from robot.system.progress import Announce, silent
from robot.train.backgrounds import ForegroundLook, empty_rooms, texture_pictures
from robot.train.by_step import ByStep
from robot.train.demonstrations import (
    Look,
    Selection,
    labels_look,
    load_all,
    make_look,
    with_weights,
)
from robot.train.grounding import start_with
from robot.train.loop import Log, train_seeded
from robot.train.options import Augmentation, Relocation, Training
from robot.train.relocation import Eye, relocated
from robot.words.reader import vocabulary_named_by


@dataclass(frozen=True, kw_only=True)
class PolicyTraining:
    """All that a trained policy depends on, but for the checkpoint of the mask head it sees
    through.

    `masks` says what that is: the learned head, the oracle's labels, or none. With
    `augmentation.backgrounds` a policy without masks sees pictures behind the objects, which the
    demonstrations' labels tell from the room. `weighting` is one of robot.dwsl.WEIGHTINGS; `scores`
    names the scores of the discriminator that it weighs by. Every `look_every`-th frame of a
    demonstration starts a window. With `grounding` a policy without masks is told, by a loss of
    that weight, where its demonstrations' labels have the goal's objects; with `relocate` one with
    masks learns from copies of its demonstrations, too, whose targets stand elsewhere.
    """

    demonstrations: tuple[Selection, ...]
    policy: Spec
    masks: str
    deployment: Deployment
    augmentation: Augmentation
    weighting: str
    scores: str | None
    training: Training
    batch_size: int
    seed: int
    look_every: int = 1
    grounding: float = 0.0
    relocate: Relocation | None = field(default=None, metadata=ADDED)


def train_policy(
    options: PolicyTraining,
    *,
    directory: Path,
    head: Path | None = None,
    encoder: Path | None = None,
    textures: Sequence[Path] = (),
    eyes: Sequence[Eye] = (),
    log: Log | None = None,
    announce: Announce = silent,
) -> Path:
    """Train a policy and return its checkpoint in `directory`. Resumes; done is done. `head` is the
    mask head's for masks "learned", `encoder` what its cameras and words start with, if not at
    random; `textures` are the pictures that `augmentation.backgrounds` pastes, `eyes` the cameras,
    calibrated, that `relocate` redraws the pictures of.
    """
    file = directory / "model.safetensors"
    if file.is_file():
        return file
    windows = training_windows(options, head=head, announce=announce)
    if options.relocate is not None:
        announce("moving demonstrations")
        windows = relocated(
            windows,
            options.relocate,
            eyes=eyes,
            deployment=options.deployment,
            look_every=options.look_every,
        )
    torch.manual_seed(options.seed)
    module = make_policy(
        options.policy.kind,
        statistics=windows.statistics(),
        options={**options.policy.options, "cameras": len(windows.spaces.cameras)},
    )
    if encoder is not None:
        start_with(module, encoder)
    batches = policy_batches(
        windows,
        batch_size=options.batch_size,
        horizon=module.horizon,
        augment=make_change(options, textures=textures),
        seed=options.seed,
    )
    learner = Grounded(module, weight=options.grounding) if options.grounding else module
    average = train_seeded(
        learner, batches, options.training, directory=directory, seed=options.seed, log=log
    )
    return save(
        directory,
        (average.policy if isinstance(average, Grounded) else average).cpu(),
        kind=options.policy.kind,
        config=module.config(),
        metadata=metadata_of(options, windows),
    )


def training_windows(options: PolicyTraining, *, head: Path | None, announce: Announce) -> Windows:
    """Load the demonstrations as the policy will see them, each window with its weight."""
    language = LanguageEncoder()
    look, deployment = what_is_seen(options, head=head, language=language)
    windows = load_all(
        options.demonstrations,
        look=look,
        deployment=deployment,
        size=image_size_of(options),
        language=language,
        look_every=options.look_every,
        announce=announce,
    )
    if options.weighting == "uniform":
        return windows
    return with_weights(
        windows, options.demonstrations, weighting=options.weighting, scores=options.scores
    )


def what_is_seen(
    options: PolicyTraining, *, head: Path | None, language: LanguageEncoder
) -> tuple[Look, Deployment]:
    """Return what of the recorded frames training sees, and how: what the agent will see, or whole
    frames with what only training knows as their coverage (robot and objects to paste behind, or
    what to look at).
    """
    if options.augmentation.backgrounds:
        rooms = empty_rooms([selection.root for selection in options.demonstrations])
        return ForegroundLook(rooms), Channel()
    if options.grounding:
        return labels_look, Channel()
    return make_look(options.masks, head=head, language=language), options.deployment


def image_size_of(options: PolicyTraining) -> int:
    size = options.policy.options["image_size"]
    assert isinstance(size, int)
    return size


def metadata_of(options: PolicyTraining, windows: Windows) -> dict[str, Any]:
    """Return what the checkpoint says about its training: what is needed to act as it was
    trained.
    """
    return {
        "spaces": windows.spaces.to_json(),
        "masks": options.masks,
        "deployment": describe_deployment(options.deployment),
        "demonstrations": [selection.root.name for selection in options.demonstrations],
        "episodes": len(windows.starts),
        "vocabulary": vocabulary_named_by(goals_of(options)),
        "seed": options.seed,
        "weighting": options.weighting,
        "scores": options.scores,
        "grounding": options.grounding,
    }


def goals_of(options: PolicyTraining) -> set[str]:
    """Return the sentences of the demonstrations."""
    stores = [(EpisodeStore(chosen.root), chosen.indices()) for chosen in options.demonstrations]
    return {store.summary(index).goal.text for store, indices in stores for index in indices}


def make_change(options: PolicyTraining, *, textures: Sequence[Path]) -> Augment:
    """Return what is done to the composites of a batch."""
    change = make_augment(options.augmentation, deployment=options.deployment)
    if not options.augmentation.backgrounds:
        return change
    paste = PasteBackgrounds(
        texture_pictures(textures, size=image_size_of(options)),
        share=options.augmentation.backgrounds,
    )
    return OnBackgrounds(paste, change)


def make_augment(augmentation: Augmentation, *, deployment: Deployment) -> CompositeAugment:
    """Return the augmentation without its backgrounds; what depends on a painted fill is left out
    where the deployment paints none.
    """
    fill = getattr(deployment, "fill", None)
    return CompositeAugment(
        jitter=augmentation.jitter,
        ring=0.0 if fill is None else augmentation.ring,
        shift=augmentation.shift,
        drop=augmentation.drop,
        noise=augmentation.noise,
        fill=fill,
    )


def policy_batches(
    windows: Windows, *, batch_size: int, horizon: int, augment: Augment, seed: int
) -> ByStep[tuple[PolicyBatch, Tensor]]:
    """Return batches as a function of the first step; the batch of a step depends on (seed, step)
    only.
    """

    def make(step: int) -> tuple[PolicyBatch, Tensor]:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        return next(
            windows.batches(batch_size, horizon=horizon, generator=generator, augment=augment)
        )

    return ByStep(make)
