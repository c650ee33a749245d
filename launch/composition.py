"""Where commands meet Hydra: compose the config and check it; a bad override is one sentence and
exit code 2.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    ConfigCompositionException,
    MissingConfigException,
    OverrideParseException,
    SearchPathException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from launch.command_line import CONFIGS, Command, Work
from launch.options import check_names, check_options
from robot.errors import InputError
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
    def check(config: DictConfig) -> None:
        require_values(config)
        overrides = HydraConfig.get().overrides.task
        default = default_of(overrides, config_name=config_name, configs=configs)
        values = OmegaConf.to_container(config)
        check_values(values, default=default, sections=configs == CONFIGS)
        works.append(main(config))

    run = hydra.main(version_base=None, config_path=str(configs), config_name=config_name)(check)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises to here instead of printing
    with TemporaryDirectory(prefix="robot-") as sweep:
        sys.argv[1:] = with_quiet(with_quoted_goal(sys.argv[1:]), sweep=sweep)
        try:
            run()
        except (
            ConfigCompositionException,
            OverrideParseException,
            SearchPathException,
            yaml.YAMLError,
        ) as error:
            stop(sentence(error))
    return works


def check_values(values: Any, *, default: Any, sections: bool = True) -> None:
    """Raise InputError for the first option that cannot be what it is, without importing torch;
    `sections` says that sections have the meaning of this project's configs.
    """
    check_options(values, default=default)
    check_names(values)
    if sections:
        from launch.sections import check_sections  # half a second, after what takes none

        check_sections(values)


def with_quiet(arguments: Sequence[str], *, sweep: str) -> list[str]:
    """Insert QUIET, and the folder `sweep` for what Hydra writes of a sweep, before the first
    override: argparse wants all overrides side by side, and later ones win.
    """
    is_override = [not a.startswith("-") and ("=" in a or a.startswith("~")) for a in arguments]
    first = is_override.index(True) if any(is_override) else 0
    return [*arguments[:first], *QUIET, f"hydra.sweep.dir={sweep}", *arguments[first:]]


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
            f"{first_line(error)}; correct the reference to it at {error.full_key}"
        ) from error
    if missing:
        raise InputError(
            f"no value for {', '.join(missing)}; add {' '.join(f'{key}=...' for key in missing)} "
            "to the command"
        )


def default_of(overrides: Sequence[str], *, config_name: str, configs: Path) -> Any:
    """Return the values that only the choices of groups among the overrides make."""
    keys = {override.partition("=")[0].lstrip("+") for override in overrides if "=" in override}
    groups = {key for key in keys if (configs / key.partition("@")[0]).is_dir()}
    chosen = [o for o in overrides if o.partition("=")[0].lstrip("+") in groups]
    return OmegaConf.to_container(
        hydra.compose(config_name=config_name, overrides=chosen), resolve=True
    )


def sentence(error: Exception) -> str:
    """Return what was wrong with an override, what was expected and what to do."""
    cause = error.__cause__
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        return (
            f"got {group}={choice}, expected one of {', '.join(sorted(error.options))}; choose one "
            "of these"
        )
    if isinstance(cause, OmegaConfBaseException) and isinstance(cause.parent_node, DictConfig):
        keys = ", ".join(sorted(str(key) for key in cause.parent_node if key != "hydra"))
        return (
            f"got {cause.full_key}, which the config does not have, expected one of {keys}; "
            "correct the name"
        )
    if isinstance(error, OverrideParseException):
        return (
            f"got {error.override}, expected key=value; quote what the shell or Hydra would split"
        )
    return (
        first_line(error)
        if isinstance(error, SearchPathException | MissingConfigException)
        else str(error)
    )


def first_line(error: Exception) -> str:
    """Return the first line of a message; the rest are Hydra's search path and OmegaConf's
    bookkeeping.
    """
    return str(error).partition("\n")[0]
