"""`python train_policy.py env=robosuite`: demonstrations -> mask -> policy -> evaluation -> report.

What is already there is reused, what was cut off goes on: run it again after a kill.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra.utils
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from launch.hydra_main import hydra_command
from robot.command import run_directory, write_results
from robot.envs.registry import TABLETOP, check_scene
from robot.envs.render import require_gl
from robot.pipeline.collect import check_mask_scenes, collect_mask_frames, key
from robot.pipeline.evaluate import Arm, Evaluated, evaluate
from robot.pipeline.jobs import Chain, Stage, bar, bars, run_chains
from robot.pipeline.loading import SOURCES, load_head, make_deployment
from robot.pipeline.mask import train_mask_head
from robot.pipeline.mask_quality import measure_masks
from robot.pipeline.mixture import Shares, Stores, arm_demonstrations, check_data, collect_scenes, shares_of, weights_of
from robot.pipeline.policy import make_augment, train_policy
from robot.pipeline.report import report
from robot.policy import POLICIES
from robot.report.html import MaskQuality
from robot.report.statistics import cell_to_json, summarise, write_episodes
from robot.report.table import success_table
from robot.train.checkpoint import read_header
from robot.types import InputError

ABSENT_BELOW = 0.8  # presence below which the target counts as absent, as LearnedMasks has it


class Watch:
    """Seconds of every stage, for the report."""

    def __init__(self) -> None:
        self.stage_s: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.stage_s[stage] = time.monotonic() - began


def check(config: Any) -> None:
    """Refuse what cannot work before anything long starts."""
    require_gl()
    for scene in {*config["evaluation"]["scenes"], *(s for arm in config["arms"].values() for s in arm["scenes"])}:
        check_scene(config["task"], scene)
    if any(arm["perception"] == "learned" for arm in config["arms"].values()):
        check_mask_scenes(config["data"]["mask_frames"]["tasks"], config["data"]["mask_frames"]["scenes"])
        if config["task"] in TABLETOP:
            check_mask_scenes([config["task"]], config["evaluation"]["mask_scenes"])
    for name, arm in config["arms"].items():
        if arm["perception"] not in SOURCES:
            raise InputError(f"got arms.{name}.perception={arm['perception']}, expected one of {', '.join(SOURCES)}")
        make_deployment(**deployment_of(arm, config))
        make_augment(config["augment"], deployment=deployment_of(arm, config)["name"])
    check_data(config["data"], task=config["task"], weighting=config["weighting"], judging=config["judge"])
    if config["workers"] < 1:
        raise InputError(f"got workers={config['workers']}, expected at least 1")


def deployment_of(arm: Any, config: Any) -> dict[str, Any]:
    """Return how an arm's masks are applied: the perception's deployment, or none."""
    return {"name": "none"} if arm["perception"] == "none" else dict(config["perception"]["deployment"])


def arms_of(config: Any) -> dict[str, Any]:
    """Return the arms, the masked one seeing through what `perception=` chose; `perception=none` drops its twin."""
    chosen = config["perception"]["masks"]
    arms = {name: dict(arm) for name, arm in config["arms"].items()}
    if "masked" in arms and chosen != "learned":
        if chosen == "none":
            del arms["masked"]
        else:
            arms["masked"]["perception"] = chosen
    return arms


def collect(config: Any, *, shares: Shares, root: Path) -> tuple[dict[str, list[Path]], Path | None]:
    """Return the demonstrations of every training scene, and the mask frames where a head will be trained."""
    how: Any = {"image_size": config["env"]["image_size"], "workers": config["workers"]}
    with bars() as progress:
        stores = collect_scenes(config["data"], task=config["task"], shares=shares, root=root, progress=progress, **how)
        if not any(arm["perception"] == "learned" for arm in config["arms"].values()):
            return stores, None
        masks = progress.add_task("collect mask frames", total=None, text="")
        frames = collect_mask_frames(
            root=root / "mask_frames",
            progress=lambda done, of: progress.update(masks, completed=done, total=of),
            **how,
            **config["data"]["mask_frames"],
        )
    return stores, frames.root


def chains_of(config: Any, *, stores: Stores, frames: Path | None, root: Path, weights: dict[str, Any]) -> list[Chain]:
    """Return the trainings: those that see through the learned head after it, one after the other, all others on their own."""
    policy = dict(config["policy"])
    kind = next(k for k, cls in POLICIES.items() if cls is hydra.utils.get_class(policy.pop("_target_")))
    chains, behind_head = [], []
    head = head_stage(config, frames=frames, root=root) if frames is not None else None
    for name, arm in config["arms"].items():
        training = config["train"] | {"steps": round(config["train"]["steps"] * arm["steps"])}
        options = {
            **arm_demonstrations(config["data"], arm["scenes"], stores=stores),
            "kind": kind,
            "policy": policy,
            "masks": arm["perception"],
            "head": None,
            "deployment": deployment_of(arm, config),
            "augment": config["augment"],
            "training": training,
            "batch_size": config["batch_size"],
            "seed": config["seed"],
            "control_dt_s": config["env"]["control_dt_s"],
            **weights,
        }
        learned = arm["perception"] == "learned"
        identity = options | ({"head_options": head.options} if head is not None and learned else {})
        directory = root / "models" / key(f"{config['task']}-{kind}-{name}", identity)
        stage = Stage(f"policy {name}", train_policy, training["steps"], directory, options, config["wandb"])
        if learned:
            behind_head.append(stage)
        else:
            chains.append(Chain([stage]))
    if head is not None and behind_head:
        chains.insert(0, Chain([head, *behind_head], {stage.name: (head.name, "head") for stage in behind_head}))
    return chains


def head_stage(config: Any, *, frames: Path | None, root: Path) -> Stage:
    """Return the training of the mask head."""
    options = {
        "frames": frames,
        "head": config["mask_head"],
        "training": config["mask_training"],
        "batch_size": config["mask_batch_size"],
        "seed": config["seed"],
    }
    directory = root / "models" / key("mask-head", options)
    return Stage("mask head", train_mask_head, config["mask_training"]["steps"], directory, options, config["wandb"])


def publish(checkpoints: dict[str, Path], *, run: Path) -> dict[str, Path]:
    """Copy the checkpoints into the run: `<run>/<arm>/` holds the policy, and its mask head where it has one."""
    published = {}
    for name, file in checkpoints.items():
        if not name.startswith("policy "):
            continue
        folder = run / name.removeprefix("policy ")
        folder.mkdir()
        for suffix in (".safetensors", ".json"):
            shutil.copy2(file.with_suffix(suffix), folder / f"model{suffix}")
        published[name.removeprefix("policy ")] = folder
    for folder in published.values():
        if read_header(folder)["metadata"]["masks"] == "learned":
            for suffix in (".safetensors", ".json"):
                shutil.copy2(checkpoints["mask head"].with_suffix(suffix), folder / f"mask_head{suffix}")
    return published


def evaluate_arms(config: Any, *, published: dict[str, Path], head: Path | None) -> list[Evaluated]:
    """Run every arm in every scene, on the same initial states."""
    evaluation = config["evaluation"]
    arms = [
        Arm(
            name=name,
            policy=published[name],
            perception=arm["perception"],
            head=head if arm["perception"] == "learned" else None,
            deployment=deployment_of(arm, config),
            training_seed=config["seed"],
        )
        for name, arm in config["arms"].items()
    ]
    with bar("evaluate") as progress:
        return evaluate(
            arms,
            tasks=[config["task"]],
            scenes=evaluation["scenes"],
            episodes=evaluation["episodes"],
            seed=evaluation["seed"],
            execute=evaluation["execute"],
            ensemble_decay=evaluation["ensemble_decay"],
            env_options={k: v for k, v in config["env"].items() if k != "task"},
            keep=evaluation["keep"],
            workers=config["workers"],
            progress=progress,
        )


def measure_head(config: Any, *, head: Path, root: Path) -> list[MaskQuality]:
    """Measure the mask head, condition by condition, on scenes of the evaluation's seed."""
    evaluation = config["evaluation"]
    with bar("measure masks") as progress:
        measured = measure_masks(
            load_head(head),
            root=root / "mask_frames",
            tasks=[config["task"]],
            scenes=evaluation["mask_scenes"],
            scenes_each=evaluation["mask_scenes_each"],
            seed=evaluation["seed"],
            image_size=config["env"]["image_size"],
            absent_below=ABSENT_BELOW,
            workers=config["workers"],
            progress=progress,
        )
    return [m.quality for m in measured]


