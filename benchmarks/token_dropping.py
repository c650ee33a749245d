"""Measure what token dropping saves: the policy's image encoder on all patches against those that
the mask keeps, in one run.

    python benchmarks/token_dropping.py [--task pick] [--scene clean] [--episodes 4] [--rounds 5]
    [--threads 1] [--kept SHARE]

An expert runs some episodes in the simulator; every eighth control step is a look of two cameras,
masked by the simulator's truth. The encoder (robot.policy.tokens, of the default policy's size)
then encodes every look three times in turns: with all patches, with those that the mask keeps, and,
for comparison, the CNN does. With `--kept` no simulator runs: that share of the patches, drawn at
random, is kept.

`p50_ms` and `p99_ms` of results.json are one look of two cameras with dropping; `ratio` is the
median time with all patches over that with the kept ones, `ratio_to_cnn` that of the CNN over it;
`cpu_ratio` is of processor time. `kept_share` is the share of patches that enter. The last line on
stdout is the path of results.json.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from benchmarks.timing import describe_machine, percentiles, said_of_load, timed
from robot.checkpoint import git_revision
from robot.perception.compose.masking import Overlay, compose, mask_from_labels
from robot.policy.config import DEFAULT_ENCODER
from robot.policy.tokens import PATCH, kept_patches
from robot.policy.vision import VisionEncoder
from robot.system.command import main_guard, run_directory, write_results
from robot.types import InputError

WARM_UP = 3  # looks, by each encoder
CONSOLE = Console(stderr=True)


@main_guard
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    load_before = os.getloadavg()[0]
    looks = (random_looks if options.kept else simulated_looks)(
        options, size=DEFAULT_ENCODER.image_size
    )
    encoders = {
        name: VisionEncoder(replace(DEFAULT_ENCODER, vision=name)).eval()
        for name in ("tokens", "cnn")
    }
    measured = compare(encoders, looks, rounds=options.rounds)
    results = {
        **measured["kept"],
        "ratio": measured["all"]["p50_ms"] / measured["kept"]["p50_ms"],
        "cpu_ratio": measured["all"]["cpu_p50_ms"] / measured["kept"]["cpu_p50_ms"],
        "ratio_to_cnn": measured["cnn"]["p50_ms"] / measured["kept"]["p50_ms"],
        "kept_share": kept_share(looks),
        "looks": len(looks),
        "patches": DEFAULT_ENCODER.cameras * (DEFAULT_ENCODER.image_size // PATCH) ** 2,
        "encoders": measured,
        "machine": describe_machine(load_before=load_before),
        "git_revision": git_revision(),
        "options": vars(options),
    }
    _print_table(results)
    if load_before > 1:
        CONSOLE.print(
            "The machine was busy before this run: trust the ratio of processor time, not that of "
            "the wall clock."
        )
    write_results(run_directory("bench-token-dropping", root=options.runs), results)


def simulated_looks(options: argparse.Namespace, *, size: int) -> list[Float[Tensor, "n 6 s s"]]:
    """Return composites along an expert's episodes, masked by the simulator's truth."""
    from benchmarks.looks import expert_looks  # here: it imports robosuite, which takes seconds

    expert = {
        "task": options.task,
        "scene": options.scene,
        "episodes": options.episodes,
        "seed": options.seed,
    }
    return [
        compose(
            np.stack([frame.image for frame in look.observation.frames]),
            mask_from_labels(torch.from_numpy(look.labels)),
            deployment=Overlay(),
            size=size,
        )
        for look in expert_looks(**expert, console=CONSOLE)
    ]


def random_looks(options: argparse.Namespace, *, size: int) -> list[Float[Tensor, "n 6 s s"]]:
    """Return noise of which a share of the patches is covered by the target."""
    generator, side = torch.Generator().manual_seed(options.seed), size // PATCH
    looks = []
    for _ in range(8):
        image = torch.rand(DEFAULT_ENCODER.cameras, 6, size, size, generator=generator)
        covered = (
            torch.rand(DEFAULT_ENCODER.cameras, side, side, generator=generator) < options.kept
        ).float()
        image[:, 3:] = 0
        image[:, 3] = covered.repeat_interleave(PATCH, dim=1).repeat_interleave(PATCH, dim=2)
        looks.append(image)
    return looks


def kept_share(looks: Sequence[Tensor]) -> float:
    """Return the share of patches that the masks keep, averaged over looks and cameras."""
    return (
        torch.stack([kept_patches(look, threshold=0.0).float().mean() for look in looks])
        .mean()
        .item()
    )


def uncovered(look: Float[Tensor, "n 6 s s"]) -> Float[Tensor, "n 6 s s"]:
    """Return the look with every patch covered, so that none is dropped."""
    return torch.cat([look[:, :3], torch.ones_like(look[:, 3:])], dim=1)


def compare(
    encoders: Mapping[str, VisionEncoder], looks: Sequence[Tensor], *, rounds: int
) -> dict[str, dict[str, float]]:
    """Return milliseconds per look: in turns, so that all meet the same load."""
    goal = torch.randn(1, DEFAULT_ENCODER.dim)
    turns: dict[str, Callable[[Tensor], Any]] = {
        "all": lambda look: encoders["tokens"](uncovered(look)[None], goal),
        "kept": lambda look: encoders["tokens"](look[None], goal),
        "cnn": lambda look: encoders["cnn"](look[None], goal),
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in turns}
    order = [*looks[:WARM_UP], *(look for _ in range(rounds) for look in looks)]
    for look in track(order, description="encoders", console=CONSOLE, transient=True):
        for name, encode in turns.items():
            seconds[name].append(timed(lambda encode=encode, look=look: encode(look)))
    warm = min(WARM_UP, len(looks))
    return {name: summarise(1e3 * np.array(took[warm:])) for name, took in seconds.items()}


def summarise(times_ms: Float[np.ndarray, "n 2"]) -> dict[str, float]:
    """Return median and 99th percentile of wall time, and the median of processor time."""
    return percentiles(times_ms[:, 0]) | {"cpu_p50_ms": float(np.median(times_ms[:, 1]))}


def _print_table(results: Mapping[str, Any]) -> None:
    machine = results["machine"]
    title = (
        f"Encoding two cameras, {results['looks']} looks, {machine['threads']} thread(s), "
        f"{said_of_load(machine)}"
    )
    table = Table("", "patches", "p50 ms", "p99 ms", "processor ms", title=title)
    patches = results["patches"]
    for name, count in (
        ("all", patches),
        ("kept", round(patches * results["kept_share"])),
        ("cnn", None),
    ):
        of = results["encoders"][name]
        texts = (f"{of[key]:.2f}" for key in ("p50_ms", "p99_ms", "cpu_p50_ms"))
        table.add_row(
            "CNN" if name == "cnn" else f"tokens, {name}",
            "–" if count is None else str(count),
            *texts,
        )
    table.add_row(
        "ratio all / kept",
        f"{results['kept_share']:.1%} kept",
        f"{results['ratio']:.2f}x",
        "",
        f"{results['cpu_ratio']:.2f}x",
    )
    Console(width=max(CONSOLE.width, 110)).print(table)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="pick")
    parser.add_argument("--scene", default="clean")
    parser.add_argument("--episodes", type=int, default=4, help="of the expert, to look at")
    parser.add_argument(
        "--rounds", type=int, default=5, help="how often every look is encoded by each"
    )
    parser.add_argument("--threads", type=int, default=1, help="torch's threads")
    parser.add_argument(
        "--kept",
        type=float,
        default=0.0,
        help="share of patches that are kept, in place of the simulator's masks",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder under which results are written"
    )
    options = parser.parse_args(arguments)
    if low := [
        f"--{name} {getattr(options, name)}"
        for name in ("episodes", "rounds", "threads")
        if getattr(options, name) < 1
    ]:
        raise InputError(f"got {', '.join(low)}, expected at least 1; pass a larger number")
    if not 0 <= options.kept <= 1:
        raise InputError(
            f"got --kept {options.kept}, expected a share in [0, 1]; leave it out to measure it"
        )
    return options


if __name__ == "__main__":
    main()
