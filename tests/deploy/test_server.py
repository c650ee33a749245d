"""The policy server through openpi's own client, unmodified, and through ours."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from openpi_client.websocket_client_policy import WebsocketClientPolicy
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from robot.agent import Agent
from robot.deploy.exchange import Keys
from robot.deploy.remote import (
    Connection,
    MaskedRemoteAgent,
    PolicyLost,
    RemoteAgent,
    message_of,
)
from robot.deploy.server import PolicyServer, ServerOptions
from robot.deploy.server_options import check_free
from robot.deploy.wire import pack, unpack
from robot.perception.compose.masking import Overlay
from robot.types import Goal, InputError, MaskStatus
from tests.refusals import composed, work_of
from tests.test_agent import SPACES, Masks, Policy, make, observation

KEYS = Keys(images={"agentview": "observation/image"})


class Looking(Masks):
    """Finds the target where the picture is not black."""

    def __call__(self, frames, goal):
        self.status = MaskStatus.FOUND if frames[0].image.any() else MaskStatus.ABSENT
        return super().__call__(frames, goal)


class Slow(Policy):
    """Plans at once while warming up, then not before `go`."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.go = threading.Event()

    def sample(self, observation, generator=None):
        self.begun += 1
        if self.begun > 1:
            self.go.wait(60)
        self.ended += 1
        return super().sample(observation, generator)


class Failing(Policy):
    calls = 0

    def sample(self, observation, generator=None):
        self.calls += 1
        if self.calls > 1:
            raise RuntimeError("secret detail")
        return super().sample(observation, generator)


@contextmanager
def served(agent: Agent, **options) -> Iterator[int]:
    """Serve an agent at a free port in a thread."""
    server = PolicyServer(agent, keys=KEYS, options=ServerOptions(port=0, **options))
    loop, ports, listening = asyncio.new_event_loop(), [], threading.Event()

    def started(port: int) -> None:
        ports.append(port)
        listening.set()

    def run() -> None:
        asyncio.set_event_loop(loop)
        task = loop.create_task(server.run(started))
        stop.append(lambda: loop.call_soon_threadsafe(task.cancel))
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    stop: list = []
    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert listening.wait(20)
        yield ports[0]
    finally:
        stop[0]()
        thread.join(10)
        loop.close()
        assert not thread.is_alive()


def openpi(port: int, **options) -> WebsocketClientPolicy:
    return WebsocketClientPolicy("127.0.0.1", port, **options)


def test_openpis_client_gets_what_the_agent_plans():
    agent, message = make(), there()
    expected, generator = agent.fork(), torch.Generator().manual_seed(7)
    with served(agent, seed=7) as port:
        client = openpi(port)
        assert client.get_server_metadata()["keys"]["images"]["agentview"] == "observation/image"
        for _ in range(20):
            answer = client.infer(message)
            plan = expected.plan(observation(), generator=generator)
            np.testing.assert_array_equal(answer["actions"], plan.chunk.actions)
            assert answer["server_timing"]["infer_ms"] > 0


def test_every_connection_remembers_an_episode_of_its_own():
    with served(make(masks=Looking())) as port:
        first, second = openpi(port), openpi(port)
        assert moves(first.infer(there()))
        assert moves(first.infer(gone()))  # found once: behind the hand now
        assert not moves(second.infer(gone()))


def there() -> dict:
    return message_of(observation(), keys=KEYS)


def gone() -> dict:
    return {**there(), "observation/image": np.zeros((32, 32, 3), np.uint8)}


def moves(answer) -> bool:
    return bool(np.abs(answer["actions"][:, :6]).max() > 1e-6)


def test_another_episode_forgets_what_was_found():
    with served(make(masks=Looking())) as port:
        client = openpi(port)
        assert moves(client.infer({**there(), "episode": 1}))
        assert not moves(client.infer({**gone(), "episode": 2}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"observation/image": None}, "observation/image"),
        ({"observation/wrist": np.zeros((4, 4, 4), np.uint8)}, "observation/wrist"),
        ({"observation/state": np.zeros(3)}, "10 numbers: ee_position_x"),
        ({"observation/state": np.full(10, np.nan)}, "NaN"),
        ({"observation/state": np.full(10, 1e300)}, "infinite"),
        ({"prompt": 3}, "prompt"),
        ({"time_s": "now"}, "time_s"),
        ({"observation/image": np.zeros((7, 5, 3), np.uint8)}, "5x7 px"),
    ],
)
def test_a_wrong_observation_is_answered_in_one_sentence(change, said):
    with served(make()) as port:
        with pytest.raises(RuntimeError, match=r"Error in inference server:\n[^\n]*$") as error:
            openpi(port).infer({**there(), **change})
        assert said in str(error.value)
        assert openpi(port).infer(there())  # and it goes on


def test_messages_of_another_kind_are_answered_or_closed():
    with served(make(), largest_mb=1.0) as port:
        for message, expected in (("text", "binary"), (b"\xff\xff", "one map"), (pack([1]), "map")):
            with connect(f"ws://127.0.0.1:{port}", compression=None) as socket:
                unpack(socket.recv())  # type: ignore[arg-type]
                socket.send(message)
                assert expected in str(socket.recv(timeout=60))
                with pytest.raises(ConnectionClosed) as closed:
                    socket.recv(timeout=60)
                assert closed.value.rcvd is not None and closed.value.rcvd.code == 1011
        with connect(f"ws://127.0.0.1:{port}", compression=None) as socket:
            socket.recv()
            socket.send(b"\0" * 2_000_000)
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=60)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009  # too big


def test_a_failing_policy_keeps_its_traceback_to_itself(caplog):
    with served(make(Failing())) as port, pytest.raises(RuntimeError, match="log, error") as error:
        openpi(port).infer(there())
    assert "secret detail" not in str(error.value)
    assert "secret detail" in caplog.text


