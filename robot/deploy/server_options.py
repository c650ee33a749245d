"""How an agent is served: checked without torch, which takes seconds to import."""

from __future__ import annotations

import ipaddress
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


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches what listens at `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
