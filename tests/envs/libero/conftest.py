"""An env of LIBERO, shared: compiling one of its scenes takes seconds."""

from __future__ import annotations

import pytest

from robot.envs.libero.env import LiberoEnv
from robot.envs.libero.files import require_packages
from robot.types import InputError


@pytest.fixture(scope="session")
def env():
    try:
        require_packages()
    except InputError as missing:
        pytest.skip(str(missing))
    made = LiberoEnv(task="libero_object-1")
    yield made
    made.close()
