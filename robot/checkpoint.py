"""Checkpoints: one safetensors file whose header carries JSON, and a JSON copy beside it for
people. No pickle anywhere.

What is needed to act travels in one file, so weights and statistics cannot come apart: kind,
constructor arguments (normalisation statistics included), spaces, git revision, package
versions.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from robot.end_effector import panda_spaces
from robot.errors import InputError, meant
from robot.spaces import Camera, Spaces, cameras_from_json, cameras_to_json, check_spaces

if TYPE_CHECKING:  # headers are read by commands that have not imported torch yet: it takes seconds
    from torch import Tensor, nn

FORMAT = 2  # 1: no spaces; see `upgrade_header`
SHIPPED = Path(__file__).resolve().parent / "weights"
FILE_NAME = "model.safetensors"
PACKAGES = ("torch", "numpy", "safetensors")
CAMERAS_OF_FORMAT_1 = tuple(Camera(name, height=128, width=128) for name in ("agentview", "wrist"))

TABLETOP_OF_FORMAT_1 = ("pick-", "place-")  # how its demonstrations are named


def save(
    path: Path | str,
    module: nn.Module,
    *,
    kind: str,
    config: Mapping[str, Any],
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write the module to `path` (a .safetensors file or a folder for one) in one atomic rename;
    return the file.

    `kind` and `config` name the builder and its keyword arguments; `metadata` should hold
    `spaces` (Spaces.to_json) for policies and `cameras` (cameras_to_json) for mask heads.
    """
    return save_tensors(path, module.state_dict(), kind=kind, config=config, metadata=metadata)


