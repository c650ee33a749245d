"""Agents whose policy runs elsewhere: they plan as `Agent` does, over a websocket.

    agent = RemoteAgent(Connection("ws://10.0.0.5:8000", token=...))
    plan = agent.plan(observation)

`RemoteAgent` asks a server of this project, which masks and decides. `MaskedRemoteAgent` masks the
frames here and asks any server of openpi's exchange for actions, which then sees masked pictures
only. A server that is silent past the deadline, closed or wrong is a `PolicyLost`: whoever moves an
arm holds it; the next plan connects anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect

from robot.agent import Patience, Plan
from robot.deploy.exchange import (
    EPISODE,
    PROTOCOL,
    TIME,
    VERSION,
    WANT_MASK,
    Keys,
    chunk_of,
    mask_of,
    regions_message,
    viewpoints_message,
)
from robot.deploy.wire import WireError, pack, unpack
from robot.perception.compose.masking import Deployment, compose_cameras
from robot.perception.sources import MaskSource, camera_of
from robot.policy.inpainting import Prefix
from robot.spaces import Spaces, check_cameras, hold_still
from robot.types import Goal, InputError, Observation


class PolicyLost(RuntimeError):
    """The policy on the other side gave no answer in time, or a wrong one; in one sentence."""


class Connection:
    """A websocket to a policy server; opened at the first question, and again after a failure."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        deadline_s: float = 1.0,
        open_s: float = 5.0,
        largest_mb: float = 32.0,
    ) -> None:
        self.url, self.deadline_s, self.open_s = url, deadline_s, open_s
        self._headers = {"Authorization": f"Api-Key {token}"} if token else None
        self._largest = int(largest_mb * 2**20)
        self._socket: ClientConnection | None = None
        self._mourned: ClientConnection | None = None
        self._open_socket = ExitStack()
        self._greeting: Mapping[str, Any] = {}

    def greeting(self) -> Mapping[str, Any]:
        """Return what the server said first, connecting if need be.

        Raises InputError where there is no such server, or it refuses this client.
        """
        if self._socket is None:
            try:
                self._open()
            except (OSError, InvalidURI, InvalidHandshake, TimeoutError, WireError) as error:
                raise InputError(
                    f"got {self.url}, where no policy server answers ({_brief(error)}), expected "
                    "one such as ws://127.0.0.1:8000: start it with launch/serve.py, and pass "
                    "its token"
                ) from None
        return self._greeting

    def ask(self, content: Mapping[str, Any], *, deadline_s: float | None = None) -> Any:
        """Return the answer to a message. Raises PolicyLost after `deadline_s` at the latest."""
        allowed = self.deadline_s if deadline_s is None else deadline_s
        until = perf_counter() + allowed
        try:
            if self._socket is None or self._socket.state is not State.OPEN:
                self.close()
                self._open(timeout_s=min(self.open_s, allowed))
            assert self._socket is not None
            self._socket.send(pack(content))
            answer = self._socket.recv(timeout=max(until - perf_counter(), 0.0))
            if isinstance(answer, str):
                raise PolicyLost(f"the policy server at {self.url} refused: {answer}")
            return unpack(answer)
        except PolicyLost:
            self.close()
            raise
        except (OSError, WebSocketException, TimeoutError, WireError) as error:
            self.close()
            raise PolicyLost(
                f"the policy server at {self.url} gave no sound answer within {allowed:g} s "
                f"({_brief(error)})"
            ) from None

    def check(self) -> None:
        """Raise PolicyLost, once, when the other side has closed the connection; never wait."""
        socket = self._socket
        if socket is None or socket.state is State.OPEN or socket is self._mourned:
            return
        self._mourned = socket
        raise PolicyLost(f"the policy server at {self.url} closed the connection")

    def close(self) -> None:
        """Close; callable twice, and never waits long for a peer that is gone."""
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close_timeout = 0.05
        self._open_socket.close()

    def _open(self, *, timeout_s: float | None = None) -> None:
        allowed = self.open_s if timeout_s is None else timeout_s
        self._socket = self._open_socket.enter_context(
            connect(
                self.url,
                compression=None,
                max_size=self._largest,
                additional_headers=self._headers,
                open_timeout=allowed,
                proxy=None,
            )
        )
        first = self._socket.recv(timeout=allowed)
        greeting = unpack(first) if isinstance(first, bytes) else None
        if not isinstance(greeting, dict):
            self.close()
            raise WireError("it does not greet as a policy server does")
        self._greeting = greeting


