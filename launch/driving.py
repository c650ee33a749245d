"""What launch/deploy.py does once its options are checked: an arm is driven and recorded."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from launch.running import Asked
from robot.agent import Agent
from robot.checkpoint import spaces_of
from robot.deploy.exchange import Keys
from robot.deploy.history import Outcome
from robot.deploy.journal import Header
from robot.deploy.loop import Loop
from robot.deploy.operator import Lines, Nobody, Operator, Person
from robot.deploy.options import SIMULATED, RobotOptions, World
from robot.deploy.planner import AsyncPlanner, Plans
from robot.deploy.recorder import Recorder, complete, recover
from robot.deploy.remote import Connection, MaskedRemoteAgent, RemoteAgent
from robot.deploy.rig import Rig
from robot.deploy.robots import Robot, make_robot
from robot.deploy.viewer import Rerun, Sink, Terminal, Viewer
from robot.errors import InputError
from robot.hardware.arm import ArmError
from robot.hardware.camera import CameraError
from robot.hardware.teleop.operator import OperatorError
from robot.hardware.teleop.registry import make_operator as make_device
from robot.language import LanguageEncoder
from robot.perception.regions.follow import RegionMasks
from robot.perception.regions.verify import verified_masks
from robot.perception.registry import learned_masks, make_deployment
from robot.spaces import Spaces, another_robot, check_spaces
from robot.system.command import RUNS, run_folder, write_results
from robot.system.device import pick_device
from robot.system.folder_lock import is_locked
from robot.system.parse import Spec
from robot.system.priority import prompt

RECORDING = "recording"
SWITCH_S = 0.0005  # from one thread to another: the loop's must not wait 5 ms for the planner's
CLOSE_S = 2.5  # for the recording to be finished when the command is interrupted


class Acts(Plans, Protocol):
    """An agent, here or elsewhere."""

    def reset(self) -> None: ...


Ask = Callable[[str], str]  # a question -> its answer


def run(asked: Asked, *, config_yaml: str, root: Path = RUNS) -> None:
    """Drive; results.json is the last line on stdout. A run that is cut off keeps its recording."""
    console = Console(file=sys.stderr)
    for folder, indices in recovered(root):
        console.print(f"recovered episodes {indices} of a run that was killed: {folder}")
    torch.set_num_threads(asked.threads)
    sys.setswitchinterval(SWITCH_S)
    world = World(task=asked.task, scene=asked.scene, seed=asked.seed, env=asked.env)
    robot = make_robot(asked.robot, world=world)
    agent = load_agent(asked, robot)
    outcomes: list[Outcome] = []
    with (
        sentences(),
        run_folder("deploy", config_yaml=config_yaml, root=root) as folder,
        ExitStack() as stack,
    ):
        recorder = None
        if asked.record:
            recorder = Recorder(folder / RECORDING, videos=asked.videos)
            stack.callback(recorder.close, timeout_s=CLOSE_S)
        console.print("connecting")
        stack.callback(robot.disconnect)
        robot.connect()
        rig = Rig(robot.arm, robot.cameras, table_m=robot.table_m)
        planner = AsyncPlanner(agent, seed=asked.seed, delay_s=asked.loop.plan_delay_s)
        stack.callback(planner.stop)
        loop = Loop(
            rig,
            planner,
            options=asked.loop,
            goal=asked.goal or "",
            recorder=recorder,
            succeeded=robot.succeeded,
        )
        try:
            for index in range(asked.episodes):
                arrange(loop, robot, index=index, goal=asked.goal)
                agent.reset()
                if index == 0:
                    planner.start(warm_up=rig.observe(loop.goal).observation)
                    agent.reset()  # what was seen while warming up is no look of the episode
                    confirm(asked, loop, console)
                    loop.operator = make_operator(asked, robot, console)
                    stack.callback(loop.operator.close)
                    stack.enter_context(shown(loop, viewer=asked.viewer))
                elif robot.arrange is None:
                    confirm(asked, loop, console, ask=loop.operator.ask)
                header = header_of(loop, asked.robot, world, index=index, extra=about(asked))
                with prompt():
                    outcomes.append(loop.run_episode(limit_s=asked.episode_s, header=header))
                if is_last(outcomes[-1]):
                    break
        finally:
            if recorder is not None:  # first: what fails at the end belongs into the results
                recorder.close(timeout_s=CLOSE_S if sys.exc_info()[0] else 60.0)
            results = summary(asked, loop, outcomes)
        if recorder is not None:
            complete(folder / RECORDING)
        console.print(table_of(outcomes))
        console.print(f"recording: {folder / RECORDING}" if recorder else "nothing was recorded")
        if recorder is not None and recorder.failure:
            console.print(recorder.failure, markup=False, highlight=False)
        write_results(folder, results)


@contextmanager
def sentences() -> Iterator[None]:
    """Turn what a driver says of its device into one sentence and exit code 2."""
    try:
        yield
    except (ArmError, CameraError, OperatorError) as error:
        raise InputError(str(error)) from error


def load_agent(asked: Asked, robot: Robot) -> Acts:
    """Return what plans; InputError where it was made for another robot."""
    spaces = Rig(robot.arm, robot.cameras).spaces
    if asked.checkpoint is not None:
        check_robot(spaces_of(asked.checkpoint), spaces, asked)
        return Agent.load(
            asked.checkpoint,
            device=asked.device,
            head=asked.head,
            deployment=make_deployment(asked.deployment) if asked.deployment else None,
        )
    assert asked.server is not None
    connection = Connection(asked.server, token=asked.token, deadline_s=asked.deadline_s)
    if asked.exchange == "robot":
        agent = RemoteAgent(connection)
        check_robot(agent.spaces, spaces, asked)
        return agent
    assert asked.head is not None
    device, language = pick_device(asked.device), LanguageEncoder()
    masks = RegionMasks(learned_masks(asked.head, device=device, language=language), device=device)
    return MaskedRemoteAgent(
        connection,
        masks=verified_masks(masks, language=language),
        deployment=make_deployment(asked.deployment or "overlay"),
        spaces=spaces,
        keys=Keys(images={}, state="observation/state", prompt="prompt"),
    )


def check_robot(made_for: Spaces, here: Spaces, asked: Asked) -> None:
    """Raise InputError, naming what differs, unless the policy was made for this robot; print a
    note where it learned on another one of the same spaces.
    """
    if not here.cameras:
        raise InputError(
            f"got robot={asked.robot.kind} without cameras, expected "
            f"{', '.join(made_for.camera_names)}, which the policy sees; fill in cameras in "
            f"configs/robot/{asked.robot.kind}.yaml (docs/cameras.md)"
        )
    check_spaces(
        made_for,
        here,
        what=f"a robot ({here.robot_type}) for the policy {asked.checkpoint or asked.server}",
        remedy="Use a policy that was trained for this robot and its cameras",
    )
    if note := another_robot(made_for, here):
        print(note, file=sys.stderr)


def arrange(loop: Loop, robot: Robot, *, index: int, goal: str | None) -> None:
    """Begin episode `index`: the world in order where it is simulated, nothing remembered."""
    robot.arm.stop()
    own = robot.arrange(index) if robot.arrange is not None else ""
    loop.rig.forget()
    loop.change_goal(goal or own)


def confirm(asked: Asked, loop: Loop, console: Console, *, ask: Ask | None = None) -> None:
    """Ask whether the arm may move; nothing has moved before. InputError where it may not."""
    what = f"{loop.goal!r} with {asked.checkpoint or asked.server}"
    ask_to_move(asked.robot, yes=asked.yes, what=what, console=console, ask=ask)


def ask_to_move(
    robot: RobotOptions, *, yes: bool, what: str, console: Console, ask: Ask | None = None
) -> None:
    """Say what the arm will do within which limits, and ask: through the operator (`ask`), where he
    reads the terminal already. InputError where it may not.
    """
    safety = robot.safety
    console.print(
        f"{robot.kind}: {what}; at most {safety.max_speed_m_s:g} m/s, in the box "
        f"{safety.workspace_low_m} to {safety.workspace_high_m} m",
        markup=False,
        highlight=False,
    )
    if yes:
        return
    answer = (ask or console.input)("The arm will move. Is its workspace clear? Type yes: ")
    if answer.strip().lower() not in ("yes", "y"):
        raise InputError(f"got {answer!r}, expected yes; nothing has moved")


def make_operator(asked: Asked, robot: Robot, console: Console) -> Operator:
    """Return who can stop and steer; only after he was asked, as both read the terminal."""
    if asked.teleop is not None:
        return make_person(asked.teleop, robot, console)
    if asked.operator == "none" or not sys.stdin.isatty():
        return Nobody()
    console.print(Lines.HELP)
    return Lines()


def make_person(teleop: Spec, robot: Robot, console: Console, *, drives: bool = False) -> Person:
    """Return a person with a device, whose e-stop goes to the arm at once."""
    section = {"kind": teleop.kind, **teleop.options}
    device = make_device(section, on_stop=lambda: robot.arm.estop("pressed by the operator"))
    device.connect()
    console.print(device.help, markup=False, highlight=False)
    dt_s = robot.arm.features.control_dt_s
    return Person(device, control_dt_s=dt_s, drives=drives)


@contextmanager
def shown(loop: Loop, *, viewer: str | None) -> Iterator[None]:
    """Show the loop in the terminal, and in rerun where that is asked for."""
    sinks: list[Sink] = [Terminal()]
    if viewer is not None:
        sinks.append(Rerun(viewer))
    viewers = [Viewer(loop, sink) for sink in sinks]
    try:
        yield
    finally:
        for each in viewers:
            each.close()


def header_of(
    loop: Loop,
    robot: RobotOptions,
    world: World,
    *,
    index: int,
    extra: Mapping[str, str],
    tier: str = "machine",
) -> Header:
    """Return what is known of an episode before its first step."""
    is_simulated = robot.kind in SIMULATED
    return Header(
        index=index,
        task=world.task if is_simulated else robot.kind,
        goal=loop.goal,
        scene=world.scene if is_simulated else "real",
        seed=world.seed,
        spaces=loop.rig.spaces,
        extra={"robot": robot.kind, **extra},
        tier=tier,
    )


def about(asked: Asked) -> dict[str, str]:
    """Return what an episode's header says of the policy."""
    return {
        "policy": str(asked.checkpoint or asked.server),
        "labels": "predicted",
        "began": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def is_last(outcome: Outcome) -> bool:
    """Whether nothing comes after an episode that ended so."""
    return outcome.ended == "quit" or outcome.ended.startswith("fault")


def recovered(root: Path) -> Iterator[tuple[Path, list[int]]]:
    """Yield recordings that killed runs left, and the episodes that were made of their journals."""
    for folder in sorted(root.glob(f"*/{RECORDING}")):
        if not is_locked(folder.parent) and (indices := recover(folder)):
            yield folder, indices


def summary(asked: Asked, loop: Loop, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return what results.json holds."""
    told = [outcome.success for outcome in outcomes if outcome.success is not None]
    latencies = [ms for outcome in outcomes for ms in outcome.latency_ms]
    return {
        "checkpoint": asked.checkpoint,
        "server": asked.server,
        "robot": asked.robot.kind,
        "success": sum(told) / len(told) if told else None,
        "episodes": [episode_of(outcome) for outcome in outcomes],
        "loop": vars(loop.clock.timing()),
        "operator_polls": loop.polls,
        "plan_ms": quantiles(latencies),
        "interventions": dict(loop.rig.arm.interventions),
        "events": dict(loop.event_counts),
        "recording_failure": None if loop.recorder is None else loop.recorder.failure,
    }


def episode_of(outcome: Outcome) -> dict[str, Any]:
    hidden = ("latency_ms", "actions", "chunks", "due", "held", "times_s")
    return {name: value for name, value in vars(outcome).items() if name not in hidden}


def quantiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {name: float(np.quantile(values, q)) for name, q in (("p50", 0.5), ("p99", 0.99))}


def table_of(outcomes: Sequence[Outcome]) -> Table:
    """Return the table for people."""
    table = Table(title=f"{len(outcomes)} episodes", title_justify="left")
    for column in ("episode", "success", "ended", "steps", "held", "late actions", "plan ms"):
        table.add_column(column)
    for index, outcome in enumerate(outcomes):
        success = {True: "yes", False: "no", None: "-"}[outcome.success]
        latency = f"{np.median(outcome.latency_ms):.0f}" if outcome.latency_ms else "-"
        numbers = (outcome.steps, outcome.held_steps, outcome.late_actions)
        table.add_row(str(index), success, outcome.ended, *map(str, numbers), latency)
    return table
