"""`python launch/ablate.py preset=paper`: masked against unmasked, arm by arm, scene by scene, seed
by seed.

What is trained already is reused (that of train_policy.py too), and every finished cell is kept:
run it again after a kill.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from launch.command_line import hydra_command
from robot.checkpoint import read_header
from robot.envs.registry import TABLETOP, check_scene
from robot.envs.render import require_gl
from robot.experiment.ablation import (
    Contender,
    arms_of,
    contenders_of,
    recipes_to_train,
    suffix_of,
    write,
)
from robot.experiment.cells import CellKey, Protocol, cells_of, evaluate_cells, revision_of
from robot.experiment.jobs import Chain, Watch, run_rounds
from robot.experiment.mixture import check_data, episodes_per_arm
from robot.experiment.recipe import (
    Shared,
    check_head_training,
    check_training,
    headline_scene_of,
    shared_of,
)
from robot.experiment.stages import collect, needs_frames, rounds_of
from robot.perception.head.base import Head
from robot.report.paper import paper_table
from robot.report.statistics import ALL_TASKS, cell_to_json
from robot.report.table import success_table
from robot.system.command import run_directory, write_results
from robot.system.progress import Bars, bar
from robot.types import InputError


def check(config: Any, contenders: list[Contender], *, shared: Shared, head: Path | None) -> None:
    """Refuse what cannot work before anything long starts."""
    require_gl()
    evaluation, recipes = config["evaluation"], recipes_to_train(contenders)
    if config["perception"]["masks"] != "learned":
        raise InputError(
            f"got perception={config['perception']['masks']}, expected learned: here every arm "
            "says what it sees through; "
            "pass compare=[oracle,unmasked]"
        )
    for scene in {scene for recipe in recipes for scene in recipe.scenes}:
        check_scene(shared.task, scene)
    if not evaluation["tasks"] or not evaluation["scenes"]:
        raise InputError(
            "got no task or no scene to evaluate, expected at least one of each; pass "
            "'evaluation.scenes=[clean]'"
        )
    if not set(evaluation["tasks"]) <= set(TABLETOP) and len(evaluation["tasks"]) > 1:
        raise InputError(
            f"got evaluation.tasks={evaluation['tasks']}, expected tabletop tasks where there are "
            "several; leave one"
        )
    for task in evaluation["tasks"]:
        for scene in evaluation["scenes"]:
            check_scene(task, scene)
    headline_scene_of(evaluation)
    check_training(recipes, shared=shared, evaluation=evaluation)
    if needs_frames(recipes, head=head):
        check_head_training(shared)
    check_data(
        shared.data,
        task=shared.task,
        weightings=[r.weighting for r in recipes],
        judging=shared.judging,
    )


def protocol_of(config: Any) -> Protocol:
    """Return how every cell is run."""
    evaluation = config["evaluation"]
    return Protocol(
        episodes=evaluation["episodes"],
        seed=evaluation["seed"],
        execute=evaluation["execute"],
        ensemble_decay=evaluation["ensemble_decay"],
        env_options={name: value for name, value in config["env"].items() if name != "task"},
    )


def rounds(
    contenders: list[Contender], *, shared: Shared, seeds: list[int], head: Path | None
) -> tuple[list[Chain], list[Chain]]:
    """Collect what is missing; return what judges demonstrations, then the trainings, of every
    seed, the longest first.
    """
    recipes = recipes_to_train(contenders)
    stores, frames = collect(recipes, shared=shared, frames_needed=needs_frames(recipes, head=head))
    how = {"shared": shared, "stores": stores, "frames": frames, "head": head}
    found = [
        rounds_of(recipes, seed=seed, suffix=suffix_of(seed, seeds=seeds), **how) for seed in seeds
    ]
    judges, trainings = ([chain for of_seed in found for chain in of_seed[k]] for k in (0, 1))
    return judges, sorted(trainings, key=lambda chain: -sum(stage.steps for stage in chain.stages))


def title_of(config: Any) -> str:
    first, *others = config["compare"]
    return (
        f"{config['task']}: {first} against {', '.join(others)}"
        if others
        else f"{config['task']}: {first}"
    )


def summary_of(config: Any, *, seeds: list[int]) -> str:
    evaluation, demonstrations = config["evaluation"], episodes_per_arm(config["data"])
    counts = {
        "Arms": len(config["compare"]),
        "demonstrations collected for each": demonstrations,
        "training seeds": len(seeds),
        "tasks": len(evaluation["tasks"]),
        "scenes": len(evaluation["scenes"]),
        "episodes a cell": evaluation["episodes"],
    }
    said = "; ".join(f"{name}: {count}" for name, count in counts.items())
    return (
        f"{said}. Every arm meets the same initial states, and differences are between those "
        "pairs. README.md explains arms."
    )


def made_at(checkpoints: Iterable[Path], cells: Iterable[CellKey]) -> dict[str, list[str]]:
    """Return the revisions, short, of the code that trained and that evaluated: what is there
    already is reused.
    """
    trained = {
        read_header(file).get("git_revision", "unknown")
        for file in checkpoints
        if file.suffix == ".safetensors"
    }

    def short(revisions):
        return sorted({revision[:12] for revision in revisions})

    return {"Trained": short(trained), "Evaluated": short(revision_of(cell.file) for cell in cells)}


@hydra_command("ablate")
def main(config: DictConfig) -> None:
    settings: Any = OmegaConf.to_container(config, resolve=True)
    shared, contenders, head = (
        shared_of(settings),
        contenders_of(settings),
        Head.resolve(settings["head"]),
    )
    protocol = protocol_of(settings)
    check(settings, contenders, shared=shared, head=head)
    evaluation, watch, console = settings["evaluation"], Watch(), Console()
    seeds = [settings["seed"] + k for k in range(settings["training_seeds"])]
    run = run_directory(settings["name"])
    (run / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True))
    with watch("collect"):
        planned = rounds(contenders, shared=shared, seeds=seeds, head=head)
    with watch("train"), Bars() as progress:
        checkpoints, trained_s = run_rounds(planned, workers=shared.workers, progress=progress)
    with watch("evaluate"), bar("evaluate") as tell:
        arms = arms_of(contenders, checkpoints=checkpoints, seeds=seeds, head=head)
        where = {
            "tasks": evaluation["tasks"],
            "scenes": evaluation["scenes"],
            "root": shared.root / "cells",
        }
        cells = cells_of(arms, protocol=protocol, **where)
        results = [
            r
            for cell in evaluate_cells(
                cells, protocol=protocol, workers=shared.workers, progress=tell
            )
            for r in cell
        ]
    found = write(
        run,
        results,
        title=title_of(settings),
        summary=summary_of(settings, seeds=seeds),
        arm=settings["compare"][0],
        headline_scene=headline_scene_of(evaluation),
        logs={
            stage.name: stage.directory / "log.jsonl"
            for chain in planned[1]
            for stage in chain.stages
        },
        config_yaml=(run / "config.yaml").read_text(),
        stage_s=watch.stage_s,
        trained_s=trained_s,
        made_at=made_at(checkpoints.values(), cells),
        seeds=f"training {', '.join(map(str, seeds))}, data {shared.data['seed']}, evaluation "
        f"{evaluation['seed']}",
    )
    pooled = [cell for cell in found.cells if cell.task == ALL_TASKS]
    console.print(success_table(pooled or found.cells))
    if found.beside:
        console.print(paper_table(found.beside))
    console.print(f"report: {run / 'report.html'}")
    said = {
        "cells": [cell_to_json(cell) for cell in found.cells],
        "differences": found.differences,
        "paper": found.beside,
    }
    write_results(
        run,
        said | {"seeds": seeds, "stage_s": watch.stage_s | trained_s, "checkpoints": checkpoints},
    )


if __name__ == "__main__":
    main()
