"""IVM's discriminator: what LLaVA, with a LoRA of its own, makes of the sentence when it sees only
what the mask leaves.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from robot.batch import Sentences
from robot.perception.head.label_discriminator import LabelDiscriminator, visible_only
from robot.perception.ivm.frozen import share_frozen_when_copied, skip_frozen_when_saved
from robot.perception.ivm.llava_condition import LlavaCondition


class IvmDiscriminator(LabelDiscriminator):
    """LlavaCondition on the masked frame, then one linear unit."""

    reads_sentences = True
    frames_at_once = 8

    def __init__(self, *, condition: LlavaCondition, dim: int, fill: float) -> None:
        super().__init__()
        self.condition, self.fill = condition, fill
        self.classifier = nn.Linear(dim, 1)
        skip_frozen_when_saved(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> IvmDiscriminator:
        return share_frozen_when_copied(self, memo)

    def forward(
        self,
        frames: Shaped[Tensor, "b _ _ _"],
        language: Sentences,
        masks: Float[Tensor, "b h w"],
        losses: Float[Tensor, " b"] | None = None,
    ) -> Float[Tensor, " b"]:
        del losses  # the published one sees none
        condition = self.condition(visible_only(frames, masks, fill=self.fill), language)
        return self.classifier(condition.relu())[:, 0, 0].float()
