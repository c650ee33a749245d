"""What launch/replay.py does: a policy's open-loop action error on a recorded dataset."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from launch.command_line import Work
from robot.checkpoint import check_robot, read_header, resolve_checkpoint, spaces_of
from robot.data.store import EpisodeStore
from robot.envs.replay import ReplayEnv
from robot.errors import InputError
from robot.perception.names import check_deployment, resolve_head
from robot.spaces import another_robot
from robot.system.command import run_folder, write_results
from robot.system.parse import Count, Seed, options, parse
from robot.system.progress import bar


@options
class Replaying:
    """configs/replay.yaml, names resolved."""

    recording: Path
    checkpoint: Path
    episodes: Count
    execute: Count
    masks: Literal["learned", "oracle", "none"] | None
    head: Path | None
    deployment: str | None
    seed: Seed


def replaying(config: DictConfig) -> Work:
    """Return the work that a config describes, checked."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    resolved = {
        "checkpoint": resolve_checkpoint(values["checkpoint"]),
        "head": None if values["head"] is None else resolve_head(values["head"]),
    }
    asked = parse(Replaying, values | resolved)
    env = replay_of(asked.recording)
    check_robot(asked.checkpoint, env.spaces)
    horizon = read_header(asked.checkpoint)["config"].get("horizon", asked.execute)
    if asked.execute > horizon:
        raise InputError(
            f"got execute={asked.execute}, expected at most the policy's {horizon} actions per "
            "chunk; lower it"
        )
    if asked.deployment is not None:
        check_deployment(asked.deployment, {})
    if asked.masks == "oracle":
        env.reset(options={"episode": env.indices[0]})
        env.label_maps()  # raises where none were recorded
    yaml = OmegaConf.to_yaml(config, resolve=True)
    return partial(replay, asked, env, config_yaml=yaml)


def replay_of(folder: Path) -> ReplayEnv:
    """Return the env that replays the dataset in a folder."""
    if not folder.is_dir():
        raise InputError(f"got recording={folder}, which is no folder; pass a recorded dataset's")
    store = EpisodeStore(folder)
    return ReplayEnv(spaces=store.spaces, indices=sorted(store.indices()), read=store.read)


def replay(asked: Replaying, env: ReplayEnv, *, config_yaml: str) -> None:
    """Compare; results.json is the last line on stdout."""
    from robot.agent import Agent  # torch: seconds
    from robot.perception.registry import make_deployment
    from robot.perception.sources import MaskSource, NoMask, OracleMasks
    from robot.report.open_loop import draw_open_loop
    from robot.rollout.replay import open_loop

    if note := another_robot(spaces_of(asked.checkpoint), env.spaces):
        print(note)
    masks: MaskSource | None = None
    if asked.masks in ("oracle", "none"):
        masks = OracleMasks(env.label_maps) if asked.masks == "oracle" else NoMask()
    agent = Agent.load(
        asked.checkpoint,
        device="cpu",
        masks=masks,
        head=asked.head,
        deployment=make_deployment(asked.deployment) if asked.deployment else None,
    )
    episodes = env.indices[: asked.episodes]
    with run_folder("replay", config_yaml=config_yaml) as run:
        with bar("replay") as moved:
            result = open_loop(
                env,
                agent,
                episodes=episodes,
                execute=asked.execute,
                seed=asked.seed,
                progress=moved,
            )
        errors, picture = result.errors(env.spaces.action), run / "open-loop.png"
        first = result.episodes == episodes[0]
        env.reset(options={"episode": episodes[0]})
        draw_open_loop(
            picture,
            recorded=result.recorded[first],
            predicted=result.predicted[first],
            names=env.spaces.action.names,
            units=env.spaces.action.units,
            control_dt_s=env.control_dt_s,
            decisions=range(0, int(first.sum()), asked.execute),
            title=f"episode {episodes[0]}: {env.goal}",
        )
        _print(errors, steps=len(result.recorded), episodes=len(episodes))
        print(f"picture: {picture}")
        facts = {"episodes": list(episodes), "steps": len(result.recorded), "errors": errors}
        write_results(run, facts | {"picture": picture, "recording": asked.recording})


def _print(errors: dict[str, dict[str, float | str]], *, steps: int, episodes: int) -> None:
    table = Table(title=f"absolute action error, open loop, {steps} steps of {episodes} episodes")
    for heading in ("", "unit", "mean", "p95", "holding still: mean", "p95"):
        table.add_column(heading, justify="left" if heading in ("", "unit") else "right")
    for name, of in errors.items():
        numbers = (of[key] for key in ("mean", "p95", "still_mean", "still_p95"))
        shown = ("–" if np.isnan(float(x)) else f"{float(x):.4f}" for x in numbers)
        table.add_row(name, str(of["unit"]), *shown)
    Console().print(table)
