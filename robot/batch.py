"""Tensors that cross a package boundary in training and inference. B is the batch, N cameras, L
tokens, T the action chunk.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

LANGUAGE_DIM = 384  # MiniLM token embedding
COMPOSITE_CHANNELS = 6  # composited RGB, then coverage of target, destination, gripper


class _OnDevice:
    """Move every tensor (and nested batch) of a frozen dataclass to a device."""

    def to(self, device: torch.device | str) -> Self:
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self)}  # type: ignore[arg-type]
        return type(self)(**moved)


@dataclass(frozen=True)
class LanguageTokens(_OnDevice):
    """Frozen token embeddings of B sentences; `valid` is False on padding."""

    tokens: Float[Tensor, "b l 384"]
    valid: Bool[Tensor, "b l"]

    def __getitem__(self, index: Tensor) -> LanguageTokens:
        return LanguageTokens(tokens=self.tokens[index], valid=self.valid[index])


@dataclass(frozen=True)
class Sentences:
    """B sentences as they are, for modules that bring a language model of their own."""

    texts: tuple[str, ...]

    def to(self, device: torch.device | str) -> Self:
        del device  # words live nowhere
        return self

    def __getitem__(self, index: Tensor) -> Sentences:
        return Sentences(texts=tuple(self.texts[k] for k in index.tolist()))


@dataclass(frozen=True)
class MaskBatch(_OnDevice):
    """One training batch of the mask head. `labels` hold a robot.types.Label per pixel; `presence`
    is (target, destination).
    """

    frames: UInt8[Tensor, "b 3 h w"]
    language: LanguageTokens | Sentences
    labels: UInt8[Tensor, "b h w"]
    presence: Float[Tensor, "b 2"]


@dataclass(frozen=True)
class PolicyObservation(_OnDevice):
    """What a policy acts on. `images` are composites in [0, 1]: masked RGB, then target,
    destination, gripper coverage.

    `proprio` is in physical units; the policy normalises it with the statistics that travel inside
    its checkpoint.
    """

    images: Float[Tensor, "b n 6 h w"]
    proprio: Float[Tensor, "b s"]
    language: LanguageTokens


@dataclass(frozen=True)
class PolicyBatch(_OnDevice):
    """Observations with the actions (physical units) that followed; `valid` is False on steps past
    the episode's end.
    """

    observation: PolicyObservation
    actions: Float[Tensor, "b t a"]
    valid: Bool[Tensor, "b t"]


@dataclass(frozen=True)
class ScoredWindows(_OnDevice):
    """What a discriminator of demonstrations scores: windows, and what was seen after the last
    action of each.
    """

    policy: PolicyBatch
    after: PolicyObservation


@dataclass(frozen=True)
class TierBatch(_OnDevice):
    """What a discriminator of demonstrations learns from; `trusted` is 1 for trusted samples, 0 for
    machine ones.
    """

    windows: ScoredWindows
    trusted: Float[Tensor, " b"]
