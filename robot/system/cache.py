"""Names of cache folders: a function of all that their contents depend on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

# Raise it when experts, scenes or looks change: what was collected before is left alone.
GENERATION = 4
# metadata of a dataclass's field: what was made before there was one is found again
ADDED = {"added": True}


def key(name: str, content: Mapping[str, object]) -> str:
    """Return a folder name that two different contents never share.

    Content is JSON, arrays, paths, and dataclasses of these, which count by their class and their
    fields, those ADDED later only where they are not the default. A file counts by its bytes; a
    folder by its name, which is a function of its content, wherever it lies.
    """
    identity = json.dumps([GENERATION, content], sort_keys=True, default=_as_json)
    return f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _as_json(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: getattr(value, field.name)
            for field in dataclasses.fields(value)
            if not field.metadata.get("added") or getattr(value, field.name) != field.default
        }
        return {"class": type(value).__name__, **fields}
    if isinstance(value, Path):
        return _digest(value) if value.is_file() else value.name
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"got a {type(value).__name__} in the content of a cache folder")
