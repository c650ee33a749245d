"""How an agent is served: checked without torch, which takes seconds to import."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from robot.errors import InputError


@dataclass(frozen=True)
class ServerOptions:
    """How an agent is served."""

    host: str = "127.0.0.1"
    port: int = 8000  # 0: any that is free
    token: str | None = None  # clients send it as `Authorization: Api-Key <token>`
    clients: int = 4  # at once; more are refused with 503
    largest_mb: float = 32.0  # of a message
    deadline_s: float = 2.0  # of one plan, from the arrival of its observation
    ping_s: float = 5.0  # a peer that does not answer a ping for as long is dropped
    seed: int = 0  # of every connection's random numbers

    def __post_init__(self) -> None:
        check_address(self.host, self.port, token=self.token)


def check_address(host: str, port: int, *, token: str | None) -> None:
    """Raise InputError unless a server may listen there: with a token where others reach it."""
    if not is_loopback(host) and not token:
        raise InputError(
            f"got host {host} and no token, expected a token wherever others can reach the "
            "server: set token=..., or host=127.0.0.1"
        )
    if not 0 <= port <= 65535:
        raise InputError(f"got port {port}, expected 0 to 65535")


def check_free(host: str, port: int) -> None:
    """Raise InputError unless something can listen there now: told before weights are loaded."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, protocol) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                tried.bind(address)
                tried.listen()
    except OSError as error:
        raise cannot_listen(host, port, error) from None


def cannot_listen(host: str, port: int, error: OSError) -> InputError:
    """Return the sentence for an address that is taken, or that is none of this machine's."""
    return InputError(
        f"got {host}:{port}, where nothing can listen ({error.strerror}), expected a "
        f"free port: pass port={port + 1}, or stop what listens there"
    )


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches what listens at `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
