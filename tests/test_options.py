"""Every option of every command: misspelt, removed, of another kind, null, negative, not finite,
empty or twice. Each is one sentence before anything is imported that computes for long, or a choice
that `FREE` names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from launch.collection import collection
from launch.command_line import CONFIGS
from launch.comparison import comparison
from launch.composition import require_values
from launch.evaluation import evaluation
from launch.mask_training import mask_training
from launch.masking import masking
from launch.options import check_options
from launch.scoring import scoring
from launch.serving import serving
from robot.types import InputError

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "masked.webp"
COMMANDS: dict[str, tuple[str, Callable[[Any], Any], list[str]]] = {
    "train_policy": ("train_policy", comparison, []),
    "ablate": ("ablate", comparison, ["preset=full"]),
    "collect": ("collect", collection, ["quality={corrupted: 0.6, kinds: {noisy: 1.0}}"]),
    "evaluate": ("evaluate", evaluation, ["checkpoint=tabletop"]),
    "mask": ("mask", masking, [f"image={PICTURE}", "goal=pick up the red cup"]),
    "serve": ("serve", serving, ["checkpoint=tabletop"]),
    "train_mask": ("train_mask", mask_training, ["mask_weighting=dwsl"]),
    "score_demonstrations": ("score_demonstrations", scoring, []),
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


@pytest.fixture(autouse=True)
def no_gl(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for module in ("launch.evaluation", "launch.collection", "launch.scoring"):
        monkeypatch.setattr(f"{module}.require_gl", lambda: None)
    monkeypatch.setattr("launch.mask_training.require_gl", lambda: None)
    monkeypatch.setattr("robot.experiment.checks.require_gl", lambda: None)


def composed(name: str, overrides: list[str]) -> Any:
    with initialize_config_dir(str(CONFIGS), version_base=None):
        return compose(name, overrides=overrides)


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
    wrong = [[value[0], value[0]] if w == "twice" else w for w in WRONG[type(value)]]
    free = FREE.get(".".join(path), [])
    if path[-1] in WIDTHS or path[-1] == "faults":
        free = [*free, [value[0], value[0]]]
    if path[-1] == "faults":
        free = [*free, [], None]
    return [w for w in wrong if repr(w) not in map(repr, free)]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_checked_before_the_work(command, tmp_path):
    name, main, overrides = COMMANDS[command]
    config = composed(name, overrides)
    choices = [override for override in overrides if override.startswith(("preset", "mask_w"))]
    default = OmegaConf.to_container(composed(name, choices), resolve=True)
    raw, resolved = OmegaConf.to_container(config), OmegaConf.to_container(config, resolve=True)

    def check(path: tuple[str, ...], change: Callable[[dict, str], None]) -> None:
        """Do what the command does, in its order; most sentences need no second composition."""
        with changed(resolved, path, change) as values:
            check_options(values, default=default)
        with changed(raw, path, change) as values:
            again = OmegaConf.create(values)
        require_values(again)
        check_options(OmegaConf.to_container(again), default=default)
        main(again)

    check_options(resolved, default=default)
    main(config)  # nothing is wrong yet

    known = {path for path, _ in leaves(OmegaConf.to_container(composed("train_policy", [])))}
    accepted = []
    for path, value in list(leaves(raw)):
        if command == "ablate" and path in known:
            continue  # those of train_policy
        tries = [(f"{w!r}", put(w)) for w in wrong_values(path, value)]
        for label, change in [*tries, ("misspelt", misspell)]:
            try:
                check(path, change)
            except InputError as error:
                assert "\n" not in str(error) and len(str(error)) < 600, error
            except Exception as error:
                accepted.append(f"{'.'.join(path)} {label}: {type(error).__name__} {error}")
            else:
                accepted.append(f"{'.'.join(path)} {label}: accepted")
    assert accepted == []
    assert list(tmp_path.iterdir()) == []
