"""The authors' checkpoint, made up under their names at toy size, in our model."""

from __future__ import annotations

import json
import os
import pickle  # noqa: TID251  (to be refused)

import pytest
import torch
from omegaconf import OmegaConf

from launch.conversion import conversion
from robot.checkpoint import load
from robot.errors import InputError
from robot.perception.ivm.published import from_published, read_published
from tests.perception.ivm.tiny import DIM, batch, ivm
from tests.refusals import composed

RANK, INNER, WIDTH, MLP = 2, 24, 32, 16
OPTIONS = {"lora_rank": RANK, "projection_dim": INNER, "dim": DIM, "depth": 1, "heads": 2}
OPTIONS |= {"mlp_dim": MLP, "masks": 1}
LLAVA = "prompt_encoder.model.base_model.model.language_model.model.layers"
ATTENTIONS = {
    "layers.0.self_attn": DIM,
    "layers.0.cross_attn_token_to_image": DIM // 2,
    "layers.0.cross_attn_image_to_token": DIM // 2,
    "final_attn_token_to_image": DIM // 2,
}


torch_save = torch.save  # noqa: TID251  (as the authors did)


def shapes() -> dict[str, tuple[int, ...]]:
    """Return names and shapes as the public code has them, for its sizes made small."""
    found: dict[str, tuple[int, ...]] = {}
    for layer in range(2):
        for part in ("q_proj", "v_proj"):
            at = f"{LLAVA}.{layer}.self_attn.{part}"
            found[f"{at}.lora_A.default.weight"] = (RANK, WIDTH)
            found[f"{at}.lora_B.default.weight"] = (WIDTH, RANK)
    linear = {"prompt_encoder.text_proj.fc1": (INNER, WIDTH)}
    linear["prompt_encoder.text_proj.fc2"] = (DIM, INNER)
    for name, inner in ATTENTIONS.items():
        for part in ("q_proj", "k_proj", "v_proj"):
            linear[f"mask_decoder.transformer.{name}.{part}"] = (inner, DIM)
        linear[f"mask_decoder.transformer.{name}.out_proj"] = (DIM, inner)
    linear["mask_decoder.transformer.layers.0.mlp.lin1"] = (MLP, DIM)
    linear["mask_decoder.transformer.layers.0.mlp.lin2"] = (DIM, MLP)
    for layer, out in enumerate((DIM, DIM, DIM // 8)):
        linear[f"mask_decoder.output_hypernetworks_mlps.layers.{layer}"] = (out, DIM)
    for name, (out, into) in linear.items():
        found |= {f"{name}.weight": (out, into), f"{name}.bias": (out,)}
    norms = [f"mask_decoder.transformer.layers.0.norm{k}" for k in (1, 2, 3, 4)]
    for name in (*norms, "mask_decoder.transformer.norm_final_attn"):
        found |= {f"{name}.weight": (DIM,), f"{name}.bias": (DIM,)}
    up = "mask_decoder.output_upscaling"
    found |= {f"{up}.0.weight": (DIM, DIM // 4, 2, 2), f"{up}.0.bias": (DIM // 4,)}
    found |= {f"{up}.1.weight": (DIM // 4,), f"{up}.1.bias": (DIM // 4,)}
    found |= {f"{up}.3.weight": (DIM // 4, DIM // 8, 2, 2), f"{up}.3.bias": (DIM // 8,)}
    found["mask_decoder.mask_tokens.weight"] = (1, DIM)
    found["mask_decoder.pe_layer.positional_encoding_gaussian_matrix"] = (2, DIM // 2)
    return found


def published() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes().items()}


def test_every_tensor_finds_its_place(tmp_path):
    torch_save(published(), tmp_path / "IVM.bin")
    tensors = from_published(read_published(tmp_path / "IVM.bin"), options=OPTIONS)
    model = ivm()
    model.load_state_dict(tensors)  # strict
    theirs = published()
    assert torch.equal(model.decoder.mask_tokens, theirs["mask_decoder.mask_tokens.weight"])
    final = theirs["mask_decoder.transformer.norm_final_attn.weight"]
    assert torch.equal(model.decoder.transformer.layer_norm_final_attn.weight, final)
    second = theirs["mask_decoder.output_hypernetworks_mlps.layers.1.bias"]
    assert torch.equal(model.decoder.hyper[0][2].bias, second)  # type: ignore[index]
    values = sorted(tensor.double().sum().item() for tensor in theirs.values())
    ours = (t for name, t in tensors.items() if not name.startswith("presence"))
    assert sorted(tensor.double().sum().item() for tensor in ours) == values


def test_frozen_weights_newer_names_and_half_precision_are_read_too():
    theirs = {
        f"module.{name.replace('language_model.model.layers', 'model.language_model.layers')}"
        if "lora" in name
        else name: tensor.half()
        for name, tensor in published().items()
    }
    theirs = {name.removeprefix("module."): tensor for name, tensor in theirs.items()}
    theirs["image_encoder.pos_embed"] = torch.zeros(1)
    theirs[f"{LLAVA}.0.self_attn.q_proj.base_layer.weight"] = torch.zeros(1)
    tensors = from_published(theirs, options=OPTIONS)
    assert all(tensor.dtype == torch.float32 for tensor in tensors.values())
    ivm().load_state_dict(tensors)


def test_missing_and_unexpected_names_are_one_sentence():
    theirs = published()
    theirs["mask_decoder.iou_token.weight"] = theirs.pop("mask_decoder.mask_tokens.weight")
    says = r"mask_tokens\.weight missing and mask_decoder\.iou_token\.weight unexpected"
    with pytest.raises(InputError, match=says):
        from_published(theirs, options=OPTIONS)


def test_another_size_names_the_tensor():
    with pytest.raises(InputError, match=r"lora_A.* \(2, 32\) instead of \(4, 32\)"):
        from_published(published(), options=OPTIONS | {"lora_rank": 4})


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("ran",)


@pytest.mark.parametrize(
    "write", [torch_save, lambda o, f: f.write_bytes(pickle.dumps(o, protocol=2))]
)
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    write({"a": Bomb()}, tmp_path / "IVM.bin")
    with pytest.raises(InputError, match="which could run code"):
        read_published(tmp_path / "IVM.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["IVM.bin"]


def test_the_command_writes_a_head_that_loads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch_save(published(), tmp_path / "IVM.bin")
    sizes = [f"mask_head.{name}={value}" for name, value in OPTIONS.items()]
    config = composed("convert_ivm", [f"published={tmp_path / 'IVM.bin'}", *sizes])
    OmegaConf.resolve(config)
    conversion(config)()
    results = json.loads(next(tmp_path.glob("runs/*/results.json")).read_text())
    assert results["values"] == sum(t.numel() for t in published().values()) + 4
    head = load(results["mask_head"], {"ivm_sam_llava": lambda **options: ivm()})
    model = ivm()
    model.load_state_dict(from_published(published(), options=OPTIONS))
    seen = batch()
    torch.testing.assert_close(
        head(seen.frames, seen.language).logits, model.eval()(seen.frames, seen.language).logits
    )
