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

from tests.learning import Learning, add_options, ways
from tests.typecheck import install_import_hook

install_import_hook("robot")  # jaxtyping shapes and plain hints, checked at every call


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    torch.set_num_threads(config.getoption("--torch-threads"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    pairs = ways(metafunc.config)
    if "learning" in metafunc.fixturenames and len(pairs) > 1:
        names = [f"seed {seed} {precision}" for seed, precision in pairs]
        metafunc.parametrize("learning", pairs, ids=names, indirect=True)


@pytest.fixture
def learning(request: pytest.FixtureRequest, record_property) -> Learning:
    """How a test is to train, and where its margins are kept."""
    seed, precision = getattr(request, "param", ways(request.config)[0])
    return Learning(seed=seed, precision=precision, record=record_property)


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
