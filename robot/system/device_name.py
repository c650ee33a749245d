"""Names of devices and precisions, checked without torch, which takes seconds to import."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from robot.errors import InputError

PRECISIONS = ("auto", "bf16", "fp32")
KINDS = re.compile(r"(cpu|cuda|mps|xpu)(:\d+)?")
# device files of NVIDIA's driver, of Windows' for Linux guests, and of AMD's, which torch calls
# cuda, too
GPU_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def check_device(name: str | None) -> None:
    """Raise InputError for a device that this machine cannot have; None picks the best there is.

    Whether a GPU that the system lists can be used is for torch to say.
    """
    if name is None:
        return
    kind = KINDS.fullmatch(name)
    if kind is None or (kind[1] == "mps" and sys.platform != "darwin"):
        raise no_such_device(name)
    if kind[1] == "cuda" and not any(Path(file).exists() for file in GPU_FILES):
        raise no_such_device(name)


def no_such_device(name: str) -> InputError:
    """Return what to raise for a device that is not there."""
    return InputError(
        f"got device {name!r}, expected one of this machine: leave it out to pick the best"
    )
