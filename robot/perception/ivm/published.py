"""The authors' checkpoint of IVM -> ours: the same tensors under other names.

It is a state dict of what they trained: LoRA, projection, decoder. Names as in the public code
(2toinf/IVM: model/IVM.py, model/llava_encoder.py, model/decoder.py), where LLaVA is wrapped by
peft, the projection is timm's Mlp, and the decoder is that of segment-anything.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251  (to refuse one)
from typing import Any

import torch
from torch import Tensor

from robot.errors import InputError
from robot.perception.ivm.decoder import HeatmapDecoder

LORA = re.compile(
    r"prompt_encoder\.model\..*layers\.(\d+)\.self_attn\.([qv]_proj)\.(lora_[AB])(?:\.default)?\.weight"
)
PROJECTION = {"0": "fc1", "2": "fc2"}  # layers of our projection: those of timm's Mlp
# frozen weights of SAM and LLaVA, which some checkpoints carry along: ours come with transformers
FROZEN = ("image_encoder.", "prompt_encoder.model.")
BUFFERS = {"presence_temperature": torch.ones(2), "presence_bias": torch.zeros(2)}  # uncalibrated
SHOWN = 4  # names of a sentence


def read_published(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict that torch.save wrote; nothing in the file is run.

    Raises:
        InputError: there is no such file, it is no state dict, or it is a pickle with code in it.
    """
    if not path.is_file():
        raise InputError(f"got no checkpoint at {path}, expected a file; correct the path")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251  (others' file)
    except UnpicklingError as error:
        raise InputError(
            f"got {path}, a pickle with more than tensors in it, which could run code, expected a "
            "state dict of tensors; save it as one where you trust it"
        ) from error
    except (RuntimeError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"got {path}, which torch cannot read ({str(error).splitlines()[0][:80]}), expected a "
            "whole state dict; download it again"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(
            f"got {path}, which is no state dict, expected names with tensors; pass the file that "
            "the authors published"
        )
    return {str(name).removeprefix("module."): tensor for name, tensor in state.items()}


def from_published(
    published: Mapping[str, Tensor], *, options: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Return the state dict of robot.perception.ivm.model.IVM with these weights. Inverse:
    `published_name`, for every name.

    `options` are those of configs/mask_head/ivm_sam_llava.yaml. Raises InputError, naming them,
    where tensors are missing, unexpected or of another shape.
    """
    loras = {_lora(match): name for name in published if (match := LORA.fullmatch(name))}
    wanted = expected_shapes(published, loras, options=options)
    theirs = {ours: loras.get(ours, published_name(ours)) for ours in wanted}
    missing = [name for name in theirs.values() if name not in published]
    known = set(theirs.values())
    unexpected = [n for n in published if n not in known and not _is_frozen(n)]
    if missing or unexpected:
        raise InputError(
            f"got a checkpoint with {_named(missing)} missing and {_named(unexpected)} unexpected, "
            "expected the authors' names; pass the generator's checkpoint"
        )
    wrong = [
        f"{theirs[ours]} {tuple(published[theirs[ours]].shape)} instead of {shape}"
        for ours, shape in wanted.items()
        if tuple(published[theirs[ours]].shape) != shape
    ]
    if wrong:
        raise InputError(
            f"got tensors of other shapes: {', '.join(wrong[:SHOWN])}; set mask_head's sizes to "
            "those of the checkpoint"
        )
    return {ours: published[theirs[ours]].float() for ours in wanted} | BUFFERS


def expected_shapes(
    published: Mapping[str, Tensor], loras: Mapping[str, str], *, options: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of ours that learns; LLaVA's width and its number of layers
    are the checkpoint's own.
    """
    sizes = {name: options[name] for name in ("dim", "depth", "heads", "mlp_dim", "masks")}
    with torch.device("meta"):
        decoder = HeatmapDecoder(**sizes).state_dict()
    first = published.get(published_name("condition.project.0.weight"))
    width = first.shape[1] if first is not None and first.ndim == 2 else 0
    rank, inner, dim = options["lora_rank"], options["projection_dim"], options["dim"]
    layers = 1 + max((int(re.findall(r"layers\.(\d+)\.", name)[0]) for name in loras), default=0)
    places = [(layer, part) for layer in range(layers) for part in ("q_proj", "v_proj")]
    shapes = {"lora_A": (rank, width), "lora_B": (width, rank)}
    return {
        **{lora_name(layer, part, kind): shapes[kind] for layer, part in places for kind in shapes},
        "condition.project.0.weight": (inner, width),
        "condition.project.0.bias": (inner,),
        "condition.project.2.weight": (dim, inner),
        "condition.project.2.bias": (dim,),
        **{f"decoder.{name}": tuple(tensor.shape) for name, tensor in decoder.items()},
    }


def lora_name(layer: int, part: str, kind: str) -> str:
    """Return our name of a LoRA matrix."""
    at = f"condition.llava.language_model.layers.{layer}.self_attn.{part}"
    return f"{at}.{kind}.default.weight"


def published_name(ours: str) -> str:
    """Return the authors' name of one of our tensors (of a LoRA matrix, that of the transformers
    version they used; later ones put the language model elsewhere).
    """
    part, _, name = ours.partition(".")
    if part == "decoder":
        return "mask_decoder." + _decoder_name(name)
    if name.startswith("project."):
        _, layer, kind = name.split(".")
        return f"prompt_encoder.text_proj.{PROJECTION[layer]}.{kind}"
    inner = name.removeprefix("llava.language_model.")
    return f"prompt_encoder.model.base_model.model.language_model.model.{inner}"


def _decoder_name(name: str) -> str:
    if name == "frequencies":
        return "pe_layer.positional_encoding_gaussian_matrix"
    if name == "mask_tokens":
        return "mask_tokens.weight"
    if name.startswith("rise."):
        return name.replace("rise.", "output_upscaling.", 1)
    if name.startswith("hyper."):  # one token: one hypernetwork, without a number
        _, _, layer, kind = name.split(".")
        return f"output_hypernetworks_mlps.layers.{int(layer) // 2}.{kind}"
    return name.replace("layer_norm_final_attn", "norm_final_attn").replace(".layer_norm", ".norm")


def _lora(match: re.Match[str]) -> str:
    return lora_name(int(match[1]), match[2], match[3])


def _is_frozen(name: str) -> bool:
    return name.startswith(FROZEN) and "lora_" not in name


def _named(names: list[str]) -> str:
    if not names:
        return "nothing"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
