"""Make .venv from requirements.lock and see to the system's GL libraries. `make setup` calls it.

Standard library only, because nothing is installed yet when it runs, and in the syntax of Python
3.8, so that an older Python than the project's can say which one to install. Exit code 2 with one
sentence when a person has to act.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch.environment import SUPPORTED  # which needs no package, either

RUNNING = sys.version_info[:2]

REPOSITORY = Path(__file__).resolve().parent.parent
VENV = REPOSITORY / ".venv"
LOCK = REPOSITORY / "requirements.lock"
STAMP = VENV / ".installed"
IMPORTED = (
    *("torch._dynamo", "transformers.models.bert.modeling_bert", "wandb", "diffusers", "peft"),
    *("robosuite", "mujoco.egl", "scipy.spatial", "scipy.optimize", "trimesh", "gymnasium"),
    *("hydra", "matplotlib.pyplot", "pyarrow.parquet", "jaxtyping", "beartype", "pytest"),
)
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CPU_INDEX_TIMEOUT_S = 3.0
LINE_EVERY_S = 10.0  # while pip works


def loads(library: str) -> bool:
    """Return whether the dynamic linker finds a shared library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def has_gl_driver() -> bool:
    """Return whether EGL has something to render with: Mesa's drivers, or a vendor's own
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
    "python{}.{}-venv".format(*RUNNING): lambda: importlib.util.find_spec("ensurepip") is not None,
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
    """Install exactly the lock, then this project, editable; do nothing where that is done."""
    wanted = fingerprint()
    made_with = venv_python()
    if made_with == RUNNING and STAMP.exists() and STAMP.read_text() == wanted:
        return
    progress = Progress()

    if made_with != RUNNING:
        progress(f"creating .venv with Python {dotted(RUNNING)}")
        create_venv(made_with)

    # --no-compile: `compile_imports` compiles the modules that are imported, not the ten times as
    # many that are not. torch first and with its dependencies: which they are (CUDA or none)
    # depends on the build that this machine takes.
    torch = locked("torch")
    progress(f"installing {torch} (the largest; a minute or more)")
    pip(["install", "--no-compile", *cpu_index_options(), "-c", str(LOCK), torch])
    # The rest without resolving: the lock is complete, and evdev-binary stands in for evdev, which
    # needs a compiler.
    progress("installing the other packages of requirements.lock (a minute or two)")
    pip(["install", "--no-compile", "--no-deps", "-r", str(LOCK)])
    progress("installing this project")
    pip(["install", "--no-deps", "--no-build-isolation", "-e", str(REPOSITORY)])
    progress("compiling what the commands import")
    compile_imports()
    STAMP.write_text(wanted)
    progress("done")


class Progress:
    """Prints what begins, after how many seconds."""

    def __init__(self) -> None:
        self._start_s = time.monotonic()

    def __call__(self, phase: str) -> None:
        print(f"setup: {time.monotonic() - self._start_s:4.0f} s  {phase}", flush=True)


def fingerprint() -> str:
    """Return a digest of all that decides what .venv holds."""
    files = (LOCK, REPOSITORY / "pyproject.toml", Path(__file__))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def venv_python() -> tuple[int, ...] | None:
    """Return the (major, minor) of the Python that .venv runs; None where none runs."""
    command = [str(VENV / "bin/python"), "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    return tuple(map(int, answer.stdout.split())) if answer.returncode == 0 else None


def create_venv(made_with: tuple[int, ...] | None) -> None:
    """Create .venv with this Python, in place of one that another version made."""
    if VENV.is_symlink():
        stop(
            f"got .venv as a link to {os.readlink(VENV)} with Python "
            f"{dotted(made_with) if made_with else 'that does not run'}, expected "
            f"{dotted(RUNNING)}; remove the link, then run the same make command again"
        )
    if VENV.exists():
        shutil.rmtree(VENV)
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)


def pip(arguments: Sequence[str]) -> None:
    """Run .venv's pip, errors only, and print a line every now and then, so that a person sees
    that it works; pip explains its own failures.
    """
    command = [
        str(VENV / "bin/python"),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "-qq",
        *arguments,
    ]
    if watch(subprocess.Popen(command)) != 0:
        stop(
            "pip failed for the reason above; run the same make command again when it is gone "
            "(`make clean` starts afresh)"
        )


def watch(process: subprocess.Popen, every_s: float = LINE_EVERY_S) -> int:
    """Wait for a process and return its exit code; print every `every_s` how much the disk of the
    repository took meanwhile.
    """
    start_s, free = time.monotonic(), shutil.disk_usage(str(REPOSITORY)).free
    while True:
        try:
            return process.wait(timeout=every_s)
        except subprocess.TimeoutExpired:
            written = max(0, free - shutil.disk_usage(str(REPOSITORY)).free)
            took_s = time.monotonic() - start_s
            print(f"setup:        ... {took_s:.0f} s, {written / 1e9:.2f} GB written", flush=True)
        except BaseException:  # Ctrl-C reached it, too
            process.terminate()
            process.wait()
            raise


def compile_imports() -> None:
    """Import once what the commands import. Python then writes the bytecode down, which containers
    often forbid (PYTHONDONTWRITEBYTECODE): every process would compile for seconds before it works.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [str(VENV / "bin/python"), "-c", f"import {', '.join(IMPORTED)}"]
    quiet = subprocess.DEVNULL
    watch(subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet))


def dotted(version: Sequence[int]) -> str:
    """Write (3, 12) as 3.12."""
    return ".".join(map(str, version))


def require_supported(version: Sequence[int]) -> None:
    """Stop with the way to a supported Python unless (major, minor) is one."""
    if tuple(version) in SUPPORTED:
        return
    newest = dotted(SUPPORTED[-1])
    stop(
        f"got Python {dotted(version)} ({sys.executable}), expected "
        f"{' or '.join(map(dotted, SUPPORTED))}; install one beside it, with `uv python install "
        f"{newest}`, `pyenv install {newest}` or the distribution's packages python{newest} and "
        f"python{newest}-venv, then run make with PYTHON=python{newest} or the path of its binary"
    )


def stop(sentence: str) -> None:
    """End with one sentence and exit code 2."""
    print(f"setup: {sentence}", file=sys.stderr)
    sys.exit(2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="only check that this Python is supported"
    )
    only_check = parser.parse_args().check

    require_supported(RUNNING)
    if not only_check:
        install_system_packages()
        install_environment()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("setup: interrupted; run the same make command again to go on", file=sys.stderr)
        sys.exit(130)
