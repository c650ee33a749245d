"""Pretrained segmenters and detectors through transformers, on tiny random weights of the same
classes.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from robot.language import LanguageEncoder
from robot.perception.regions.network import RegionNetwork
from robot.perception.regions.providers import (
    Detection,
    Detector,
    OurDetector,
    PretrainedDetector,
    phrases_in,
    regions_from,
)
from robot.perception.regions.reader import RegionReader
from robot.perception.regions.sam import Sam
from robot.types import Frame, InputError

FRAME = Frame("agentview", np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def sam_folder(tmp_path_factory):
    """A SamModel of a few thousand parameters, saved as the hub has it."""
    from transformers import SamConfig, SamImageProcessor, SamModel, SamProcessor

    torch.manual_seed(0)
    config = SamConfig(
        vision_config={
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 16,
            "output_channels": 16,
            "global_attn_indexes": [0],
            "window_size": 2,
            "mlp_dim": 32,
            "num_pos_feats": 8,
        },
        prompt_encoder_config={
            "hidden_size": 16,
            "image_size": 64,
            "patch_size": 16,
            "mask_input_channels": 4,
        },
        mask_decoder_config={
            "hidden_size": 16,
            "mlp_dim": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
            "iou_head_depth": 2,
        },
    )
    folder = tmp_path_factory.mktemp("sam")
    SamModel(config).save_pretrained(folder)
    processor = SamImageProcessor(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})
    SamProcessor(processor).save_pretrained(folder)
    return folder


def test_sam_is_loaded_and_draws_masks_of_the_frames_size(sam_folder):
    sam = Sam.load(str(sam_folder))
    for prompt in ({"box": (4.0, 6.0, 30.0, 40.0)}, {"click": (20.0, 20.0)}):
        mask = sam.mask_of(FRAME, **prompt)
        assert mask.shape == (48, 64) and mask.dtype == bool
    box, click = (sam.mask_of(FRAME, **p) for p in ({"box": (4, 6, 30, 40)}, {"click": (20, 20)}))
    assert not np.array_equal(box, click)


def test_sam_segments_everything_without_repeats(sam_folder):
    segments = Sam.load(str(sam_folder)).everything(FRAME, points=3, at_least=-1e9)
    assert [s.region.index for s in segments] == list(range(1, len(segments) + 1))
    assert len({s.region.mask.tobytes() for s in segments}) == len(segments)


def test_sam_needs_one_prompt(sam_folder):
    with pytest.raises(InputError, match="box and click, expected one"):
        Sam.load(str(sam_folder)).mask_of(FRAME)


def test_weights_that_are_not_there_are_named(tmp_path):
    with pytest.raises(InputError, match="got no weights of .*nothing"):
        (tmp_path / "nothing").mkdir()
        Sam.load(str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="got no weights of .*nothing"):
        PretrainedDetector.load(str(tmp_path / "nothing"))


@pytest.fixture(scope="module")
def owl_folder(tmp_path_factory):
    """An OWL-ViT of a few thousand parameters with a tokenizer of single letters."""
    from transformers import (
        CLIPTokenizer,
        OwlViTConfig,
        OwlViTForObjectDetection,
        OwlViTImageProcessor,
        OwlViTProcessor,
    )

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("owl")
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = ["!", "<|startoftext|>", "<|endoftext|>", *letters, *(f"{x}</w>" for x in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16
    )
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    config = OwlViTConfig(
        text_config={
            **sizes,
            "num_attention_heads": 2,
            "vocab_size": len(words),
            "max_position_embeddings": 16,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
        },
        vision_config={**sizes, "num_attention_heads": 2, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    OwlViTForObjectDetection(config).save_pretrained(folder)
    image_processor = OwlViTImageProcessor(
        size={"height": 32, "width": 32}, crop_size={"height": 32, "width": 32}
    )
    OwlViTProcessor(image_processor, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def reader():
    torch.manual_seed(0)
    return RegionReader(RegionNetwork(), language=LanguageEncoder.hashed())


def test_a_pretrained_detector_supplies_regions(owl_folder, reader):
    find = PretrainedDetector.load(str(owl_folder), reader=reader, at_least=0.0)
    found = find(FRAME, "cup. plate.")
    assert found and {d.text for d in found} <= {"cup", "plate"}
    assert [d.score for d in found] == sorted((d.score for d in found), reverse=True)
    for d in found:
        assert 0 <= d.box[0] < d.box[2] <= 64 and 0 <= d.box[1] < d.box[3] <= 48
        assert d.mask is None or d.mask.shape == (48, 64)
    regions = regions_from(found)
    assert [r.index for r in regions] == list(range(1, len(found) + 1))
    assert regions[0].box == found[0].box


def test_ours_is_a_detector_as_any_other(reader):
    ours: Detector = OurDetector(reader, at_least=0.0)
    found = ours(Frame("agentview", np.zeros((128, 128, 3), np.uint8)), "red cup. plate")
    assert all(isinstance(d, Detection) and d.mask is not None for d in found)
    assert {d.text for d in found} == {"red cup", "plate"}


def test_a_text_names_things_between_full_stops():
    assert phrases_in("a red cup. a plate.") == ("a red cup", "a plate")
    with pytest.raises(InputError, match="expected what to look for"):
        phrases_in(" . ")
