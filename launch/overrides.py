"""The arguments of a command line against what the command offers: each is key=value, of a group or
an option of this command, or a flag.

Hydra notices most of these mistakes itself, each in words of its own; here they are one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from robot.errors import InputError, one_of

SWEEP = ("-m", "--multirun")
# Hydra's, but for those that exchange the config below the command
FLAGS = (*SWEEP, "-h", "--help", "--hydra-help", "--version", "--resolve")
KEY = re.compile(r"[+~]{0,2}\w+([./@]\w+)*")
SHOWN = ("job", "hydra", "all")
WITH_VALUE: Mapping[str, Sequence[str]] = {"-c": SHOWN, "--cfg": SHOWN, "-p": (), "--package": ()}


@dataclass(frozen=True)
class Menu:
    """What a command offers: options at the top level, the members of its groups, and the groups
    that only other commands have.
    """

    options: Sequence[str]
    groups: Mapping[str, Sequence[str]]
    elsewhere: Sequence[str]


def read_arguments(arguments: Sequence[str]) -> tuple[list[Override], list[str]]:
    """Return the overrides among `arguments`, and the flags; InputError for the first argument that
    is neither.
    """
    overrides, flags, rest = [], [], iter(arguments)
    for argument in rest:
        flag, equals, value = argument.partition("=")
        if not argument.startswith("-"):
            overrides.append(_read(argument))
        elif flag in WITH_VALUE:
            value = value if equals else next(rest, "")
            _check_value(flag, value)
            flags += [flag, value]
        elif argument in FLAGS:
            flags.append(argument)
        else:
            raise _not_a_flag(argument)
    _check_together(flags)
    return overrides, flags


def _check_together(flags: Sequence[str]) -> None:
    """Raise InputError for flags that say nothing without another, or not beside it."""
    shows = bool({"-c", "--cfg"} & set(flags))
    for flag in flags:
        if flag in ("-p", "--package", "--resolve") and not shows:
            raise InputError(f"got {flag} without --cfg, expected both; add --cfg job")
        if flag in SWEEP and shows:
            raise InputError(f"got {flag} beside --cfg, expected one of the two; leave {flag} out")


def _read(argument: str) -> Override:
    key, equals, value = argument.partition("=")
    name = key.strip("+ ./")
    try:
        override = OverridesParser.create().parse_override(argument)
        if override.key_or_group:
            return override
    except HydraException:
        pass  # in the words of a grammar
    if KEY.fullmatch(key) and equals and not value.startswith("="):
        do = f"close its brackets and quotes, or quote a text twice: '{key}=\"...\"'"
        raise InputError(f"got {argument}, expected a value that can be read; {do}")
    example = f"{name or 'seed'}={value.strip('= ') if name and equals else '...'}"
    raise InputError(f"got {argument}, expected key=value; write {example}")


def _check_value(flag: str, value: str) -> None:
    known = WITH_VALUE[flag]
    if not value or "=" in value or (known and value not in known):
        expected = one_of(value, known) if known else "expected a section; name one"
        raise InputError(f"got {flag}={value}, {expected}")


def _not_a_flag(argument: str) -> InputError:
    name = argument.lstrip("-")
    key, equals, value = name.partition("=")
    option = f"{key.replace('-', '_') or 'seed'}={value if equals else '...'}"
    return InputError(
        f"got {argument}, expected options as key=value without dashes; write {option}, or one of "
        f"{', '.join(flag for flag in (*FLAGS, *WITH_VALUE) if flag.startswith('--'))}"
    )


def check_overrides(overrides: Iterable[Override], menu: Menu, *, sweeps: bool) -> None:
    """Raise InputError for the first override that `menu` does not have; `sweeps` says that
    several values of one key are several jobs.
    """
    # last what leaves a choice out: some choices may be
    for override in sorted(overrides, key=_is_left_out):
        key, line = override.key_or_group, str(override.input_line)
        group = key if override.package is None else f"{key}@{override.package}"
        if group in menu.groups:
            _check_choice(override, group, menu.groups[group])
        elif key in menu.elsewhere:
            raise InputError(
                f"got {line}, and this command chooses no {key}, expected a choice of "
                f"{', '.join(sorted(menu.groups)) or 'nothing'}; leave {key} out"
            )
        else:
            _check_option(override, menu)
        if override.is_sweep_override() and not sweeps:
            value = line.partition("=")[2]
            raise InputError(
                f"got {line}, which is several values, expected one; write '{key}=[{value}]' for a "
                f"list, '{key}=\"{value}\"' for a text with a comma, or -m for a job of each"
            )


def _check_choice(override: Override, group: str, members: Sequence[str]) -> None:
    line, value = override.input_line, override.value()
    if not _is_left_out(override):
        for choice in override.sweep_iterator() if override.is_sweep_override() else [value]:
            if choice not in members:
                text = choice if isinstance(choice, str) else str(line).partition("=")[2]
                raise InputError(f"got {group}={text}, {one_of(text, members)}")
    if _is_left_out(override) or override.is_add():
        raise InputError(
            f"got {line}, expected a choice of {group}; write {group}=<one of {', '.join(members)}>"
        )


def _is_left_out(override: Override) -> bool:
    return override.is_delete() or override.value() is None


def _check_option(override: Override, menu: Menu) -> None:
    key, line = override.key_or_group, override.input_line
    top, _, below = key.partition(".")
    if below and top in menu.groups and top not in menu.options:
        raise InputError(
            f"got {line} without a choice of {top}, expected one first; add "
            f"{top}=<one of {', '.join(menu.groups[top])}>"
        )
    if top not in menu.options:
        name = top if below else key
        known = sorted({*menu.options, *(group for group in menu.groups if "@" not in group)})
        raise InputError(
            f"got {name}, which the config does not have, "
            f"{one_of(name, known, do='correct the name')}"
        )
    if override.is_add() and not below:
        raise InputError(f"got {line}, and {key} is there already; write it without +")
    if override.package is not None:
        raise InputError(f"got {line}, expected key=value; write it without @{override.package}")
