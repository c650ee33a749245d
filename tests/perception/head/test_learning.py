"""Does the head learn to do what the sentence says? A tiny proof at every run, the drawn scenes
under `slow`.
"""

from dataclasses import replace

import pytest
import torch

from robot.batch import MaskBatch
from robot.language import LanguageEncoder
from robot.perception.compose.masking import mask_from_labels
from robot.perception.head.mask_head import MaskHead
from robot.perception.head.metrics import auroc, iou
from robot.system.device import pick_dtype
from tests.perception.head.shapes import Shapes

SENTENCES = ("take the red one", "take the blue one")
TINY = {
    "widths": (24, 32, 32),
    "blocks": (1, 1, 1),
    "dim": 32,
    "heads": 2,
    "depth": 1,
    "pixel_dim": 4,
}


def two_squares(count: int, generator: torch.Generator, encoder: LanguageEncoder) -> MaskBatch:
    """A red and a blue square of 8 px, one in each half of the frame; the sentence asks for one of
    them.
    """
    frames, labels = (
        torch.full((count, 3, 32, 32), 90),
        torch.zeros(count, 32, 32, dtype=torch.uint8),
    )
    wanted, swapped = torch.randint(0, 2, (2, count), generator=generator)
    for row in range(count):
        for half in range(2):
            top, left = torch.randint(1, 22, (1,), generator=generator).item(), 4 + 16 * half
            colour = (half + swapped[row]) % 2  # 0 red, 1 blue
            frames[row, 2 * colour, top : top + 8, left : left + 8] = 230
            if colour == wanted[row]:
                labels[row, top : top + 8, left : left + 8] = 1
    language = encoder.encode([SENTENCES[colour] for colour in wanted.tolist()])
    return MaskBatch(
        frames=frames.to(torch.uint8),
        language=language,
        labels=labels,
        presence=torch.tensor([[1.0, 0.0]] * count),
    )


def fit(head: MaskHead, draw, *, steps: int, learning_rate: float, precision: str = "auto") -> None:
    dtype = pick_dtype(precision, torch.device("cpu"))
    optimizer = torch.optim.AdamW(head.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=steps, pct_start=0.1
    )
    for _ in range(steps):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            loss = head.loss(draw()).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        schedule.step()


@torch.no_grad()
def target_iou(head: MaskHead, batch: MaskBatch) -> float:
    probability = head(batch.frames, batch.language).logits.sigmoid()
    return iou(probability[:, 0], mask_from_labels(batch.labels)[:, 0]).nanmean().item()


def test_the_sentence_decides_which_square_is_kept(learning):
    torch.manual_seed(learning.seed)
    encoder, generator = (
        LanguageEncoder.hashed(),
        torch.Generator().manual_seed(learning.seed),
    )
    head = MaskHead(**TINY)
    fit(
        head,
        lambda: two_squares(16, generator, encoder),
        steps=200,
        learning_rate=3e-3,
        precision=learning.precision,
    )
    batch = two_squares(64, torch.Generator().manual_seed(100 + learning.seed), encoder)
    red, blue = encoder.encode(list(SENTENCES)).tokens
    opposite = red + blue - batch.language.tokens
    right = target_iou(head, batch)
    wrong = target_iou(head, replace(batch, language=replace(batch.language, tokens=opposite)))
    learning.above(0.8, iou_with_the_sentence=right)
    learning.below(0.1, iou_with_the_opposite_sentence=wrong)


@pytest.mark.slow
def test_head_finds_named_shapes_among_look_alikes():
    torch.manual_seed(0)
    drawn, generator = Shapes(LanguageEncoder(), side=64), torch.Generator().manual_seed(1)
    head = MaskHead(widths=(48, 64, 96), blocks=(1, 1, 1), dim=64, pixel_dim=4)
    fit(head, lambda: drawn.draw(32, generator), steps=1200, learning_rate=4e-3)
    batch = drawn.draw(256, torch.Generator().manual_seed(99))
    with torch.no_grad():
        output = head(batch.frames, batch.language)
    ious = iou(output.logits.sigmoid(), mask_from_labels(batch.labels))
    assert ious[batch.presence[:, 0] > 0, 0].nanmean() > 0.6
    assert ious[:, 2].nanmean() > 0.95
    assert auroc(output.presence_logits[:, 0], batch.presence[:, 0]) > 0.85
