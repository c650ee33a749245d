"""What launch/train_given.py does: a policy from given demonstrations, measured on some of them."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from launch.command_line import Work
from robot.experiment.given_data import Given, check_given
from robot.perception.names import resolve_head
from robot.system.command import run_folder, write_results
from robot.system.parse import parse

if TYPE_CHECKING:
    from rich.table import Table

    from robot.experiment.given import Trained


def given_training(config: DictConfig) -> Work:
    """Return the training that a config describes, checked."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    head = values["head"]
    given = parse(Given, values | {"head": None if head is None else resolve_head(head)})
    check_given(given)
    return partial(train, given, config_yaml=OmegaConf.to_yaml(config, resolve=True))


def train(given: Given, *, config_yaml: str) -> None:
    """Train and measure; results.json is the last line on stdout. Resumes a run."""
    from rich.console import Console

    from robot.experiment.given import train_given

    with run_folder(given.name, config_yaml=config_yaml, resume=True) as run:
        trained = train_given(given, run=run)
        console = Console()
        console.print(table(trained))
        if trained.kinds:
            console.print(tiers_table(trained))
        write_results(run, asdict(trained) | {"seed": given.seed})


def table(trained: Trained) -> Table:
    """Return the errors on held-out episodes, for people."""
    from rich.table import Table

    title = (
        f"Action error on {trained.held_out} held-out episodes (trained on {trained.episodes}); "
        f"load with Agent.load({str(trained.agent)!r})"
    )
    shown = Table("dimension", "unit", "policy", "holding still", title=title, title_justify="left")
    for error in trained.errors:
        shown.add_row(error.name, error.unit, f"{error.policy:.4f}", f"{error.hold_still:.4f}")
    return shown


def tiers_table(trained: Trained) -> Table:
    """Return what the discriminator made of each kind of episode, for people."""
    from rich.table import Table

    shown = Table("kind", "episodes", "score", "weight", title="Tiers", title_justify="left")
    for kind in trained.kinds:
        numbers = (f"{kind.mean_score:.2f}", f"{kind.mean_weight:.2f}")
        shown.add_row(kind.kind, str(kind.episodes), *numbers)
    return shown
