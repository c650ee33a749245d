"""Recorded and predicted actions over time, one panel per dimension."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float32

RECORDED, PREDICTED = "#8c8c8c", "#0072b2"


def draw_open_loop(
    path: Path,
    *,
    recorded: Float32[np.ndarray, "n a"],
    predicted: Float32[np.ndarray, "n a"],
    names: Sequence[str],
    units: Sequence[str],
    control_dt_s: float,
    decisions: Sequence[int],
    title: str,
) -> None:
    """Write a PNG; a thin line marks every step at which the agent decided."""
    time_s = np.arange(len(recorded)) * control_dt_s
    figure, panels = plt.subplots(
        len(names), 1, sharex=True, figsize=(8.6, 1.3 * len(names) + 0.8), squeeze=False
    )
    for k, (name, unit) in enumerate(zip(names, units, strict=True)):
        panel = panels[k, 0]
        panel.step(time_s, recorded[:, k], where="post", color=RECORDED, lw=2.2, label="recorded")
        panel.step(
            time_s, predicted[:, k], where="post", color=PREDICTED, lw=1.2, label="predicted"
        )
        for step in decisions:
            panel.axvline(step * control_dt_s, color="0.9", lw=0.8, zorder=0)
        panel.set_ylabel(f"{name}\n[{unit}]", rotation=0, ha="right", va="center", fontsize=8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=7)
    panels[0, 0].legend(loc="upper right", fontsize=8, frameon=False, ncols=2)
    panels[0, 0].set_title(title, fontsize=9, loc="left")
    panels[-1, 0].set_xlabel("time [s]", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
