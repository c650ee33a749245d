"""Options that each command must refuse, tried one after another in a process that cannot import
torch: `python -m tests.refusals <command> <overrides as JSON>`. tests/test_options.py runs it.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from launch.command_line import CONFIGS
from launch.composition import check_values, require_values
from robot.errors import InputError

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "masked.webp"
COMMANDS: dict[str, tuple[str, list[str]]] = {
    "train_policy": ("train_policy", []),
    "ablate": ("ablate", ["preset=full"]),
    "collect": ("collect", ["quality={corrupted: 0.6, kinds: {noisy: 1.0}}"]),
    "evaluate": ("evaluate", ["checkpoint=tabletop"]),
    "mask": ("mask", [f"image={PICTURE}", "goal=pick up the red cup"]),
    "serve": ("serve", ["checkpoint=tabletop"]),
    "train_mask": ("train_mask", ["mask_weighting=dwsl"]),
    "score_demonstrations": ("score_demonstrations", []),
    "train_given": ("train_given", ["path=no-such-folder"]),
    "convert_ivm": ("convert_ivm", ["published=no-such-file"]),
}
# commands that do little before they work: a wrong option of each -> what its sentence says
OTHERS: dict[str, dict[str, str]] = {
    "cameras": {"sources=[no-such]": "got source=no-such"},
    "calibrate": {"mount=hand": "got mount=hand"},
    "demo": {"port=99999": "expected 0 to 65535"},
    "deploy": {
        "checkpoint=tabletop yes=true loop.seams=fast": "got loop.seams=fast",
        "checkpoint=tabletop yes=true viewer=fast": "got viewer=fast",
        "checkpoint=tabletop yes=true teleop=keyboard teleop.kind=hand": "got teleop 'hand'",
    },
    "generate": {
        "source=episodes path=no-such": "got no-such without episodes",
        "simulated=[mujoco/pik/clean]": "did you mean pick?",
    },
    "record": {
        "yes=true robot=so101": "got robot=so101 without a goal",
    },
    "replay": {
        "recording=no-such checkpoint=tabletop": "got recording=no-such, which is no folder",
    },
}
TEXT = "no-such"
NUMBERS: list[Any] = ["text", None, [], {"a": 1}, -1, math.nan, math.inf, 10**30]
WRONG: dict[type, list[Any]] = {
    bool: ["text", None, [], 2],
    int: [*NUMBERS, 2.5, True],
    float: [*NUMBERS, True],
    str: [None, [], {"a": 1}, math.nan, TEXT],
    dict: ["text", None, [], 2],
    list: [[], "text", None, [None], "twice", [TEXT], {"a": 1}],
    type(None): [-1, math.nan, [], TEXT],
}
# what is one person's choice: names and folders, and sections or lists that may be left out
FREE = {
    **{key: [TEXT] for key in ("name", "root", "data.root", "goal", "token")},
    **{key: [TEXT] for key in ("keys.state", "keys.prompt")},
    "compare": [None],
    "quality.corrupted": [True],  # a section that the YAML file has no example of
    "quality.kinds.noisy": [True],
    "evaluation.headline_scene": [None],
    "evaluation.mask_scenes": [[]],
    "head_start": [None],
    "mask_weighting.witness_steps": [None],
}
WIDTHS = ("widths", "blocks")  # the same number in each layer is a choice
INTERPOLATED = "${"
REFERENCE = re.compile(r"\$\{(?:oc\.select:)?([\w.]+)")  # what an interpolation refers to


class NoTorch(MetaPathFinder):
    """Raise where torch is imported."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname.partition(".")[0] in ("torch", "robosuite"):
            raise ImportedError(f"{fullname} was imported")


class ImportedError(Exception):
    """What refusing an option must not do."""


def work_of(command: str) -> Callable[[Any], Any]:
    """Return what a command's file does with a config: its `main`, undecorated."""
    file = "train_policy" if command == "train_policy" else f"launch.{command}"
    return inspect.unwrap(importlib.import_module(file).main)


def composed(name: str, overrides: list[str]) -> Any:
    return copy.deepcopy(_composed(name, tuple(overrides)))


@cache
def _composed(name: str, overrides: tuple[str, ...]) -> Any:
    with initialize_config_dir(str(CONFIGS), version_base=None):
        return compose(name, overrides=list(overrides))


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    else:
        yield path, value


@contextmanager
def changed(values: Any, path: tuple[str, ...], change: Callable[[dict, str], None]):
    """Change one option of `values` within."""
    section = values
    for name in path[:-1]:
        section = section[name]
    before = dict(section)
    try:
        change(section, path[-1])
        yield values
    finally:
        section.clear()
        section.update(before)


