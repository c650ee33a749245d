"""What `launch/generate.py benchmark=correct` does: claims about frames whose truth is hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from launch.staging import staged
from robot.envs.make import ImageSize
from robot.envs.registry import check_scene
from robot.instruct.correct import Rules
from robot.system.cache import key
from robot.system.command import run_folder, write_results
from robot.system.parallel import parallel_map
from robot.system.parse import Count, NotNegativeNumber, Seed, Share, options
from robot.system.progress import Bars, moving
from robot.train.options import Training

if TYPE_CHECKING:  # imports simulators
    from robot.experiment.correction import Figures

TARGETS = {
    "false_cut": 0.6,
    "true_kept": 0.9,
    "fixed_point": 0.95,
}  # of "corrected"


@options
class FrameOptions:
    """Staged moments that the claim network learns from."""

    scenes: Mapping[str, float]
    shards: Count
    looks_per_shard: Count
    seed: Seed

    def __post_init__(self) -> None:
        for scene in self.scenes:
            check_scene("pick", scene)


@options
class RuleOptions:
    """robot.instruct.correct.Rules."""

    least_chance: Share
    least_overlap: Share
    least_agreement: Share
    least_fall: Share
    slack: NotNegativeNumber
    rounds: Count


@options
class HiddenOptions:
    """Episodes whose frames are shown without their truth."""

    simulated: list[str]
    episodes: Count
    looks: Count
    seed: Seed


@options
class ClaimOptions:
    """configs/claims/."""

    models: list[str]
    seeds: Count
    data_root: Path
    frames: FrameOptions
    network: Mapping[str, Any]
    batch_size: Count
    training: Training
    rules: RuleOptions
    hidden: HiddenOptions


def check_claims(asked: ClaimOptions) -> None:
    """Raise InputError for tasks, scenes and checkpoints that do not exist."""
    from robot.perception.claims.reader import claim_file

    for text in asked.hidden.simulated:
        staged(text)
    for name in asked.models:
        claim_file(name)


def rules_of(asked: ClaimOptions) -> Rules:
    return Rules(**vars(asked.rules))


def correct(asked: ClaimOptions, *, image_size: ImageSize, config_yaml: str) -> None:
    """Measure every model, trained first where none is given; results.json is the last line."""
    from robot.experiment.correction import figures, hidden_frames, measure_correction
    from robot.perception.claims.reader import SmallClaims

    with run_folder("correct", config_yaml=config_yaml) as run:
        with Bars() as progress:
            models = asked.models or _trained(asked, run, progress)
            hidden = asked.hidden
            frames = hidden_frames(
                [staged(text) for text in hidden.simulated],
                episodes=hidden.episodes,
                looks=hidden.looks,
                seed=hidden.seed,
                image_size=image_size,
            )
            results = []
            for number, name in enumerate(models, start=1):
                moved = moving(progress, f"correct with model {number}")
                model = SmallClaims.load(name)
                measured = measure_correction(model, frames, rules_of(asked), progress=moved)
                results.append(figures(measured))
        Console().print(table_of(results))
        for line in _met(results):
            print(line)
        write_results(run, {"models": dict(zip(map(str, models), results, strict=True))})


def _trained(asked: ClaimOptions, run: Path, progress: Bars) -> list[str]:
    """Return the checkpoints of all seeds, trained where they are not there yet."""
    from robot.data.claim_frames import claim_frames_path, load_claim_frames
    from robot.perception.regions.reader import shipped_reader
    from robot.rollout.claim_frames import make_claim_frames
    from robot.train.claims import ClaimTraining, train_claims
    from robot.train.log import RunLog

    content = {k: v for k, v in vars(asked.frames).items() if k != "shards"}
    content["scenes"] = dict(asked.frames.scenes)
    folder = asked.data_root / "claim_frames" / key("claim-frames", content)
    numbers = range(asked.frames.shards)
    missing = [k for k in numbers if not claim_frames_path(folder, k).is_file()]
    work = partial(make_claim_frames, root=folder, **content)
    moved = moving(progress, "claim frames")
    for done, _ in enumerate(parallel_map(work, missing, workers=1), start=1):
        moved(done, len(missing))
    frames = load_claim_frames(folder, shards=asked.frames.shards)
    checkpoints = []
    for seed in range(asked.seeds):
        options = ClaimTraining(
            network=asked.network,
            training=asked.training,
            batch_size=asked.batch_size,
            seed=seed,
        )
        directory = asked.data_root / "models" / key("claims", {"o": options, "f": asked.frames})
        moved = moving(progress, f"train claims, seed {seed}")
        with RunLog(run, wandb_mode="disabled") as log:

            def report(step, values, moved=moved, log=log):
                moved(step, asked.training.steps)
                log(step, values)

            checkpoints.append(
                train_claims(
                    options,
                    frames,
                    directory=directory,
                    reader=shipped_reader().network,
                    log=report,
                )
            )
    return [str(path) for path in checkpoints]


def table_of(results: Sequence[Figures]) -> Table:
    """Return the variants for people: means over models, lowest and highest where several."""
    from robot.experiment.correction import VARIANTS

    shown = Table(
        "variant", "claims", "false", "false share", "false claims cut", "true claims kept"
    )
    names = ("claims", "false", "false_share", "false_cut", "true_kept")
    for variant in VARIANTS:
        cells = []
        for name in names:
            values = [float(getattr(r.variants[variant], name)) for r in results]
            form = "{:.0f}" if name in ("claims", "false") else "{:.1%}"
            extremes = f" ({form.format(min(values))}-{form.format(max(values))})"
            cells.append(form.format(fmean(values)) + (extremes if len(results) > 1 else ""))
        shown.add_row(variant, *cells)
    return shown


def _met(results: Sequence[Figures]) -> list[str]:
    """Return a line per target: what every model reached."""
    lines = []
    for name, target in TARGETS.items():
        of = [r if name == "fixed_point" else r.variants["corrected"] for r in results]
        values = [float(getattr(one, name)) for one in of]
        reached = ", ".join(f"{v:.1%}" for v in values)
        met = "met" if min(values) >= target else "missed"
        lines.append(f"{name.replace('_', ' ')}: {reached}; target {target:.0%}: {met}")
    return lines
