"""The peer: Diffusion Policy's denoiser as published, as it runs on a real robot, and its time
beside our default one's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from benchmarks.timing import percentiles, timed
from robot.batch import COMPOSITE_CHANNELS, LANGUAGE_DIM, LanguageTokens, PolicyObservation
from robot.policy import DiffusionPolicy
from robot.policy.normalize import unit_statistics

# Diffusion Policy on a real robot: two looks of two cameras, 64 features each, with proprioception;
# 16 DDIM steps. (train_diffusion_unet_real_hybrid_workspace.yaml and eval_real_robot.py;
# proprioception is as wide as ours here)
ACTION_DIM, PROPRIO_DIM = 7, 10  # of the arm that the demonstrations are of
PEER_CONTEXT = 2 * (2 * 64 + PROPRIO_DIM)
PEER_STEPS = 16
UNIT = unit_statistics(action=ACTION_DIM, proprio=PROPRIO_DIM)
HORIZON = 16  # actions per chunk, theirs and ours
WARM_UP = 5  # chunks of each


class PeerBlock(nn.Module):
    """Two convolutions, FiLM of the condition between them, a skip connection."""

    def __init__(self, *, inputs: int, outputs: int, condition: int, kernel: int, groups: int):
        super().__init__()
        self.first = _convolution(inputs, outputs, kernel=kernel, groups=groups)
        self.second = _convolution(outputs, outputs, kernel=kernel, groups=groups)
        self.film = nn.Sequential(nn.Mish(), nn.Linear(condition, 2 * outputs))
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(
        self, x: Float[Tensor, "b i t"], condition: Float[Tensor, "b c"]
    ) -> Float[Tensor, "b o t"]:
        scale, shift = self.film(condition)[..., None].chunk(2, dim=1)
        return self.second(scale * self.first(x) + shift) + self.skip(x)


def _convolution(inputs: int, outputs: int, *, kernel: int, groups: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2),
        nn.GroupNorm(groups, outputs),
        nn.Mish(),
    )


class PeerUnet(nn.Module):
    """The conditional 1-D U-Net of Diffusion Policy (Chi et al. 2023), written anew; called as
    those of robot.policy.denoiser.

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
        self.frequencies = torch.exp(
            -math.log(1e4) * torch.arange(step_dim // 2) / (step_dim // 2 - 1)
        )
        self.step = nn.Sequential(
            nn.Linear(step_dim, 4 * step_dim), nn.Mish(), nn.Linear(4 * step_dim, step_dim)
        )
        condition = step_dim + context

        def pair(inputs: int, outputs: int) -> nn.ModuleList:
            sizes = {"condition": condition, "kernel": kernel, "groups": groups}
            return nn.ModuleList(
                PeerBlock(inputs=i, outputs=outputs, **sizes) for i in (inputs, outputs)
            )

        self.down = nn.ModuleList(
            pair(i, o) for i, o in zip((ACTION_DIM, *widths), widths, strict=False)
        )
        self.shrink = nn.ModuleList(nn.Conv1d(w, w, 3, stride=2, padding=1) for w in widths[:-1])
        self.middle = pair(widths[-1], widths[-1])
        narrower = list(zip(widths[:0:-1], widths[-2::-1], strict=True))  # (1024, 512), (512, 256)
        self.up = nn.ModuleList(pair(2 * wide, narrow) for wide, narrow in narrower)
        self.grow = nn.ModuleList(
            nn.ConvTranspose1d(narrow, narrow, 4, stride=2, padding=1) for _, narrow in narrower
        )
        self.last = nn.Sequential(
            _convolution(widths[0], widths[0], kernel=kernel, groups=groups),
            nn.Conv1d(widths[0], ACTION_DIM, 1),
        )

    def forward(
        self,
        noisy: Float[Tensor, "b t 7"],
        time: Float[Tensor, " b"],
        context: Float[Tensor, "b c"],
    ) -> Float[Tensor, "b t 7"]:
        return self.denoise(noisy, self.condition(time, context))

    def condition(
        self, time: Float[Tensor, " b"], context: Float[Tensor, "b c"]
    ) -> Float[Tensor, "b d"]:
        angle = 100 * time[:, None] * self.frequencies  # the training step, 0 .. 99
        return torch.cat(
            [self.step(torch.cat([angle.sin(), angle.cos()], dim=-1)), context], dim=-1
        )

    def denoise(
        self, noisy: Float[Tensor, "b t 7"], condition: Float[Tensor, "b d"]
    ) -> Float[Tensor, "b t 7"]:
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


def chunk_sampler(
    denoiser: nn.Module, *, context: int, steps: int, prediction: str
) -> Callable[[], Tensor]:
    """Return what draws one chunk of actions with our DDIM sampler and any denoiser, the images
    encoded already.
    """
    policy = DiffusionPolicy(
        statistics=UNIT, sample_steps=steps, prediction=prediction, horizon=HORIZON
    )
    policy.encoder, policy.denoiser = Known(context), denoiser  # type: ignore[assignment]
    unseen = PolicyObservation(
        images=torch.zeros(1, 1, COMPOSITE_CHANNELS, 1, 1),
        proprio=torch.zeros(1, PROPRIO_DIM),
        language=LanguageTokens(
            tokens=torch.zeros(1, 1, LANGUAGE_DIM), valid=torch.ones(1, 1, dtype=torch.bool)
        ),
    )
    policy.eval()
    return lambda: policy.sample(unseen)


def compare_denoisers(*, chunks: int, console: Console) -> dict[str, Any]:
    """Return milliseconds per chunk of Diffusion Policy's denoiser and of our default one, and
    their ratio.

    They draw in turns, so that both meet the same load; ours then finds cold caches, which is to
    its disadvantage.
    """
    peer, default = PeerUnet(), DiffusionPolicy(statistics=UNIT, horizon=HORIZON)
    steps = {"peer": PEER_STEPS, "ours": len(default.sample_times)}
    modules = {"peer": peer, "ours": default.denoiser}
    draws = (
        chunk_sampler(peer, context=PEER_CONTEXT, steps=PEER_STEPS, prediction="epsilon"),
        chunk_sampler(
            default.denoiser,
            context=default.encoder.out_dim,
            steps=steps["ours"],
            prediction=default.prediction,
        ),
    )
    rounds = track(
        range(WARM_UP + chunks), description="denoisers", console=console, transient=True
    )
    seconds = np.array([[timed(draw) for draw in draws] for _ in rounds])[
        WARM_UP:
    ]  # (chunks, peer and ours, wall and CPU)
    (peer_s, peer_cpu_s), (ours_s, ours_cpu_s) = np.median(seconds, axis=0)
    return {
        "ratio": peer_s / ours_s,
        "cpu_ratio": peer_cpu_s / ours_cpu_s,
        "ratio_per_step": peer_s / steps["peer"] / (ours_s / steps["ours"]),
        **{
            name: {
                "weights": weights(modules[name]),
                "steps": steps[name],
                **percentiles(1e3 * seconds[:, i, 0]),
            }
            for i, name in enumerate(modules)
        },
    }


def weights(module: nn.Module) -> int:
    """Return how many there are."""
    return sum(p.numel() for p in module.parameters())
