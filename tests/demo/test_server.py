"""The page over HTTP and its websocket."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from robot.demo.page_options import PageOptions
from robot.demo.server import Newest, PageServer
from robot.demo.state import Abilities
from robot.types import InputError
from tests.demo.stations import SIDE, FakeStation, session_of


@contextmanager
def served(station=None, **options) -> Iterator[int]:
    """Serve a session's page at a free port in a thread."""
    newest = Newest()
    with session_of(station or FakeStation(), newest) as (session, _):
        server = PageServer(session, newest, options=PageOptions(port=0, **options))
        loop, ports, listening, stop = asyncio.new_event_loop(), [], threading.Event(), []

        def started(port: int) -> None:
            ports.append(port)
            listening.set()

        def run() -> None:
            task = loop.create_task(server.run(started))
            stop.append(lambda: loop.call_soon_threadsafe(task.cancel))
            with suppress(asyncio.CancelledError):
                loop.run_until_complete(task)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            assert listening.wait(10)
            yield ports[0]
        finally:
            stop[0]()
            thread.join(10)
            loop.close()
            assert not thread.is_alive()


def get(port: int, path: str = "/", **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers={k.title(): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def talk(port: int, **options):
    return connect(f"ws://127.0.0.1:{port}/live", compression=None, **options)


def states(socket, until) -> dict:
    """Return the state, merged from what came, once it is as wanted."""
    state: dict = {}
    while True:
        message = socket.recv(timeout=60)
        if isinstance(message, str) and "state" in json.loads(message):
            state |= json.loads(message)["state"]
            if until(state):
                return state


def test_the_page_comes_whole_and_may_fetch_nothing_from_elsewhere():
    with served() as port:
        status, headers, body = get(port)
        assert status == 200 and body.startswith(b"<!doctype html>")
        assert headers["Content-Security-Policy"].startswith("default-src 'self'; ")
        text = body.decode()
        for path in ("/style.css", "/page.js", "/icon.svg"):
            assert f'"{path}"' in text and get(port, path)[0] == 200
            assert b"://" not in get(port, path)[2].replace(
                b"http://www.w3.org/2000/svg", b""
            ).replace(b"}://$", b"")
        assert "://" not in text
        assert get(port, "/../pyproject.toml")[0] == 404 and get(port, "/__init__.py")[0] == 404


def test_states_pictures_and_commands_go_over_the_websocket():
    with served() as port, talk(port) as socket:
        state = states(socket, lambda state: state["phase"] == "ready")
        assert [camera["name"] for camera in state["cameras"]] == ["agentview", "wrist"]
        picture = socket.recv(timeout=60)
        assert isinstance(picture, bytes)
        assert picture[1 : 1 + picture[0]] in (b"agentview", b"wrist")
        assert picture[1 + picture[0] :][:3] == b"\xff\xd8\xff"  # JPEG
        socket.send(json.dumps({"do": "box", "camera": "wrist", "box": [1, 1, SIDE, 9]}))
        state = states(socket, lambda state: state.get("regions"))
        assert state["regions"][0]["box"] == [1.0, 1.0, float(SIDE), 9.0]
        socket.send(json.dumps({"do": "go", "text": "put the cup on <region1>"}))
        assert states(socket, lambda state: state.get("success"))["turns"][-1]["text"] == "Done."


def test_every_picture_that_is_uploaded_is_shown():
    sizes = [(48, 24), (24, 48)]
    shown = []
    with served() as port, talk(port) as socket:
        for size in sizes:
            file = io.BytesIO()
            Image.new("RGB", size).save(file, "PNG")
            socket.send(file.getvalue())
            while (message := socket.recv(timeout=60))[:8] != b"\x07picture":
                pass
            shown.append(Image.open(io.BytesIO(message[8:])).size)
            socket.send(json.dumps({"do": "leave"}))
            states(socket, lambda state: state.get("source") == "simulated")
    assert shown == sizes


def test_an_arm_that_nobody_watches_stops():
    station = FakeStation(steps=None, abilities=Abilities(confirms=True))
    with served(station) as port:
        with talk(port) as one, talk(port):
            states(one, lambda state: state["phase"] == "ready")
            one.send(json.dumps({"do": "go", "text": "lift it", "confirmed": True}))
            assert station.acting.wait(5)
        with talk(port) as socket:
            state = states(socket, lambda state: state["phase"] == "ready")
            assert state["turns"][-1]["text"] == "Stopped."


def test_two_pages_show_the_same():
    with served() as port, talk(port) as one, talk(port) as other:
        one.send(json.dumps({"do": "click", "camera": "wrist", "x": 3, "y": 4}))
        for page in (one, other):
            assert states(page, lambda state: state.get("regions"))["regions"][0]["click"] == [3, 4]


def test_what_is_no_command_is_answered_with_a_sentence():
    with served() as port, talk(port) as socket:
        for message, said in (("nonsense", "no JSON"), ('{"do": "fly"}', "known do")):
            socket.send(message)
            while "problem" not in (answer := _json(socket.recv(timeout=60))):
                pass
            assert said in answer["problem"]


def _json(message: str | bytes) -> dict:
    return json.loads(message) if isinstance(message, str) else {}


def test_a_picture_that_is_too_large_closes_the_conversation():
    with served(largest_mb=1.0) as port, talk(port) as socket:
        socket.send(b"\0" * 2_000_000)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                socket.recv(timeout=60)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


def test_pages_of_other_sites_get_nothing():
    with served() as port:
        own = f"127.0.0.1:{port}"
        assert get(port, origin=f"http://{own}")[0] == 200
        assert get(port, origin="http://example.org")[0] == 403
        assert get(port, host=f"example.org:{port}")[0] == 403  # a name that was rebound
        assert get(port, host=f"localhost:{port}")[0] == 200
        with pytest.raises(InvalidStatus, match="403"), talk(port, origin="http://example.org"):
            pass


def test_a_token_opens_the_page_once_and_a_cookie_from_then_on():
    with served(token="a secret") as port:
        assert get(port)[0] == get(port, "/?token=other")[0] == 401
        assert get(port, "/page.js")[0] == 401
        status, headers, _ = get(port, "/?token=a%20secret")
        assert (status, headers["Location"]) == (303, "/")
        assert "HttpOnly" in headers["Set-Cookie"] and "SameSite=Strict" in headers["Set-Cookie"]
        cookie = headers["Set-Cookie"].partition(";")[0]
        assert get(port, cookie=cookie)[0] == 200
        with pytest.raises(InvalidStatus, match="401"), talk(port):
            pass
        with talk(port, additional_headers={"Cookie": cookie}) as socket:
            assert states(socket, lambda state: state["phase"] == "ready")


def test_a_page_that_others_reach_wants_a_token():
    with pytest.raises(InputError, match="got host 0.0.0.0 and no token"):
        PageOptions(host="0.0.0.0")
    PageOptions(host="0.0.0.0", token="secret")


def test_a_taken_port_is_one_sentence():
    with served() as port, session_of(FakeStation(), Newest()) as (session, newest):
        other = PageServer(session, newest, options=PageOptions(port=port))
        with pytest.raises(InputError, match="free port"):
            asyncio.run(other.run(lambda port: None))
