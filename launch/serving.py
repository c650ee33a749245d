"""What launch/serve.py does: load an agent, serve it until it is stopped."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from launch.command_line import Work
from robot.checkpoint import resolve_checkpoint, spaces_of
from robot.deploy.server_options import ServerOptions, check_free
from robot.errors import InputError
from robot.perception.names import resolve_head
from robot.spaces import Spaces
from robot.system.device_name import check_device
from robot.system.parse import options, parse

EXTRA = ("msgpack", "websockets")
TOKEN = "ROBOT_TOKEN"  # of the environment: a command line is seen by everyone on a machine


@options
class KeyOptions:
    """The `keys` of configs/serve.yaml."""

    images: Mapping[str, str]
    state: str
    prompt: str


@options
class Serving:
    """configs/serve.yaml."""

    checkpoint: str
    head: str | None
    device: str | None
    host: str
    port: int
    token: str | None
    clients: int
    largest_mb: float
    deadline_s: float
    ping_s: float
    seed: int
    keys: KeyOptions


def serving(config: DictConfig) -> Work:
    """Return the work that a config describes, checked."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    asked = parse(Serving, values)
    if missing := [name for name in EXTRA if importlib.util.find_spec(name) is None]:
        raise InputError(
            f"got no {' and '.join(missing)}, expected the packages of a server; install them: "
            'pip install -e ".[server]"'
        )
    served = ServerOptions(
        host=asked.host,
        port=asked.port,
        token=asked.token or os.environ.get(TOKEN) or None,
        clients=asked.clients,
        largest_mb=asked.largest_mb,
        deadline_s=asked.deadline_s,
        ping_s=asked.ping_s,
        seed=asked.seed,
    )
    check_free(asked.host, asked.port)
    head = None if asked.head is None else resolve_head(asked.head)
    check_device(asked.device)
    spaces = spaces_of(resolve_checkpoint(asked.checkpoint))
    cameras = spaces.camera_names
    if unknown := sorted(set(asked.keys.images) - set(cameras)):
        raise InputError(
            f"got keys.images for {', '.join(unknown)}, expected cameras of the policy: "
            f"{', '.join(cameras)}"
        )
    from robot.system.device import pick_device  # torch: seconds

    pick_device(asked.device)
    return partial(serve, asked, served, head=head, made_for=made_for(spaces))


def made_for(spaces: Spaces) -> str:
    """Return what a client has to be: openpi's say nothing of their robot."""
    return (
        f"for a {spaces.robot_type} with cameras {', '.join(spaces.camera_names)}, "
        f"{len(spaces.state)} state and {len(spaces.action)} action values, one action per "
        f"{spaces.control_dt_s:g} s"
    )


def serve(asked: Serving, served: Any, *, head: Path | None, made_for: str) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    from robot.agent import Agent
    from robot.deploy.exchange import Keys
    from robot.deploy.server import PolicyServer

    keys = Keys(images=asked.keys.images, state=asked.keys.state, prompt=asked.keys.prompt)
    server = PolicyServer(
        Agent.load(asked.checkpoint, device=asked.device, head=head), keys=keys, options=served
    )

    def say(port: int) -> None:
        host = f"[{served.host}]" if ":" in served.host else served.host
        print(
            f"serving {asked.checkpoint} at ws://{host}:{port} (openpi's exchange; GET /healthz "
            f"says OK) {made_for}; {'with a token' if served.token else 'this machine only'}; "
            "Ctrl-C ends it",
            flush=True,
        )

    asyncio.run(server.run(say))
