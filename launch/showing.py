"""What launch/demo.py does: set up a table, or a robot, and serve the page in front of it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from launch.command_line import Work
from robot.checkpoint import check_robot, resolve_checkpoint, spaces_of
from robot.demo.page_options import PageOptions
from robot.deploy.options import SIMULATED, RobotOptions, World
from robot.deploy.server_options import check_free
from robot.envs.gl import require_gl
from robot.envs.make import EnvOptions, check_backend, make_env
from robot.envs.registry import check_scene
from robot.errors import InputError
from robot.hardware.arm import ArmError
from robot.hardware.camera import CameraError
from robot.perception.names import resolve_head
from robot.spaces import Spaces, another_robot
from robot.system.device_name import check_device
from robot.system.parse import Count, NotNegative, Positive, Seed, options, parse

if TYPE_CHECKING:
    from robot.demo.reading import Reading
    from robot.demo.session import Session
    from robot.demo.state import Choice
    from robot.demo.station import Agents, Station

TOKEN = "ROBOT_TOKEN"  # of the environment: a command line is seen by everyone on a machine
SWITCH_S = 0.0005  # from one thread to another: the loop's must not wait 5 ms for the page's
LOOK_S = 0.2  # between two looks whether the session goes on


@options
class Policies:
    """The `policies` of configs/demo.yaml, names resolved."""

    pick: Path
    place: Path


@options
class Showing:
    """configs/demo.yaml, names resolved."""

    env: EnvOptions
    robot: RobotOptions | None
    policies: Policies
    head: Path
    reader: Path
    task: str
    scene: str
    seed: Seed
    episode: NotNegative
    execute: Count
    episode_s: Positive
    view_size: Count
    samples: NotNegative
    device: str | None
    host: str
    port: int
    token: str | None
    largest_mb: Positive


def showing(config: DictConfig) -> Work:
    """Return the work that a config describes, checked."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    asked = parse_asked(values)
    page = PageOptions(
        host=asked.host,
        port=asked.port,
        token=asked.token or os.environ.get(TOKEN) or None,
        largest_mb=asked.largest_mb,
    )
    check_free(asked.host, asked.port)
    return partial(show, asked, page)


def parse_asked(values: Any) -> Showing:
    """Parse the config; raise InputError for what cannot be shown."""
    if importlib.util.find_spec("websockets") is None:
        raise InputError(
            "got no websockets, expected the package of the page's server; install it: pip "
            'install -e ".[server]"'
        )
    require_gl()
    policies = {kind: resolve_checkpoint(name) for kind, name in values["policies"].items()}
    found = {
        "policies": policies,
        "head": resolve_head(values["head"]),
        "reader": resolve_checkpoint(values["reader"]),
        "robot": values.get("robot"),
    }
    asked = parse(Showing, values | found)
    check_device(asked.device)
    if asked.robot is None or asked.robot.kind in SIMULATED:
        check_scene(asked.task, asked.scene)
        check_backend(asked.env.backend, robot=asked.env.robot, task=asked.task)
    if asked.robot is None:
        check_policies(asked, asked.env.spaces())
    return asked


def check_policies(asked: Showing, spaces: Spaces) -> None:
    """Raise InputError unless the policies were made for this robot and its cameras; print a note
    where they learned on another one of the same spaces.
    """
    for checkpoint in (asked.policies.pick, asked.policies.place):
        check_robot(checkpoint, spaces)
        if note := another_robot(spaces_of(checkpoint), spaces):
            print(note, file=sys.stderr)


def show(asked: Showing, page: PageOptions) -> None:
    """Serve the page until Ctrl-C or SIGTERM."""
    from robot.demo.picture import PictureStation, picture_of
    from robot.demo.server import Newest, PageServer
    from robot.demo.session import Session
    from robot.perception.head.base import Head

    head = cache(lambda: Head.load(asked.head))
    newest = Newest()
    session = Session(
        lambda: station_of(asked),
        pictures=lambda data: PictureStation(picture_of(data), head=head),
        reading=lambda: reading_of(asked),
        screen=newest,
    )
    server = PageServer(session, newest, options=page)
    session.start()
    try:
        asyncio.run(serve_while(session, server.run(partial(say_where, page))))
    finally:
        session.close()
    if session.failure is not None:
        raise session.failure


async def serve_while(session: Session, serving: Any) -> None:
    """Serve as long as the session goes on."""
    task = asyncio.create_task(serving)
    while session.alive and not task.done():
        await asyncio.wait([task], timeout=LOOK_S)
    task.cancel()
    await asyncio.gather(task, return_exceptions=session.failure is not None)


def say_where(page: PageOptions, port: int) -> None:
    host = f"[{page.host}]" if ":" in page.host else page.host
    print(
        f"open http://{host}:{port}/ in a browser"
        f"{' as /?token=<the token>' if page.token else ' (this machine only)'}; Ctrl-C ends it",
        flush=True,
    )


def station_of(asked: Showing) -> Station:
    """Return the simulated table, or the robot; agents are loaded when it is prepared."""
    from robot.demo.simulated import Pace, SimulatedStation
    from robot.demo.state import Choice

    choice = Choice(task=asked.task, scene=asked.scene, seed=asked.seed, episode=asked.episode)
    agents = partial(load_agents, asked)
    if asked.robot is not None:
        return robot_of(asked, asked.robot, choice=choice, agents=agents)
    return SimulatedStation(
        make_env(asked.task, asked.env),
        agents,
        choice=choice,
        view_size=asked.view_size,
        samples=asked.samples,
        execute=asked.execute,
        pace=Pace(),
    )


def robot_of(
    asked: Showing, options: RobotOptions, *, choice: Choice, agents: Callable[[], Agents]
) -> Station:
    """Return the robot, connected. InputError says what its driver says."""
    import torch

    from robot.demo.deployed import RobotStation
    from robot.deploy.rig import Rig
    from robot.deploy.robots import make_robot

    torch.set_num_threads(1)  # the loop and the drivers need the other cores
    sys.setswitchinterval(SWITCH_S)
    world = World(task=asked.task, scene=asked.scene, seed=asked.seed, env=asked.env)
    robot = make_robot(options, world=world)
    check_policies(asked, Rig(robot.arm, robot.cameras).spaces)
    try:
        return RobotStation(
            robot,
            agents,
            kind=options.kind,
            safety=options.safety,
            choice=choice,
            episode_s=asked.episode_s,
        )
    except (ArmError, CameraError) as error:
        robot.disconnect()
        raise InputError(str(error)) from error


def reading_of(asked: Showing) -> Reading | None:
    """Return what reads regions; None where its weights are not there."""
    from robot.demo.reading import Reading
    from robot.perception.regions.reader import FILE, RegionReader

    if not (asked.reader / FILE).is_file():
        return None
    return Reading(RegionReader.load(asked.reader, device=asked.device))


def load_agents(asked: Showing) -> Agents:
    """Return both agents, which see through one mask head."""
    from robot.agent import Agent
    from robot.demo.station import Agents

    load: Callable[[Path], Agent] = partial(Agent.load, device=asked.device, head=asked.head)
    return Agents(pick=load(asked.policies.pick), place=load(asked.policies.place))