def test_a_slow_plan_is_refused_at_its_deadline_and_the_health_check_is_not():
    policy = Slow()
    with served(make(policy), deadline_s=0.2) as port:
        with pytest.raises(RuntimeError, match="deadline"):
            openpi(port).infer(there())
        assert healthz(port) == "OK\n"
        assert (policy.begun, policy.ended) == (2, 1)  # the plan is still being made
        policy.go.set()


def healthz(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60) as answer:
        return answer.read().decode()


def test_a_token_is_asked_for():
    with served(make(), token="secret") as port:
        assert healthz(port) == "OK\n"
        for options in ({}, {"api_key": "other"}):
            with pytest.raises(InvalidStatus, match="401"):
                openpi(port, **options)
        assert openpi(port, api_key="secret").infer(there())
        with pytest.raises(InputError, match="no policy server answers"):
            RemoteAgent(Connection(f"ws://127.0.0.1:{port}"))
        RemoteAgent(Connection(f"ws://127.0.0.1:{port}", token="secret"))


def test_more_clients_than_are_served_are_refused():
    with served(make(), clients=1) as port:
        first = openpi(port)
        with pytest.raises(InvalidStatus, match="503"):
            openpi(port)
        first._ws.close()
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                assert openpi(port).infer(there())
                return
            except InvalidStatus:
                time.sleep(0.02)
        raise AssertionError("the place of the first client was not given back")


@pytest.mark.parametrize(
    ("options", "said"),
    [({"host": "0.0.0.0"}, "token"), ({"host": "robot.lab"}, "token"), ({"port": 70000}, "65535")],
)
def test_a_server_that_others_reach_wants_a_token(options, said):
    with pytest.raises(InputError, match=said):
        ServerOptions(**options)
    ServerOptions(host="0.0.0.0", token="secret")


def test_a_taken_port_is_one_sentence():
    with served(make()) as port:
        other = PolicyServer(make(), keys=KEYS, options=ServerOptions(port=port))
        with pytest.raises(InputError, match="free port"):
            asyncio.run(other.run(lambda port: None))


def test_a_remote_agent_plans_as_the_agent_does():
    agent = make()
    expected = agent.fork().plan(observation(), generator=torch.Generator().manual_seed(0))
    with served(agent) as port:
        remote = RemoteAgent(Connection(f"ws://127.0.0.1:{port}"))
        assert remote.spaces == SPACES
        plan = remote.plan(observation())
    np.testing.assert_array_equal(plan.chunk.actions, expected.chunk.actions)
    assert plan.chunk.time_s == expected.chunk.time_s
    assert plan.mask.status == expected.mask.status
    for ours, theirs in zip(plan.mask.probability, expected.mask.probability, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1 / 255)


def test_a_policy_is_asked_for_masked_frames_only():
    policy = Policy()
    behind = make(policy, masks=Masks())
    with served(behind) as port:
        green = observation()
        agent = MaskedRemoteAgent(
            Connection(f"ws://127.0.0.1:{port}"),
            masks=Masks(),
            deployment=Overlay(),
            spaces=SPACES,
            keys=KEYS,
            size=32,
        )
        plan = agent.plan(green)
        assert plan.chunk.actions.shape[1] == 7
        sent = agent._message(green, plan.composites)
    picture = sent["observation/image"]
    assert (picture[:10, :10] == (0, 255, 0)).all()  # the target
    assert not (picture[-10:, -10:] == (0, 255, 0)).any()  # all else is hidden


def test_a_dead_or_silent_server_is_said_within_the_deadline():
    policy = Slow()
    with served(make(policy), deadline_s=60.0) as port:
        remote = RemoteAgent(Connection(f"ws://127.0.0.1:{port}", deadline_s=0.2))
        with pytest.raises(PolicyLost, match=r"within 0\.2 s"):
            remote.plan(observation())
        assert policy.ended == 1  # the server has not answered
        policy.go.set()
    with pytest.raises(PolicyLost):
        remote.plan(observation())


def test_the_next_plan_connects_anew():
    with served(make()) as port:
        remote = RemoteAgent(Connection(f"ws://127.0.0.1:{port}"))
        remote.plan(observation())
        remote.connection.close()
        assert remote.plan(replace(observation(), goal=Goal("pick up the blue cup")))
        with pytest.raises(PolicyLost, match="NaN"):
            remote.plan(replace(observation(), proprio=np.full(10, np.nan, np.float32)))
        assert remote.plan(observation())


def test_a_place_without_a_server_is_one_sentence():
    with pytest.raises(InputError, match="launch/serve.py"):
        RemoteAgent(Connection("ws://127.0.0.1:1"))
    with pytest.raises(InputError, match="expected one such as"):
        RemoteAgent(Connection("http://127.0.0.1:1"))


def test_health_is_all_that_http_gets():
    with served(make()) as port, pytest.raises(urllib.error.HTTPError, match="426"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/other", timeout=60)


@pytest.mark.parametrize(
    ("command", "overrides"), [("serve", ["checkpoint=tabletop"]), ("demo", [])]
)
def test_a_taken_port_is_told_before_the_weights_are_loaded(command, overrides, monkeypatch):
    monkeypatch.setattr("robot.agent.Agent.load", None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"got 127.0.0.1:{port}, where nothing can listen"):
            work_of(command)(composed(command, [*overrides, f"port={port}"]))


def test_a_port_is_taken_until_its_server_closes_and_free_right_after():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()  # TIME_WAIT at the server's side
        with pytest.raises(InputError, match="where nothing can listen"):
            check_free("127.0.0.1", port)
    check_free("127.0.0.1", port)
    check_free("localhost", 0)
