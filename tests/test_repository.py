"""Facts about the repository itself."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("robot", "launch")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [
    Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
]


def sources(*folders):
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def imported(path):
    """Return the top-level modules that a file imports, anywhere in it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    relative = {
        node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level
    }
    return {name.partition(".")[0] for name in plain | relative}


def lock():
    lines = [
        line
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    return {
        canonicalize_name(name): version for name, version in (line.split("==") for line in lines)
    }


def test_only_the_training_log_imports_wandb():
    users = [
        str(path.relative_to(ROOT)) for path in sources(*PACKAGES) if "wandb" in imported(path)
    ]
    assert set(users) <= {"robot/train/log.py"}


def test_no_module_of_robot_imports_hydra():
    assert [path for path in sources("robot") if imported(path) & {"hydra", "omegaconf"}] == []


def test_no_module_is_named_after_nothing():
    folders = (*PACKAGES, "tests", "tools", "benchmarks")
    assert [
        path
        for path in sources(*folders)
        if {path.stem, path.parent.name} & {"utils", "helpers", "common"}
    ] == []


def test_every_third_party_import_is_declared():
    distributions = packages_distributions()
    extras = {k: v for k, v in PROJECT["optional-dependencies"].items() if k != "dev"}
    lines = [*PROJECT["dependencies"], *chain.from_iterable(extras.values())]
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    own = {*PACKAGES, *sys.stdlib_module_names, "__future__"}
    installed = {
        name: distributions[name]
        for path in sources(*PACKAGES)
        for name in imported(path) - own
        if name in distributions
    }
    undeclared = {
        name: owners
        for name, owners in installed.items()
        if not declared & {canonicalize_name(owner) for owner in owners}
    }
    assert undeclared == {}


def test_lock_holds_exact_versions_only():
    assert all(re.fullmatch(r"\d[\w.]*", version) for version in lock().values())


def test_lock_satisfies_every_range_of_pyproject():
    locked = lock()
    assert {
        str(r): locked.get(canonicalize_name(r.name))
        for r in REQUIREMENTS
        if not _satisfied(r, locked)
    } == {}


def _satisfied(requirement, locked):
    version = locked.get(canonicalize_name(requirement.name))
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def test_lock_names_no_cuda_package_and_one_opencv():
    assert [name for name in lock() if name.startswith(("nvidia", "triton", "cuda"))] == []
    assert [name for name in lock() if name.startswith("opencv")] == ["opencv-python"]


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/**/*.yaml")), ids=lambda path: path.stem)
def test_config_parses(path):
    assert OmegaConf.is_dict(OmegaConf.load(path))


def test_make_train_runs_the_command_of_the_readme():
    planned = subprocess.run(
        ["make", "-n", "train"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    assert "python train_policy.py env=robosuite" in planned


def test_ci_runs_make_check():
    assert (ROOT / ".ci/run").read_text().rstrip().endswith("make check")
