"""Make .venv from requirements.lock and see to the system's GL libraries. `make setup` calls it.

Standard library only, because nothing is installed yet when it runs. Exit code 2 with one sentence
when a person has to act.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
VENV = REPOSITORY / ".venv"
LOCK = REPOSITORY / "requirements.lock"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CPU_INDEX_TIMEOUT_S = 3.0


def loads(library: str) -> bool:
    """Tell whether the dynamic linker finds a shared library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def has_gl_driver() -> bool:
    """Tell whether EGL has something to render with: Mesa's drivers, or a vendor's own
    (NVIDIA's).
    """
    mesa = any(Path("/usr").glob("lib*/**/dri/*_dri.so"))
    return mesa or any(
        Path(root, "glvnd/egl_vendor.d", "10_nvidia.json").exists()
        for root in ("/usr/share", "/etc")
    )


# Debian package -> does the system have what it brings? EGL and OSMesa for MuJoCo, libGL and glib
# for OpenCV.
SYSTEM_PACKAGES: dict[str, Callable[[], bool]] = {
    "libegl1": lambda: loads("libEGL.so.1"),
    "libgl1-mesa-dri": has_gl_driver,
    "libosmesa6": lambda: loads("libOSMesa.so.8"),
    "libgles2": lambda: loads("libGLESv2.so.2"),
    "libgl1": lambda: loads("libGL.so.1"),
    "libglib2.0-0": lambda: loads("libgthread-2.0.so.0"),
    "python3.11-venv": lambda: importlib.util.find_spec("ensurepip") is not None,
}


def missing_packages() -> list[str]:
    """Name the Debian packages whose contents the system lacks; other systems than Linux bring
    their own GL.
    """
    return (
        [name for name, present in SYSTEM_PACKAGES.items() if not present()]
        if sys.platform == "linux"
        else []
    )


def install_system_packages() -> None:
    """Install what is missing as root, or say in one sentence what to install."""
    missing = missing_packages()
    if not missing:
        return
    command = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(missing)}"
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"setup: installing {', '.join(missing)} with apt-get", flush=True)
        failed = subprocess.run(["bash", "-c", command], stdout=subprocess.DEVNULL).returncode != 0
        missing = missing_packages()
        if not failed and not missing:
            return
    stop(
        f"the system lacks {', '.join(missing)}; run: sudo bash -c '{command}', then the same make "
        "command again"
    )


def cpu_index_options() -> list[str]:
    """Point pip at PyTorch's CPU builds where there is no NVIDIA GPU; without an answer pip's own
    indexes have to do.
    """
    if shutil.which("nvidia-smi"):
        return []
    try:
        with urllib.request.urlopen(f"{CPU_INDEX}/torch/", timeout=CPU_INDEX_TIMEOUT_S):
            return ["--extra-index-url", CPU_INDEX]
    except OSError:
        return []


def locked(name: str) -> str:
    """Return the line of one package in the lock, such as `torch==2.13.0`."""
    return next(line for line in LOCK.read_text().splitlines() if line.startswith(f"{name}=="))


def install_environment() -> None:
    """Create .venv where there is none and install exactly the lock, then this project,
    editable.
    """
    if not (VENV / "bin/python").exists():
        print(f"setup: creating {VENV}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    print(
        "setup: installing requirements.lock into .venv (a few minutes the first time)", flush=True
    )
    # --no-compile: Python compiles the modules that are imported, not the ten times as many that
    # are not. torch first and with its dependencies: which they are (CUDA or none) depends on the
    # build that this machine takes.
    pip(["install", "--no-compile", *cpu_index_options(), "-c", str(LOCK), locked("torch")])
    # The rest without resolving: the lock is complete, and evdev-binary stands in for evdev, which
    # needs a compiler.
    pip(["install", "--no-compile", "--no-deps", "-r", str(LOCK)])
    pip(["install", "--no-deps", "--no-build-isolation", "-e", str(REPOSITORY)])


def pip(arguments: Sequence[str]) -> None:
    """Run .venv's pip, errors only; pip explains its own failures."""
    command = [
        str(VENV / "bin/python"),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "-qq",
        *arguments,
    ]
    if subprocess.run(command).returncode != 0:
        stop(
            "pip failed for the reason above; run the same make command again when it is gone "
            "(`make clean` starts afresh)"
        )


def stop(sentence: str) -> None:
    """End with one sentence and exit code 2."""
    print(f"setup: {sentence}", file=sys.stderr)
    sys.exit(2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=("system", "environment"))
    if sys.version_info[:2] != (3, 11):
        stop(
            f"got Python {sys.version.split()[0]}, expected 3.11; install python3.11 and put it on "
            "PATH"
        )
    {"system": install_system_packages, "environment": install_environment}[
        parser.parse_args().stage
    ]()


if __name__ == "__main__":
    main()
