"""A command of a checkout whose environment is not there, or whose Python has no packages."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("ablate", "collect", "evaluate", "mask", "score_demonstrations", "train_mask")
SCRIPTS = ("train_policy.py", *(f"launch/{name}.py" for name in COMMANDS))


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_packages_a_command_names_make_setup_and_exits_2(script, tmp_path):
    done = subprocess.run(
        [sys.executable, "-I", "-S", ROOT / script]
        if "/" in script
        else [sys.executable, "-S", ROOT / script],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and "make setup" in done.stderr and "hydra" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", [*SCRIPTS, "launch/environment.py", "launch/command_line.py"])
def test_what_runs_without_packages_is_read_by_an_old_python(file):
    assert ast.parse((ROOT / file).read_text(), feature_version=(3, 8)).body
