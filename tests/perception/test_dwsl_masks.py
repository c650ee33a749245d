"""Discriminator-weighted learning of masks: hand-computed numbers, and each mistake that is easily made."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from robot.batch import MaskBatch
from robot.language import LanguageEncoder
from robot.perception.discriminator import JudgedBatch, MaskDiscriminator, kept, visible_only
from robot.perception.dwsl_masks import clipped_weights, discriminator_loss
from robot.perception.mask_head import MaskHead
from robot.train.loop import train, weighted_mean
from robot.types import InputError

JUDGE = {"widths": [8, 8, 8], "blocks": [1, 1, 1], "dim": 16, "queries": 2, "max_tokens": 24, "fill": 0.5}
SIDE = 32


@pytest.fixture
def judge() -> MaskDiscriminator:
    torch.manual_seed(0)
    return MaskDiscriminator(**JUDGE)


def batch(count: int = 3, *, target: slice = slice(8, 24)) -> MaskBatch:
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(count, SIDE, SIDE, dtype=torch.uint8)
    labels[:, target, target] = 1
    return MaskBatch(
        frames=torch.randint(0, 256, (count, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8),
        language=LanguageEncoder.hashed().encode(["lift the cup", "go", "put a on b"][:count]),
        labels=labels,
        presence=torch.ones(count, 2),
    )


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_discriminator_loss_by_hand():
    # trusted judged .8: -log .8; machine judged .3: -log .7
    loss = discriminator_loss(torch.tensor([logit(0.8)]), torch.tensor([logit(0.3)]))
    assert loss.tolist() == pytest.approx([-math.log(0.8) - math.log(0.7)], abs=1e-6)


def test_weights_by_hand():
    # s = .02 -> .1, .5, .98 -> .9: mean .5
    weights = clipped_weights(torch.tensor([logit(0.02), 0.0, logit(0.98)]))
    assert weights.tolist() == pytest.approx([0.2, 1.0, 1.8], abs=1e-5)


def test_weights_are_constants_to_the_generator():
    assert not clipped_weights(torch.zeros(2, requires_grad=True)).requires_grad


@pytest.mark.parametrize("logits", [torch.zeros(3, 1), torch.zeros(())])
def test_weights_of_anything_but_a_vector_are_refused(logits):
    with pytest.raises(InputError, match=r"expected \(B,\)"):
        clipped_weights(logits)


@pytest.mark.parametrize("machine", [torch.zeros(3, 1), torch.zeros(2)])
def test_a_loss_of_unequal_shapes_is_refused(machine):
    with pytest.raises(InputError, match=r"expected both \(B,\)"):
        discriminator_loss(torch.zeros(3), machine)


@pytest.mark.parametrize("weights", [torch.ones(3, 1), torch.ones(1), torch.ones(2)])
def test_the_loop_refuses_weights_that_would_broadcast(weights):
    with pytest.raises(InputError, match=r"got weights \(.*expected both \(B,\)"):
        weighted_mean(torch.ones(3), weights)


def test_a_weight_weighs_its_own_sample_and_no_other():
    losses = torch.tensor([1.0, 2.0, 5.0], requires_grad=True)
    weighted_mean(losses, torch.tensor([0.0, 1.0, 3.0])).backward()
    assert losses.grad is not None and losses.grad.tolist() == [0.0, 0.25, 0.75]


def test_weights_of_the_loop_change_what_is_learned():
    """Sample 1 gets weight 0: the head ends as if it had been alone."""
    both = batch(2)
    spoiled = replace(both, labels=torch.stack([both.labels[0], torch.ones_like(both.labels[1])]))
    ends = []
    for data in (both, spoiled):
        torch.manual_seed(0)
        head = MaskHead(widths=(8, 8, 8), blocks=(1, 1, 1), dim=16, heads=2, depth=1)
        options = {"warmup_steps": 1, "precision": "fp32", "device": "cpu"}
        train(head, iter([(data, torch.tensor([1.0, 0.0]))] * 2), steps=2, **options)
        ends.append(torch.cat([p.detach().flatten() for p in head.parameters()]))
    torch.testing.assert_close(ends[0], ends[1])


def test_swapping_masks_changes_the_verdict(judge):
    one, other = batch(1), batch(1, target=slice(0, 8))
    verdicts = [judge(one.frames, one.language, kept(b.labels)) for b in (one, other)]
    assert (verdicts[0] - verdicts[1]).abs().item() > 1e-4


def test_changing_the_sentence_changes_the_verdict(judge):
    one, other = batch(1), LanguageEncoder.hashed().encode(["open the drawer"])
    mask = kept(one.labels)
    assert (judge(one.frames, one.language, mask) - judge(one.frames, other, mask)).abs().item() > 1e-4


def test_what_the_mask_hides_does_not_reach_the_verdict(judge):
    one = batch(1)
    noise = torch.randint(0, 256, one.frames.shape, dtype=torch.uint8)
    changed = torch.where(one.labels[:, None] > 0, one.frames, noise)
    mask = kept(one.labels)
    assert torch.equal(judge(one.frames, one.language, mask), judge(changed, one.language, mask))


def test_what_is_hidden_is_painted_grey():
    frames = torch.full((1, 3, 2, 2), 7, dtype=torch.uint8)
    shown = visible_only(frames, torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]), fill=0.5)
    assert shown[0, 0].tolist() == [[7, 128], [128, 128]]


def test_the_discriminators_loss_leaves_no_gradient_in_the_generator(judge):
    head = MaskHead(widths=(8, 8, 8), blocks=(1, 1, 1), dim=16, heads=2, depth=1)
    one = batch()
    drawn = head(one.frames, one.language).logits.sigmoid().amax(dim=1)
    verdict = judge(one.frames, one.language, drawn)
    discriminator_loss(verdict, verdict).sum().backward()
    assert all(p.grad is None for p in head.parameters())
    assert any(p.grad is not None for p in judge.parameters())


def test_trusted_and_machine_records_pull_apart(judge):
    pair = JudgedBatch(trusted=batch(), machine=batch(target=slice(0, 8)))
    optimizer = torch.optim.Adam(judge.parameters(), lr=1e-2)
    before = judge.loss(pair).mean().item()
    for _ in range(15):
        optimizer.zero_grad()
        judge.loss(pair).mean().backward()
        optimizer.step()
    assert judge.loss(pair).mean().item() < 0.5 * before


def test_one_verdict_per_sample(judge):
    assert judge.loss(JudgedBatch(trusted=batch(), machine=batch())).shape == (3,)


def test_impossible_shapes_of_a_discriminator_are_refused():
    with pytest.raises(InputError, match="expected three widths"):
        MaskDiscriminator(**JUDGE | {"widths": [8]})
