"""Where training reports to: a JSONL file always, Weights & Biases when wanted."""

from __future__ import annotations

import json
import netrc
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from robot.types import InputError

WANDB_MODES = ("auto", "online", "offline", "disabled")


class RunLog:
    """Pass it to `train(log=...)`: a callable `(step, values)`, to be used as a context manager.

    After a resume, steps since the last checkpoint are reported again: the last line of a step in
    log.jsonl counts.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        name: str = "train",
        wandb_mode: str = "auto",
        config: Mapping[str, object] | None = None,
    ):
        if wandb_mode not in WANDB_MODES:
            raise InputError(f"got wandb_mode {wandb_mode!r}, expected one of {list(WANDB_MODES)}")
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._wandb = _start_wandb(wandb_mode, directory=self.directory, name=name, config=config)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self._wandb is not None:
            self._wandb.finish()

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Report values after `step` finished steps."""
        said = {"step": step, "time_unix_s": time.time(), **values}
        with (self.directory / "log.jsonl").open("a") as file:  # none before there is a first line
            file.write(json.dumps(said) + "\n")
        if self._wandb is not None:
            self._wandb.log(dict(values), step=step)


def log_results(
    directory: Path,
    *,
    name: str,
    wandb_mode: str,
    config: Mapping[str, object],
    values: Mapping[str, float],
    pictures: Mapping[str, np.ndarray],
    videos: Mapping[str, Path],
) -> None:
    """Report what a finished comparison found as a run of its own: config, rates, pictures (uint8
    RGB) and MP4 files.
    """
    run = _start_wandb(wandb_mode, directory=directory, name=name, config=config)
    if run is None:
        return
    import wandb

    media = {key: wandb.Image(picture) for key, picture in pictures.items()}
    media |= {key: wandb.Video(str(path), format="mp4") for key, path in videos.items()}
    run.log({**values, **media})
    run.summary.update(dict(values))
    run.finish()


def resolve_mode(mode: str) -> str:
    """Return "online" for "auto" when a Weights & Biases key is there, "offline" when none is;
    other modes as they are.
    """
    if mode != "auto":
        return mode
    return os.environ.get("WANDB_MODE") or ("online" if _has_key() else "offline")


def check_mode(mode: str) -> None:
    """Raise InputError unless a run can report in this mode."""
    resolved = resolve_mode(mode)
    if resolved not in ("online", "offline", "disabled", "shared", "dryrun", "run"):
        raise InputError(
            f"got WANDB_MODE={resolved}, expected online, offline or disabled; correct it"
        )
    if resolved in ("online", "run") and not _has_key():
        raise InputError(
            "got wandb=online without a Weights & Biases key, expected one in WANDB_API_KEY or "
            "from `wandb login`; pass wandb=offline"
        )


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _start_wandb(
    mode: str, *, directory: Path, name: str, config: Mapping[str, object] | None
) -> Any | None:
    mode = resolve_mode(mode)
    if mode == "disabled":
        return None
    import wandb  # lazily: it costs a second and a background process

    directory.mkdir(parents=True, exist_ok=True)
    return wandb.init(
        project=os.environ.get("WANDB_PROJECT", "robot"),
        name=name,
        dir=str(directory.resolve()),  # wandb's service keeps the working directory it began in
        config=dict(config or {}),
        mode=mode,  # type: ignore[arg-type]
        settings=wandb.Settings(console="off", silent=True),
    )
