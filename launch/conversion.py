"""What launch/convert_ivm.py does: tensors under the authors' names -> one safetensors file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from launch.command_line import Work
from robot.errors import InputError
from robot.system.command import run_folder, write_results
from robot.system.parse import FlatSpec, options, parse

KIND = "ivm_sam_llava"


@options
class Conversion:
    """configs/convert_ivm.yaml."""

    published: Path
    mask_head: FlatSpec


def conversion(config: DictConfig) -> Work:
    """Return the conversion that a config describes; the checkpoint is read before it is returned,
    so that one which does not fit leaves nothing behind.
    """
    values: Any = OmegaConf.to_container(config, resolve=True)
    asked = parse(Conversion, values)
    if asked.mask_head.kind != KIND or asked.mask_head.options.get("masks") != 1:
        raise InputError(
            f"got mask_head {asked.mask_head.kind} with {asked.mask_head.options.get('masks')} "
            f"masks, expected {KIND} with 1, as it was published; leave them out"
        )
    if not asked.published.is_file():
        raise InputError(f"got no checkpoint at {asked.published}; correct published")
    from robot.perception.ivm.published import from_published, read_published  # torch: seconds

    tensors = from_published(read_published(asked.published), options=asked.mask_head.options)
    return partial(convert, asked, tensors=tensors, config_yaml=OmegaConf.to_yaml(config))


def convert(asked: Conversion, *, tensors: Any, config_yaml: str) -> None:
    """Write mask_head.safetensors; results.json is the last line on stdout."""
    from robot.checkpoint import file_digest, save_tensors

    with run_folder("convert-ivm", config_yaml=config_yaml) as run:
        file = save_tensors(
            run / "mask_head.safetensors",
            tensors,
            kind=KIND,
            config=asked.mask_head.options,
            metadata={"published": asked.published.name},
        )
        count = sum(tensor.numel() for tensor in tensors.values())
        results = {"mask_head": file, "tensors": len(tensors), "values": count}
        write_results(run, results | {"sha256": file_digest(file)})
