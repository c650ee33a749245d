"""Denoisers: (noisy actions, diffusion time, context) -> prediction of the same shape. Small: 1 to
2 million weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from robot.policy.sizes import DENOISER_HEADS, GROUPS, check_denoiser, check_heads


class Denoiser(Protocol):
    """What sampling asks of a denoiser: all that time and context decide, then a prediction."""

    def condition(self, time: Tensor, context: Tensor) -> Tensor: ...

    def denoise(self, noisy: Tensor, condition: Tensor) -> Tensor: ...


class TimeEmbedding(nn.Module):
    """Sinusoids of the diffusion time in [0, 1], then a small MLP."""

    frequencies: Tensor

    def __init__(self, *, dim: int):
        super().__init__()
        self.register_buffer(
            "frequencies",
            1000.0 * torch.exp(torch.linspace(0, -math.log(1e4), dim // 2)),
            persistent=False,
        )
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, time: Float[Tensor, " b"]) -> Float[Tensor, "b d"]:
        angle = time[:, None] * self.frequencies
        return self.mlp(torch.cat([angle.sin(), angle.cos()], dim=-1))


class AdaptiveBlock(nn.Module):
    """Pre-norm transformer block whose norms are scaled, shifted and gated by the condition (DiT,
    Peebles and Xie 2023).
    """

    def __init__(self, *, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.merge = nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.SiLU(), nn.Linear(4 * dim, dim))

    def forward(
        self, x: Float[Tensor, "b t d"], modulation: Sequence[Float[Tensor, "b 1 d"]]
    ) -> Float[Tensor, "b t d"]:
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = modulation
        x = torch.addcmul(x, gate_a, self.attend(modulate(x, shift_a, scale_a)))
        return torch.addcmul(x, gate_m, self.mlp(modulate(x, shift_m, scale_m)))

    def attend(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        q, k, v = (
            self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        )  # each (b, heads, t, d')
        if torch.is_grad_enabled():
            # Written out: on a CPU the fused kernel's bf16 backward pass is ten times slower for
            # sequences as short as a chunk, and softmax is twice as slow in bf16 as in float32.
            score = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
            attended = score.float().softmax(-1).to(v.dtype) @ v
        else:
            attended = F.scaled_dot_product_attention(q, k, v)
        return self.merge(attended.transpose(1, 2).flatten(2))


def modulate(
    x: Float[Tensor, "b t d"], shift: Float[Tensor, "b 1 d"], scale: Float[Tensor, "b 1 d"]
) -> Float[Tensor, "b t d"]:
    """Normalise over the last axis, then apply the condition's affine map."""
    if len(shift) == 1 and x.dtype == shift.dtype == scale.dtype:  # one kernel instead of two
        return F.layer_norm(x, x.shape[-1:], weight=scale.flatten(), bias=shift.flatten())
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:]), scale)


class AdaptiveTransformer(nn.Module):
    """Blocks and output layer over one token per action, all modulated by one condition vector (b,
    dim).
    """

    scales: Tensor

    def __init__(self, *, action_dim: int, dim: int, depth: int, heads: int):
        super().__init__()
        check_heads(dim, heads)
        self.blocks = nn.ModuleList(AdaptiveBlock(dim=dim, heads=heads) for _ in range(depth))
        self.modulation = nn.Linear(dim, (6 * depth + 2) * dim)  # of all layers in one product
        self.head = nn.Linear(dim, action_dim)
        # rows of the modulation: (shift, scale, gate) of attention and MLP per block, then (shift,
        # scale) of the head; scales are learned as differences from 1
        scales = torch.tensor([0.0, 1.0, 0.0] * (2 * depth) + [0.0, 1.0])
        self.register_buffer("scales", scales[:, None], persistent=False)
        for layer in (self.modulation, self.head):  # every block starts as the identity
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def modulations(self, condition: Float[Tensor, "b d"]) -> Float[Tensor, "b m d"]:
        """Return shifts, scales and gates of all layers: they depend on the condition alone."""
        rows = self.modulation(F.silu(condition)).unflatten(-1, (len(self.scales), -1))
        return rows + self.scales.to(rows.dtype)

    def forward(
        self, x: Float[Tensor, "b t d"], modulations: Float[Tensor, "b m d"]
    ) -> Float[Tensor, "b t a"]:
        rows = modulations.unsqueeze(2).unbind(1)  # each (b, 1, d)
        for i, block in enumerate(self.blocks):
            x = block(x, rows[6 * i : 6 * i + 6])
        return self.head(modulate(x, rows[-2], rows[-1]))


