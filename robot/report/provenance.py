"""Where the numbers come from: the command, the code, the machine and the time that made them."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import metadata
from pathlib import Path

import torch

PACKAGES = ("torch", "mujoco", "robosuite", "gymnasium", "numpy", "transformers")


@dataclass(frozen=True)
class Provenance:
    """What somebody needs to run this again. `stage_s` is the wall time of every stage in seconds,
    `trained_s` that of the trainings inside the stage "train", which ran side by side; what was
    there already took none. `made_at` says which revisions of the code made what was there, by kind
    of thing.
    """

    command: str
    revision: str
    machine: str
    seeds: str
    when: str
    versions: Mapping[str, str] = field(default_factory=dict)
    stage_s: Mapping[str, float] = field(default_factory=dict)
    trained_s: Mapping[str, float] = field(default_factory=dict)
    made_at: Mapping[str, Sequence[str]] = field(default_factory=dict)


def gather(
    *,
    seeds: str,
    stage_s: Mapping[str, float],
    now: datetime,
    trained_s: Mapping[str, float] | None = None,
    made_at: Mapping[str, Sequence[str]] | None = None,
    command: Sequence[str] = (),
) -> Provenance:
    """Return the provenance of this process; `command` is sys.argv by default."""
    return Provenance(
        command=shlex.join(command or ["python", *typed(sys.argv)]),
        revision=git_revision(Path(__file__).parent),
        machine=machine(),
        seeds=seeds,
        when=now.strftime("%Y-%m-%d %H:%M"),
        versions={"python": platform.python_version()}
        | {name: _version(name) for name in PACKAGES},
        stage_s=dict(stage_s),
        trained_s=dict(trained_s or {}),
        made_at=dict(made_at or {}),
    )


def typed(arguments: Sequence[str]) -> list[str]:
    """Return what a person typed: without the settings of Hydra's own that every command adds."""
    return [argument for argument in arguments if not argument.startswith(("hydra.", "hydra/"))]


def git_revision(folder: Path) -> str:
    """Return the short commit, with "+ local changes" where tracked files differ from it, or "not a
    git checkout".
    """
    try:
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "not a git checkout"
    return f"{commit} + local changes" if changed else commit


def machine() -> str:
    """Name the processor, the cores this process may use, the memory and the GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [
        _processor(),
        f"{cores} cores",
        f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
    ]
    parts.append(torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU")
    return ", ".join([*parts, platform.platform(terse=True)])


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()
