"""What a command begins with: it listens to Ctrl-C, composes its config, checks all of it, works.

Standard library only, and so are the commands' own files: what takes seconds to import is imported
within, where an interruption or a missing environment is one sentence.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from launch.environment import require_environment

require_environment()

from robot.system.command import main_guard
from robot.system.interrupt import KEPT
from robot.system.torchrun import refuse_torchrun

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
# what is left when a command is stopped, where that is not what it collected and trained
RECORDED = "; finished episodes are kept in the recording of its run"
KEPT_OTHERWISE = {"deploy": RECORDED, "record": RECORDED}
KEPT_OTHERWISE |= dict.fromkeys(("serve", "demo", "calibrate", "replay", "mask"), "")
SHARED_OUT = ("train_given",)  # commands that torchrun may start
Work = Callable[[], None]
Command = Callable[["DictConfig"], Work]


def hydra_command(
    config_name: str, *, configs: Path = CONFIGS
) -> Callable[[Command], Callable[[], None]]:
    """Decorate `main(config)` into a command: `configs/<config_name>.yaml` composed with the
    command line's overrides.

    `main` gets a config without missing values, its interpolations resolved. It checks all of it,
    writes nothing, and returns the work. Exit codes are those of robot.system.command.
    """

    def decorate(main: Command) -> Callable[[], None]:
        @functools.partial(main_guard, kept=KEPT_OTHERWISE.get(config_name, KEPT))
        @functools.wraps(main)
        def command() -> None:
            from launch.composition import works_of

            if config_name not in SHARED_OUT:
                refuse_torchrun(config_name)
            for work in works_of(main, config_name=config_name, configs=configs):
                work()

        return command

    return decorate
