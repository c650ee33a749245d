"""Names of cache folders: a function of all options that their contents depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Raise it when experts, scenes or looks change: what was collected before is left alone.
GENERATION = 4


def key(name: str, options: Mapping[str, Any]) -> str:
    """Return a folder name that two different sets of options never share."""
    identity = json.dumps([GENERATION, options], sort_keys=True, default=str)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    return f"{name}-{digest}"
