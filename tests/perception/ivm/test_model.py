"""The published model's classes at toy size: what learns, what is saved, what position is read."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from robot.batch import Sentences
from robot.checkpoint import load, save
from robot.language import RawSentences
from robot.perception.compose.masking import Overlay
from robot.perception.head.label_discriminator import kept
from robot.perception.ivm.decoder import HeatmapDecoder, fourier_positions
from robot.perception.ivm.discriminator import IvmDiscriminator
from robot.perception.ivm.llava_condition import last_but_one
from robot.perception.ivm.model import IVM, expected_iou
from robot.perception.ivm.pretrained import weights_of
from robot.perception.sources import LearnedMasks
from robot.train.ema import make_average
from robot.train.loop import Training, train
from robot.types import Frame, Goal, InputError, MaskStatus
from tests.perception.ivm.tiny import DIM, batch, condition, image_encoder, ivm, llava


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[dict, IVM, list[float]]:
    """Weights before, the model after a few steps of the one loop, and the loss of every step."""
    model, losses = ivm(), []
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    training = Training(
        steps=60,
        log_every=1,
        learning_rate=3e-2,
        warmup_steps=1,
        precision="fp32",
        device="cpu",
        checkpoint_every=100,
    )
    folder = tmp_path_factory.mktemp("training")
    train(
        model,
        iter([batch()] * 60),
        training,
        checkpoint_dir=folder,
        log=lambda step, values: losses.append(values["loss"]),
    )
    return before, model, losses


def test_the_loss_falls(trained):
    _, _, losses = trained
    assert losses[-1] < 0.6 * losses[0]


def test_only_trainable_parameters_change(trained):
    before, model, _ = trained
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed and changed <= {name for name, p in model.named_parameters() if p.requires_grad}


def test_lora_projection_and_decoder_all_learn(trained):
    before, model, _ = trained
    still = {
        name
        for name, p in model.named_parameters()
        if p.requires_grad and torch.equal(p, before[name])
    }
    assert {
        name for name in still if not name.endswith("k_proj.bias")
    } == set()  # softmax cancels a key's bias


def test_a_checkpoint_restores_the_masks_on_the_same_frozen_weights(trained, tmp_path):
    _, model, _ = trained
    fresh = copy.deepcopy(model)
    for parameter in fresh.parameters():
        if parameter.requires_grad:
            nn.init.zeros_(parameter)
    restored = load(save(tmp_path, model, kind="ivm", config={}), {"ivm": lambda: fresh})
    model.eval()
    expected, got = (m(batch().frames, batch().language).logits for m in (model, restored))
    torch.testing.assert_close(got, expected)


def test_the_average_shares_frozen_weights_and_nothing_that_learns():
    model = ivm()
    average = make_average(model)
    pairs = zip(average.parameters(), model.parameters(), strict=True)
    assert all((kept is current) == (not current.requires_grad) for kept, current in pairs)


def test_outputs_have_the_shape_of_the_frames():
    output = ivm()(batch().frames[:, :, :24], batch().language)
    assert output.logits.shape == (2, 3, 24, 32) and output.coarse_logits.shape == (2, 3, 32, 32)
    assert output.presence_logits.shape == (2, 2) and output.predicted_iou.shape == (2,)


def test_one_heat_map_travels_in_the_target_channel_alone():
    output = ivm()(batch().frames, batch().language)
    assert output.logits[:, 1:].sigmoid().max() < 1e-9


def test_the_heat_map_is_taught_target_and_destination_and_not_the_gripper():
    model = ivm()
    swapped = replace(
        batch(), labels=torch.where(batch().labels == 1, 2, batch().labels).to(torch.uint8)
    )
    bare = replace(
        batch(), labels=torch.where(batch().labels == 3, 0, batch().labels).to(torch.uint8)
    )
    torch.testing.assert_close(model.loss(swapped), model.loss(batch()))
    torch.testing.assert_close(model.loss(bare), model.loss(batch()))


def test_three_masks_draw_the_gripper_too():
    assert ivm(masks=3)(batch().frames, batch().language).logits[:, 2].sigmoid().max() > 1e-3


def test_two_masks_are_refused():
    with pytest.raises(InputError, match="expected 1"):
        ivm(masks=2)


def test_the_sentence_changes_the_mask():
    model = ivm().eval()
    frames = batch().frames[:1].expand(2, -1, -1, -1)
    logits = model(frames, Sentences(texts=("take the left one", "open a drawer"))).logits
    assert (logits[0] - logits[1]).abs().max() > 1e-4


def test_a_sentence_means_the_same_beside_a_longer_one():
    reads, frames = condition().eval(), batch().frames
    together = reads(frames, Sentences(texts=("go", "take the very long red thing")))
    alone = reads(frames[:1], Sentences(texts=("go",)))
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=1e-4)


def test_padding_on_the_right_is_refused():
    with pytest.raises(InputError, match="expected them on the left"):
        condition(padding_side="right")(batch().frames, batch().language)


def test_the_condition_is_the_hidden_state_at_position_minus_two():
    hidden = torch.arange(4.0)[None, :, None]
    assert last_but_one(hidden, torch.ones(1, 4, dtype=torch.long)).tolist() == [[2.0]]


@pytest.mark.parametrize("prompt", ["{instruction}", "<image>", "<image><image>{instruction}"])
def test_a_prompt_without_its_places_is_refused(prompt):
    from robot.perception.ivm.llava_condition import LlavaCondition

    sizes = {"lora_rank": 1, "lora_alpha": 1, "lora_dropout": 0.0, "projection_dim": 2, "dim": 2}
    with pytest.raises(InputError, match="once each"):
        LlavaCondition(llava=llava(), tokenize=lambda prompts: None, prompt=prompt, **sizes)  # type: ignore[arg-type]


def test_image_features_carry_no_gradient():
    assert not image_encoder()(batch().frames).requires_grad


def test_frames_reach_sam_with_imagenet_statistics(monkeypatch):
    encoder = image_encoder()
    seen = []
    monkeypatch.setattr(
        encoder.vision,
        "forward",
        lambda pixels: seen.append(pixels) or type("o", (), {"last_hidden_state": pixels[:, :1]}),
    )
    frames = torch.full((1, 3, 64, 48), 255, dtype=torch.uint8)
    encoder(frames)
    assert seen[0].shape == (1, 3, 32, 32)
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx(
        [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], abs=1e-4
    )


def test_position_encoding_of_a_single_cell_is_that_of_the_middle():
    assert fourier_positions(torch.ones(2, 3), 1, 1).flatten().tolist() == pytest.approx(
        [0, 0, 0, 1, 1, 1], abs=1e-6
    )


def test_position_encoding_puts_x_before_y():
    phases = fourier_positions(torch.tensor([[0.25], [0.0]]), 2, 2)[
        0
    ]  # only x counts: centres at -.5 and .5
    assert phases.flatten().tolist() == pytest.approx([-(0.5**0.5), 0.5**0.5] * 2, abs=1e-6)


def test_logits_are_four_times_the_features():
    decoder = HeatmapDecoder(dim=DIM, depth=1, heads=2, mlp_dim=8, masks=1)
    assert decoder(torch.zeros(1, DIM, 3, 5), torch.zeros(1, 1, DIM)).shape == (1, 1, 12, 20)


def test_expected_iou_is_soft():
    # kept .8 alone: overlap .8, union max(1, .8) + .4 = 1.4
    assert expected_iou(torch.tensor([[[0.8, 0.4]]])).item() == pytest.approx(0.8 / 1.4)


def test_expected_iou_of_nothing_is_zero():
    assert expected_iou(torch.zeros(1, 2, 2)).item() == 0


def test_weights_that_are_not_there_are_named_with_what_to_do():
    from transformers import LlavaConfig

    with pytest.raises(
        InputError,
        match="got no weights of llava-hf/nothing, expected .* run `hf download llava-hf/nothing`",
    ):
        weights_of("llava-hf/nothing", lambda: LlavaConfig.from_pretrained("llava-hf/nothing"))


def test_a_missing_target_is_absent_and_covers_nothing():
    model = ivm()
    with torch.no_grad():
        for hyper in model.decoder.hyper:  # a heat map without heat: no logit above 0
            hyper[-1].weight.zero_(), hyper[-1].bias.zero_()  # type: ignore[index]
    model.presence_bias.fill_(-5)
    images = batch().frames.permute(0, 2, 3, 1).numpy()
    views = [
        Frame(camera=name, image=image)
        for name, image in zip(("agentview", "wrist"), images, strict=True)
    ]
    mask = LearnedMasks(model, RawSentences())(views, Goal("take the left one"))
    assert mask.status == (MaskStatus.ABSENT, MaskStatus.ABSENT)
    assert Overlay().coverage(torch.from_numpy(np.stack(mask.probability))).sum() == 0


def test_the_published_discriminator_sees_only_what_the_mask_leaves_and_has_a_lora_of_its_own():
    torch.manual_seed(0)
    discriminator, one = IvmDiscriminator(condition=condition(), dim=DIM, fill=0.5).eval(), batch()
    mask = kept(one.labels)
    noise = torch.where(one.labels[:, None] > 0, one.frames, 255 - one.frames)
    logit = discriminator(one.frames, one.language, mask)
    torch.testing.assert_close(discriminator(noise, one.language, mask), logit)
    assert (discriminator(one.frames, one.language, 1 - mask) - logit).abs().max() > 1e-6
    assert any(".lora_" in name for name in discriminator.state_dict())
