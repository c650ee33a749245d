"""Billions of frozen weights inside a module: neither saved with what was trained, nor copied with
it.
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def frozen_names(module: nn.Module) -> frozenset[str]:
    """Name the parameters that do not learn."""
    return frozenset(
        name for name, parameter in module.named_parameters() if not parameter.requires_grad
    )


def skip_frozen_when_saved(module: nn.Module) -> None:
    """Leave parameters that are frozen now out of the module's state_dict, and do not miss them
    when one is loaded.
    """
    module.frozen = frozen_names(module)  # type: ignore[assignment]
    module.register_state_dict_post_hook(_drop)
    module.register_load_state_dict_post_hook(_excuse)


def share_frozen_when_copied(module: M, memo: dict[int, Any]) -> M:
    """Deep-copy a module, but let the copy hold the same frozen parameters: for use as its
    __deepcopy__.
    """
    parameters = dict(module.named_parameters())
    memo |= {id(parameters[name]): parameters[name] for name in module.frozen}  # type: ignore[union-attr]
    copied = type(module).__new__(type(module))
    memo[id(module)] = copied
    copied.__setstate__(copy.deepcopy(module.__dict__, memo))
    return copied


def _drop(module: nn.Module, state: dict[str, Tensor], prefix: str, metadata: object) -> None:
    del metadata
    for name in module.frozen:  # type: ignore[union-attr]
        state.pop(prefix + name, None)


def _excuse(module: nn.Module, keys: Any) -> None:
    frozen: frozenset[str] = module.frozen  # type: ignore[assignment]
    keys.missing_keys[:] = [key for key in keys.missing_keys if key not in frozen]
