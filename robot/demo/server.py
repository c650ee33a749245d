"""The page behind HTTP and one websocket: states as JSON, pictures as JPEG, commands as JSON.

What is newest goes to every page as fast as it takes it; what a slow one misses it never gets.
Nothing is fetched from elsewhere, and the browser is told so (Content-Security-Policy). A page of
another site cannot connect: Origin and Host have to be ours. Where others can reach the server, a
token opens it: `/?token=...` once, a cookie from then on.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from importlib import resources
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from robot.demo.commands import command_of
from robot.demo.page_options import PageOptions
from robot.demo.session import Session
from robot.demo.state import State
from robot.demo.station import Views
from robot.deploy.listening import listen, port_of
from robot.deploy.server_options import is_loopback
from robot.types import InputError

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; connect-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)
RECORDS = "/regions.json"  # what is said of the regions drawn
COOKIE = "robot_token"
PING_S = 3.0  # a page that does not answer a ping for as long is gone
QUALITY = 88  # of JPEG
log = logging.getLogger(__name__)


class Newest:
    """What pages show, the newest of each kind: written by the session's thread, read by the
    server's. It is the session's Screen.
    """

    def __init__(self) -> None:
        self.state = State()
        self.pictures: dict[str, tuple[int, bytes]] = {}  # camera -> number, JPEG
        self._number = 0  # of pictures so far
        self._wake: Callable[[], None] = lambda: None

    def wakes(self, wake: Callable[[], None]) -> None:
        """Call `wake` after every change, in the thread that made it."""
        self._wake = wake

    def show(self, state: State) -> None:
        self.state = state
        self._wake()

    def show_views(self, views: Views) -> None:
        self._number += 1
        self.pictures = {camera: (self._number, jpeg(view)) for camera, view in views.items()}
        self._wake()


def jpeg(image: np.ndarray) -> bytes:
    """Encode an RGB picture."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return data.tobytes()


class PageServer:
    """Serve the page of a session until `run` is cancelled."""

    def __init__(self, session: Session, newest: Newest, *, options: PageOptions) -> None:
        self.session, self.newest, self.options = session, newest, options
        folder = resources.files("robot.demo") / "page"
        self._files = {
            f"/{file.name}": (TYPES[f".{file.name.rpartition('.')[2]}"], file.read_bytes())
            for file in folder.iterdir()
            if f".{file.name.rpartition('.')[2]}" in TYPES
        }
        self._files["/"] = self._files["/index.html"]
        self._pages: set[asyncio.Event] = set()

    async def run(self, started: Callable[[int], None]) -> None:
        """Listen, call `started` with the port, and serve.

        Raises InputError where the address cannot be listened at.
        """
        options, loop = self.options, asyncio.get_running_loop()
        server = await listen(
            self._converse,
            host=options.host,
            port=options.port,
            largest_mb=options.largest_mb,
            max_queue=8,
            write_limit=2**18,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            close_timeout=0.5,
            process_request=self._answer,
        )

        def wake() -> None:
            loop.call_soon_threadsafe(self._wake)

        self.newest.wakes(wake)
        async with server:
            started(port_of(server))
            try:
                await server.serve_forever()
            finally:
                self.newest.wakes(lambda: None)

    def _wake(self) -> None:
        for page in self._pages:
            page.set()

    # --- HTTP

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a request for a file; None opens the websocket."""
        if problem := self._foreign(request.headers):
            return connection.respond(HTTPStatus.FORBIDDEN, problem + "\n")
        url = urlsplit(request.path)
        if self.options.token is not None:
            if self._is_token((parse_qs(url.query).get("token") or [""])[0]) and url.path == "/":
                return self._with_cookie()
            if not self._is_token(_cookie(request.headers)):
                return connection.respond(
                    HTTPStatus.UNAUTHORIZED, "got no valid token, expected /?token=<the token>\n"
                )
        if url.path == "/live":
            return None
        if url.path == RECORDS:
            body = json.dumps(self.newest.state.records, indent=2).encode()
            return _response(HTTPStatus.OK, body, {"Content-Type": "application/json"})
        if url.path not in self._files:
            return connection.respond(HTTPStatus.NOT_FOUND, f"there is no {url.path}\n")
        kind, body = self._files[url.path]
        return _response(HTTPStatus.OK, body, {"Content-Type": kind})

    def _foreign(self, headers: Headers) -> str:
        """Return what is wrong with where a request comes from: another site that a person visits
        could otherwise move the robot.
        """
        host = headers.get("Host", "")
        name = urlsplit(f"//{host}").hostname or ""
        if is_loopback(self.options.host) and not is_loopback(name):
            return f"got a request for host {name!r}, expected this machine's own name"
        origin = headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return f"got a request of a page of {origin}, expected one of this page"
        return ""

    def _is_token(self, given: str) -> bool:
        expected = (self.options.token or "").encode()
        return hmac.compare_digest(given.encode("utf-8", "replace"), expected)

    def _with_cookie(self) -> Response:
        """Put the token into a cookie, which no script reads, and out of the address."""
        cookie = SimpleCookie({COOKIE: self.options.token or ""})
        cookie[COOKIE].update({"httponly": "true", "samesite": "Strict", "path": "/"})
        headers = {"Location": "/", "Set-Cookie": cookie[COOKIE].OutputString()}
        return _response(HTTPStatus.SEE_OTHER, b"", headers)

    # --- the websocket

    async def _converse(self, connection: ServerConnection) -> None:
        changed = asyncio.Event()
        changed.set()
        self._pages.add(changed)
        sending = asyncio.create_task(self._send(connection, changed))
        try:
            async for message in connection:
                try:
                    self.session.submit(command_of(message))
                except InputError as error:
                    await connection.send(json.dumps({"problem": str(error)}))
        except ConnectionClosed:
            pass  # its page is gone; there is nobody to tell
        finally:
            self._pages.discard(changed)
            sending.cancel()
            if not self._pages:
                self.session.leave()

    async def _send(self, connection: ServerConnection, changed: asyncio.Event) -> None:
        """Send what is newest whenever something is new."""
        sent: State | None = None
        shown: dict[str, int] = {}
        try:
            while True:
                await changed.wait()
                changed.clear()
                state = self.newest.state
                if news := state.changed(sent):
                    sent = state
                    await connection.send(json.dumps({"state": news}))
                for camera, (number, data) in self.newest.pictures.items():
                    if number != shown.get(camera):
                        shown[camera] = number
                        await connection.send(_labelled(camera, data))
        except ConnectionClosed:
            pass


def _labelled(camera: str, data: bytes) -> bytes:
    """Return a picture with its camera's name before it: one byte of length, then the name."""
    name = camera.encode()
    return bytes([len(name)]) + name + data


def _cookie(headers: Headers) -> str:
    try:
        cookie = SimpleCookie("; ".join(headers.get_all("Cookie")))
    except CookieError:
        return ""
    return cookie[COOKIE].value if COOKIE in cookie else ""


def _response(status: HTTPStatus, body: bytes, headers: Mapping[str, str]) -> Response:
    every = {
        "Content-Length": str(len(body)),
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
        "Connection": "close",
    }
    return Response(status.value, status.phrase, Headers({**every, **headers}), body)
