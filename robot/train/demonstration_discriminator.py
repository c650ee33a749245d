"""Score demonstrations: train discriminators of trusted against machine windows, score every
window, store its weight.

Cross-fitted: the episodes of each tier are dealt into folds, and what is scored was never trained
on. A discriminator knows the episodes that it has seen by heart, so its scores of those would tell
the tier of an episode and not its quality.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from robot.batch import ScoredWindows, TierBatch
from robot.calibration import platt
from robot.data.scores import ScoredBy, WindowScores, scores_path, write_scores
from robot.data.store import EpisodeStore
from robot.data.windows import Windows
from robot.dwsl import rule_weights
from robot.language import LanguageEncoder
from robot.perception.compose.augment import CompositeAugment
from robot.perception.registry import AnyDeployment
from robot.policy import make_policy
from robot.policy.demonstration_discriminator import (
    DemonstrationDiscriminator,
    PolicyAndDiscriminator,
)
from robot.system.parse import Count, FlatSpec, NotNegativeNumber, Share, options
from robot.system.progress import Announce, silent
from robot.train.by_step import ByStep
from robot.train.demonstrations import Selection, load_all, make_look
from robot.train.loop import Log, Training, train
from robot.train.policy import Augmentation, make_augment
from robot.types import InputError

SCORING_BATCH = 128
FITTED_TO = 2048  # windows, evenly spread over all: enough for means and deviations


@dataclass(frozen=True, eq=False)
class TierWindows:
    """Windows of E episodes with what the discriminator may know of them: the tier, and the fold
    that an episode lies in.
    """

    windows: Windows
    trusted: Bool[Tensor, " e"]
    folds: Int[Tensor, " e"]

    @property
    def episode(self) -> Int[Tensor, " f"]:
        """Return the episode of every frame."""
        return torch.arange(len(self.folds)).repeat_interleave(self.windows.lengths)


@options
class DiscriminatorOptions:
    """Keyword arguments of robot.policy.demonstration_discriminator.DemonstrationDiscriminator."""

    cameras: Count
    horizon: Count
    dim: Count
    dropout: Share
    noise: NotNegativeNumber
    rule: Literal["binary", "unlabelled"]
    eta: Share
    trusted_weight: NotNegativeNumber
    machine_weight: NotNegativeNumber


@options
class Scoring:
    """How demonstrations are scored: what the discriminator, and the policy whose loss it sees,
    look like and see. Their horizons must agree.

    `calibrate` fits the scores of the binary rule on held-out windows to what the tiers support.
    """

    policy: FlatSpec
    discriminator: DiscriminatorOptions
    masks: Literal["learned", "oracle", "none"]
    head: Path | None
    deployment: AnyDeployment
    augment: Augmentation
    training: Training
    batch_size: Count
    folds: Annotated[int, Field(ge=2)]
    calibrate: bool

    def __post_init__(self) -> None:
        if self.policy.options.get("horizon") != self.discriminator.horizon:
            raise InputError(
                f"got horizon {self.policy.options.get('horizon')} and "
                f"{self.discriminator.horizon} of policy and discriminator, expected the same: "
                "both see the same windows"
            )

    @property
    def calibrated(self) -> bool:
        """Return whether scores are calibrated: those of the other rule are no shares of tiers."""
        return self.calibrate and self.discriminator.rule == "binary"


@dataclass(frozen=True, kw_only=True)
class DemonstrationScoring:
    """All that the scores of demonstrations depend on."""

    demonstrations: tuple[Selection, ...]
    scoring: Scoring
    seed: int


def score_demonstrations(
    options: DemonstrationScoring,
    *,
    directory: Path,
    log: Log | None = None,
    announce: Announce = silent,
) -> Path:
    """Score the selected demonstrations and write `scores/<name>.parquet` into each store, which
    has the name of `directory`; return the last one's path. Resumes; done is done.
    """
    selections, scoring, name = options.demonstrations, options.scoring, directory.name
    files = [scores_path(selection.root, name) for selection in selections]
    if all(file.is_file() for file in files):
        return files[-1]
    language = LanguageEncoder()
    windows = load_all(
        selections,
        look=make_look(scoring.masks, head=scoring.head, language=language),
        deployment=scoring.deployment,
        size=int(scoring.policy.options["image_size"]),  # type: ignore[call-overload]
        language=language,
        announce=announce,
    )
    tiers = with_tiers(windows, selections, folds=scoring.folds)
    scores = held_out_scores(tiers, scoring, directory=directory, seed=options.seed, log=log)
    trusted = tiers.trusted[tiers.episode]
    if scoring.calibrated:
        scores = calibrated(scores, trusted)
    rule, eta = scoring.discriminator.rule, scoring.discriminator.eta
    weights = rule_weights(scores, trusted, rule=rule, eta=eta)
    store_scores(selections, name, scores=scores, weights=weights, about=scored_by(options))
    return files[-1]


def scored_by(options: DemonstrationScoring) -> ScoredBy:
    """Return what a file of scores says of its origin."""
    scoring = options.scoring
    return ScoredBy(
        rule=scoring.discriminator.rule,
        eta=scoring.discriminator.eta,
        calibrated=scoring.calibrated,
        folds=scoring.folds,
        seed=options.seed,
        kind=scoring.policy.kind,
        masks=scoring.masks,
        demonstrations=[selection.root.name for selection in options.demonstrations],
    )


def held_out_scores(
    tiers: TierWindows, scoring: Scoring, *, directory: Path, seed: int, log: Log | None
) -> Float[Tensor, " f"]:
    """Return the score of every window, each by networks that have not seen its episode."""
    scores = torch.full((len(tiers.windows),), torch.nan)
    for fold in range(scoring.folds):
        networks = train_fold(
            tiers,
            scoring,
            fold=fold,
            directory=directory / f"fold-{fold}",
            seed=seed + fold,
            log=_shifted(log, by=fold * scoring.training.steps),
        )
        frames = torch.nonzero(tiers.folds[tiers.episode] == fold).squeeze(1)
        scores[frames] = score(
            networks, tiers.windows, frames, horizon=networks.discriminator.horizon, seed=seed
        )
    return scores


def with_tiers(windows: Windows, selections: Sequence[Selection], *, folds: int) -> TierWindows:
    """Look up which episodes are trusted, and deal the episodes of each tier into folds, in
    turn.
    """
    trusted = torch.tensor(
        [
            EpisodeStore(selection.root).summary(index).tier == "trusted"
            for selection in selections
            for index in selection.indices()
        ]
    )
    counts = {"trusted": int(trusted.sum()), "machine": int((~trusted).sum())}
    if min(counts.values()) < folds:
        got = " and ".join(f"{count} {tier}" for tier, count in counts.items())
        raise InputError(
            f"got {got} demonstrations for {folds} folds, expected one of each tier in every fold; "
            "collect more"
        )
    dealt = torch.empty(len(trusted), dtype=torch.long)
    for tier in (True, False):
        of_tier = torch.nonzero(trusted == tier).squeeze(1)
        dealt[of_tier] = torch.arange(len(of_tier)) % folds
    return TierWindows(windows=windows, trusted=trusted, folds=dealt)


def make_networks(windows: Windows, scoring: Scoring, *, seed: int) -> PolicyAndDiscriminator:
    """Return an untrained policy and discriminator, normalised by the windows."""
    torch.manual_seed(seed)
    statistics = windows.statistics()
    networks = PolicyAndDiscriminator(
        policy=make_policy(
            scoring.policy.kind, statistics=statistics, options=scoring.policy.options
        ),
        discriminator=DemonstrationDiscriminator(
            statistics=statistics, **asdict(scoring.discriminator)
        ),
    )
    frames = torch.linspace(0, len(windows) - 1, min(FITTED_TO, len(windows))).long()
    networks.discriminator.fit(
        scored_windows(windows, frames, horizon=networks.discriminator.horizon)
    )
    return networks


def train_fold(
    tiers: TierWindows,
    scoring: Scoring,
    *,
    fold: int,
    directory: Path,
    seed: int,
    log: Log | None,
) -> PolicyAndDiscriminator:
    """Train on all folds but one."""
    module = make_networks(tiers.windows, scoring, seed=seed)
    learned = torch.nonzero(tiers.folds[tiers.episode] != fold).squeeze(1)
    batches = tier_batches(
        tiers,
        learned,
        batch_size=scoring.batch_size,
        horizon=module.discriminator.horizon,
        augment=make_augment(scoring.augment, deployment=scoring.deployment),
        seed=seed,
    )
    average = train(
        module,
        batches,
        scoring.training,
        checkpoint_dir=directory,
        generator=torch.Generator().manual_seed(seed),
        log=log,
    ).cpu()
    assert isinstance(average, PolicyAndDiscriminator)
    return average


def tier_batches(
    tiers: TierWindows,
    frames: Int[Tensor, " f"],
    *,
    batch_size: int,
    horizon: int,
    augment: CompositeAugment,
    seed: int,
) -> ByStep[TierBatch]:
    """Return batches as a function of the first step: one half trusted, one half machine, so that
    means are of both alike.

    The batch of a step depends on (seed, step) only.
    """
    of_tier = tiers.trusted[tiers.episode[frames]]
    pools, halves = (
        (frames[of_tier], frames[~of_tier]),
        (batch_size // 2, batch_size - batch_size // 2),
    )

    def make(step: int) -> TierBatch:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        drawn = [
            p[torch.randint(len(p), (n,), generator=generator)]
            for p, n in zip(pools, halves, strict=True)
        ]
        indices = tiers.windows.windows_from(torch.cat(drawn), horizon)
        trusted = torch.cat([torch.ones(halves[0]), torch.zeros(halves[1])])
        windows = ScoredWindows(
            policy=tiers.windows.augmented(indices, augment, generator),
            after=tiers.windows.after(indices),
        )
        return TierBatch(windows=windows, trusted=trusted)

    return ByStep(make)


def scored_windows(windows: Windows, frames: Int[Tensor, " n"], *, horizon: int) -> ScoredWindows:
    """Return the windows that start at given frames, as they are."""
    indices = windows.windows_from(frames, horizon)
    return ScoredWindows(policy=windows.batch(indices), after=windows.after(indices))


def score(
    networks: PolicyAndDiscriminator,
    windows: Windows,
    frames: Int[Tensor, " n"],
    *,
    horizon: int,
    seed: int,
) -> Float[Tensor, " n"]:
    """Return the score of the window that starts at each frame."""
    networks.eval()
    generator = torch.Generator().manual_seed(seed)
    parts = [
        networks.scores(scored_windows(windows, chunk, horizon=horizon), generator)
        for chunk in frames.split(SCORING_BATCH)
    ]
    return torch.cat(parts)


def calibrated(scores: Float[Tensor, " f"], trusted: Bool[Tensor, " f"]) -> Float[Tensor, " f"]:
    """Return held-out scores after Platt scaling, both tiers of one weight; 0.5 for all where they
    do not tell the tiers apart.

    A discriminator is as sure of two equal tiers as of unequal ones, and weights that say nothing
    cost as much as bad ones.
    """
    logits = scores.double().logit(eps=1e-6)
    slope, bias = platt(logits, trusted.double(), balanced=True)
    return torch.full_like(scores, 0.5) if slope <= 0 else (slope * logits + bias).sigmoid().float()


def store_scores(
    selections: Sequence[Selection],
    name: str,
    *,
    scores: Float[Tensor, " f"],
    weights: Float[Tensor, " f"],
    about: ScoredBy,
) -> None:
    """Write the scores and weights of all frames, in the order of `load_all`, beside the episodes
    that they are of.
    """
    start = 0
    for selection in selections:
        store, scored = EpisodeStore(selection.root), {}
        for index in selection.indices():
            rows = slice(start, start + store.summary(index).length)
            scored[index] = WindowScores(scores=scores[rows].numpy(), weights=weights[rows].numpy())
            start = rows.stop
        write_scores(selection.root, name, scored, about=about)


def _shifted(log: Log | None, *, by: int) -> Log | None:
    """Return a log that counts the steps of all folds."""
    return None if log is None else lambda step, values: log(step + by, values)
