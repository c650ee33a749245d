"""The large readers: tiny random ones of the published classes learn, and the published sizes are
counted on the meta device.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from robot.perception.regions.large import (
    REGION,
    TOWERS,
    ConvNextTower,
    LargeReader,
    VitTower,
    pretrained_large,
)
from robot.perception.regions.network import Regions
from robot.types import InputError

pytest.importorskip("peft", reason="peft is not installed: pip install -e '.[regions]'")
REGION_ID, WORDS = 1, 40
CONFIGS = Path(__file__).parents[3] / "configs" / "region_reader"


def tower(kind: str, **sizes):
    from transformers import CLIPVisionConfig, CLIPVisionModel, ConvNextConfig, ConvNextModel

    if kind == "vit":
        return VitTower(CLIPVisionModel(CLIPVisionConfig(**sizes)))
    return ConvNextTower(ConvNextModel(ConvNextConfig(**sizes)), side=sizes.get("image_size", 512))


TINY = {
    "vit": {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 16,
    },
    "convnext": {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "image_size": 64},
}


def llm(**sizes):
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**sizes))


def tiny(kind: str) -> LargeReader:
    torch.manual_seed(0)
    language = llm(
        initializer_range=0.3,  # frozen: small logits could say nothing with confidence
        vocab_size=WORDS,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
    )
    return LargeReader(
        tower=tower(kind, **TINY[kind]),
        llm=language,
        region_id=REGION_ID,
        dim=16,
        channels=8,
        lora_rank=4,
        lora_alpha=8,
        lora_dropout=0.0,
    )


def two_regions() -> tuple[torch.Tensor, Regions]:
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 255, (1, 3, 48, 64), generator=generator, dtype=torch.uint8)
    masks = torch.zeros(1, 2, 48, 64)
    masks[0, 0, 4:20, 6:30], masks[0, 1, 30:32, 50:51] = 1.0, 1.0
    boxes = torch.tensor([[[6.0, 4.0, 30.0, 20.0], [50.0, 30.0, 51.0, 32.0]]])
    flags = torch.ones(1, 2, dtype=torch.bool)
    return frames, Regions(boxes, masks, flags, flags)


@pytest.mark.parametrize("kind", list(TOWERS))
def test_a_tiny_one_learns_what_is_where(kind):
    """The words after a region depend on the region alone, so only its token can tell them."""
    model = tiny(kind)
    frames, regions = two_regions()
    ids = torch.tensor([[3, REGION_ID, 7, 3, REGION_ID, 9]])
    labels = torch.tensor([[-100, -100, 7, -100, -100, 9]])
    attended = torch.ones_like(ids)
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learned, lr=2e-2)
    losses = []
    for _ in range(15):
        loss = model(frames, regions, ids, attended, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(not p.requires_grad for p in model.tower.parameters())
    updates = {n for n, p in model.llm.named_parameters() if p.requires_grad}
    assert updates and all("lora_" in name for name in updates)


def test_a_region_stands_where_the_text_says_it():
    model = tiny("vit")
    frames, regions = two_regions()
    ids = torch.tensor([[REGION_ID, 5, REGION_ID]])
    words = torch.zeros(1, 3, 32)
    tokens = torch.stack([torch.full((32,), 1.0), torch.full((32,), 2.0)])[None]
    spliced = model.spliced(words, ids, tokens, regions)
    assert spliced[0, :, 0].tolist() == [1.0, 0.0, 2.0]
    with pytest.raises(InputError, match=r"got \[1\] times <region> .* for \[2\] regions"):
        model(frames, regions, ids[:, :2], torch.ones(1, 2, dtype=torch.long))


PUBLISHED = {
    "vit": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
    },
    "convnext": {"hidden_sizes": [192, 384, 768, 1536], "depths": [3, 3, 27, 3]},
}


@pytest.mark.parametrize(
    ("kind", "frozen_tower"), [("vit", 303_179_776), ("convnext", 196_230_336)]
)
def test_the_published_sizes(kind, frozen_tower):
    values = yaml.safe_load((CONFIGS / f"large_{kind}.yaml").read_text())
    with torch.device("meta"):
        model = LargeReader(
            tower=tower(kind, **PUBLISHED[kind]),
            llm=llm(),  # transformers' default is LLaMA-7B
            region_id=REGION_ID,
            **{k: values[k] for k in values if k not in ("tower", "kind", "llm")},
        )
    assert sum(p.numel() for p in model.tower.parameters()) == frozen_tower
    updates = sum(p.numel() for p in model.llm.parameters() if p.requires_grad)
    assert updates == 32 * 2 * 2 * 4096 * values["lora_rank"]
    assert sum(p.numel() for p in model.llm.parameters()) - updates == 6_738_415_616
    extractor = sum(p.numel() for p in model.parameters() if p.requires_grad) - updates
    assert extractor < 20_000_000  # GPT4RoI's flattened linear alone has 205 million


def test_weights_and_kinds_are_checked_before_any_are_loaded(tmp_path):
    values = yaml.safe_load((CONFIGS / "large_vit.yaml").read_text())
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="got no weights of .*none"):
        pretrained_large(**{**values, "tower": str(tmp_path / "none")})
    with pytest.raises(InputError, match="got kind 'resnet', expected one of vit, convnext"):
        pretrained_large(**{**values, "kind": "resnet"})
    assert REGION == "<region>"
