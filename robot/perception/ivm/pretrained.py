"""From names of weights (or folders that hold them) to the model. Values are in
configs/mask_head/ivm_sam_llava.yaml.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import (
    AutoTokenizer,
    LlavaForConditionalGeneration,
    SamVisionModel,
)

from robot.perception.ivm.decoder import HeatmapDecoder
from robot.perception.ivm.discriminator import IvmDiscriminator
from robot.perception.ivm.llava_condition import LlavaCondition, Tokenize
from robot.perception.ivm.model import IVM
from robot.perception.ivm.sam_encoder import SamImageEncoder
from robot.perception.weights import no_weights
from robot.types import InputError

T = TypeVar("T")
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def pretrained_ivm(
    *,
    sam: str,
    llava: str,
    prompt: str,
    lora_rank: int,
    lora_alpha: int,
    lora_dropout: float,
    projection_dim: int,
    dim: int,
    depth: int,
    heads: int,
    mlp_dim: int,
    masks: int,
    dtype: str,
) -> IVM:
    """Build the generator on the published weights of SAM and LLaVA; what learns starts afresh."""
    condition = _condition(
        llava=llava,
        prompt=prompt,
        lora_rank=lora_rank,
        lora_alpha=lora_alpha,
        lora_dropout=lora_dropout,
        projection_dim=projection_dim,
        dim=dim,
        dtype=dtype,
    )
    vision = weights_of(sam, lambda: SamVisionModel.from_pretrained(sam, dtype=_dtype(dtype)))
    if vision.config.output_channels != dim:
        raise InputError(
            f"got dim {dim}, expected {vision.config.output_channels}, the channels of {sam}; set "
            "mask_head.dim"
        )
    decoder = HeatmapDecoder(dim=dim, depth=depth, heads=heads, mlp_dim=mlp_dim, masks=masks)
    return IVM(image_encoder=SamImageEncoder(vision=vision), condition=condition, decoder=decoder)


def pretrained_discriminator(
    *,
    llava: str,
    prompt: str,
    lora_rank: int,
    lora_alpha: int,
    lora_dropout: float,
    projection_dim: int,
    dim: int,
    dtype: str,
    fill: float,
) -> IvmDiscriminator:
    """Build the discriminator: LLaVA with a LoRA of its own."""
    condition = _condition(
        llava=llava,
        prompt=prompt,
        lora_rank=lora_rank,
        lora_alpha=lora_alpha,
        lora_dropout=lora_dropout,
        projection_dim=projection_dim,
        dim=dim,
        dtype=dtype,
    )
    return IvmDiscriminator(condition=condition, dim=dim, fill=fill)


def weights_of(name: str, load: Callable[[], T]) -> T:
    """Call `load`; where there are no such weights, say which and how to get them."""
    try:
        return load()
    except (OSError, ValueError) as error:
        raise no_weights(name, str(error).splitlines()[0]) from error


def _condition(*, llava: str, dtype: str, **options: Any) -> LlavaCondition:
    model = weights_of(
        llava, lambda: LlavaForConditionalGeneration.from_pretrained(llava, dtype=_dtype(dtype))
    )
    return LlavaCondition(llava=model, tokenize=left_padded(llava), **options)


def left_padded(llava: str) -> Tokenize:
    """Return LLaVA's tokenizer as a function of prompts, padding on the left."""
    tokenizer = weights_of(llava, lambda: AutoTokenizer.from_pretrained(llava, padding_side="left"))

    def tokenize(prompts: Sequence[str]) -> tuple[Int[Tensor, "b l"], Int[Tensor, "b l"]]:
        inputs = tokenizer(list(prompts), padding=True, return_tensors="pt")
        return inputs["input_ids"], inputs["attention_mask"]

    return tokenize


def _dtype(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise InputError(f"got dtype {name!r}, expected one of {', '.join(DTYPES)}")
    return DTYPES[name]
