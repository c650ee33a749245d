"""Measure what one control step of the whole agent costs on this machine's CPU, and our denoiser against Diffusion Policy's.

    python benchmarks/control_step.py [--decisions 200] [--threads 2] [--execute 8] [--chunks 20] [--checkpoint PATH ...]

The agent plans once per `execute` control steps: two 128-px frames -> mask head -> composite -> policy -> a chunk of actions.
Three times come out, each with p50 and p99, for every policy:

    decision      one plan, nothing shared out: what a step that plans has to wait for
    amortised     the mean control step of one cycle: (a decision and `execute` answers of the executor) / `execute`
    control step  every single control step: 1 of `execute` takes a decision, the others only the executor (microseconds).
                  With 8 steps, its p50 is the executor and its p99 is the 92nd percentile of the steps that plan.

`p50_ms` and `p99_ms` of results.json are the control step's; the others carry their name. `ratio` is the time of one chunk of
Diffusion Policy's published U-Net (16 DDIM steps) over that of our default denoiser, in turns, encoders of images left out.
Without checkpoints the modules are fresh ones of the default configuration: what a weight's value is changes no time.
The last line on stdout is the path of results.json.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from robot.agent import Agent
from robot.batch import COMPOSITE_CHANNELS, LANGUAGE_DIM, LanguageTokens, PolicyObservation
from robot.command import main_guard, run_directory, write_results
from robot.language import LanguageEncoder
from robot.perception.mask_head import MaskHead
from robot.perception.masking import Deployment, Overlay
from robot.perception.sources import LearnedMasks
from robot.policy import POLICIES, DiffusionPolicy
from robot.policy.chunking import ChunkExecutor
from robot.train.checkpoint import git_revision, load, read_header
from robot.train.device import has_bf16
from robot.types import ACTION_DIM, PROPRIO_DIM, Frame, Goal, InputError, Observation

CAMERAS = ("agentview", "wrist")
GOAL = Goal("put the red cup on the plate")
FRAME_SIZE = 128  # pixels
CONTROL_DT_S = 0.05
DEFAULT_POLICIES = ("diffusion", "transformer")
ENOUGH = 200  # decisions below which a p99 is the luck of one or two of them
WARM_UP = 5  # decisions, and chunks of each denoiser
# Diffusion Policy on a real robot: two looks of two cameras, 64 features each, with proprioception; 16 DDIM steps.
# (train_diffusion_unet_real_hybrid_workspace.yaml and eval_real_robot.py; proprioception is as wide as ours here)
PEER_CONTEXT = 2 * (2 * 64 + PROPRIO_DIM)
PEER_STEPS = 16
HORIZON = 16  # actions per chunk, theirs and ours
CONSOLE = Console(stderr=True)
STATISTICS = {
    "action": {"min": [-1.0] * ACTION_DIM, "max": [1.0] * ACTION_DIM},
    "proprio": {"min": [-1.0] * PROPRIO_DIM, "max": [1.0] * PROPRIO_DIM},
}


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


@main_guard
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    parts, load_before = choose_parts(options.checkpoint), os.getloadavg()[0]
    head, language = parts.pop("mask_head"), LanguageEncoder()
    policies = {name: measure_policy(part, head=head, options=options, language=language) for name, part in parts.items()}
    denoisers = compare_denoisers(chunks=options.chunks)
    machine = describe_machine(load_before=load_before)
    _print_table(policies, denoisers, machine, execute=options.execute)
    if load_before > 1:
        CONSOLE.print(
            "The machine was busy before this run: times are too long, p99 most, and so is the ratio, because the longer"
            " chunk is interrupted more often. Repeat it on a quiet machine; until then, trust the ratio of processor time.",
            style="yellow",
        )
    if options.decisions < ENOUGH:
        CONSOLE.print(f"{options.decisions} decisions are few for a p99; {ENOUGH} are the default.", style="yellow")
    of = policies["diffusion"]
    results = {
        **of["control_step"],
        "p50_ms_and_p99_ms_are": f"diffusion policy, over all control steps, of which 1 of {options.execute} decides",
        **{f"{what}_{key}": value for what in ("amortised", "decision") for key, value in of[what].items()},
        "ratio": denoisers["ratio"],
        "policies": policies,
        "mask_head": {"weights": _weights(head.module), "origin": head.origin},
        "denoisers": denoisers,
        "machine": machine,
        "git_revision": git_revision(),
        "options": vars(options),
    }
    write_results(run_directory("bench-control-step", root=options.runs), results)


def choose_parts(checkpoints: Sequence[str]) -> dict[str, Part]:
    """Return the mask head and the policies by kind: the checkpoints given, fresh ones of the default configuration else."""
    parts: dict[str, Part] = {}
    for kind, part in map(_load, checkpoints):
        if kind in parts:
            raise InputError(f"got {parts[kind].origin} and {part.origin}, both {kind}, expected one of a kind; leave one out")
        parts[kind] = part
    if "mask_head" not in parts:
        parts["mask_head"] = Part(MaskHead().eval())
    for kind in DEFAULT_POLICIES:
        if kind not in parts:
            parts[kind] = Part(POLICIES[kind](statistics=STATISTICS).eval())
    return parts


def _load(name: str) -> tuple[str, Part]:
    from robot.pipeline.loading import make_deployment, resolve_checkpoint  # here: it imports robosuite, which takes seconds

    path = resolve_checkpoint(name)
    module, header = load(path, {"mask_head": MaskHead, **POLICIES}), read_header(path)
    said = header.get("metadata", {})
    if said.get("masks") == "none":
        raise InputError(f"got {path}, a policy trained without masks, expected one that acts on masked frames; choose another")
    deployment = make_deployment(**said["deployment"]) if "deployment" in said else Overlay()
    return header["kind"], Part(module, origin=str(path), deployment=deployment)


def measure_policy(part: Part, *, head: Part, options: argparse.Namespace, language: LanguageEncoder) -> dict[str, Any]:
    """Return what an agent with this policy takes, in milliseconds."""
    policy = part.module
    if options.execute > policy.horizon:
        raise InputError(f"got --execute {options.execute}, expected at most the {policy.horizon} actions of a chunk; lower it")
    agent = Agent(
        masks=LearnedMasks(head.module, language, bfloat16=has_bf16(torch.device("cpu"))),
        deployment=part.deployment,
        policy=policy,
        language=language,
        image_size=policy.config()["image_size"],
        control_dt_s=CONTROL_DT_S,
    )
    times = drive(agent, decisions=options.decisions, execute=options.execute, seed=options.seed)
    return {
        **summarise(times),
        "sample_steps": policy.config().get("sample_steps", 1),
        "weights": _weights(policy),
        "origin": part.origin,
    }


def drive(agent: Agent, *, decisions: int, execute: int, seed: int) -> Times:
    """Run the control loop on random frames: ask the agent when the executor needs a chunk, as an episode does."""
    looks, generator = random_looks(8, seed=seed), torch.Generator().manual_seed(seed)
    executor = ChunkExecutor(execute=execute)
    steps_s, plans_ms = [], []
    for step in track(range((WARM_UP + decisions) * execute), description="control steps", console=CONSOLE, transient=True):
        look = looks[step % len(looks)]
        began_s = time.perf_counter()
        if executor.needs_chunk:
            plan = agent.plan(look, generator=generator)
            plans_ms.append((1e3 * (time.perf_counter() - began_s), plan.mask_ms, plan.policy_ms))
            executor.add(plan.chunk.actions)
        executor.next_action()
        steps_s.append(time.perf_counter() - began_s)
    steps = 1e3 * np.array(steps_s).reshape(-1, execute)
    decided, masks, policies = np.array(plans_ms)[WARM_UP:].T
    return Times(steps=steps[WARM_UP:], decisions=decided, masks=masks, policies=policies)


def random_looks(count: int, *, seed: int) -> list[Observation]:
    """Return observations of noise: what a picture shows changes no time."""
    random = np.random.default_rng(seed)

    def frame(camera: str) -> Frame:
        return Frame(camera=camera, image=random.integers(0, 256, (FRAME_SIZE, FRAME_SIZE, 3), dtype=np.uint8))

    proprio = random.uniform(-1, 1, (count, PROPRIO_DIM)).astype(np.float32)
    return [Observation(frames=tuple(map(frame, CAMERAS)), proprio=row, goal=GOAL, time_s=0.0) for row in proprio]


def summarise(times: Times) -> dict[str, dict[str, float]]:
    """Return p50 and p99 of everything that a control loop may wait for; see the top of this file for the names."""
    return {
        "control_step": percentiles(times.steps.ravel()),
        "amortised": percentiles(times.steps.mean(axis=1)),
        "decision": percentiles(times.decisions),
        "decision_masks": percentiles(times.masks),
        "decision_policy": percentiles(times.policies),
    }


def percentiles(values_ms: Float[np.ndarray, " n"]) -> dict[str, float]:
    """Return the median and the 99th percentile."""
    p50, p99 = np.percentile(values_ms, (50, 99)).tolist()
    return {"p50_ms": p50, "p99_ms": p99}


class PeerBlock(nn.Module):
    """Two convolutions, FiLM of the condition between them, a skip connection."""

    def __init__(self, *, inputs: int, outputs: int, condition: int, kernel: int, groups: int):
        super().__init__()
        self.first = _convolution(inputs, outputs, kernel=kernel, groups=groups)
        self.second = _convolution(outputs, outputs, kernel=kernel, groups=groups)
        self.film = nn.Sequential(nn.Mish(), nn.Linear(condition, 2 * outputs))
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Float[Tensor, "b i t"], condition: Float[Tensor, "b c"]) -> Float[Tensor, "b o t"]:
        scale, shift = self.film(condition)[..., None].chunk(2, dim=1)
        return self.second(scale * self.first(x) + shift) + self.skip(x)


def _convolution(inputs: int, outputs: int, *, kernel: int, groups: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2), nn.GroupNorm(groups, outputs), nn.Mish())


class PeerUnet(nn.Module):
    """The conditional 1-D U-Net of Diffusion Policy (Chi et al. 2023), written anew; called as those of robot.policy.denoiser.

    Ours has one block a level, kernel 3 and SiLU: no configuration makes it this one.
    """

    def __init__(
        self,
        *,
        context: int = PEER_CONTEXT,
        widths: Sequence[int] = (256, 512, 1024),
        kernel: int = 5,
        groups: int = 8,
        step_dim: int = 128,
    ):
        super().__init__()
        self.frequencies = torch.exp(-math.log(1e4) * torch.arange(step_dim // 2) / (step_dim // 2 - 1))
        self.step = nn.Sequential(nn.Linear(step_dim, 4 * step_dim), nn.Mish(), nn.Linear(4 * step_dim, step_dim))
        condition = step_dim + context

        def pair(inputs: int, outputs: int) -> nn.ModuleList:
            sizes = {"condition": condition, "kernel": kernel, "groups": groups}
            return nn.ModuleList(PeerBlock(inputs=i, outputs=outputs, **sizes) for i in (inputs, outputs))

        self.down = nn.ModuleList(pair(i, o) for i, o in zip((ACTION_DIM, *widths), widths, strict=False))
        self.shrink = nn.ModuleList(nn.Conv1d(w, w, 3, stride=2, padding=1) for w in widths[:-1])
        self.middle = pair(widths[-1], widths[-1])
        narrower = list(zip(widths[:0:-1], widths[-2::-1], strict=True))  # (1024, 512), (512, 256)
        self.up = nn.ModuleList(pair(2 * wide, narrow) for wide, narrow in narrower)
        self.grow = nn.ModuleList(nn.ConvTranspose1d(narrow, narrow, 4, stride=2, padding=1) for _, narrow in narrower)
        self.last = nn.Sequential(
            _convolution(widths[0], widths[0], kernel=kernel, groups=groups), nn.Conv1d(widths[0], ACTION_DIM, 1)
        )

    def forward(
        self, noisy: Float[Tensor, "b t 7"], time: Float[Tensor, " b"], context: Float[Tensor, "b c"]
    ) -> Float[Tensor, "b t 7"]:
        angle = 100 * time[:, None] * self.frequencies  # the training step, 0 .. 99
        condition = torch.cat([self.step(torch.cat([angle.sin(), angle.cos()], dim=-1)), context], dim=-1)

        def through(blocks: Any, x: Tensor) -> Tensor:
            for block in blocks:
                x = block(x, condition)
            return x

        x, skips = noisy.transpose(1, 2), []
        for level, blocks in enumerate(self.down):
            x = through(blocks, x)
            skips.append(x)  # the coarsest too: the way up starts by joining the middle with it
            x = self.shrink[level](x) if level < len(self.shrink) else x
        x = through(self.middle, x)
        for blocks, grow in zip(self.up, self.grow, strict=True):
            x = grow(through(blocks, torch.cat([x, skips.pop()], dim=1)))
        return self.last(x).transpose(1, 2)


class Known(nn.Module):
    """In place of an observation encoder: a context that is known already."""

    def __init__(self, width: int):
        super().__init__()
        self.context = nn.Parameter(torch.randn(1, width))

    def forward(self, observation: PolicyObservation) -> Float[Tensor, "1 c"]:
        del observation
        return self.context


def chunk_sampler(denoiser: nn.Module, *, context: int, steps: int, prediction: str) -> Callable[[], Tensor]:
    """Return what draws one chunk of actions with our DDIM sampler and any denoiser, the images encoded already."""
    policy = DiffusionPolicy(statistics=STATISTICS, sample_steps=steps, prediction=prediction, horizon=HORIZON)
    policy.encoder, policy.denoiser = Known(context), denoiser  # type: ignore[assignment]
    unseen = PolicyObservation(
        images=torch.zeros(1, 1, COMPOSITE_CHANNELS, 1, 1),
        proprio=torch.zeros(1, PROPRIO_DIM),
        language=LanguageTokens(tokens=torch.zeros(1, 1, LANGUAGE_DIM), valid=torch.ones(1, 1, dtype=torch.bool)),
    )
    policy.eval()
    return lambda: policy.sample(unseen)


def compare_denoisers(*, chunks: int) -> dict[str, Any]:
    """Return milliseconds per chunk of Diffusion Policy's denoiser and of our default one, and their ratio.

    They draw in turns, so that both meet the same load; ours then finds cold caches, which is to its disadvantage.
    """
    peer, default = PeerUnet(), DiffusionPolicy(statistics=STATISTICS, horizon=HORIZON)
    steps = {"peer": PEER_STEPS, "ours": len(default.timesteps)}
    modules = {"peer": peer, "ours": default.denoiser}
    draws = (
        chunk_sampler(peer, context=PEER_CONTEXT, steps=PEER_STEPS, prediction="epsilon"),
        chunk_sampler(default.denoiser, context=default.encoder.out_dim, steps=steps["ours"], prediction=default.prediction),
    )
    rounds = track(range(WARM_UP + chunks), description="denoisers", console=CONSOLE, transient=True)
    seconds = np.array([[_timed(draw) for draw in draws] for _ in rounds])[WARM_UP:]  # (chunks, peer and ours, wall and CPU)
    (peer_s, peer_cpu_s), (ours_s, ours_cpu_s) = np.median(seconds, axis=0)
    return {
        "ratio": peer_s / ours_s,
        "cpu_ratio": peer_cpu_s / ours_cpu_s,
        "ratio_per_step": peer_s / steps["peer"] / (ours_s / steps["ours"]),
        **{
            name: {"weights": _weights(modules[name]), "steps": steps[name], **percentiles(1e3 * seconds[:, i, 0])}
            for i, name in enumerate(modules)
        },
    }


@torch.inference_mode()
def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall and processor seconds."""
    wall_s, processor_s = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall_s, time.process_time() - processor_s


