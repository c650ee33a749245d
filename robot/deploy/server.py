"""An agent behind a websocket, in openpi's exchange: a greeting, then one answer per observation.

Every connection is an episode of its own: it has its own copy of what an agent remembers, and its
own random numbers. Plans are made one at a time in a thread of their own, so that pings, `/healthz`
and refusals are answered while one is made. Messages are capped in size, slow plans have a
deadline, silent peers are pinged and dropped, and a client never sees a traceback.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from time import perf_counter
from typing import Any

import torch
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from robot.agent import Agent
from robot.deploy.exchange import (
    EPISODE,
    TIMING,
    WANT_MASK,
    Keys,
    answer_of,
    greeting,
    observation_of,
)
from robot.deploy.listening import listen, port_of
from robot.deploy.server_options import ServerOptions as ServerOptions
from robot.deploy.server_options import is_loopback as is_loopback
from robot.deploy.wire import WireError, pack, unpack
from robot.types import InputError

INTERNAL_ERROR = 1011  # websocket close code, as openpi's server
SERVER = "ivm-robot"
log = logging.getLogger(__name__)


class PolicyServer:
    """Serve an agent until `run` is cancelled."""

    def __init__(self, agent: Agent, *, keys: Keys, options: ServerOptions) -> None:
        self.agent, self.keys, self.options = agent, keys, options
        self._greeting = pack(greeting(agent.spaces, keys, server=SERVER))
        self._connected = 0
        agent.warm_up()  # a first plan takes seconds, which no deadline should meet
        self._plans = ThreadPoolExecutor(max_workers=1, thread_name_prefix="plan")

    async def run(self, started: Callable[[int], None]) -> None:
        """Listen, call `started` with the port, and serve.

        Raises InputError where the address cannot be listened at.
        """
        options = self.options
        server = await listen(
            self._converse,
            host=options.host,
            port=options.port,
            largest_mb=options.largest_mb,
            max_queue=2,
            ping_interval=options.ping_s,
            ping_timeout=options.ping_s,
            open_timeout=options.ping_s,
            close_timeout=1.0,
            process_request=self._admit,
        )
        async with server:
            started(port_of(server))
            await server.serve_forever()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a request that opens no conversation; None opens one."""
        if request.path == "/healthz":
            return connection.respond(HTTPStatus.OK, "OK\n")
        if self.options.token is not None:
            given = request.headers.get("Authorization", "").encode("utf-8", "replace")
            if not hmac.compare_digest(given, f"Api-Key {self.options.token}".encode()):
                return connection.respond(
                    HTTPStatus.UNAUTHORIZED, "got no valid token, expected Authorization: Api-Key\n"
                )
        if self._connected >= self.options.clients:
            return connection.respond(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"got one client more than the {self.options.clients} that are served at once\n",
            )
        return None

    async def _converse(self, connection: ServerConnection) -> None:
        self._connected += 1
        session = Session(self.agent.fork(), keys=self.keys, seed=self.options.seed)
        try:
            await connection.send(self._greeting)
            previous_s = None
            async for message in connection:
                began = perf_counter()
                answer = await self._answer(session, message)
                if isinstance(answer, str):
                    await connection.send(answer)  # as text: openpi's client raises it
                    await connection.close(INTERNAL_ERROR, "error")
                    return
                timing = {"infer_ms": 1e3 * (perf_counter() - began)}
                if previous_s is not None:
                    timing["prev_total_ms"] = 1e3 * previous_s
                await connection.send(pack({**answer, TIMING: timing}))
                previous_s = perf_counter() - began
        except ConnectionClosed:
            pass  # its peer is gone; there is nobody to tell
        finally:
            self._connected -= 1

    async def _answer(self, session: Session, message: str | bytes) -> dict[str, Any] | str:
        """Return the answer, or one sentence that says why there is none."""
        if isinstance(message, str):
            return "got a text message, expected a binary one: msgpack as openpi's client sends it"
        loop = asyncio.get_running_loop()
        try:
            planned = loop.run_in_executor(self._plans, session.answer, message)
            return await asyncio.wait_for(planned, timeout=self.options.deadline_s)
        except (WireError, InputError) as error:
            return str(error)
        except TimeoutError:
            return (
                f"got no plan within {self.options.deadline_s:g} s, the deadline; the policy is "
                "slower than that, or too many clients share it"
            )
        except Exception:  # of the policy: its traceback is ours, not the client's
            number = secrets.token_hex(4)
            log.exception("error %s", number)
            return f"the policy failed; its traceback is in the server's log, error {number}"


class Session:
    """One client's conversation: what the agent remembers of its episode."""

    def __init__(self, agent: Agent, *, keys: Keys, seed: int) -> None:
        self.agent, self.keys = agent, keys
        self._generator = torch.Generator(agent.device).manual_seed(seed)
        self._episode: Any = None

    def answer(self, message: bytes) -> dict[str, Any]:
        """Return the answer to an observation; another `episode` in it begins a new one."""
        content = unpack(message)
        observation = observation_of(content, spaces=self.agent.spaces, keys=self.keys)
        if (episode := content.get(EPISODE)) != self._episode:
            self._episode = episode
            self.agent.reset()
        plan = self.agent.plan(observation, generator=self._generator)
        return answer_of(plan, with_mask=bool(content.get(WANT_MASK)))
