"""A network camera in the test's process: MJPEG over HTTP, as cheap ones and phones send it."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np


class MjpegServer:
    """Serves `url`. `mode` says what comes: "moving" frames, the same one again ("frozen"),
    "black" ones, "damaged" ones, or nothing ("silent").
    """

    def __init__(self, *, height: int = 48, width: int = 64, fps: float = 60.0) -> None:
        self.height, self.width, self.fps = height, width, fps
        self.mode = "moving"
        self.connections = 0
        self.held: set[int] = set()  # connections, from 1, that get nothing
        self._sockets: list[socket.socket] = []
        self._count = 0
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/video"

    def start(self) -> None:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                camera._serve(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def cut(self, *, oldest: int | None = None) -> None:
        """Break every connection, or the oldest ones, as a pulled cable and its switch do."""
        count = len(self._sockets) if oldest is None else oldest
        for connection in self._sockets[:count]:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        del self._sockets[:count]

    def stop(self) -> None:
        """Vanish: no connection is answered any more, until `start`."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self.cut()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        self.connections += 1
        number = self.connections
        self._sockets.append(handler.connection)
        try:
            handler.send_response(200)
            handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            handler.end_headers()
            while True:
                if self.mode != "silent" and number not in self.held:
                    jpeg = self._jpeg()
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}"
                    handler.wfile.write(head.encode() + b"\r\n\r\n" + jpeg + b"\r\n")
                time.sleep(1 / self.fps)
        except OSError:
            pass

    def _jpeg(self) -> bytes:
        image = np.full((self.height, self.width, 3), 90, np.uint8)
        if self.mode == "black":
            image[:] = 0
            image[0, 0] = self._count % 5  # a sensor's noise: no two frames are the same
            image[:8, :8] = self._count % 2 * 8
        elif self.mode != "frozen":
            image[:, : self.width // 2] = 100 + self._count % 100
        self._count += 1
        return cv2.imencode(".jpg", image)[1].tobytes()
