"""Regions in a language model's words: GPT4RoI's ViT-L or Osprey's ConvNeXt, an LLM with LoRA.

    model = pretrained_large(**config)                      # configs/region_reader/large_*.yaml
    model(frames, regions, ids, attended, labels=ids).loss  # each <region> of the text is a region

The tower is frozen; what learns is the extractor (the same box and mask tokens as in the small
reader), two projections, and the LLM's low-rank updates. Weights are the user's to bring: tests run
tiny ones of the same classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from robot.perception.ivm.pixels import CLIP, prepare
from robot.perception.regions.network import Regions
from robot.perception.regions.pool import BoxToken, MaskToken
from robot.perception.weights import no_weights, require_weights
from robot.types import InputError

REGION = "<region>"
VIT_LAYERS = (-11, -8, -5, -2)  # GPT4RoI's, the shallowest for the finest level
VIT_STRIDES = (4, 8, 16, 32)  # that they are resized to, as at 1/4 to 1/32 of the frame
CONVNEXT_STRIDES = (4, 8, 16, 32)


class Tower(nn.Module):
    """A frozen image encoder -> four levels of features, finest first, with one width each."""

    widths: tuple[int, ...]
    strides: tuple[int, ...]
    side: int

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Tower:
        """Stay as it is: nothing here learns."""
        del mode
        return self


class VitTower(Tower):
    """Four hidden layers of a CLIPVisionModel, resized to a pyramid."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        config = cast(Any, model.config)
        self.side, self.patch = config.image_size, config.patch_size
        self.strides = VIT_STRIDES
        self.widths = (config.hidden_size,) * len(VIT_LAYERS)
        depth = config.num_hidden_layers
        self.layers = tuple(max(0, depth + 1 + k) if -k > depth else k for k in VIT_LAYERS)

    @torch.no_grad()
    def forward(self, pixels: Float[Tensor, "b 3 s s"]) -> list[Tensor]:
        hidden = self.model(pixel_values=pixels, output_hidden_states=True).hidden_states
        cells = self.side // self.patch
        levels = []
        for layer, stride in zip(self.layers, self.strides, strict=True):
            grid = hidden[layer][:, 1:].transpose(1, 2).unflatten(2, (cells, cells))
            size = max(1, self.side // stride)
            levels.append(F.interpolate(grid, size=(size, size), mode="bilinear"))
        return levels


class ConvNextTower(Tower):
    """The four stages of a ConvNextModel."""

    def __init__(self, model: nn.Module, *, side: int = 512) -> None:
        super().__init__(model)
        config = cast(Any, model.config)
        self.side, self.strides = side, CONVNEXT_STRIDES
        self.widths = tuple(config.hidden_sizes)

    @torch.no_grad()
    def forward(self, pixels: Float[Tensor, "b 3 s s"]) -> list[Tensor]:
        hidden = self.model(pixel_values=pixels, output_hidden_states=True).hidden_states
        return list(hidden[-len(self.strides) :])


class LargeReader(nn.Module):
    """Image tokens, then text in which every REGION is a region's token."""

    def __init__(
        self,
        *,
        tower: Tower,
        llm: nn.Module,
        region_id: int,
        dim: int,
        channels: int,
        lora_rank: int,
        lora_alpha: int,
        lora_dropout: float,
    ) -> None:
        super().__init__()
        self.tower, self.region_id = tower, region_id
        self.llm = add_lora(llm, rank=lora_rank, alpha=lora_alpha, dropout=lora_dropout)
        width = cast(Any, llm.config).hidden_size
        self.lateral = nn.ModuleList(nn.Conv2d(w, channels, 1) for w in tower.widths)
        self.box_token = BoxToken(channels=channels, strides=tower.strides, dim=dim)
        self.mask_token = MaskToken(widths=tower.widths, strides=tower.strides, dim=dim)
        self.to_words = nn.Linear(dim, width)
        self.image_to_words = nn.Linear(tower.widths[-1], width)

    def forward(
        self,
        frames: Shaped[Tensor, "b 3 h w"],
        regions: Regions,
        ids: Int[Tensor, "b l"],
        attended: Int[Tensor, "b l"],
        labels: Int[Tensor, "b l"] | None = None,
    ) -> Any:
        """Return the LLM's output; its loss where `labels` are given (-100 where none is to be
        predicted). InputError where text and regions do not match.
        """
        levels = self.tower(prepare(frames, side=self.tower.side, statistics=CLIP))
        tokens = self.region_tokens(levels, regions, size=frames.shape[-2:])
        words = cast(Any, self.llm).get_input_embeddings()(ids)
        words = self.spliced(words, ids, tokens, regions)
        image = self.image_to_words(levels[-1].flatten(2).transpose(1, 2))
        count = image.shape[1]
        ones = torch.ones(len(ids), count, dtype=attended.dtype, device=attended.device)
        ignored = torch.full((len(ids), count), -100, dtype=ids.dtype, device=ids.device)
        return self.llm(
            inputs_embeds=torch.cat([image.to(words.dtype), words], dim=1),
            attention_mask=torch.cat([ones, attended], dim=1),
            labels=None if labels is None else torch.cat([ignored, labels], dim=1),
        )

    def region_tokens(
        self, levels: Sequence[Tensor], regions: Regions, *, size: Sequence[int]
    ) -> Float[Tensor, "b r width"]:
        """Return a token per region, in the LLM's width."""
        height, width = size
        side = self.tower.side
        scale = torch.tensor([side / width, side / height] * 2, device=regions.boxes.device)
        boxes = regions.boxes * scale
        masks = F.interpolate(regions.masks, size=(side, side), mode="area")
        narrow = [lateral(level) for lateral, level in zip(self.lateral, levels, strict=True)]
        tokens = self.box_token(narrow, boxes, height=side, width=side)
        masked = self.mask_token(levels, masks, boxes)
        return self.to_words(tokens + masked * regions.has_mask[..., None])

    def spliced(
        self, words: Float[Tensor, "b l width"], ids: Tensor, tokens: Tensor, regions: Regions
    ) -> Float[Tensor, "b l width"]:
        """Put region k's token where a text says REGION for the k-th time."""
        places = ids == self.region_id
        said, given = places.sum(dim=1).tolist(), regions.valid.sum(dim=1).tolist()
        if said != given:
            raise InputError(
                f"got {said} times {REGION} in the texts for {given} regions, expected as many; "
                f"write {REGION} once for each region, in their order"
            )
        return words.masked_scatter(places[..., None], tokens[regions.valid].to(words.dtype))


def add_lora(llm: nn.Module, *, rank: int, alpha: int, dropout: float) -> nn.Module:
    """Freeze a language model and give its q_proj and v_proj low-rank updates, in place."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise InputError(
            "got no package peft, expected it for LoRA: install the extra with `pip install -e "
            "'.[regions]'`"
        ) from error
    llm.requires_grad_(False)
    modules = ["q_proj", "v_proj"]
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=modules)
    return inject_adapter_in_model(config, llm)


def pretrained_large(
    *,
    tower: str,
    kind: str,
    llm: str,
    dim: int,
    channels: int,
    lora_rank: int,
    lora_alpha: int,
    lora_dropout: float,
) -> tuple[LargeReader, Any]:
    """Load tower and language model by their names on the Hugging Face hub, or from folders; return
    the reader and its tokenizer. `kind` is "vit" or "convnext".
    """
    if kind not in TOWERS:
        raise InputError(f"got kind {kind!r}, expected one of {', '.join(TOWERS)}; correct it")
    require_weights(tower)
    require_weights(llm)
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        CLIPVisionModel,
        ConvNextModel,
    )

    classes = {"vit": CLIPVisionModel, "convnext": ConvNextModel}
    try:
        vision = classes[kind].from_pretrained(tower)
        language = AutoModelForCausalLM.from_pretrained(llm)
        tokenizer = AutoTokenizer.from_pretrained(llm)
    except (OSError, ValueError) as error:
        raise no_weights(f"{tower} or {llm}", str(error).splitlines()[0]) from error
    tokenizer.add_special_tokens({"additional_special_tokens": [REGION]})
    language.resize_token_embeddings(len(tokenizer))
    reader = LargeReader(
        tower=TOWERS[kind](vision),
        llm=language,
        region_id=tokenizer.convert_tokens_to_ids(REGION),
        dim=dim,
        channels=channels,
        lora_rank=lora_rank,
        lora_alpha=lora_alpha,
        lora_dropout=lora_dropout,
    )
    return reader, tokenizer


TOWERS = {"vit": VitTower, "convnext": ConvNextTower}
