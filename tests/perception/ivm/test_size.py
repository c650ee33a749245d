"""The published sizes, counted on the meta device: no weights, no memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    SamVisionConfig,
    SamVisionModel,
)

from robot.perception.ivm.decoder import HeatmapDecoder
from robot.perception.ivm.llava_condition import LlavaCondition
from robot.perception.ivm.model import IVM
from robot.perception.ivm.sam_encoder import SamImageEncoder
from tests.perception.ivm.tiny import tokenize

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


@pytest.fixture(scope="module")
def full() -> IVM:
    """SAM ViT-H and LLaVA-1.5-7B by their published shapes, everything else by the config."""
    values = yaml.safe_load((CONFIGS / "mask_head/ivm_sam_llava.yaml").read_text())
    sam = SamVisionConfig(
        hidden_size=1280,
        num_hidden_layers=32,
        num_attention_heads=16,
        global_attn_indexes=[7, 15, 23, 31],
        mlp_dim=5120,
    )
    vision = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
        projection_dim=768,
    )
    text = LlamaConfig(
        vocab_size=32064,
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_attention_heads=32,
    )
    with torch.device("meta"):
        condition = LlavaCondition(
            llava=LlavaForConditionalGeneration(
                LlavaConfig(vision_config=vision, text_config=text)
            ),
            tokenize=tokenize,
            **{
                name: values[name]
                for name in (
                    "prompt",
                    "lora_rank",
                    "lora_alpha",
                    "lora_dropout",
                    "projection_dim",
                    "dim",
                )
            },
        )
        decoder = HeatmapDecoder(
            **{name: values[name] for name in ("dim", "depth", "heads", "mlp_dim", "masks")}
        )
        return IVM(
            image_encoder=SamImageEncoder(vision=SamVisionModel(sam)),
            condition=condition,
            decoder=decoder,
        )


def parameter_counts(model: nn.Module) -> Mapping[str, int]:
    """Count trainable parameters part by part: lora, projection, decoder."""
    parts = {"lora": 0, "projection": 0, "decoder": 0}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parts[
                "lora" if ".lora_" in name else "projection" if ".project." in name else "decoder"
            ] += parameter.numel()
    return parts


@pytest.mark.parametrize(
    ("part", "count"), [("lora", 4_194_304), ("projection", 8_915_200), ("decoder", 3_505_280)]
)
def test_each_part_has_the_published_number_of_trainable_parameters(part, count, full):
    assert parameter_counts(full)[part] == count


def test_trainable_parameters_are_16_614_784_in_all(full):
    assert sum(p.numel() for p in full.parameters() if p.requires_grad) == 16_614_784


def test_lora_is_in_the_language_model_only(full):
    names = [name for name, p in full.named_parameters() if ".lora_" in name]
    assert len(names) == 32 * 2 * 2  # layers, projections, factors
    assert all(
        "language_model" in name and ("q_proj" in name or "v_proj" in name) for name in names
    )


def test_a_checkpoint_holds_what_was_trained_and_not_the_7_billion(full):
    saved = sum(tensor.numel() for tensor in full.state_dict().values())
    assert saved == 16_614_784 + 2 * 128 + 4  # Fourier frequencies, calibration


def test_llava_is_given_one_image_token_per_patch(full):
    from robot.batch import Sentences

    (prompt,) = full.condition.prompts(Sentences(texts=("take it",)))
    assert prompt.count("<image>") == 576 and prompt.endswith("take it \n ASSISTANT:")
