"""What launch/evaluate.py does once its options are checked: episodes, tables, a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from launch.evaluation import Asked, goal_reader, head_of, perception_of
from robot.checkpoint import policy_metadata, spaces_of
from robot.envs.tabletop.goals import PAPER_TASKS
from robot.experiment.cells import Entrant, cells_of, evaluate_cells
from robot.experiment.report import Story, report_to_wandb, write
from robot.perception.registry import make_deployment
from robot.policy import load_policy
from robot.report.statistics import Cell
from robot.report.table import success_table
from robot.rollout.act import Protocol
from robot.rollout.agents import AgentSpec
from robot.spaces import another_robot
from robot.system.command import run_folder, write_results
from robot.system.progress import bar


def evaluate(asked: Asked, entrant: Entrant, *, config_yaml: str) -> None:
    """Evaluate; results.json is the last line on stdout. A run that was cut off goes on."""
    console = Console()
    if asked.env.goal is not None:
        console.print(f"goal: {asked.env.goal}", markup=False, highlight=False)
        if remark := goal_reader(asked).read(asked.env.goal).note:
            console.print(f"note: {remark}", markup=False, highlight=False)
    if note := another_robot(spaces_of(asked.checkpoint), asked.env.spaces()):
        console.print(note)
    if note := stranger(policy_metadata(asked.checkpoint), tasks=asked.tasks):
        console.print(note)
    protocol = Protocol(
        seed=asked.seed,
        execute=asked.execute,
        ensemble_decay=asked.ensemble_decay,
        env=asked.env,
    )
    with run_folder("evaluate", config_yaml=config_yaml, resume=True) as run:
        cells = cells_of(
            [entrant],
            tasks=asked.tasks,
            scenes=asked.scenes,
            protocol=protocol,
            episodes=asked.episodes,
            root=run / "cells",  # of this run: asked again, episodes are run again
        )
        with bar("evaluate") as moved:
            evaluated = evaluate_cells(
                cells,
                protocol=protocol,
                episodes=asked.episodes,
                keep=asked.keep,
                workers=asked.workers,
                progress=moved,
            )
        story = Story(
            title=f"{entrant.arm} on {', '.join(asked.tasks)}",
            summary=summary_of(asked),
            seeds=f"training {entrant.training_seed}, evaluation {asked.seed}",
            arm=entrant.arm,
            config_yaml=config_yaml,
            look_dt_s=asked.execute * asked.env.control_dt_s,
            baselines=[entrant.arm] if entrant.agent.perception == "none" else [],
        )
        findings = write(run, evaluated, story=story)
        report_to_wandb(
            findings,
            run=run,
            name=entrant.arm,
            mode=asked.wandb,
            config={"asked": asked, "agent": entrant.agent},
        )
        console.print(success_table(findings.cells))
        if told := unjudged(findings.cells):
            console.print(told)
        console.print(f"report: {findings.page}")
        given = {} if asked.env.goal is None else {"goal": asked.env.goal}
        write_results(run, findings.as_json() | given)


def summary_of(asked: Asked) -> str:
    """Say what was run: how many episodes, and what they were asked where they were all asked the
    same.
    """
    number = f"{asked.episodes} episodes per task and scene"
    return f"{number}." if asked.env.goal is None else f"{number}, each asked “{asked.env.goal}”."


def unjudged(cells: Sequence[Cell]) -> str | None:
    """Say why there is no verdict, where there is none in some episodes."""
    count = sum(cell.no_verdict for cell in cells)
    if not count:
        return None
    episodes = count + sum(cell.episodes for cell in cells)
    return (
        f"note: in {count} of {episodes} episodes nothing there is what the goal names, so nobody "
        "can tell whether it was done; name what the task has, or choose a task and scenes that do"
    )


def entrant_of(asked: Asked) -> Entrant:
    """Return the agent that the checkpoint was trained for, or what the command asks for
    instead.
    """
    trained = policy_metadata(asked.checkpoint)
    load_policy(asked.checkpoint)  # raises where its weights are damaged
    perception, head = perception_of(asked), head_of(asked)
    deployment = {"name": asked.deployment} if asked.deployment else trained["deployment"]
    agent = AgentSpec(
        policy=asked.checkpoint,
        perception=perception,
        head=head if perception == "learned" else None,
        deployment=make_deployment(**{"name": "none"} if perception == "none" else deployment),
        mask_period=asked.mask_period,
    )
    arm = asked.name or f"{asked.checkpoint.name} ({perception})"
    return Entrant(arm, trained.get("seed", 0), agent)


def stranger(trained: Mapping[str, Any], *, tasks: Sequence[str]) -> str | None:
    """Say that a policy meets tasks which it did not learn; None where it learned them, or its
    checkpoint does not say.
    """
    # demonstrations are named <task>-<scene>-<key>
    learned = {name.partition("-")[0] for name in trained.get("demonstrations", ())}
    known = learned | set(PAPER_TASKS if "place" in learned else ())
    strange = [task for task in tasks if task not in known]
    if not learned or not strange:
        return None
    return f"note: this policy learned {', '.join(sorted(learned))}, not {', '.join(strange)}"
