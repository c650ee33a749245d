"""Which cameras this computer has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DEVICES, SYSTEM = Path("/dev"), Path("/sys/class/video4linux")


@dataclass(frozen=True)
class FoundDevice:
    """A device that may give pictures."""

    path: Path
    model: str  # as the driver names it, "" where it does not


def found_devices(*, devices: Path = DEVICES, system: Path = SYSTEM) -> tuple[FoundDevice, ...]:
    """Return the video devices of Linux by number, without those that only carry metadata.

    A USB camera has several nodes; its driver numbers them, and number 0 gives the pictures.
    """
    numbered = {
        int(match[1]): path
        for path in devices.glob("video*")
        if (match := re.fullmatch(r"video(\d+)", path.name))
    }
    return tuple(
        FoundDevice(path, _text(system / path.name / "name"))
        for _, path in sorted(numbered.items())
        if _text(system / path.name / "index") in ("", "0")
    )


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
