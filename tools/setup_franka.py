"""Make .venv-franka: franky-sim, a Franka robot in a process of its own, and beside it in `driver`
franky-control, which the tests put on PYTHONPATH. `make test-franka` calls it.

Of its own, because franky-sim needs numpy 2 and a newer MuJoCo than robosuite bears; .venv stays as
its lock has it. Wheels from PyPI only; idempotent. Exit code 2 where a person has to act.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

VENV = Path(__file__).resolve().parent.parent / ".venv-franka"
STAMP = VENV / ".installed"
SIMULATOR = ("franky-sim==1.0.4", "mujoco==4.0.0", "pin==4.1.0", "numpy==2.4.6")
DRIVER = ("franky-control==2.0.0", "websockets==17.4")  # its other dependency is numpy, as in .venv


def main() -> None:
    wanted = hashlib.sha256(Path(__file__).read_bytes() + sys.version.encode()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    print("setup: making .venv-franka, about 700 MB", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(VENV)])
    pip([*SIMULATOR])
    pip(["--no-deps", "--target", str(VENV / "driver"), *DRIVER])
    STAMP.write_text(wanted)


def pip(arguments: Sequence[str]) -> None:
    """Install with the new environment's pip, errors only."""
    python = str(VENV / "bin/python")
    run([python, "-m", "pip", "--disable-pip-version-check", "-qq", "install", *arguments])


def run(command: Sequence[str]) -> None:
    if subprocess.run(command).returncode != 0:
        print(
            "setup: making .venv-franka failed for the reason above; run `make test-franka` again "
            "when it is gone",
            file=sys.stderr,
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