def describe_machine(*, load_before: float) -> dict[str, Any]:
    """Return what the times depend on besides the code."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average_before": load_before,
        "load_average_after": os.getloadavg()[0],
        "niceness": os.nice(0),
        "mask_head_precision": "bf16" if has_bf16(torch.device("cpu")) else "fp32",
        "torch": torch.__version__,
    }


def _weights(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _print_table(
    policies: Mapping[str, Any], denoisers: Mapping[str, Any], machine: Mapping[str, Any], *, execute: int
) -> None:
    load = f"load {machine['load_average_before']:.1f} before, {machine['load_average_after']:.1f} after"
    table = Table(title=f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, {load}")
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
        steps = f"DDIM-{result['sample_steps']}" if name == "diffusion" else f"{result['sample_steps']} step(s)"
        table.add_row(f"{name}, {steps}, {result['weights'] / 1e6:.2f}M weights, {result['origin']}", style="bold")
        for what, label in labels.items():
            table.add_row(label, *(f"{value:.3f}" for value in result[what].values()))
        table.add_section()
    for name, label in (("peer", "chunk by Diffusion Policy's U-Net"), ("ours", "chunk by our default denoiser")):
        of = denoisers[name]
        size = f"{of['weights'] / 1e6:.1f}M weights, DDIM-{of['steps']}"
        table.add_row(f"{label}, {size}", f"{of['p50_ms']:.1f}", f"{of['p99_ms']:.1f}")
    others = f"of processor time {denoisers['cpu_ratio']:.1f}x, of one denoising step {denoisers['ratio_per_step']:.1f}x"
    table.add_row(f"ratio ({others})", f"{denoisers['ratio']:.1f}x")
    Console(width=max(CONSOLE.width, 120)).print(table)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=ENOUGH, help="decisions to time per policy, after warm-up")
    parser.add_argument("--execute", type=int, default=8, help="control steps per decision")
    parser.add_argument("--chunks", type=int, default=20, help="chunks to draw with each denoiser")
    parser.add_argument("--threads", type=int, default=2, help="torch's threads")
    parser.add_argument("--checkpoint", nargs="+", default=[], help="policies and a mask head, by path or shipped name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder under which results are written")
    options = parser.parse_args(arguments)
    counts = {name: getattr(options, name) for name in ("decisions", "execute", "chunks", "threads")}
    if low := [f"--{name} {value}" for name, value in counts.items() if value < 1]:
        raise InputError(f"got {', '.join(low)}, expected at least 1; pass a larger number")
    return options


if __name__ == "__main__":
    main()
