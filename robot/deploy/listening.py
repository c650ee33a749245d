"""A websocket server at an address, or one sentence that says why nothing can listen there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve

from robot.deploy.server_options import cannot_listen


async def listen(
    converse: Callable[[ServerConnection], Awaitable[None]],
    *,
    host: str,
    port: int,
    largest_mb: float,
    **options: Any,
) -> Server:
    """Return a server that listens, at any free port for port 0; `largest_mb` are of a message,
    `options` those of websockets' `serve`.

    Raises InputError where the address cannot be listened at.
    """
    try:
        return await serve(
            converse,
            host,
            port,
            compression=None,
            max_size=int(largest_mb * 2**20),
            server_header=None,
            **options,
        )
    except OSError as error:
        raise cannot_listen(host, port, error) from None


def port_of(server: Server) -> int:
    """Return where it really listens."""
    return server.sockets[0].getsockname()[1]
