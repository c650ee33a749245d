"""Measure what one control step of the whole agent costs on this machine's CPU, and our denoiser
against Diffusion Policy's.

    python benchmarks/control_step.py [--decisions 200] [--threads 2] [--execute 8] [--chunks 20]
    [--checkpoint PATH ...]
                                      [--task pick] [--scene distract] [--episodes 2]

The agent plans once per `execute` control steps: two 128-px frames -> mask head -> composite ->
policy -> a chunk of actions. It looks at what a scripted expert saw in some episodes. Three times
come out, each with p50 and p99, for every policy:

    decision      one plan, nothing shared out: what a step that plans has to wait for
    amortised     the mean control step of one cycle: (a decision + `execute` answers) / `execute`
    control step  every single control step: 1 of `execute` takes a decision, the others only the
    executor (microseconds).
                  With 8 steps, its p50 is the executor and its p99 is the 92nd percentile of the
                  steps that plan.

`p50_ms` and `p99_ms` of results.json are the control step's; the others carry their name. `ratio`
is the time of one chunk of Diffusion Policy's published U-Net (16 DDIM steps) over that of our
default denoiser, in turns, encoders of images left out. The mask head is the shipped one unless
`--checkpoint` names another: how much it keeps is how much a policy with tokens has to look at
(`kept_share`). Policies are fresh ones of the default configuration: what their weights' values are
changes no time. The last line on stdout is the path of results.json.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.diffusion_policy import UNIT, compare_denoisers, weights
from benchmarks.looks import expert_looks
from benchmarks.timing import describe_machine, percentiles, said_of_load
from robot.agent import Agent
from robot.checkpoint import git_revision, load, read_header, resolve_checkpoint
from robot.envs.arm_spaces import arm_spaces
from robot.envs.registry import check_scene
from robot.language import LanguageEncoder
from robot.perception.compose.masking import Deployment, Overlay
from robot.perception.head.base import Head
from robot.perception.head.mask_head import MaskHead
from robot.perception.registry import make_deployment
from robot.perception.sources import LearnedMasks
from robot.policy import POLICIES, load_policy
from robot.policy.chunking import ChunkExecutor
from robot.policy.tokens import kept_patches
from robot.system.command import main_guard, run_directory, write_results
from robot.types import InputError, Observation

DEFAULT_POLICIES = ("diffusion", "transformer")
MASK_HEAD, DEFAULT_HEAD = "mask_head", "tabletop"
ENOUGH = 200  # decisions below which a p99 is the luck of one or two of them
WARM_UP = 5  # decisions
CONSOLE = Console(stderr=True)


@dataclass(frozen=True)
class Part:
    """A module to time, where it comes from, and how its checkpoint says that masks are applied."""

    module: Any  # MaskHead or a policy
    origin: str = "fresh"
    deployment: Deployment = Overlay()


@dataclass(frozen=True)
class Times:
    """Milliseconds of `n` decisions and of the `n * execute` control steps that they served."""

    steps: Float[np.ndarray, "n execute"]
    decisions: Float[np.ndarray, " n"]
    masks: Float[np.ndarray, " n"]  # of each decision: mask head and composite
    policies: Float[np.ndarray, " n"]  # of each decision: the policy
    kept: Float[np.ndarray, " n"]  # share of the patches, at each decision, that the mask keeps


@main_guard
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    parts, load_before = choose_parts(options.checkpoint), os.getloadavg()[0]
    head, language, looks = parts.pop(MASK_HEAD), LanguageEncoder(), looks_of(options)
    how = {"head": head, "looks": looks, "options": options, "language": language}
    policies = {name: measure_policy(part, **how) for name, part in parts.items()}
    denoisers = compare_denoisers(chunks=options.chunks, console=CONSOLE)
    machine = describe_machine(load_before=load_before)
    _print_table(policies, denoisers, machine, execute=options.execute)
    if load_before > 1:
        CONSOLE.print(
            "The machine was busy before this run: times are too long, p99 most, and so is the "
            "ratio, because the longer"
            " chunk is interrupted more often. Repeat it on a quiet machine; until then, trust the "
            "ratio of processor time.",
            style="yellow",
        )
    if options.decisions < ENOUGH:
        CONSOLE.print(
            f"{options.decisions} decisions are few for a p99; {ENOUGH} are the default.",
            style="yellow",
        )
    of = policies["diffusion"]
    results = {
        **of["control_step"],
        "p50_ms_and_p99_ms_are": "diffusion policy, over all control steps, of which 1 of "
        f"{options.execute} decides",
        **{
            f"{what}_{key}": value
            for what in ("amortised", "decision")
            for key, value in of[what].items()
        },
        "ratio": denoisers["ratio"],
        "policies": policies,
        "mask_head": {"weights": weights(head.module), "origin": head.origin},
        "denoisers": denoisers,
        "machine": machine,
        "git_revision": git_revision(),
        "options": vars(options),
    }
    write_results(run_directory("bench-control-step", root=options.runs), results)


def choose_parts(checkpoints: Sequence[str]) -> dict[str, Part]:
    """Return the mask head and the policies by kind: the checkpoints given, fresh ones of the
    default configuration else.
    """
    parts: dict[str, Part] = {}
    for kind, part in map(_load, checkpoints):
        if kind in parts:
            raise InputError(
                f"got {parts[kind].origin} and {part.origin}, both {kind}, expected one of a kind; "
                "leave one out"
            )
        parts[kind] = part
    if MASK_HEAD not in parts:
        parts[MASK_HEAD] = Part(Head.load(Head.resolve(DEFAULT_HEAD)), origin=DEFAULT_HEAD)
    for kind in DEFAULT_POLICIES:
        if kind not in parts:
            parts[kind] = Part(POLICIES[kind](statistics=UNIT).eval())
    return parts


def _load(name: str) -> tuple[str, Part]:
    path = resolve_checkpoint(name)
    header = read_header(path)
    module = load_policy(path) if header["kind"] in POLICIES else load(path, {MASK_HEAD: MaskHead})
    said = header.get("metadata", {})
    if said.get("masks") == "none":
        raise InputError(
            f"got {path}, a policy trained without masks, expected one that acts on masked frames; "
            "choose another"
        )
    deployment = make_deployment(**said["deployment"]) if "deployment" in said else Overlay()
    return header["kind"], Part(module, origin=str(path), deployment=deployment)


def looks_of(options: argparse.Namespace) -> list[Observation]:
    """Return what the agent is shown."""
    expert = {
        "task": options.task,
        "scene": options.scene,
        "episodes": options.episodes,
        "seed": options.seed,
    }
    return [look.observation for look in expert_looks(**expert, console=CONSOLE)]


def measure_policy(
    part: Part,
    *,
    head: Part,
    looks: Sequence[Observation],
    options: argparse.Namespace,
    language: LanguageEncoder,
) -> dict[str, Any]:
    """Return what an agent with this policy takes, in milliseconds."""
    policy = part.module
    if options.execute > policy.horizon:
        raise InputError(
            f"got --execute {options.execute}, expected at most the {policy.horizon} actions of a "
            "chunk; lower it"
        )
    agent = Agent(
        masks=LearnedMasks(head.module, language),
        deployment=part.deployment,
        policy=policy,
        language=language,
        image_size=policy.encoder.config.image_size,
        spaces=arm_spaces(),
    )
    times = drive(
        agent, looks, decisions=options.decisions, execute=options.execute, seed=options.seed
    )
    return {
        **summarise(times),
        "sample_steps": policy.config().get("sample_steps", 1),
        "weights": weights(policy),
        "vision": policy.encoder.config.vision,
        "kept_share": float(times.kept.mean()),
        "origin": part.origin,
    }


def drive(
    agent: Agent, looks: Sequence[Observation], *, decisions: int, execute: int, seed: int
) -> Times:
    """Run the control loop on `looks`, over and over: ask the agent when the executor needs a
    chunk, as an episode does.
    """
    generator, executor = torch.Generator().manual_seed(seed), ChunkExecutor(execute=execute)
    steps_s, plans_ms, kept = [], [], []
    for step in track(
        range((WARM_UP + decisions) * execute),
        description="control steps",
        console=CONSOLE,
        transient=True,
    ):
        look, plan = looks[step // execute % len(looks)], None
        began_s = time.perf_counter()
        if executor.needs_chunk:
            plan = agent.plan(look, generator=generator)
            plans_ms.append((1e3 * (time.perf_counter() - began_s), plan.mask_ms, plan.policy_ms))
            executor.add(plan.chunk.actions)
        executor.next_action()
        steps_s.append(time.perf_counter() - began_s)
        if plan is not None:
            kept.append(kept_patches(plan.composites, threshold=0.0).float().mean().item())
    steps = 1e3 * np.array(steps_s).reshape(-1, execute)
    decided, masks, policies = np.array(plans_ms)[WARM_UP:].T
    return Times(
        steps=steps[WARM_UP:],
        decisions=decided,
        masks=masks,
        policies=policies,
        kept=np.array(kept)[WARM_UP:],
    )


def summarise(times: Times) -> dict[str, dict[str, float]]:
    """Return p50 and p99 of everything that a control loop may wait for; see the top of this file
    for the names.
    """
    return {
        "control_step": percentiles(times.steps.ravel()),
        "amortised": percentiles(times.steps.mean(axis=1)),
        "decision": percentiles(times.decisions),
        "decision_masks": percentiles(times.masks),
        "decision_policy": percentiles(times.policies),
    }


def _print_table(
    policies: Mapping[str, Any],
    denoisers: Mapping[str, Any],
    machine: Mapping[str, Any],
    *,
    execute: int,
) -> None:
    of = (
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"{said_of_load(machine)}"
    )
    table = Table(title=of)
    for heading in ("", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="right" if heading else "left")
    labels = {
        "decision": "decision: mask head + composite + policy",
        "decision_masks": "  of it mask head + composite",
        "decision_policy": "  of it policy",
        "amortised": f"control step, amortised: mean of the {execute} of a decision",
        "control_step": f"control step, every one: 1 of {execute} decides",
    }
    for name, result in policies.items():
        steps = (
            f"DDIM-{result['sample_steps']}"
            if name == "diffusion"
            else f"{result['sample_steps']} step(s)"
        )
        sees = f"{result['vision']}, {result['kept_share']:.0%} of the patches kept"
        table.add_row(
            f"{name}, {steps}, {sees}, {result['weights'] / 1e6:.2f}M weights, {result['origin']}",
            style="bold",
        )
        for what, label in labels.items():
            table.add_row(label, *(f"{value:.3f}" for value in result[what].values()))
        table.add_section()
    for name, label in (
        ("peer", "chunk by Diffusion Policy's U-Net"),
        ("ours", "chunk by our default denoiser"),
    ):
        of = denoisers[name]
        size = f"{of['weights'] / 1e6:.1f}M weights, DDIM-{of['steps']}"
        table.add_row(f"{label}, {size}", f"{of['p50_ms']:.1f}", f"{of['p99_ms']:.1f}")
    others = (
        f"of processor time {denoisers['cpu_ratio']:.1f}x, of one denoising step "
        f"{denoisers['ratio_per_step']:.1f}x"
    )
    table.add_row(f"ratio ({others})", f"{denoisers['ratio']:.1f}x")
    Console(width=max(CONSOLE.width, 120)).print(table)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--decisions", type=int, default=ENOUGH, help="decisions to time per policy, after warm-up"
    )
    parser.add_argument("--execute", type=int, default=8, help="control steps per decision")
    parser.add_argument("--chunks", type=int, default=20, help="chunks to draw with each denoiser")
    parser.add_argument("--threads", type=int, default=2, help="torch's threads")
    parser.add_argument("--task", default="pick", help="of the episodes that the agent looks at")
    parser.add_argument("--scene", default="distract")
    parser.add_argument("--episodes", type=int, default=2, help="of a scripted expert, to look at")
    parser.add_argument(
        "--checkpoint",
        nargs="+",
        default=[],
        help="policies and a mask head, by path or shipped name",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder under which results are written"
    )
    options = parser.parse_args(arguments)
    counts = {
        name: getattr(options, name)
        for name in ("decisions", "execute", "chunks", "threads", "episodes")
    }
    if low := [f"--{name} {value}" for name, value in counts.items() if value < 1]:
        raise InputError(f"got {', '.join(low)}, expected at least 1; pass a larger number")
    check_scene(options.task, options.scene)
    return options


if __name__ == "__main__":
    main()