def misspell(section: dict, name: str) -> None:
    section[f"{name}x"] = section.pop(name)


def put(value: Any) -> Callable[[dict, str], None]:
    return lambda section, name: section.__setitem__(name, value)


def wrong_values(path: tuple[str, ...], value: Any) -> list[Any]:
    """Return what an option cannot be, but for what `FREE` allows."""
    if isinstance(value, str) and INTERPOLATED in value:
        return []
    kinds = [w for w in WRONG[type(value)] if value or w != "twice"]
    wrong = [[value[0], value[0]] if w == "twice" else w for w in kinds]
    free = FREE.get(".".join(path), [])
    if path[-1] in WIDTHS or path[-1] == "faults":
        free = [*free, [value[0], value[0]]]
    if path[-1] == "faults":
        free = [*free, [], None]
    return [w for w in wrong if repr(w) not in map(repr, free)]


def refusal_of(command: str, values: Any, *, default: Any) -> str:
    """Return the sentence that a command says to a config, which may be plain values without
    interpolations, or that it accepts it.
    """
    try:
        if isinstance(values, DictConfig):
            require_values(values)
            values = OmegaConf.to_container(values)
        check_values(values, default=default)
        work_of(command)(OmegaConf.create(values))
    except InputError as error:
        sentence = " ".join(str(error).split())  # as robot.system.command.stop says it
        return sentence if "\n" not in sentence and len(sentence) < 600 else f"!too long {sentence}"
    except Exception as error:
        return f"!{type(error).__name__} {error}"
    return "!accepted"


def accepted_options(command: str) -> list[str]:
    """Return the wrong values of single options that are not refused in one sentence."""
    name, overrides = COMMANDS[command]
    config = composed(name, overrides)
    choices = [override for override in overrides if override.startswith(("preset", "mask_w"))]
    default = OmegaConf.to_container(composed(name, choices), resolve=True)
    raw = OmegaConf.to_container(config)
    referred = set(REFERENCE.findall(str(raw)))
    require_values(config)
    plain = OmegaConf.to_container(config)
    known = {path for path, _ in leaves(OmegaConf.to_container(composed("train_policy", [])))}
    accepted = []
    for path, value in list(leaves(raw)):
        if command == "ablate" and path in known:
            continue  # those of train_policy
        # what others refer to changes them, too; making a config anew takes 50 ms
        shared = INTERPOLATED in str(value) or any(
            ".".join(path[:depth]) in referred for depth in range(1, len(path) + 1)
        )
        tries = [(f"{w!r}", put(w)) for w in wrong_values(path, value)]
        for label, change in [*tries, ("misspelt", misspell)]:
            with changed(raw if shared else plain, path, change) as values:
                again = OmegaConf.create(values) if shared else values
                said = refusal_of(command, again, default=default)
            if said.startswith("!"):
                accepted.append(f"{'.'.join(path)} {label}: {said}")
    return accepted


def refused_together(command: str, several: Sequence[Sequence[str]]) -> list[str]:
    """Return what is said to each list of overrides."""
    name, overrides = COMMANDS[command]
    said = []
    for own in several:
        keys = {override.partition("=")[0] for override in own}
        kept = [override for override in overrides if override.partition("=")[0] not in keys]
        groups = [o for o in (*kept, *own) if (CONFIGS / o.partition("=")[0]).is_dir()]
        chosen = composed(name, groups)
        added = [o if _is_known(o, chosen) else f"+{o}" for o in (*kept, *own)]
        default = OmegaConf.to_container(chosen, resolve=True)
        said.append(refusal_of(command, composed(name, added), default=default))
    return said


def _is_known(override: str, chosen: DictConfig) -> bool:
    key = override.partition("=")[0]
    if (CONFIGS / key).is_dir():
        return True
    missing = object()
    return OmegaConf.select(chosen, key, default=missing) is not missing


def refused_by_others() -> list[str]:
    """Return the sentences that lack what `OTHERS` expects of them."""
    lacking = []
    for command, sentences in OTHERS.items():
        COMMANDS[command] = (command, [])
        found = refused_together(command, [override.split() for override in sentences])
        for sentence, (override, expected) in zip(found, sentences.items(), strict=True):
            if expected not in sentence:
                lacking.append(f"{command} {override}: {sentence}")
    return lacking


def main() -> None:
    sys.meta_path.insert(0, NoTorch())
    if sys.argv[1:] == ["others"]:
        print(json.dumps(refused_by_others()))
        return
    command, several = sys.argv[1], json.loads(sys.argv[2])
    found = {"accepted": accepted_options(command), "together": refused_together(command, several)}
    assert "torch" not in sys.modules
    print(json.dumps(found))


if __name__ == "__main__":
    main()
