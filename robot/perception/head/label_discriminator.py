"""Can the instruction be followed, given only what this mask leaves visible? Scores (frame,
instruction, mask) triples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor, nn

from robot.batch import LANGUAGE_DIM, LanguageTokens, MaskBatch, Sentences
from robot.dwsl import binary_loss, check_vectors, loss_feature
from robot.perception.head.base import ReadsWords
from robot.perception.head.encoders import ImageEncoder, LanguagePool
from robot.types import InputError, Label


@dataclass(frozen=True)
class ScoredRecords:
    """B labelled records; `losses` are those of a witness on each: a head that learned from trusted
    labels only.
    """

    batch: MaskBatch
    losses: Float[Tensor, " b"] | None = None  # None for a discriminator that is told nothing

    def to(self, device: torch.device | str) -> ScoredRecords:
        return ScoredRecords(
            self.batch.to(device), None if self.losses is None else self.losses.to(device)
        )


@dataclass(frozen=True)
class ScoredBatch:
    """As many trusted as machine-labelled records: what a discriminator learns to tell apart."""

    trusted: ScoredRecords
    machine: ScoredRecords

    def to(self, device: torch.device | str) -> ScoredBatch:
        return ScoredBatch(trusted=self.trusted.to(device), machine=self.machine.to(device))


def visible_only(
    frames: Shaped[Tensor, "b _ _ _"], masks: Float[Tensor, "b h w"], *, fill: float
) -> Shaped[Tensor, "b _ _ _"]:
    """Return uint8 frames (B, 3, H, W) with everything outside the masks (B, H, W) painted `fill`
    in [0, 1].

    The result is uint8: no gradient reaches whatever made the mask.
    """
    grey = torch.full_like(frames, round(255 * fill))
    return torch.where((masks > 0.5)[:, None], frames, grey)


def kept(labels: UInt8[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    """Return what a label map leaves visible: every role."""
    return (labels != Label.BACKGROUND).float()


class LabelDiscriminator(ReadsWords):
    """`discriminator(frames, language, masks, losses)` -> logits (B,): is the mask one to trust?"""

    reads_losses = False  # True: it needs the witness's loss; False: `losses` are ignored
    frames_at_once = 64

    def __init__(self) -> None:
        super().__init__()
        self.register_load_state_dict_pre_hook(_upgrade_names)

    def forward(
        self,
        frames: Shaped[Tensor, "b _ _ _"],
        language: LanguageTokens | Sentences,
        masks: Float[Tensor, "b h w"],
        losses: Float[Tensor, " b"] | None = None,
    ) -> Float[Tensor, " b"]:
        raise NotImplementedError

    def logits(self, records: ScoredRecords) -> Tensor:
        """Return the logits of records by what their labels leave visible."""
        batch = records.batch
        return self(batch.frames, batch.language, kept(batch.labels), records.losses)

    def loss(
        self, batch: ScoredBatch, generator: torch.Generator | None = None
    ) -> Float[Tensor, " b"]:
        """L_D (IVM, arXiv 2405.19783) per pair; `generator` is part of every module's signature
        here and unused.
        """
        del generator
        trusted, machine = self.logits(batch.trusted), self.logits(batch.machine)
        check_vectors(trusted=trusted, machine=machine)
        return binary_loss(trusted, torch.ones_like(trusted)) + binary_loss(
            machine, torch.zeros_like(machine)
        )


def _upgrade_names(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Rename what earlier checkpoints call `judge`."""
    former = f"{prefix}judge."
    for name in [name for name in state if name.startswith(former)]:
        state[f"{prefix}classifier.{name.removeprefix(former)}"] = state.pop(name)


class MaskDiscriminator(LabelDiscriminator):
    """The small one: the mask head's image encoder and word pool on the masked frame, pooled over
    the image, one logit.

    It sees the witness's loss on the label, too, as DWBC shows the policy's (arXiv 2207.10050):
    what a label shows can look right where it is the wrong object. The loss is a number: no
    gradient goes back to the witness.
    """

    reads_losses = True

    def __init__(
        self,
        *,
        widths: Sequence[int],
        blocks: Sequence[int],
        dim: int,
        queries: int,
        max_tokens: int,
        fill: float,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(widths) != 3 or len(blocks) != 3 or not 0 <= fill <= 1:
            raise InputError(
                f"got widths {list(widths)}, blocks {list(blocks)}, fill {fill}, expected three "
                "widths, three block counts "
                "and a grey value in [0, 1]"
            )
        self.fill = fill
        self.pool = LanguagePool(
            language_dim=LANGUAGE_DIM, dim=dim, queries=queries, max_tokens=max_tokens
        )
        self.encoder = ImageEncoder(widths=widths, blocks=blocks, pooled_dim=queries * dim)
        self.dropout = nn.Dropout(dropout)  # of what it sees, never of what it is told
        self.classifier = nn.Sequential(
            nn.Linear(2 * widths[-1] + queries * dim + 1, dim), nn.ReLU(), nn.Linear(dim, 1)
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self,
        frames: Shaped[Tensor, "b _ _ _"],
        language: LanguageTokens,
        masks: Float[Tensor, "b h w"],
        losses: Float[Tensor, " b"] | None = None,
    ) -> Float[Tensor, " b"]:
        """Score uint8 frames (B, 3, H, W), sides multiples of 16, for one sentence, one mask (B, H,
        W) and one loss each.
        """
        if losses is None:
            raise InputError(
                "got no losses, expected the witness's (B,) beside the masks: train a witness first"
            )
        _, pooled = self.pool(language.tokens, language.valid)
        visible = visible_only(frames, masks, fill=self.fill)
        coarse = self.encoder(visible, self.encoder.read(pooled))[-1].relu()  # b c h/16 w/16
        seen = self.dropout(
            torch.cat([coarse.mean(dim=(2, 3)), coarse.amax(dim=(2, 3)), pooled], dim=1)
        )
        return self.classifier(torch.cat([seen, loss_feature(losses).to(seen.dtype)], dim=1))[
            :, 0
        ].float()
