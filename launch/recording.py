"""What launch/record.py does once its options are checked: demonstrations of a person."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from launch.demonstrating import Asked
from launch.driving import (
    RECORDING,
    SWITCH_S,
    arrange,
    ask_to_move,
    episode_of,
    header_of,
    is_last,
    make_person,
    recovered,
    sentences,
    shown,
)
from robot.data.store import EpisodeStore
from robot.deploy.history import Outcome
from robot.deploy.loop import Loop
from robot.deploy.options import LoopOptions, World
from robot.deploy.planner import NoPlanner
from robot.deploy.recorder import EPISODES, Recorder, complete
from robot.deploy.rig import Rig
from robot.deploy.robots import make_robot
from robot.system.command import RUNS, run_folder, write_results


def record(asked: Asked, *, config_yaml: str, root: Path = RUNS) -> None:
    """Record demonstrations; results.json is the last line on stdout."""
    console = Console(file=sys.stderr)
    for folder, indices in recovered(root):
        console.print(f"recovered episodes {indices} of a run that was killed: {folder}")
    sys.setswitchinterval(SWITCH_S)
    world = World(task=asked.task, scene=asked.scene, seed=asked.seed, env=asked.env)
    robot = make_robot(asked.robot, world=world)
    outcomes: list[Outcome] = []
    with (
        sentences(),
        run_folder("record", config_yaml=config_yaml, root=root) as folder,
        ExitStack() as stack,
    ):
        recorder = Recorder(folder / RECORDING, videos=asked.videos)
        stack.callback(recorder.close)
        stack.callback(robot.disconnect)
        robot.connect()
        ask_to_move(asked.robot, yes=asked.yes, what="a person drives", console=console)
        person = make_person(asked.teleop, robot, console, drives=True)
        stack.callback(person.close)
        loop = Loop(
            Rig(robot.arm, robot.cameras),
            NoPlanner(),
            options=LoopOptions(),
            goal=asked.goal or "",
            operator=person,
            recorder=recorder,
            demonstrates=True,
        )
        stack.enter_context(shown(loop, viewer=asked.viewer))
        for index in range(asked.episodes):
            arrange(loop, robot, index=index, goal=asked.goal)
            header = header_of(
                loop,
                asked.robot,
                world,
                index=index,
                extra={"operator": asked.teleop.kind},
                tier="trusted",
            )
            outcomes.append(loop.run_episode(limit_s=asked.episode_s, header=header))
            if is_last(outcomes[-1]):
                break
        recorder.close()
        complete(folder / RECORDING)
        kept = len(EpisodeStore(folder / RECORDING / EPISODES))
        console.print(f"{kept} demonstrations: {folder / RECORDING / EPISODES}")
        results = {"episodes": [episode_of(o) for o in outcomes], "failure": recorder.failure}
        write_results(folder, results)
