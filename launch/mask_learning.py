"""What launch/train_mask.py does once its options are checked: frames, trainings, measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from launch.mask_training import MaskJob
from robot.checkpoint import read_header
from robot.data.mask_shards import shard_numbers
from robot.data.record_frames import record_files
from robot.experiment.checks import check_devices, check_mask_head
from robot.experiment.collect import collect_mask_frames
from robot.experiment.jobs import Stage, StageId, run_stages
from robot.experiment.mask_quality import measure_masks
from robot.experiment.stages import head_training, label_discriminator_training
from robot.perception.head.base import Head
from robot.perception.registry import DISCRIMINATORS, check_spec
from robot.report.html import MaskQuality
from robot.system.command import run_folder, write_results
from robot.system.progress import Bars, moving
from robot.train.label_discriminator import Auroc, LabelDiscriminatorTraining
from robot.train.mask_head import HeadTraining

HEAD, WITNESS, DISCRIMINATOR = (
    StageId(f"mask {name}") for name in ("head", "witness", "discriminator")
)


def check_networks(job: MaskJob) -> None:
    """Raise InputError where this machine cannot build or train what the options describe."""
    check_mask_head(job.mask_head)
    check_devices(job.mask_training)
    if job.mask_weighting.training is not None:
        check_devices(job.mask_weighting.training)
    if job.mask_weighting.discriminator is not None:
        check_spec(
            job.mask_weighting.discriminator, DISCRIMINATORS, at="mask_weighting.discriminator"
        )


def train_mask(job: MaskJob, *, config_yaml: str) -> None:
    """Collect, train and measure; results.json is the last line on stdout."""
    with run_folder("train-mask", config_yaml=config_yaml) as run:
        with Bars() as progress:
            frames = collect_mask_frames(
                job.data.mask_frames,
                root=job.data.root / "mask_frames",
                shards=shard_numbers(job.data.mask_frames.shards),
                robot=job.env.robot,
                backend=job.env.backend,
                image_size=job.env.image_size,
                workers=job.workers,
                progress=moving(progress, "collect mask frames"),
            )
            trained = run_stages(stages_of(job, frames=frames.root), workers=1, progress=progress)
            measured = measure_masks(
                Head.load(trained.checkpoints[HEAD]),
                root=job.data.root / "mask_frames",
                workers=job.workers,
                robot=job.env.robot,
                backend=job.env.backend,
                image_size=job.env.image_size,
                progress=moving(progress, "measure masks"),
                **asdict(job.measure),
            )
        Console().print(table([m.quality for m in measured]))
        discriminator = trained.checkpoints.get(DISCRIMINATOR)
        auroc = None if discriminator is None else held_out_auroc(discriminator)
        if auroc is not None:
            Console().print(auroc_table(auroc))
        results = {
            "mask_head": trained.checkpoints[HEAD],
            "masks": [m.quality for m in measured],
            "discriminator": discriminator,
            "auroc": auroc,
            "seed": job.measure.seed,
        }
        write_results(run, results)


def stages_of(job: MaskJob, *, frames: Path) -> list[Stage]:
    """Return the trainings: the head; for DWSL its witness first, then the discriminator, which
    sees the witness's loss, then the head, which starts from the witness.
    """
    weighting = job.mask_weighting
    options = HeadTraining(
        shards=job.data.mask_frames.shards,
        head=job.mask_head,
        training=job.mask_training,
        batch_size=job.mask_batch_size,
        seed=job.seed,
        weighting=weighting,
        records=record_files(job.data.records),
        hue_share=job.mask_hue_share,
    )
    where: Any = {"frames": frames, "root": job.data.root, "wandb_mode": job.wandb}
    if weighting.kind != "dwsl":
        return [head_training(HEAD, options, start=job.head_start, **where)]
    witness = None
    if weighting.witness_steps is not None:
        seen = replace(
            options,
            weighting=replace(weighting, kind="trusted_only"),
            training=replace(job.mask_training, steps=weighting.witness_steps),
        )
        witness = head_training(WITNESS, seen, start=job.head_start, **where)
    scoring = LabelDiscriminatorTraining(
        shards=options.shards,
        weighting=weighting,
        batch_size=job.mask_batch_size,
        seed=job.seed,
        records=options.records,
    )
    discriminator = label_discriminator_training(DISCRIMINATOR, scoring, witness=witness, **where)
    head = head_training(
        HEAD, options, start=witness or job.head_start, discriminator=discriminator, **where
    )
    return [stage for stage in (witness, discriminator, head) if stage is not None]


def held_out_auroc(discriminator: Path) -> dict[str, Auroc]:
    """Return what a checkpoint says about the discriminator on held-out frames, by domain."""
    measured = read_header(discriminator)["metadata"]["held_out"]
    return {domain: Auroc(**numbers) for domain, numbers in measured.items()}


def auroc_table(auroc: Mapping[str, Auroc]) -> Table:
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
            "" if value is None else f"{value:.3f}" for value in (measured.tiers, measured.faults)
        )
        shown.add_row(domain, str(measured.records), *numbers)
    return shown


def table(measured: Sequence[MaskQuality]) -> Table:
    """Return the head's quality per condition, for people."""
    shown = Table(
        "scene",
        "frames",
        "target IoU",
        "absent recognised",
        "false alarms",
        title="Mask head on held-out scenes",
    )
    for q in measured:
        text = [
            "–" if q.mean_iou is None else f"{q.mean_iou:.3f}",
            *("" if v is None else f"{v:.1%}" for v in (q.absent_recognised, q.false_alarms)),
        ]
        shown.add_row(q.scene, str(q.frames), *text)
    return shown
