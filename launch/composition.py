"""Where commands meet Hydra: compose the config and check it; a bad override is one sentence and
exit code 2.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from launch.command_line import CONFIGS, Command, Work
from launch.options import check_names, check_options
from launch.overrides import SWEEP, Menu, check_overrides, read_arguments
from robot.errors import InputError, one_of
from robot.system.command import main_guard, stop

# Commands write into their own run directory (robot.system.command): no working directory, log file
# or outputs/ of Hydra's.
QUIET = (
    "hydra.run.dir=.",
    "hydra.output_subdir=null",
    "hydra.job.chdir=false",
    "hydra/job_logging=none",
    "hydra/hydra_logging=none",
)
GOALS = ("goal", "env.goal")  # keys whose values are sentences


def works_of(main: Command, *, config_name: str, configs: Path) -> list[Work]:
    """Return what `main` returns for the composed config: of every job of a sweep (`-m`), all of
    which are checked before the first one works. Empty for `--help` and `--cfg`, which print.
    """
    works: list[Work] = []

    # inside Hydra, which would print a line of its own about every exception that reaches it
    @main_guard
    def check(config: DictConfig, overrides: Sequence[str]) -> None:
        require_values(config)
        values = OmegaConf.to_container(config)
        chosen = choices_of(overrides, configs=configs)
        default = values
        if len(chosen) < len(overrides):
            default = OmegaConf.to_container(hydra.compose(config_name, chosen), resolve=True)
        check_values(values, default=default, sections=configs == CONFIGS)
        works.append(main(config))

    overrides, flags = read_arguments(with_quoted_goal(sys.argv[1:]))
    given = [in_hydra(override, configs=configs) for override in overrides]
    try:
        if flags:
            _run_by_hydra(check, given, flags, config_name=config_name, configs=configs)
        else:  # hydra.main would compose twice, at first only to see that this is no sweep
            with hydra.initialize_config_dir(str(configs), version_base=None):
                check(hydra.compose(config_name, given), given)
    except (HydraException, ValueError, yaml.YAMLError) as error:
        menu = menu_of(config_name, choices_of(given, configs=configs), configs=configs)
        check_overrides(overrides, menu, sweeps=bool(set(flags) & set(SWEEP)))
        if isinstance(error, ValueError):
            raise  # of the command, and not about an override
        stop(sentence(error))
    return works


def _run_by_hydra(
    check: Callable[[DictConfig, Sequence[str]], None],
    given: Sequence[str],
    flags: Sequence[str],
    *,
    config_name: str,
    configs: Path,
) -> None:
    """Let Hydra do what its flags say, and check the config of every job of a sweep."""

    def job(config: DictConfig) -> None:
        check(config, HydraConfig.get().overrides.task)

    run = hydra.main(version_base=None, config_path=str(configs), config_name=config_name)(job)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises to here instead of printing
    with TemporaryDirectory(prefix="robot-") as sweep:
        # argparse takes overrides that stand side by side, before flags that may have a value
        sys.argv[1:] = [*QUIET, f"hydra.sweep.dir={sweep}", *given, *flags]
        run()


def check_values(values: Any, *, default: Any, sections: bool = True) -> None:
    """Raise InputError for the first option that cannot be what it is, without importing torch;
    `sections` says that sections have the meaning of this project's configs.
    """
    check_options(values, default=default)
    check_names(values)
    if sections:
        from launch.sections import check_sections  # half a second, after what takes none

        check_sections(values)


def in_hydra(override: Override, *, configs: Path) -> str:
    """Return an override in Hydra's words: to choose nothing of a group, `group=null`, is to delete
    the choice.
    """
    line = str(override.input_line)
    is_null = not override.is_delete() and override.value() is None
    is_choice = is_null and (configs / override.key_or_group).is_dir()
    return f"~{line.partition('=')[0].lstrip('+')}" if is_choice else line


def with_quoted_goal(arguments: Sequence[str]) -> list[str]:
    """Quote the sentence of `goal=`, whose commas and apostrophes Hydra would read as its own; one
    in quotes, or null, stays as it is.
    """
    return [_quoted(a) if a.partition("=")[0].lstrip("+") in GOALS else a for a in arguments]


def _quoted(argument: str) -> str:
    key, _, text = argument.partition("=")
    if text == "null" or text[:1] in ("'", '"'):
        return argument
    # backslashes are Hydra's own only before a quotation mark
    escaped = re.sub(r'(\\*)("|$)', lambda end: 2 * end[1] + ('\\"' if end[2] else ""), text)
    return f'{key}="{escaped}"'


def require_values(config: DictConfig) -> None:
    """Resolve interpolations in place; raise InputError for what has no value, before any long work
    starts.
    """
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        OmegaConf.resolve(config)
    except InterpolationResolutionError as error:
        raise InputError(
            f"got {error.full_key} with a reference that leads nowhere ({first_line(error)}), "
            "expected the name of an option, such as ${seed}; correct it"
        ) from error
    if missing:
        raise InputError(
            f"no value for {', '.join(missing)}; add {' '.join(f'{key}=...' for key in missing)} "
            "to the command"
        )


def choices_of(overrides: Sequence[str], *, configs: Path) -> list[str]:
    """Return those among the overrides that choose a file of a group."""

    def is_choice(override: str) -> bool:
        key, equals, _ = override.lstrip("+").partition("=")
        return bool(equals) and (configs / key.partition("@")[0]).is_dir()

    return [override for override in overrides if is_choice(override)]


def menu_of(config_name: str, choices: Sequence[str], *, configs: Path) -> Menu:
    """Return what a command offers with some choices, without them where they cannot be made."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(configs), version_base=None):
        try:
            config = hydra.compose(config_name, [*choices], return_hydra_config=True)
        except (HydraException, ValueError):
            config = hydra.compose(config_name, return_hydra_config=True)
    chosen = config.hydra.runtime.choices
    members = {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
        for folder in sorted(configs.iterdir())
        if folder.is_dir()
    }
    return Menu(
        options=sorted(str(key) for key in config if key != "hydra"),
        groups={
            name: members[folder]
            for name in chosen
            if (folder := name.partition("@")[0]) in members
        },
        elsewhere=[name for name in members if name not in chosen],
    )


def sentence(error: Exception) -> str:
    """Return what was wrong within the section of an override, what was expected and what to do."""
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and isinstance(cause.parent_node, DictConfig):
        *above, name = str(cause.full_key).split(".")
        known = sorted(str(key) for key in cause.parent_node if key != "hydra")
        if not known:
            return (
                f"got {cause.full_key}, and {'.'.join(above)} has no options, expected a value of "
                f"it; write {'.'.join(above)}=..."
            )
        return (
            f"got {cause.full_key}, which the config does not have, "
            f"{one_of(name, known, do='correct the name')}"
        )
    return first_line(error)


def first_line(error: Exception) -> str:
    """Return the first line of a message; the rest are Hydra's search path and OmegaConf's
    bookkeeping.
    """
    return str(error).partition("\n")[0]
