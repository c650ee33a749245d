"""What train_policy.py and launch/ablate.py do: compare arms, print tables, write results.json."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from robot.experiment.compare import Comparison, compare
from robot.experiment.plan import expected_time
from robot.report.paper import paper_table
from robot.report.table import success_table
from robot.system.command import run_directory, write_results


def run_comparison(config: DictConfig) -> None:
    """Run the comparison that a config describes; results.json is the last line on stdout."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    comparison, console = Comparison.of(values), Console()
    console.print(expected_time(comparison.arms, comparison.trained, comparison.common))
    run, config_yaml = run_directory(comparison.common.name), OmegaConf.to_yaml(config)
    (run / "config.yaml").write_text(config_yaml)
    compared = compare(comparison, run=run, config_yaml=config_yaml)
    findings = compared.findings
    console.print(success_table(findings.shown))
    if findings.beside:
        console.print(paper_table(findings.beside))
    console.print(f"report: {findings.page}")
    results = {
        **findings.as_json(),
        "seeds": comparison.common.seeds,
        "stage_s": compared.stage_s,
        "checkpoints": compared.checkpoints,
    }
    write_results(run, results)
