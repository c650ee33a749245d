"""The discriminator of masks: what it sees, what it learns from, and each mistake that is easily
made.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from robot.batch import MaskBatch
from robot.dwsl import binary_loss
from robot.language import LanguageEncoder
from robot.perception.head.label_discriminator import (
    LabelDiscriminator,
    MaskDiscriminator,
    ScoredBatch,
    ScoredRecords,
    kept,
    visible_only,
)
from robot.perception.head.mask_head import MaskHead
from robot.train.loop import Training, train
from robot.types import InputError

OPTIONS = {
    "widths": [8, 8, 8],
    "blocks": [1, 1, 1],
    "dim": 16,
    "queries": 2,
    "max_tokens": 24,
    "fill": 0.5,
}
SIDE = 32
LOSSES = torch.tensor([0.1, 0.2, 0.3])


@pytest.fixture
def discriminator() -> MaskDiscriminator:
    torch.manual_seed(0)
    return MaskDiscriminator(**OPTIONS)


def batch(count: int = 3, *, target: slice = slice(8, 24)) -> MaskBatch:
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(count, SIDE, SIDE, dtype=torch.uint8)
    labels[:, target, target] = 1
    return MaskBatch(
        frames=torch.randint(
            0, 256, (count, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8
        ),
        language=LanguageEncoder.hashed().encode(["lift the cup", "go", "put a on b"][:count]),
        labels=labels,
        presence=torch.ones(count, 2),
    )


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


class Told(LabelDiscriminator):
    """Says what it was told."""

    def __init__(self, *logits: torch.Tensor) -> None:
        super().__init__()
        self.said = list(logits)

    def forward(self, frames, language, masks, losses=None):
        return self.said.pop(0)


def records(**how) -> ScoredRecords:
    return ScoredRecords(batch(**how), LOSSES)


PAIR = ScoredBatch(trusted=records(), machine=records())


def test_the_loss_of_a_pair_by_hand():
    # trusted scored .8: -log .8; machine scored .3: -log .7
    loss = Told(torch.tensor([logit(0.8)]), torch.tensor([logit(0.3)])).loss(PAIR)
    assert loss.tolist() == pytest.approx([-math.log(0.8) - math.log(0.7)], abs=1e-6)


@pytest.mark.parametrize("machine", [torch.zeros(3, 1), torch.zeros(2)])
def test_a_loss_of_unequal_shapes_is_refused(machine):
    with pytest.raises(InputError, match=r"expected vectors \[B\] of one length"):
        Told(torch.zeros(3), machine).loss(PAIR)


def test_weights_of_the_loop_change_what_is_learned():
    """Sample 1 gets weight 0: the head ends as if it had been alone."""
    both = batch(2)
    corrupted = replace(both, labels=torch.stack([both.labels[0], torch.ones_like(both.labels[1])]))
    ends = []
    for data in (both, corrupted):
        torch.manual_seed(0)
        head = MaskHead(widths=(8, 8, 8), blocks=(1, 1, 1), dim=16, heads=2, depth=1)
        training = Training(steps=2, warmup_steps=1, precision="fp32", device="cpu")
        train(head, iter([(data, torch.tensor([1.0, 0.0]))] * 2), training)
        ends.append(torch.cat([p.detach().flatten() for p in head.parameters()]))
    torch.testing.assert_close(ends[0], ends[1])


def test_swapping_masks_changes_the_logit(discriminator):
    one, other = batch(1), batch(1, target=slice(0, 8))
    logits = [
        discriminator(one.frames, one.language, kept(b.labels), LOSSES[:1]) for b in (one, other)
    ]
    assert (logits[0] - logits[1]).abs().item() > 1e-4


def test_changing_the_sentence_changes_the_logit(discriminator):
    one, other = batch(1), LanguageEncoder.hashed().encode(["open the drawer"])
    mask = kept(one.labels)
    assert (
        discriminator(one.frames, one.language, mask, LOSSES[:1])
        - discriminator(one.frames, other, mask, LOSSES[:1])
    ).abs().item() > 1e-4


def test_what_the_mask_hides_does_not_reach_the_logit(discriminator):
    one = batch(1)
    noise = torch.randint(0, 256, one.frames.shape, dtype=torch.uint8)
    changed = torch.where(one.labels[:, None] > 0, one.frames, noise)
    mask = kept(one.labels)
    logits = [
        discriminator(frames, one.language, mask, LOSSES[:1]) for frames in (one.frames, changed)
    ]
    assert torch.equal(*logits)


def test_the_witness_loss_changes_the_logit_and_gets_no_gradient(discriminator):
    one, losses = batch(), LOSSES.clone().requires_grad_()
    logit = discriminator(one.frames, one.language, kept(one.labels), losses)
    logit.sum().backward()
    assert losses.grad is None
    assert (
        discriminator(one.frames, one.language, kept(one.labels), 9 * LOSSES) - logit
    ).abs().min() > 1e-4


def test_a_discriminator_that_is_not_told_the_losses_says_so(discriminator):
    one = batch()
    with pytest.raises(InputError, match="got no losses"):
        discriminator(one.frames, one.language, kept(one.labels))


def test_what_is_dropped_is_seen_and_never_what_is_told():
    torch.manual_seed(0)
    blind, one = MaskDiscriminator(**OPTIONS, dropout=1.0), batch()
    told = [
        blind(one.frames, one.language, kept(one.labels), losses) for losses in (LOSSES, 9 * LOSSES)
    ]
    unseen = blind(one.frames, one.language, 1 - kept(one.labels), LOSSES)
    assert torch.equal(unseen, told[0]) and not torch.equal(*told)


def test_what_is_hidden_is_painted_grey():
    frames = torch.full((1, 3, 2, 2), 7, dtype=torch.uint8)
    shown = visible_only(frames, torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]), fill=0.5)
    assert shown[0, 0].tolist() == [[7, 128], [128, 128]]


def test_the_discriminators_loss_leaves_no_gradient_in_the_generator(discriminator):
    head = MaskHead(widths=(8, 8, 8), blocks=(1, 1, 1), dim=16, heads=2, depth=1)
    one = batch()
    drawn = head(one.frames, one.language).logits.sigmoid().amax(dim=1)
    logit = discriminator(one.frames, one.language, drawn, LOSSES)
    binary_loss(logit, torch.ones(len(logit))).sum().backward()
    assert all(p.grad is None for p in head.parameters())
    assert any(p.grad is not None for p in discriminator.parameters())


def test_trusted_and_machine_records_pull_apart(learning):
    torch.manual_seed(learning.seed)
    discriminator = MaskDiscriminator(**OPTIONS)
    pair = ScoredBatch(trusted=records(), machine=records(target=slice(0, 8)))
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-2)
    before = discriminator.loss(pair).mean().item()
    for _ in range(15):
        optimizer.zero_grad()
        discriminator.loss(pair).mean().backward()
        optimizer.step()
    learning.below(0.5, share_of_the_loss_left=discriminator.loss(pair).mean().item() / before)


def test_one_logit_per_sample(discriminator):
    assert discriminator.loss(PAIR).shape == (3,)


def test_impossible_shapes_of_a_discriminator_are_refused():
    with pytest.raises(InputError, match="expected three widths"):
        MaskDiscriminator(**OPTIONS | {"widths": [8]})


def test_weights_of_an_earlier_version_load(discriminator):
    """Its last layers were called `judge`."""
    now = discriminator.state_dict()
    then = {name.replace("classifier.", "judge."): 2 * value for name, value in now.items()}
    assert then.keys() != now.keys()
    discriminator.load_state_dict(then)
    for name, value in discriminator.state_dict().items():
        assert torch.equal(value, then[name.replace("classifier.", "judge.")])
