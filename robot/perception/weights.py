"""Whether the published weights that a config names can be had, asked without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from robot.errors import InputError

CONFIG = "config.json"  # of every folder of weights
PATIENCE_S = 1.0


def check_weights(options: Mapping[str, Any]) -> None:
    """Raise InputError where the weights that `sam` and `llava` name can neither be found nor
    fetched: before any long work starts.
    """
    for option in ("llava", "sam"):
        if (name := options.get(option)) is not None:
            require_weights(str(name))


def require_weights(name: str) -> None:
    """Raise InputError unless `name` is a folder of weights, or known to the Hugging Face hub."""
    if Path(name).is_dir():
        if not (Path(name) / CONFIG).is_file():
            raise no_weights(name, f"the folder has no {CONFIG}")
        return
    from huggingface_hub import try_to_load_from_cache

    try:
        known = isinstance(try_to_load_from_cache(name, CONFIG), str)
    except ValueError as error:  # no such name is possible
        raise no_weights(name, str(error).splitlines()[0]) from error
    if not known:
        _require_fetchable(name)


def _require_fetchable(name: str) -> None:
    """Raise InputError unless the hub has the weights: asked once, where its own client would wait
    half a minute for a network that is not there.
    """
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    if constants.HF_HUB_OFFLINE:
        raise no_weights(name, "HF_HUB_OFFLINE is set")
    asked = Request(hf_hub_url(name, CONFIG), headers=build_hf_headers(), method="HEAD")
    try:
        with urlopen(asked, timeout=PATIENCE_S):
            return
    except OSError as error:  # HTTP errors, no route, no answer
        raise no_weights(name, str(error)) from error


def no_weights(name: str, reason: str) -> InputError:
    """Return what to raise where there are no weights of this name."""
    return InputError(
        f"got no weights of {name}, expected them in the Hugging Face cache or in a folder of that "
        f"name: run `hf download {name}` on a machine with network and copy the cache, or set "
        f"mask_head.sam and mask_head.llava to folders ({reason})"
    )
