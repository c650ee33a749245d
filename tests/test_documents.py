"""Tables of the documents name what exists: every scene, task and command, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from robot.envs.registry import BUILTIN, TABLETOP, check_task
from robot.envs.tabletop.conditions import conditions

ROOT = Path(__file__).resolve().parents[1]
COMMANDS, ARCHITECTURE = ROOT / "docs" / "commands.md", ROOT / "ARCHITECTURE.md"


def first_column(path: Path, heading: str) -> set[str]:
    """Return the names in backquotes that begin the rows of a section's first table."""
    section = path.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    table = re.search(r"\n(\|.*?)\n\n", section, re.S)
    assert table is not None
    return {
        name
        for row in table[1].splitlines()
        for name in re.findall(r"`([^`]+)`", row.split("|")[1])
    }


@pytest.mark.parametrize("path", [COMMANDS, ARCHITECTURE])
def test_the_table_of_scenes_has_every_scene(path):
    assert first_column(path, "Scenes") == set(conditions())


def test_the_table_of_tasks_has_every_task_of_ours():
    named = first_column(COMMANDS, "Tasks")
    assert {*TABLETOP, *BUILTIN} <= named
    for name in named:
        check_task(name)  # raises where there is no such task


def test_the_table_of_commands_has_every_command():
    named = first_column(COMMANDS, "What each command does and writes")
    commands = {
        f"launch/{path.name}"
        for path in (ROOT / "launch").glob("*.py")
        if '\nif __name__ == "__main__":' in path.read_text()
    }
    assert {name for name in named if name.startswith("launch/")} == commands