class RemoteAgent:
    """An agent of this project on another machine, or in another process."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        greeting = connection.greeting()
        if greeting.get("protocol") != PROTOCOL or greeting.get("version") != VERSION:
            raise InputError(
                f"got a server that speaks {greeting.get('protocol')!r} version "
                f"{greeting.get('version')!r}, expected {PROTOCOL!r} version {VERSION}: serve the "
                "same version of this project there, or ask it by MaskedRemoteAgent"
            )
        self.spaces = Spaces.from_json(greeting["spaces"])
        keys = greeting["keys"]
        self.keys = Keys(images=keys["images"], state=keys["state"], prompt=keys["prompt"])
        self._episode = 0

    def reset(self, *, rng: np.random.Generator | None = None) -> None:
        """Begin a new episode."""
        del rng  # the server draws
        self._episode += 1

    def check(self) -> None:
        """Raise PolicyLost where the server is known to be gone, without asking it."""
        self.connection.check()

    def plan(
        self,
        observation: Observation,
        *,
        generator: torch.Generator | None = None,
        prefix: Prefix | None = None,
    ) -> Plan:
        """Return the server's plan. Raises PolicyLost."""
        del generator, prefix  # the server draws, and continues nothing
        check_cameras(self.spaces.cameras, [camera_of(frame) for frame in observation.frames])
        began = perf_counter()
        answer = self.connection.ask(
            {
                **message_of(observation, keys=self.keys),
                **regions_message(observation.goal.regions),
                **(viewpoints_message(observation.frames) if observation.goal.regions else {}),
                TIME: observation.time_s,
                EPISODE: self._episode,
                WANT_MASK: True,
            }
        )
        try:
            timing = answer["policy_timing"]
            mask = mask_of(answer, observation)
            return Plan(
                chunk=chunk_of(answer, spaces=self.spaces, time_s=observation.time_s),
                mask=mask,
                composites=torch.zeros(len(observation.frames), 6, 0, 0),  # stay at the server
                mask_ms=float(timing["mask_ms"]),
                policy_ms=1e3 * (perf_counter() - began) - float(timing["mask_ms"]),
                waits=bool(answer["waits"]),
            )
        except (WireError, KeyError, TypeError) as error:
            raise PolicyLost(f"the policy server answered wrongly: {_brief(error)}") from None


class MaskedRemoteAgent:
    """Any openpi server's policy behind masks of ours: what the goal does not need is hidden here,
    and never leaves this machine.

    `spaces` are those of the robot: the server's actions have to be of that width. Frames are
    composed at `size` pixels, RGB, as that policy takes them. Until the target is found, it holds.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        masks: MaskSource,
        deployment: Deployment,
        spaces: Spaces,
        keys: Keys,
        size: int = 224,
    ) -> None:
        self.connection, self.masks, self.deployment = connection, masks, deployment
        self.spaces, self.keys, self.size = spaces, keys, size
        self.patience = Patience()
        connection.greeting()  # a wrong address is said now

    def reset(self, *, rng: np.random.Generator | None = None) -> None:
        """Begin a new episode: openpi's servers remember none."""
        del rng
        self.patience.reset()

    def check(self) -> None:
        """Raise PolicyLost where the server is known to be gone, without asking it."""
        self.connection.check()

    def plan(
        self,
        observation: Observation,
        *,
        generator: torch.Generator | None = None,
        prefix: Prefix | None = None,
    ) -> Plan:
        """Return the server's actions for masked frames. Raises PolicyLost."""
        del generator, prefix  # the server draws, and continues nothing
        began = perf_counter()
        mask = self.masks(observation.frames, observation.goal)
        composites = compose_cameras(
            [frame.image[None] for frame in observation.frames],
            [roles[None] for roles in mask.probability],
            deployment=self.deployment,
            size=self.size,
        )[0]
        masked = perf_counter()
        asked = observation
        if observation.goal.regions:  # a foreign policy knows no <region1>
            asked = replace(observation, goal=Goal(mask.sentence or observation.goal.text))
        answer = self.connection.ask(self._message(asked, composites))
        try:
            chunk = chunk_of(answer, spaces=self.spaces, time_s=observation.time_s)
        except WireError as error:
            raise PolicyLost(f"the policy server answered wrongly: {error}") from None
        if waits := self.patience.waits(mask, goal=observation.goal):
            chunk.actions[:] = hold_still(self.spaces, observation.proprio)
        return Plan(
            chunk=chunk,
            mask=mask,
            composites=composites,
            mask_ms=1e3 * (masked - began),
            policy_ms=1e3 * (perf_counter() - masked),
            waits=waits,
        )

    def _message(self, observation: Observation, composites: Tensor) -> dict[str, Any]:
        pictures = (255 * composites[:, :3]).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        images = {
            self.keys.of_camera(frame.camera): picture
            for frame, picture in zip(observation.frames, pictures, strict=True)
        }
        return {
            **images,
            self.keys.state: observation.proprio,
            self.keys.prompt: observation.goal.text,
        }


def message_of(observation: Observation, *, keys: Keys) -> dict[str, Any]:
    """Return an observation as openpi's exchange has it."""
    images = {keys.of_camera(frame.camera): frame.image for frame in observation.frames}
    return {**images, keys.state: observation.proprio, keys.prompt: observation.goal.text}


def _brief(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
