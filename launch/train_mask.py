"""`python launch/train_mask.py`: randomised scenes -> the mask head, calibrated and measured
condition by condition.

`mask_weighting=dwsl` learns from trusted and machine-made labels, weighted by a discriminator that
is trained first; `mask_weighting=uniform` and `mask_weighting=trusted_only` are what it is compared
with. `mask_head=ivm_sam_llava` is the published IVM. `head_start=tabletop mask_training=finetune`
goes on from the shipped head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from launch.command_line import hydra_command
from robot.checkpoint import read_header
from robot.data.mask_shards import shard_numbers
from robot.experiment.collect import check_mask_scenes, collect_mask_frames
from robot.experiment.jobs import Chain, Stage, run_chains
from robot.experiment.mask_quality import Measured, measure_masks
from robot.perception.head.base import HEADS, Head
from robot.perception.registry import DISCRIMINATORS, check_weights_of
from robot.system.cache import key
from robot.system.command import run_directory, write_results
from robot.system.progress import Bars
from robot.train.label_discriminator import train_mask_discriminator
from robot.train.label_tiers import check_weighting
from robot.train.mask_head import check_start, head_identity, train_mask_head


@hydra_command("train_mask")
def main(config: DictConfig) -> None:
    settings: Any = OmegaConf.to_container(config, resolve=True)
    check_mask_scenes(
        settings["measure"]["tasks"], settings["measure"]["scenes"]
    )  # now, not after the training
    check_weighting(settings["mask_weighting"])
    check_weights_of(settings["mask_head"], HEADS)
    start = Head.resolve(settings["head_start"])
    if start is not None:
        check_start(start, settings["mask_head"])
    if settings["mask_weighting"]["kind"] == "dwsl":
        check_weights_of(settings["mask_weighting"]["discriminator"], DISCRIMINATORS)
    root, workers, size = (
        Path(settings["data"]["root"]),
        settings["workers"],
        settings["image_size"],
    )
    mask_frames = settings["data"]["mask_frames"]
    with Bars() as progress:
        bar = progress.add_task("collect mask frames", total=None, text="")
        frames = collect_mask_frames(
            root=root / "mask_frames",
            image_size=size,
            workers=workers,
            progress=lambda done, of: progress.update(bar, completed=done, total=of),
            **mask_frames | {"shards": shard_numbers(mask_frames["shards"])},
        )
        checkpoints, _ = run_chains(
            [chain(settings, frames=frames.root, start=start)], workers=1, progress=progress
        )
        bar = progress.add_task("measure masks", total=None, text="")
        measured = measure_masks(
            Head.load(checkpoints["mask head"]),
            root=root / "mask_frames",
            workers=workers,
            image_size=size,
            progress=lambda done, of: progress.update(bar, completed=done, total=of),
            **settings["measure"],
        )
    Console().print(table(measured))
    judge = checkpoints.get("mask discriminator")
    auroc = None if judge is None else read_header(judge)["metadata"]["held_out"]
    if auroc is not None:
        Console().print(auroc_table(auroc))
    results = {
        "mask_head": checkpoints["mask head"],
        "masks": [m.quality for m in measured],
        "discriminator": judge,
        "auroc": auroc,
        "seed": settings["measure"]["seed"],
    }
    write_results(run_directory("train-mask"), results)


def chain(settings: Mapping[str, Any], *, frames: Path, start: Path | None) -> Chain:
    """Return the stages: the head; for DWSL its witness first, which it goes on from, then the
    discriminator.
    """
    weighting, training = settings["mask_weighting"], settings["mask_training"]
    shared = {
        "frames": frames,
        "shards": settings["data"]["mask_frames"]["shards"],
        "batch_size": settings["mask_batch_size"],
        "seed": settings["seed"],
    }
    options = {**shared, "head": settings["mask_head"], "training": training}
    if weighting["kind"] != "none":
        options["weighting"] = weighting
    if start is not None:
        options["start"] = start

    def stage(
        name: str,
        train: Callable[..., Path],
        steps: int,
        options: Mapping[str, Any],
        identity: Mapping[str, Any],
    ) -> Stage:
        directory = (
            Path(settings["data"]["root"])
            / "models"
            / key(name.replace(" ", "-"), head_identity(identity))
        )
        return Stage(name, train, steps, directory, options, settings["wandb"])

    head = stage("mask head", train_mask_head, training["steps"], options, options)
    if weighting["kind"] != "dwsl":
        return Chain([head])
    judging = {**shared, "weighting": weighting}
    identity = (
        judging if weighting["witness_steps"] is None else options
    )  # its witness is a head of these options
    judge = stage(
        "mask discriminator",
        train_mask_discriminator,
        weighting["training"]["steps"],
        judging,
        identity,
    )
    if (steps := weighting["witness_steps"]) is None:
        return Chain([judge, head], {head.name: {"discriminator": judge.name}})
    seen = options | {
        "weighting": {**weighting, "kind": "trusted_only"},
        "training": {**training, "steps": steps},
    }
    witness = stage("mask witness", train_mask_head, steps, seen, seen)
    feeds = {
        judge.name: {"witness": witness.name},
        head.name: {"discriminator": judge.name, "start": witness.name},
    }
    return Chain([witness, judge, head], feeds)


def auroc_table(auroc: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return what the discriminator tells apart on held-out frames, for people."""
    shown = Table(
        "domain",
        "records",
        "trusted or machine",
        "correct or faulty, of the machine's",
        title="AUROC",
    )
    for domain, measured in auroc.items():
        numbers = (
            "" if measured[name] is None else f"{measured[name]:.3f}"
            for name in ("tiers", "faults")
        )
        shown.add_row(domain, str(measured["records"]), *numbers)
    return shown


def table(measured: list[Measured]) -> Table:
    """Return the head's quality per condition, for people."""
    shown = Table(
        "scene",
        "frames",
        "target IoU",
        "absent recognised",
        "false alarms",
        title="Mask head on held-out scenes",
    )
    for m in measured:
        q = m.quality
        text = [
            f"{q.mean_iou:.3f}",
            *("" if v is None else f"{v:.1%}" for v in (q.absent_recognised, q.false_alarms)),
        ]
        shown.add_row(q.scene, str(q.frames), *text)
    return shown


if __name__ == "__main__":
    main()
