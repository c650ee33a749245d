"""What holds for every test: shapes and types of `robot` are checked, nothing reaches the network,
torch takes one thread.
"""

from __future__ import annotations

import os

# Before torch and transformers are imported; pytest-xdist already uses one process per core.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["WANDB_MODE"] = "disabled"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "agg"

import socket
from typing import Any

import pytest
import torch
from jaxtyping import install_import_hook

from tests import typecheck

install_import_hook(
    "robot", f"{typecheck.__name__}.check"
)  # jaxtyping shapes and plain hints, checked at every call
torch.set_num_threads(1)

_connect = socket.socket.connect


def _connect_to_this_machine(self: socket.socket, address: Any) -> None:
    """Refuse every address that is not this machine's."""
    host = address[0] if self.family in (socket.AF_INET, socket.AF_INET6) else "localhost"
    if host != "localhost" and host != "::1" and not str(host).startswith("127."):
        raise OSError(f"tests use no network, got a connection to {address}")
    _connect(self, address)


@pytest.fixture(autouse=True, scope="session")
def no_network():
    """Let tests talk to servers of their own on loopback, and to nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _connect_to_this_machine)
        yield


@pytest.fixture
def hashed_words(monkeypatch):
    """Replace the language model, which takes seconds to load, by a fixed vector per word."""
    from robot import language

    monkeypatch.setattr(language, "load_minilm", language.load_hashed)