class TransformerDenoiser(nn.Module):
    """Self-attention over the chunk; time and context enter through adaptive layer norms."""

    def __init__(
        self,
        *,
        action_dim: int,
        context_dim: int,
        horizon: int,
        dim: int,
        depth: int,
        heads: int = DENOISER_HEADS,
    ):
        super().__init__()
        self.embed = nn.Linear(action_dim, dim)
        self.position = nn.Parameter(0.02 * torch.randn(horizon, dim))
        self.time = TimeEmbedding(dim=dim)
        self.context = nn.Linear(context_dim, dim)
        self.transformer = AdaptiveTransformer(
            action_dim=action_dim, dim=dim, depth=depth, heads=heads
        )

    def forward(
        self,
        noisy: Float[Tensor, "b t a"],
        time: Float[Tensor, " b"],
        context: Float[Tensor, "b c"],
    ) -> Float[Tensor, "b t a"]:
        return self.denoise(noisy, self.condition(time, context))

    def condition(
        self, time: Float[Tensor, " b"], context: Float[Tensor, "b c"]
    ) -> Float[Tensor, "b m d"]:
        """Return all that time and context decide, so that sampling asks for every step at once."""
        return self.transformer.modulations(self.time(time) + self.context(context))

    def denoise(
        self, noisy: Float[Tensor, "b t a"], condition: Float[Tensor, "b m d"]
    ) -> Float[Tensor, "b t a"]:
        """Return the prediction under a `condition`."""
        return self.transformer(self.embed(noisy) + self.position, condition)


class ConditionedBlock(nn.Module):
    """Two temporal convolutions with FiLM between them and a skip connection (Diffusion Policy, Chi
    et al. 2023).
    """

    def __init__(self, *, in_channels: int, channels: int, condition_dim: int):
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv1d(in_channels, channels, 3, padding=1),
            nn.GroupNorm(GROUPS, channels),
            nn.SiLU(),
        )
        self.film = nn.Linear(condition_dim, 2 * channels)
        self.second = nn.Sequential(
            nn.Conv1d(channels, channels, 3, padding=1), nn.GroupNorm(GROUPS, channels), nn.SiLU()
        )
        self.skip = (
            nn.Conv1d(in_channels, channels, 1) if in_channels != channels else nn.Identity()
        )

    def forward(
        self, x: Float[Tensor, "b i t"], condition: Float[Tensor, "b c"]
    ) -> Float[Tensor, "b o t"]:
        scale, shift = self.film(condition)[..., None].chunk(2, dim=1)
        return self.second(torch.addcmul(shift, self.first(x), 1 + scale)) + self.skip(x)


class UnetDenoiser(nn.Module):
    """1-D U-Net over time: `depth` levels, twice the channels and half the steps at each."""

    def __init__(self, *, action_dim: int, context_dim: int, horizon: int, dim: int, depth: int):
        super().__init__()
        widths = [dim * 2**i for i in range(depth)]
        self.time = TimeEmbedding(dim=dim)
        condition_dim = dim + context_dim

        def block(i, o):
            return ConditionedBlock(in_channels=i, channels=o, condition_dim=condition_dim)

        self.down = nn.ModuleList(
            block(i, o) for i, o in zip([action_dim, *widths], widths, strict=False)
        )
        self.shrink = nn.ModuleList(nn.Conv1d(w, w, 3, stride=2, padding=1) for w in widths[:-1])
        self.middle = block(widths[-1], widths[-1])
        self.grow = nn.ModuleList(
            nn.ConvTranspose1d(w, w // 2, 4, stride=2, padding=1) for w in reversed(widths[1:])
        )
        self.up = nn.ModuleList(block(2 * w, w) for w in reversed(widths[:-1]))
        self.head = nn.Conv1d(dim, action_dim, 1)

    def forward(
        self,
        noisy: Float[Tensor, "b t a"],
        time: Float[Tensor, " b"],
        context: Float[Tensor, "b c"],
    ) -> Float[Tensor, "b t a"]:
        return self.denoise(noisy, self.condition(time, context))

    def condition(
        self, time: Float[Tensor, " b"], context: Float[Tensor, "b c"]
    ) -> Float[Tensor, "b d"]:
        """Return all that time and context decide, so that sampling asks for every step at once."""
        return F.silu(torch.cat([self.time(time), context], dim=-1))

    def denoise(
        self, noisy: Float[Tensor, "b t a"], condition: Float[Tensor, "b d"]
    ) -> Float[Tensor, "b t a"]:
        """Return the prediction under a `condition`."""
        x = self.down[0](noisy.transpose(1, 2), condition)
        skips = []
        for shrink, down in zip(self.shrink, list(self.down)[1:], strict=True):
            skips.append(x)
            x = down(shrink(x), condition)
        x = self.middle(x, condition)
        for grow, up in zip(self.grow, self.up, strict=True):
            x = up(torch.cat([grow(x), skips.pop()], dim=1), condition)
        return self.head(x).transpose(1, 2)


DENOISERS = {"transformer": TransformerDenoiser, "unet": UnetDenoiser}


def make_denoiser(
    name: str, *, action_dim: int, context_dim: int, horizon: int, dim: int, depth: int
) -> TransformerDenoiser | UnetDenoiser:
    """Build a denoiser by name: "transformer" (depth counts blocks) or "unet" (depth counts
    levels).
    """
    check_denoiser(name, horizon=horizon, dim=dim, depth=depth)
    return DENOISERS[name](
        action_dim=action_dim, context_dim=context_dim, horizon=horizon, dim=dim, depth=depth
    )


def conditions(
    denoiser: Denoiser,
    times: Float[Tensor, " s"],
    context: Float[Tensor, "b c"],
) -> Sequence[Tensor]:
    """Return the condition of every time in `times`, each of the whole batch, computed at once."""
    batch = len(context)
    return denoiser.condition(times.repeat_interleave(batch), context.repeat(len(times), 1)).split(
        batch
    )
