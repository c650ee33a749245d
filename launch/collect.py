"""`python launch/collect.py task=pick scene=clean episodes=300 workers=2`: demonstrations by the
scripted experts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from launch.command_line import hydra_command
from robot.experiment.collect import collect_demonstrations
from robot.system.command import run_directory, write_results
from robot.system.progress import bar


@hydra_command("collect")
def main(config: DictConfig) -> None:
    settings: Any = OmegaConf.to_container(config, resolve=True)
    root = Path(settings.pop("root"))
    with bar(f"collect {settings['task']} / {settings['scene']}") as progress:
        store = collect_demonstrations(
            root=root / "demonstrations",
            progress=progress,
            **settings,
        )
    steps = sum(store.summary(index).length for index in store.indices())
    write_results(
        run_directory("collect"),
        {**settings, "store": store.root, "episodes": len(store), "steps": steps},
    )


if __name__ == "__main__":
    main()