def save_tensors(
    path: Path | str,
    tensors: Mapping[str, Tensor],
    *,
    kind: str,
    config: Mapping[str, Any],
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write a module's tensors as `save` does, without the module."""
    header = {
        "format": FORMAT,
        "kind": kind,
        "config": dict(config),
        "metadata": dict(metadata or {}),
        "git_revision": git_revision(),
        "versions": _versions(),
    }
    file = checkpoint_file(path)
    _replace(
        file.with_suffix(".json"),
        lambda temporary: temporary.write_text(json.dumps(header, indent=2) + "\n"),
    )
    write_tensors(file, tensors, header)  # last: whoever finds it finds all
    return file


def load(
    path: Path | str,
    builders: Mapping[str, Callable[..., nn.Module]],
    *,
    upgrade: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
) -> nn.Module:
    """Rebuild the module in eval mode on the CPU; `builders` map kinds to constructors.

    `upgrade` turns the arguments that an earlier version wrote into today's.
    """
    tensors, header = read_tensors(checkpoint_file(path))
    kind, config = header.get("kind"), header.get("config", {})
    if not isinstance(kind, str) or kind not in builders:
        raise InputError(
            f"got a checkpoint of kind {kind!r} in {path}, expected {sorted(builders)}: choose "
            "another file"
        )
    check_finite(tensors, path)
    try:
        module = builders[kind](**upgrade(config))
        module.load_state_dict(tensors)
    except InputError as error:
        raise InputError(f"cannot use the checkpoint {path}: {error}") from error
    except (TypeError, RuntimeError) as error:
        made = header.get("git_revision", "unknown")
        raise InputError(
            f"got a checkpoint {path} (made at git revision {made}) that does not fit the {kind} "
            "of this version, expected "
            "matching arguments and weights: check out that revision or train again "
            f"({str(error).splitlines()[0]})"
        ) from error
    return module.eval()


def read_header(path: Path | str) -> dict[str, Any]:
    """Return what a checkpoint says about itself without reading its weights."""
    return _open(checkpoint_file(path), _header, framework="numpy")


def resolve_checkpoint(name: str | Path) -> Path:
    """Return the folder of a checkpoint: a path, or the name of weights that are shipped."""
    if not isinstance(name, str | Path):
        raise InputError(
            f"got checkpoint {name}, expected a path, or the name of shipped weights; correct it"
        )
    path = Path(name)
    if not path.exists() and (SHIPPED / str(name)).is_dir():
        return SHIPPED / str(name)
    if not path.exists():
        shipped = sorted(p.name for p in SHIPPED.glob("*") if p.is_dir())
        raise InputError(
            f"got checkpoint {str(name)!r}, expected an existing path or one of the shipped: "
            f"{', '.join(shipped)}; {meant(name, shipped, do='correct the path')}"
        )
    return path


def checkpoint_file(path: Path | str) -> Path:
    """Return the file of a checkpoint that is named by itself or by its folder."""
    path = Path(path)
    return path if path.suffix == ".safetensors" else path / FILE_NAME


def policy_metadata(path: Path) -> dict[str, Any]:
    """Return what a policy's checkpoint says about how it was trained: demonstrations, deployment,
    mask source.
    """
    return read_header(path).get("metadata", {})


def file_digest(path: Path | str) -> str:
    """Return the SHA-256 of a checkpoint's bytes: what a result that depends on it is
    filed under.
    """
    file = checkpoint_file(path)
    if not file.is_file():
        raise InputError(
            f"got no checkpoint at {file}, expected a .safetensors file; correct the path"
        )
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def check_finite(tensors: Mapping[str, Tensor], path: Path | str) -> None:
    """Raise InputError, naming the tensors, where a checkpoint holds NaN or infinite values."""
    wrong = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if wrong:
        raise InputError(
            f"got NaN or infinite values in {len(wrong)} of {len(tensors)} tensors of the "
            f"checkpoint {path} ({wrong[0]} first), expected finite weights: copy it again, or "
            "train again"
        )


def spaces_of(path: Path | str) -> Spaces:
    """Return what a policy's checkpoint was made for."""
    header = read_header(path)
    metadata = header.get("metadata", {})
    if "spaces" not in metadata:
        raise InputError(
            f"got a checkpoint of kind {header['kind']} at {path}, which does not say for which "
            "state, actions and cameras it was made, expected a policy's: train it again"
        )
    return Spaces.from_json(metadata["spaces"])


def check_robot(policy: Path, spaces: Spaces) -> None:
    """Raise InputError, naming what differs, unless a policy was made for these spaces."""
    check_spaces(
        spaces_of(policy),
        spaces,
        what=f"a robot for the policy {policy}",
        remedy="Use a policy that was trained for this robot and its cameras",
    )


def cameras_of(path: Path | str) -> tuple[Camera, ...]:
    """Return the cameras that a mask head was trained on; none where it does not say."""
    return cameras_from_json(read_header(path).get("metadata", {}).get("cameras", ()))


def vocabulary_of(path: Path | str) -> str | Mapping[str, Any] | None:
    """Return the vocabulary that a mask head or policy was trained on, or its name (robot.words);
    None where it does not say.
    """
    return read_header(path).get("metadata", {}).get("vocabulary")


def policy_vocabulary(folder: Path) -> str | Mapping[str, Any] | None:
    """Return the vocabulary that a policy was trained on, or else the mask head beside it; None
    where neither says.
    """
    own, head = vocabulary_of(folder), folder / "mask_head.safetensors"
    return vocabulary_of(head) if own is None and head.is_file() else own


def upgrade_header(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return a header in today's format.

    Format 1 knew one robot, robosuite's Panda, and two cameras of 128 px: its policies hold the
    bounds of their action (`action_space`), its mask heads say nothing. The heads, and policies of
    the tabletop's tasks, learned the vocabulary of the tabletop.
    """
    if header.get("format", 1) >= FORMAT:
        return dict(header)
    metadata = dict(header.get("metadata", {}))
    metadata["cameras"] = cameras_to_json(CAMERAS_OF_FORMAT_1)
    demonstrations = metadata.get("demonstrations") or [""]
    if header.get("kind") == "mask_head" or all(
        name.startswith(TABLETOP_OF_FORMAT_1) for name in demonstrations
    ):
        metadata["vocabulary"] = "tabletop"
    if action := metadata.pop("action_space", None):
        panda = panda_spaces(cameras=CAMERAS_OF_FORMAT_1, control_dt_s=action["control_dt_s"])
        bounds = {side: tuple(map(float, action[side])) for side in ("low", "high")}
        metadata["spaces"] = replace(panda, action=replace(panda.action, **bounds)).to_json()
    return {**header, "format": FORMAT, "metadata": metadata}


def write_tensors(file: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors and a JSON header to one file; a kill at any moment leaves the old file or the
    new one.
    """
    from safetensors.torch import save_file

    contiguous = {
        name: tensor.detach().contiguous().cpu().clone() for name, tensor in tensors.items()
    }
    try:
        _replace(
            file,
            lambda temporary: save_file(
                contiguous, temporary, metadata={"robot": json.dumps(header)}
            ),
        )
    except (
        SafetensorError
    ) as error:  # a full disk comes in words: "... No space left on device (os error 28)"
        if code := re.search(r"\(os error (\d+)\)", str(error)):
            raise OSError(int(code[1]), os.strerror(int(code[1])), str(file)) from error
        raise


def read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Inverse of `write_tensors`."""
    return _open(
        file,
        lambda opened: ({name: opened.get_tensor(name) for name in opened.keys()}, _header(opened)),  # noqa: SIM118
    )


def _header(opened: Any) -> dict[str, Any]:
    return upgrade_header(json.loads((opened.metadata() or {})["robot"]))


def _open(file: Path, read: Callable[[Any], Any], *, framework: str = "pt") -> Any:
    if not file.is_file():
        arms = sorted(str(inner.parent) for inner in file.parent.glob(f"*/{FILE_NAME}"))
        remedy = f"pass one of {', '.join(arms)}" if arms else "train first"
        raise InputError(
            f"got no checkpoint at {file}, expected a .safetensors file or a folder with "
            f"{FILE_NAME}: {remedy}"
        )
    try:
        with safe_open(file, framework=framework) as opened:
            return read(opened)
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"got a damaged checkpoint {file} ({error}), expected a whole file: copy it again"
        ) from error
    except (KeyError, json.JSONDecodeError) as error:
        raise InputError(
            f"got a safetensors file without this project's header in {file}, expected one that "
            "robot.checkpoint wrote"
        ) from error


def _replace(file: Path, write: Callable[[Path], object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def git_revision() -> str:
    """Return the revision of this code, with "-dirty" when tracked files differ from it, or
    "unknown".
    """
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        here = Path(__file__).parent
        return subprocess.run(
            command, cwd=here, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    return "unknown"


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
