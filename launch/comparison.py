"""What train_policy.py and launch/ablate.py do: compare arms, print tables, write results.json."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from launch.command_line import Work
from robot.experiment.early import check_config
from robot.system.command import run_folder, write_results

if TYPE_CHECKING:
    from robot.experiment.compare import Comparison


def comparison(config: DictConfig) -> Work:
    """Return the comparison that a config describes, checked."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    check_config(values)
    from robot.experiment.compare import Comparison  # torch: seconds

    checked, config_yaml = Comparison.of(values), OmegaConf.to_yaml(config)
    return partial(run_comparison, checked, config_yaml=config_yaml)


def run_comparison(comparison: Comparison, *, config_yaml: str) -> None:
    """Run a comparison; results.json is the last line on stdout."""
    from robot.experiment.compare import compare
    from robot.experiment.plan import expected_time
    from robot.report.libero_pro import libero_pro_table, suites_of
    from robot.report.paper import paper_table
    from robot.report.table import success_table

    console = Console()
    console.print(expected_time(comparison.arms, comparison.trained, comparison.common))
    with run_folder(comparison.common.name, config_yaml=config_yaml) as run:
        compared = compare(comparison, run=run, config_yaml=config_yaml)
        findings = compared.findings
        if findings.unequal:
            console.print(findings.unequal)
        console.print(success_table(findings.shown))
        if findings.chance:
            console.print(findings.chance)
        if findings.beside:
            console.print(paper_table(findings.beside))
        for suite in suites_of(findings.cells):
            console.print(libero_pro_table(findings.cells, suite=suite))
        console.print(f"report: {findings.page}")
        results = {
            **findings.as_json(),
            "seeds": comparison.common.seeds,
            "stage_s": compared.stage_s,
            "checkpoints": compared.checkpoints,
        }
        write_results(run, results)
