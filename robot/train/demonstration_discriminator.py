"""Judge demonstrations: train discriminators of trusted against machine windows, score every
window, store its weight.

Cross-fitted: the episodes of each tier are dealt into folds, and what is scored was never trained
on. A discriminator knows the episodes that it has seen by heart, so its scores of those would tell
the tier of an episode and not its quality.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from robot.batch import JudgedWindows, TierBatch
from robot.calibration import platt
from robot.data.scores import WindowScores, scores_path, write_scores
from robot.data.store import EpisodeStore
from robot.data.windows import Windows
from robot.dwsl import rule_weights
from robot.language import LanguageEncoder
from robot.perception.compose.augment import CompositeAugment
from robot.perception.registry import make_deployment
from robot.policy import POLICIES, make_policy
from robot.policy.demonstration_discriminator import Discriminator, JudgedPolicy
from robot.system.progress import Announce, silent
from robot.train.demonstration_weights import chosen_episodes
from robot.train.loop import Log, train
from robot.train.policy import load_all, make_augment, make_look
from robot.types import InputError

SCORING_BATCH = 128
FITTED_TO = 2048  # windows, evenly spread over all: enough for means and deviations


@dataclass(frozen=True, eq=False)
class TierWindows:
    """Windows of E episodes with what the discriminator is told of them: the tier, and the fold
    that an episode lies in.
    """

    windows: Windows
    trusted: Bool[Tensor, " e"]
    folds: Int[Tensor, " e"]

    @property
    def episode(self) -> Int[Tensor, " f"]:
        """Return the episode of every frame."""
        return torch.arange(len(self.folds)).repeat_interleave(self.windows.lengths)


def judge(
    *,
    demonstrations: Sequence[Path],
    episodes: int | Sequence[int],
    directory: Path,
    name: str,
    kind: str,
    policy: Mapping[str, Any],
    discriminator: Mapping[str, Any],
    masks: str,
    head: Path | None,
    deployment: Mapping[str, Any],
    augment: Mapping[str, Any],
    training: Mapping[str, Any],
    batch_size: int,
    folds: int,
    calibrate: bool,
    seed: int,
    log: Log | None = None,
    announce: Announce = silent,
) -> Path:
    """Score the chosen episodes of the stores and write `scores/<name>.parquet` into each; return
    the last one's path.

    Resumes; done is done. `masks` and `deployment` say what the discriminator, and the policy of
    `kind` whose loss it is told, see; the keywords of both must agree on the horizon. `calibrate`
    makes the scores of the binary rule as sure as the tiers say they may be.
    """
    files = [scores_path(root, name) for root in demonstrations]
    if all(file.is_file() for file in files):
        return files[-1]
    check_judging(policy=policy, discriminator=discriminator, kind=kind, folds=folds)
    language = LanguageEncoder()
    tiers = with_tiers(
        load_all(
            demonstrations,
            episodes=episodes,
            look=make_look(masks, head=head, language=language),
            deployment=make_deployment(**deployment),
            size=policy["image_size"],
            language=language,
            announce=announce,
        ),
        demonstrations,
        episodes=episodes,
        folds=folds,
    )
    networks = {"kind": kind, "policy": policy, "discriminator": discriminator}
    scores = held_out_scores(
        tiers,
        networks=networks,
        directory=directory,
        augment=make_augment(augment, deployment=make_deployment(**deployment)),
        training=training,
        batch_size=batch_size,
        folds=folds,
        seed=seed,
        log=log,
    )
    rule = {"rule": discriminator.get("rule", "binary"), "eta": discriminator.get("eta", 0.5)}
    trusted = tiers.trusted[tiers.episode]
    calibrate = (
        calibrate and rule["rule"] == "binary"
    )  # the other rule's scores are no shares of the tiers
    if calibrate:
        scores = calibrated(scores, trusted)
    weights = rule_weights(scores, trusted, **rule)
    about = rule | {
        "calibrated": calibrate,
        "folds": folds,
        "seed": seed,
        "kind": kind,
        "masks": masks,
        "demonstrations": [p.name for p in demonstrations],
    }
    store_scores(
        demonstrations, name, scores=scores, weights=weights, episodes=episodes, about=about
    )
    return files[-1]


def held_out_scores(
    tiers: TierWindows,
    *,
    networks: Mapping[str, Any],
    directory: Path,
    augment: CompositeAugment,
    training: Mapping[str, Any],
    batch_size: int,
    folds: int,
    seed: int,
    log: Log | None,
) -> Float[Tensor, " f"]:
    """Return the score of every window, each by networks (the keywords of `make_judge`) that have
    not seen its episode.
    """
    scores = torch.full((len(tiers.windows),), torch.nan)
    for fold in range(folds):
        judged = train_fold(
            tiers,
            fold=fold,
            module=make_judge(tiers.windows, seed=seed + fold, **networks),
            directory=directory / f"fold-{fold}",
            augment=augment,
            training=training,
            batch_size=batch_size,
            seed=seed + fold,
            log=_shifted(log, by=fold * training["steps"]),
        )
        frames = torch.nonzero(tiers.folds[tiers.episode] == fold).squeeze(1)
        scores[frames] = score(
            judged, tiers.windows, frames, horizon=judged.discriminator.horizon, seed=seed
        )
    return scores


def check_judging(
    *, policy: Mapping[str, Any], discriminator: Mapping[str, Any], kind: str, folds: int
) -> None:
    """Raise InputError for what cannot work, before anything long starts."""
    if kind not in POLICIES:
        raise InputError(
            f"got policy {kind!r} to judge with, expected one of {', '.join(POLICIES)}"
        )
    if folds < 2:
        raise InputError(
            f"got folds={folds}, expected at least 2: an episode is scored by what has not seen it"
        )
    if policy.get("horizon") != discriminator.get("horizon"):
        raise InputError(
            f"got horizon {policy.get('horizon')} and {discriminator.get('horizon')} of policy and "
            "discriminator, expected the "
            "same: both judge the same windows"
        )


def with_tiers(
    windows: Windows, roots: Sequence[Path], *, episodes: int | Sequence[int], folds: int
) -> TierWindows:
    """Tell which episodes are trusted, and deal the episodes of each tier into folds, in turn."""
    stores = [
        (EpisodeStore(root), indices)
        for root, indices in zip(roots, chosen_episodes(roots, episodes), strict=True)
    ]
    trusted = torch.tensor(
        [store.summary(index).tier == "trusted" for store, indices in stores for index in indices]
    )
    counts = {"trusted": int(trusted.sum()), "machine": int((~trusted).sum())}
    if min(counts.values()) < folds:
        said = " and ".join(f"{count} {tier}" for tier, count in counts.items())
        raise InputError(
            f"got {said} demonstrations for {folds} folds, expected one of each tier in every "
            "fold; collect more"
        )
    dealt = torch.empty(len(trusted), dtype=torch.long)
    for tier in (True, False):
        of_tier = torch.nonzero(trusted == tier).squeeze(1)
        dealt[of_tier] = torch.arange(len(of_tier)) % folds
    return TierWindows(windows=windows, trusted=trusted, folds=dealt)


def make_judge(
    windows: Windows,
    *,
    kind: str,
    policy: Mapping[str, Any],
    discriminator: Mapping[str, Any],
    seed: int,
) -> JudgedPolicy:
    """Return an untrained policy and discriminator, normalised by the windows."""
    torch.manual_seed(seed)
    statistics = windows.statistics()
    judged = JudgedPolicy(
        policy=make_policy(kind, statistics=statistics, options=policy),
        discriminator=Discriminator(statistics=statistics, **discriminator),
    )
    frames = torch.linspace(0, len(windows) - 1, min(FITTED_TO, len(windows))).long()
    judged.discriminator.fit(judged_windows(windows, frames, horizon=judged.discriminator.horizon))
    return judged


def train_fold(
    tiers: TierWindows,
    *,
    fold: int,
    module: JudgedPolicy,
    directory: Path,
    augment: CompositeAugment,
    training: Mapping[str, Any],
    batch_size: int,
    seed: int,
    log: Log | None,
) -> JudgedPolicy:
    """Train on all folds but one."""
    learned = torch.nonzero(tiers.folds[tiers.episode] != fold).squeeze(1)
    batches = tier_batches(
        tiers,
        learned,
        batch_size=batch_size,
        horizon=module.discriminator.horizon,
        augment=augment,
        seed=seed,
    )
    generator = torch.Generator().manual_seed(seed)
    average = train(
        module, batches, checkpoint_dir=directory, generator=generator, log=log, **training
    ).cpu()
    assert isinstance(average, JudgedPolicy)
    return average


def tier_batches(
    tiers: TierWindows,
    frames: Int[Tensor, " f"],
    *,
    batch_size: int,
    horizon: int,
    augment: CompositeAugment,
    seed: int,
) -> Callable[[int], Iterator[TierBatch]]:
    """Return batches as a function of the first step: one half trusted, one half machine, so that
    means are of both alike.

    The batch of a step depends on (seed, step) only.
    """
    of_tier = tiers.trusted[tiers.episode[frames]]
    pools, halves = (
        (frames[of_tier], frames[~of_tier]),
        (batch_size // 2, batch_size - batch_size // 2),
    )

    def batches(step: int) -> Iterator[TierBatch]:
        while True:
            generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
            drawn = [
                p[torch.randint(len(p), (n,), generator=generator)]
                for p, n in zip(pools, halves, strict=True)
            ]
            indices = tiers.windows.windows_from(torch.cat(drawn), horizon)
            trusted = torch.cat([torch.ones(halves[0]), torch.zeros(halves[1])])
            windows = JudgedWindows(
                policy=tiers.windows.augmented(indices, augment, generator),
                after=tiers.windows.after(indices),
            )
            yield TierBatch(windows=windows, trusted=trusted)
            step += 1

    return batches


def judged_windows(windows: Windows, frames: Int[Tensor, " n"], *, horizon: int) -> JudgedWindows:
    """Return the windows that start at given frames, as they are."""
    indices = windows.windows_from(frames, horizon)
    return JudgedWindows(policy=windows.batch(indices), after=windows.after(indices))


def score(
    judged: JudgedPolicy, windows: Windows, frames: Int[Tensor, " n"], *, horizon: int, seed: int
) -> Float[Tensor, " n"]:
    """Return the score of the window that starts at each frame."""
    judged.eval()
    generator = torch.Generator().manual_seed(seed)
    parts = [
        judged.scores(judged_windows(windows, chunk, horizon=horizon), generator)
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
    roots: Sequence[Path],
    name: str,
    *,
    scores: Float[Tensor, " f"],
    weights: Float[Tensor, " f"],
    episodes: int | Sequence[int],
    about: Mapping[str, Any],
) -> None:
    """Write the scores and weights of all frames, in the order of `load_all`, beside the episodes
    that they are of.
    """
    start = 0
    for root, indices in zip(roots, chosen_episodes(roots, episodes), strict=True):
        store, verdicts = EpisodeStore(root), {}
        for index in indices:
            rows = slice(start, start + store.summary(index).length)
            verdicts[index] = WindowScores(
                scores=scores[rows].numpy(), weights=weights[rows].numpy()
            )
            start = rows.stop
        write_scores(root, name, verdicts, about=about)


def _shifted(log: Log | None, *, by: int) -> Log | None:
    """Return a log that counts the steps of all folds."""
    return None if log is None else lambda step, values: log(step + by, values)
