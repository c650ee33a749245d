"""From what is known of demonstrations (tier, quality, a discriminator's scores) to the weights of
their training windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from robot.data.scores import read_scores
from robot.data.store import EpisodeStore
from robot.data.windows import Windows
from robot.dwsl import NEED_SCORES, WEIGHTINGS, Judged, check_weighting
from robot.types import CLEAN, InputError, quality_of


def chosen_episodes(roots: Sequence[Path], episodes: int | Sequence[int]) -> list[list[int]]:
    """Return the indices of the first `episodes` demonstrations, shared evenly by the stores or
    told for each of them.
    """
    counts = [episodes // len(roots)] * len(roots) if isinstance(episodes, int) else list(episodes)
    chosen = [
        sorted(EpisodeStore(root).indices())[:count]
        for root, count in zip(roots, counts, strict=True)
    ]
    for root, indices, count in zip(roots, chosen, counts, strict=True):
        if len(indices) < count:
            raise InputError(
                f"got {len(indices)} demonstrations in {root}, expected {count}; collect more"
            )
    return chosen


def weigh(
    windows: Windows,
    roots: Sequence[Path],
    *,
    episodes: int | Sequence[int],
    weighting: str,
    scores: str | None,
) -> Windows:
    """Return the windows of `load_all(roots, episodes=episodes)` with the weights of a weighting,
    one per window.
    """
    check_weighting(weighting)
    judged = judged_windows(
        roots, episodes=episodes, scores=scores if weighting in NEED_SCORES else None
    )
    if weighting in NEED_SCORES and judged.scores is None:
        raise InputError(
            f"got weighting {weighting} without scores of a discriminator; run "
            "launch/score_demonstrations.py and name its scores"
        )
    return replace(windows, frame_weights=WEIGHTINGS[weighting](judged))


def judged_windows(
    roots: Sequence[Path], *, episodes: int | Sequence[int], scores: str | None
) -> Judged:
    """Return what is known of every window of the chosen episodes, in the order of `load_all`."""
    parts: dict[str, list] = {"trusted": [], "clean": [], "scores": [], "weights": []}
    for root, indices in zip(roots, chosen_episodes(roots, episodes), strict=True):
        store = EpisodeStore(root)
        found = None if scores is None else read_scores(root, scores)
        for index in indices:
            summary = store.summary(index)
            parts["trusted"].append(torch.full((summary.length,), summary.tier == "trusted"))
            parts["clean"].append(torch.full((summary.length,), quality_of(summary.extra) == CLEAN))
            if found is None:
                continue
            if index not in found or len(found[index].scores) != summary.length:
                raise InputError(
                    f"got no scores {scores} for episode {index} of {root}; delete "
                    f"{root / 'scores'} and judge again"
                )
            parts["scores"].append(torch.from_numpy(found[index].scores))
            parts["weights"].append(torch.from_numpy(found[index].weights))
    return Judged(**{name: torch.cat(values) if values else None for name, values in parts.items()})  # type: ignore[arg-type]
