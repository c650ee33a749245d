"""The published model's classes at toy size, with random weights and a tokenizer of whole words. No
files are read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    SamVisionConfig,
    SamVisionModel,
)

from robot.batch import MaskBatch, Sentences
from robot.perception.ivm.decoder import HeatmapDecoder
from robot.perception.ivm.llava_condition import IMAGE, LlavaCondition
from robot.perception.ivm.model import IVM
from robot.perception.ivm.sam_encoder import SamImageEncoder

DIM, SIDE = 16, 32
PAD, IMAGE_ID, VOCABULARY = 0, 1, 64
PROMPT = "USER: <image> {instruction} ASSISTANT :"


def tokenize(prompts: Sequence[str], *, padding_side: str = "left") -> tuple[Tensor, Tensor]:
    """One token per word, hashed by its letters; `<image>` is a word."""
    rows = []
    for prompt in prompts:
        words = re.findall(rf"{IMAGE}|\S+?(?={IMAGE})|\S+", prompt)
        rows.append(
            [
                IMAGE_ID if word == IMAGE else 2 + sum(map(ord, word)) % (VOCABULARY - 2)
                for word in words
            ]
        )
    longest = max(map(len, rows))
    pad = [[PAD] * (longest - len(row)) for row in rows]
    keep = [[1] * len(row) for row in rows]
    zeros = [[0] * len(p) for p in pad]
    if padding_side == "left":
        joined = (
            [p + r for p, r in zip(pad, rows, strict=True)],
            [z + k for z, k in zip(zeros, keep, strict=True)],
        )
    else:
        joined = (
            [r + p for p, r in zip(pad, rows, strict=True)],
            [k + z for z, k in zip(zeros, keep, strict=True)],
        )
    return torch.tensor(joined[0]), torch.tensor(joined[1])


def llava() -> LlavaForConditionalGeneration:
    """A vision tower of 2 x 2 patches and a language model of two layers."""
    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
    )
    text = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        pad_token_id=PAD,
    )
    return LlavaForConditionalGeneration(
        LlavaConfig(vision_config=vision, text_config=text, image_token_index=IMAGE_ID)
    ).eval()


def condition(*, padding_side: str = "left", lora_dropout: float = 0.0) -> LlavaCondition:
    return LlavaCondition(
        llava=llava(),
        tokenize=lambda prompts: tokenize(prompts, padding_side=padding_side),
        prompt=PROMPT,
        lora_rank=2,
        lora_alpha=4,
        lora_dropout=lora_dropout,
        projection_dim=24,
        dim=DIM,
    )


def image_encoder() -> SamImageEncoder:
    config = SamVisionConfig(
        hidden_size=16,
        output_channels=DIM,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=4,
        window_size=2,
        global_attn_indexes=[1],
        num_pos_feats=8,
        mlp_dim=16,
        initializer_range=0.02,
    )
    return SamImageEncoder(vision=SamVisionModel(config).eval())


def ivm(*, masks: int = 1) -> IVM:
    torch.manual_seed(0)
    decoder = HeatmapDecoder(dim=DIM, depth=1, heads=2, mlp_dim=16, masks=masks)
    return IVM(image_encoder=image_encoder(), condition=condition(), decoder=decoder)


def batch(count: int = 2) -> MaskBatch:
    """Left half target for "left", right half for "right", a gripper at the top."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.zeros(count, SIDE, SIDE, dtype=torch.uint8)
    labels[0::2, 8:24, :16], labels[1::2, 8:24, 16:], labels[:, :4] = 1, 1, 3
    return MaskBatch(
        frames=torch.randint(
            0, 256, (count, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8
        ),
        language=Sentences(
            texts=tuple(
                ("take the left one", "now take the right one")[k % 2] for k in range(count)
            )
        ),
        labels=labels,
        presence=torch.tensor([[1.0, 0.0]]).repeat(count, 1),
    )
