"""Says what to do where a command runs without the project's environment.

Standard library only, and in the syntax of Python 3.8: it is for the Python that has nothing.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

SUPPORTED = ((3, 11), (3, 12))  # one lock serves both; numpy < 2 has no wheel for 3.13
NEEDED = ("hydra", "omegaconf", "numpy", "pydantic", "rich", "torch", "gymnasium", "robosuite")


def require_environment() -> None:
    """End with one sentence and exit code 2 where this Python lacks what the commands import."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if not missing and sys.version_info[:2] in SUPPORTED:
        return
    version = ".".join(map(str, sys.version_info[:2]))
    lacks = " without {}".format(", ".join(missing)) if missing else ""
    command = " ".join(["python", *sys.argv]) if sys.argv[0] else "the command"
    sentence = (
        "error: got Python {} ({}){}, expected the environment that make setup makes; run: make "
        "setup && .venv/bin/{}"
    )
    print(sentence.format(version, sys.executable, lacks, command), file=sys.stderr)
    raise SystemExit(2)
