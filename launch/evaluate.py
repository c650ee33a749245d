"""`python launch/evaluate.py checkpoint=tabletop scene=distract episodes=50 perception=learned`:
any policy, any scene.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from launch.command_line import hydra_command
from robot.checkpoint import policy_metadata, resolve_checkpoint
from robot.envs.registry import check_scene
from robot.envs.render import require_gl
from robot.envs.tabletop.scene import PLACE_TASKS
from robot.experiment.evaluate import Arm, evaluate
from robot.experiment.report import report
from robot.perception.head.base import Head
from robot.perception.registry import SOURCES, make_deployment
from robot.report.statistics import cell_to_json, summarise, write_episodes
from robot.report.table import success_table
from robot.rollout.agents import load_policy
from robot.system.command import run_directory, write_results
from robot.system.progress import bar
from robot.types import InputError

UNASKED = (
    {"name": "overlay"},
    {"name": "none"},
)  # what the config group `perception` says where nobody says anything else


def names(value: Any) -> list[str]:
    """Return a list of names from one name, or several separated by commas."""
    return value if isinstance(value, list) else str(value).split(",")


def arm_of(settings: Any, *, checkpoint: Path) -> Arm:
    """Return the arm that a checkpoint was trained for, or the one that the command asks for;
    refuse before anything runs.
    """
    trained = policy_metadata(checkpoint)
    policy = load_policy(checkpoint, control_dt_s=settings["env"]["control_dt_s"])
    if settings["execute"] > policy.horizon:
        raise InputError(
            f"got execute={settings['execute']}, expected at most the policy's {policy.horizon} "
            "actions a chunk"
        )
    perception = settings["perception"]["masks"] if settings.get("perception") else trained["masks"]
    if perception not in SOURCES:
        raise InputError(f"got perception={perception}, expected one of {', '.join(SOURCES)}")
    head = Head.resolve(settings["head"]) or checkpoint / "mask_head.safetensors"
    if perception == "learned" and not head.exists():
        raise InputError(
            f"got no mask head at {head}, expected one; pass head=tabletop, or perception=oracle "
            "or none"
        )
    asked = settings["perception"]["deployment"] if settings.get("perception") else UNASKED[0]
    if asked not in UNASKED:
        raise InputError(
            f"got perception.deployment={asked}, which is for training; here, pass "
            f"deployment={asked['name']}"
        )
    deployment = (
        {"name": settings["deployment"]} if settings["deployment"] else trained["deployment"]
    )
    if perception == "none":
        deployment = {"name": "none"}
    make_deployment(**deployment)  # refuses what is none
    return Arm(
        name=settings["name"] or f"{checkpoint.name} ({perception})",
        policy=checkpoint,
        perception=perception,
        head=head if perception == "learned" else None,
        deployment=deployment,
        training_seed=trained.get("seed", 0),
        mask_period=settings["mask_period"],
    )


def stranger(trained: Mapping[str, Any], *, tasks: Sequence[str]) -> str | None:
    """Say that a policy meets tasks which it did not learn; None where it learned them, or its
    checkpoint does not say.
    """
    learned = {
        name.partition("-")[0] for name in trained.get("demonstrations", ())
    }  # <task>-<scene>-<key>
    known = learned | set(PLACE_TASKS if "place" in learned else ())
    strange = [task for task in tasks if task not in known]
    return (
        f"note: this policy learned {', '.join(sorted(learned))}, not {', '.join(strange)}"
        if learned and strange
        else None
    )


@hydra_command("evaluate")
def main(config: DictConfig) -> None:
    settings: Any = OmegaConf.to_container(config, resolve=True)
    require_gl()
    tasks, scenes = names(settings["task"]), names(settings["scene"])
    if not tasks or not scenes:
        raise InputError(
            f"got task={tasks} and scene={scenes}, expected at least one of each; pass "
            "'scene=[clean,distract]'"
        )
    for task in tasks:
        for scene in scenes:
            check_scene(task, scene)
    arm = arm_of(settings, checkpoint=resolve_checkpoint(settings["checkpoint"]))
    console = Console()
    if note := stranger(policy_metadata(arm.policy), tasks=tasks):
        console.print(note)
    run = run_directory("evaluate")
    (run / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True))
    with bar("evaluate") as progress:
        evaluated = evaluate(
            [arm],
            tasks=tasks,
            scenes=scenes,
            episodes=settings["episodes"],
            seed=settings["seed"],
            execute=settings["execute"],
            ensemble_decay=settings["ensemble_decay"],
            env_options={k: v for k, v in settings["env"].items() if k != "task"},
            keep=settings["keep"],
            workers=settings["workers"],
            progress=progress,
        )
    results = [e.result for e in evaluated]
    cells = summarise(results)
    write_episodes(run / "episodes.jsonl", results)
    page = report(
        run,
        evaluated,
        title=f"{arm.name} on {', '.join(tasks)}",
        summary=f"{settings['episodes']} episodes per task and scene.",
        logs={},
        mask_quality=[],
        config_yaml=(run / "config.yaml").read_text(),
        stage_s={},
        seeds=f"training {arm.training_seed}, evaluation {settings['seed']}",
        arm=arm.name,
        headline_scene=None,
        look_dt_s=settings["execute"] * settings["env"]["control_dt_s"],
    )
    console.print(success_table(cells))
    console.print(f"report: {page}")
    write_results(run, {"cells": [cell_to_json(cell) for cell in cells]})


if __name__ == "__main__":
    main()
