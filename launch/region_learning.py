"""What launch/train_regions.py does once its options are checked."""

from __future__ import annotations

from launch.region_training import RegionJob
from robot.experiment.region_looks import collect_region_looks
from robot.system.cache import key
from robot.system.command import run_folder, write_results
from robot.system.progress import Bars, moving
from robot.train.log import RunLog
from robot.train.region_reader import ReaderTraining, train_region_reader


def train_regions(job: RegionJob, *, config_yaml: str) -> None:
    """Collect looks and train; results.json is the last line on stdout."""
    options = ReaderTraining(
        network=job.region_reader,
        training=job.training,
        batch_size=job.batch_size,
        seed=job.seed,
        hue_share=job.hue_share,
        crop=job.crop,
    )
    with run_folder("train-regions", config_yaml=config_yaml) as run:
        with Bars() as progress:
            looks = collect_region_looks(
                job.region_looks,
                root=job.data_root / "region_looks",
                workers=job.workers,
                progress=moving(progress, "collect looks"),
            )
            name = key("region-reader", {"reader": options, "looks": job.region_looks})
            moved = moving(progress, "train region reader")
            with RunLog(run, wandb_mode="disabled") as log:

                def report(step, values):
                    moved(step, job.training.steps)
                    log(step, values)

                checkpoint = train_region_reader(
                    options, looks, directory=job.data_root / "models" / name, log=report
                )
        write_results(run, {"region_reader": checkpoint, "looks": len(looks), "seed": job.seed})
