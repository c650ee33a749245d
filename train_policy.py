"""`python train_policy.py env=robosuite`: demonstrations -> mask -> policy -> evaluation -> report.

What is already there is reused, what was cut off goes on: run it again after a kill.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from launch.command_line import hydra_command
from robot.envs.registry import TABLETOP, check_scene
from robot.envs.render import require_gl
from robot.experiment.collect import check_mask_scenes
from robot.experiment.evaluate import Arm, Evaluated, evaluate
from robot.experiment.jobs import Watch, run_rounds
from robot.experiment.mask_quality import measure_masks
from robot.experiment.mixture import check_data, episodes_per_arm
from robot.experiment.recipe import (
    Shared,
    arm_sections,
    check_head_training,
    check_training,
    headline_scene_of,
    recipes_of,
    shared_of,
)
from robot.experiment.report import report
from robot.experiment.stages import HEAD, collect, needs_frames, publish, rounds_of
from robot.perception.head.base import Head
from robot.report.html import MaskQuality
from robot.report.statistics import cell_to_json, summarise, write_episodes
from robot.report.table import success_table
from robot.system.command import run_directory, write_results
from robot.system.progress import Bars, bar


def check(config: Any, *, shared: Shared) -> None:
    """Refuse what cannot work before anything long starts."""
    require_gl()
    recipes, evaluation = recipes_of(config), config["evaluation"]
    for scene in {*evaluation["scenes"], *(s for recipe in recipes for s in recipe.scenes)}:
        check_scene(shared.task, scene)
    headline_scene_of(evaluation)
    check_training(recipes, shared=shared, evaluation=evaluation)
    if needs_frames(recipes):
        check_head_training(shared)
        if shared.task in TABLETOP:
            check_mask_scenes([shared.task], evaluation["mask_scenes"])
    check_data(
        shared.data,
        task=shared.task,
        weightings=[r.weighting for r in recipes],
        judging=shared.judging,
    )


def arms_of(config: Any) -> dict[str, Any]:
    """Return the arms, the masked one seeing through what `perception=` chose; `perception=none`
    drops its twin.
    """
    chosen = config["perception"]["masks"]
    arms = {name: dict(arm) for name, arm in arm_sections(config["arms"]).items()}
    if "masked" in arms and chosen != "learned":
        if chosen == "none":
            del arms["masked"]
        else:
            arms["masked"]["perception"] = chosen
    return arms


def evaluate_arms(config: Any, *, published: dict[str, Path], head: Path | None) -> list[Evaluated]:
    """Run every arm in every scene, on the same initial states."""
    evaluation = config["evaluation"]
    arms = [
        Arm(
            name=recipe.name,
            policy=published[recipe.name],
            perception=recipe.perception,
            head=head if recipe.perception == "learned" else None,
            deployment=recipe.deployment,
            training_seed=config["seed"],
        )
        for recipe in recipes_of(config)
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
            Head.load(head),
            root=root / "mask_frames",
            tasks=[config["task"]],
            scenes=evaluation["mask_scenes"],
            scenes_each=evaluation["mask_scenes_each"],
            seed=evaluation["seed"],
            image_size=config["env"]["image_size"],
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
    trained_s: dict[str, float],
) -> Path:
    """Write report.html."""
    evaluation, arms = config["evaluation"], list(config["arms"])
    policy, demonstrations = (
        config["policy"]["_target_"].rpartition(".")[2],
        episodes_per_arm(config["data"]),
    )
    return report(
        run,
        evaluated,
        title=f"{config['task']}: {' against '.join(arms)}",
        summary=f"{policy} on {demonstrations} demonstrations per arm; {evaluation['episodes']} "
        "episodes per arm and scene, "
        "the same initial states for every arm.",
        logs=logs,
        mask_quality=quality,
        config_yaml=(run / "config.yaml").read_text(),
        stage_s=stage_s,
        trained_s=trained_s,
        seeds=f"training {config['seed']}, data {config['data']['seed']}, evaluation "
        f"{evaluation['seed']}",
        arm="masked" if "masked" in arms else arms[0],
        headline_scene=headline_scene_of(evaluation),
        look_dt_s=evaluation["execute"] * config["env"]["control_dt_s"],
    )


@hydra_command("train_policy")
def main(config: DictConfig) -> None:
    settings: Any = OmegaConf.to_container(config, resolve=True)
    settings["arms"] = arms_of(settings)
    shared = shared_of(settings)
    check(settings, shared=shared)
    recipes = recipes_of(settings)
    run, watch, console = run_directory(settings["name"]), Watch(), Console()
    (run / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True))
    with watch("collect"):
        stores, frames = collect(recipes, shared=shared, frames_needed=needs_frames(recipes))
    with watch("train"), Bars() as progress:
        rounds = rounds_of(
            recipes, shared=shared, seed=settings["seed"], stores=stores, frames=frames
        )
        checkpoints, trained_s = run_rounds(rounds, workers=shared.workers, progress=progress)
    published, head = publish(checkpoints, run=run), checkpoints.get(HEAD)
    with watch("evaluate"):
        evaluated = evaluate_arms(settings, published=published, head=head)
    quality: list[MaskQuality] = []
    if head is not None and settings["task"] in TABLETOP:
        with watch("measure masks"):
            quality = measure_head(settings, head=head, root=shared.root)
    results = [e.result for e in evaluated]
    cells = summarise(results)
    write_episodes(run / "episodes.jsonl", results)
    logs = {
        stage.name: stage.directory / "log.jsonl" for chain in rounds[1] for stage in chain.stages
    }
    page = write_page(
        settings,
        evaluated,
        run=run,
        logs=logs,
        quality=quality,
        stage_s=watch.stage_s,
        trained_s=trained_s,
    )
    console.print(success_table(cells))
    console.print(f"report: {page}")
    said = {
        "cells": [cell_to_json(cell) for cell in cells],
        "masks": quality,
        "stage_s": watch.stage_s | trained_s,
        "checkpoints": published,
    }
    write_results(run, said)


if __name__ == "__main__":
    main()
