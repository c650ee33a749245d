"""How the page is served: checked without torch, which takes seconds to import."""

from __future__ import annotations

from dataclasses import dataclass

from robot.deploy.server_options import check_address


@dataclass(frozen=True)
class PageOptions:
    """How the page is served."""

    host: str = "127.0.0.1"
    port: int = 8080  # 0: any that is free
    token: str | None = None  # `/?token=<token>` opens the page
    largest_mb: float = 16.0  # of an uploaded picture

    def __post_init__(self) -> None:
        check_address(self.host, self.port, token=self.token)
