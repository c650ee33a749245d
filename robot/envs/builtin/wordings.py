"""Read the goal sentences of a task from wordings.yaml."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import yaml

PATH = Path(__file__).with_name("wordings.yaml")


@cache
def read_wordings() -> dict[str, dict[str, list[str]]]:
    """Return {task: {"seen": sentences, "held_out": sentences}}."""
    return yaml.safe_load(PATH.read_text(encoding="utf-8"))


def choose_wording(task: str, *, rng: np.random.Generator, held_out: bool) -> str:
    """Return one sentence for the task; the held-out sentences never appear in training."""
    sentences = read_wordings()[task]["held_out" if held_out else "seen"]
    return sentences[int(rng.integers(len(sentences)))]
