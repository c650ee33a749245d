"""`python launch/train_mask.py`: randomised scenes -> the mask head, calibrated and measured condition by condition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from launch.hydra_main import hydra_command
from robot.command import run_directory, write_results
from robot.pipeline.collect import check_mask_scenes, collect_mask_frames, key
from robot.pipeline.jobs import Chain, Stage, bars, run_chains
from robot.pipeline.loading import load_head
from robot.pipeline.mask import train_mask_head
from robot.pipeline.mask_quality import Measured, measure_masks


@hydra_command("train_mask")
def main(config: DictConfig) -> None:
    settings: Any = OmegaConf.to_container(config, resolve=True)
    check_mask_scenes(settings["measure"]["tasks"], settings["measure"]["scenes"])  # now, not after the training
    root, workers, size = Path(settings["data"]["root"]), settings["workers"], settings["image_size"]
    with bars() as progress:
        bar = progress.add_task("collect mask frames", total=None, text="")
        frames = collect_mask_frames(
            root=root / "mask_frames",
            image_size=size,
            workers=workers,
            progress=lambda done, of: progress.update(bar, completed=done, total=of),
            **settings["data"]["mask_frames"],
        )
        options = {
            "frames": frames.root,
            "head": settings["mask_head"],
            "training": settings["mask_training"],
            "batch_size": settings["mask_batch_size"],
            "seed": settings["seed"],
        }
        directory = root / "models" / key("mask-head", options)
        stage = Stage("mask head", train_mask_head, settings["mask_training"]["steps"], directory, options, settings["wandb"])
        checkpoints, _ = run_chains([Chain([stage])], workers=1, progress=progress)
        bar = progress.add_task("measure masks", total=None, text="")
        measured = measure_masks(
            load_head(checkpoints["mask head"]),
            root=root / "mask_frames",
            workers=workers,
            image_size=size,
            progress=lambda done, of: progress.update(bar, completed=done, total=of),
            **settings["measure"],
        )
    Console().print(table(measured))
    results = {
        "mask_head": checkpoints["mask head"],
        "masks": [m.quality for m in measured],
        "seed": settings["measure"]["seed"],
    }
    write_results(run_directory("train-mask"), results)


def table(measured: list[Measured]) -> Table:
    """Return the head's quality per condition, for people."""
    shown = Table("scene", "frames", "target IoU", "absent recognised", "false alarms", title="Mask head on held-out scenes")
    for m in measured:
        q = m.quality
        text = [f"{q.mean_iou:.3f}", *("" if v is None else f"{v:.1%}" for v in (q.absent_recognised, q.false_alarms))]
        shown.add_row(q.scene, str(q.frames), *text)
    return shown


if __name__ == "__main__":
    main()