def write_page(
    config: Any,
    evaluated: list[Evaluated],
    *,
    run: Path,
    logs: dict[str, Path],
    quality: list[MaskQuality],
    stage_s: dict[str, float],
) -> Path:
    """Write report.html."""
    evaluation, arms = config["evaluation"], list(config["arms"])
    policy = config["policy"]["_target_"].rpartition(".")[2]
    demonstrations = sum(tier["episodes"] for tier in (config["data"], config["data"]["quality"]) if tier)
    return report(
        run,
        evaluated,
        title=f"{config['task']}: {' against '.join(arms)}",
        summary=f"{policy} on {demonstrations} demonstrations per arm; {evaluation['episodes']} episodes per arm and scene, "
        "the same initial states for every arm.",
        logs=logs,
        mask_quality=quality,
        config_yaml=(run / "config.yaml").read_text(),
        stage_s=stage_s,
        seeds=f"training {config['seed']}, data {config['data']['seed']}, evaluation {evaluation['seed']}",
        arm="masked" if "masked" in arms else arms[0],
        headline_scene=evaluation["headline_scene"] if evaluation["headline_scene"] in evaluation["scenes"] else None,
        look_dt_s=evaluation["execute"] * config["env"]["control_dt_s"],
    )


@hydra_command("train_policy")
def main(config: DictConfig) -> None:
    settings: Any = OmegaConf.to_container(config, resolve=True)
    settings["arms"] = arms_of(settings)
    check(settings)
    root, run, watch, console = Path(settings["data"]["root"]), run_directory(settings["name"]), Watch(), Console()
    (run / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True))
    shares = shares_of(settings["data"], [arm["scenes"] for arm in settings["arms"].values()])
    with watch("collect"):
        stores, frames = collect(settings, shares=shares, root=root)
    with watch("train"), bars() as progress:
        judging: Any = {"root": root, "progress": progress} | {k: settings[k] for k in ("seed", "wandb")}
        weights = weights_of(settings["weighting"], settings["judge"], stores=stores, shares=shares, **judging)
        chains = chains_of(settings, stores=stores, frames=frames, root=root, weights=weights)
        checkpoints, trained_s = run_chains(chains, workers=settings["workers"], progress=progress)
    published, head = publish(checkpoints, run=run), checkpoints.get("mask head")
    with watch("evaluate"):
        evaluated = evaluate_arms(settings, published=published, head=head)
    quality: list[MaskQuality] = []
    if head is not None and settings["task"] in TABLETOP:
        with watch("measure masks"):
            quality = measure_head(settings, head=head, root=root)
    results = [e.result for e in evaluated]
    cells = summarise(results)
    write_episodes(run / "episodes.jsonl", results)
    stage_s = watch.stage_s | trained_s
    logs = {stage.name: stage.directory / "log.jsonl" for chain in chains for stage in chain.stages}
    page = write_page(settings, evaluated, run=run, logs=logs, quality=quality, stage_s=stage_s)
    console.print(success_table(cells))
    console.print(f"report: {page}")
    said = {"cells": [cell_to_json(cell) for cell in cells], "masks": quality, "stage_s": stage_s, "checkpoints": published}
    write_results(run, said)


if __name__ == "__main__":
    main()
