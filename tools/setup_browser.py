"""Make .venv-browser: playwright, which the tests of the page put on PYTHONPATH, and look for a
Chromium that it can drive. `make test-browser` calls it.

The browser is the system's: what playwright would download is not looked for. Idempotent. Exit code
2 where a person has to act.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".venv-browser"
STAMP = FOLDER / ".installed"
PACKAGES = ("playwright==1.65.2", "greenlet==3.5.6")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    if browser() is None:
        stop(
            f"got none of {', '.join(BROWSERS)} on PATH, expected one; apt-get install chromium, "
            "then run `make test-browser` again"
        )
    wanted = hashlib.sha256(Path(__file__).read_bytes() + sys.version.encode()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    print("setup: making .venv-browser, about 150 MB", flush=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq", "install"]
    if subprocess.run([*pip, "--no-deps", "--target", str(FOLDER), *PACKAGES]).returncode != 0:
        stop("making .venv-browser failed for the reason above; run `make test-browser` again")
    STAMP.write_text(wanted)


def browser() -> str | None:
    """Return the program of the first browser that is installed."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def stop(sentence: str) -> None:
    print(f"setup: {sentence}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
