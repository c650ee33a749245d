"""Composites to features by a transformer over patches: a patch that the mask rejects never enters
it.

The CNN computes on grey fill as long as on objects; here masking makes the policy faster, because
at inference (a batch of one) the sequence is as long as the mask is large. In a batch, sequences
are padded to the longest, and padding is no key of any attention. As the vision transformer
(Dosovitskiy et al. 2021), its patches dropped by relevance instead of by chance.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from robot.policy.attention import KeypointAttention
from robot.policy.config import HEADS, PATCH, EncoderConfig
from robot.types import InputError

COVERAGE = 3  # channel from which on a composite holds the coverage of the roles


class TokenBlock(nn.Module):
    """Pre-norm transformer block; `valid` says which tokens may be attended to."""

    def __init__(self, *, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.qkv = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def forward(
        self, x: Float[Tensor, "b t d"], valid: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b t d"]:
        x = x + self.attend(self.norms[0](x), valid)
        return x + self.mlp(self.norms[1](x))

    def attend(
        self, x: Float[Tensor, "b t d"], valid: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b t d"]:
        q, k, v = (
            self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        )  # each (b, heads, t, d')
        if not torch.is_grad_enabled():
            attended = F.scaled_dot_product_attention(q, k, v, attn_mask=valid[:, None, None])
            return self.merge(attended.transpose(1, 2).flatten(2))
        ban = torch.zeros(valid.shape, dtype=q.dtype, device=q.device).masked_fill(
            ~valid, -torch.inf
        )[:, None, None]
        ban = ban.expand(-1, self.heads, q.shape[2], -1).flatten(0, 1)
        # One product that scales and masks; a CPU's fused kernel takes more than twice the time in
        # the bf16 backward pass.
        score = torch.baddbmm(
            ban, q.flatten(0, 1), k.flatten(0, 1).transpose(1, 2), alpha=q.shape[-1] ** -0.5
        )
        return self.merge(
            (score.softmax(-1).to(v.dtype).unflatten(0, (-1, self.heads)) @ v)
            .transpose(1, 2)
            .flatten(2)
        )


class TokenEncoder(nn.Module):
    """Encode one camera from the patches whose mean coverage is above `threshold`, to
    `config.features` features.

    As CameraEncoder gives them: expected image coordinates in [-1, 1] of learned keypoints (over
    the kept patches), and one vector, here that of the goal's token, which has seen them all. The
    coordinates are zero where no patch is kept.
    """

    grid: Tensor

    def __init__(self, config: EncoderConfig, *, threshold: float = 0.0):
        super().__init__()
        if not 0 <= threshold < 1:
            raise InputError(f"got threshold {threshold}, expected a coverage in [0, 1): use 0")
        width, side = config.width, config.image_size // PATCH
        self.in_channels, self.threshold = config.in_channels, threshold
        self.embed = nn.Linear(config.in_channels * PATCH**2, width)
        self.position = nn.Parameter(0.02 * torch.randn(side**2, width))
        self.goal = nn.Linear(config.dim, width)
        self.blocks = nn.ModuleList(
            TokenBlock(width=width, heads=HEADS) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width, config.keypoints)
        self.attention = KeypointAttention()
        axis = torch.linspace(-1.0, 1.0, side)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        self.register_buffer(
            "grid", torch.stack([x.flatten(), y.flatten()], dim=-1), persistent=False
        )

    def forward(
        self, image: Float[Tensor, "b 6 h w"], goal: Float[Tensor, "b g"]
    ) -> Float[Tensor, "b f"]:
        places, valid = kept_places(kept_patches(image, threshold=self.threshold))
        patches = fold_patches(image[:, : self.in_channels]).flatten(1, 2)  # (b, p, 16 c)
        chosen = patches.gather(
            1, places[..., None].expand(-1, -1, patches.shape[-1])
        )  # before any weight is applied
        return self.encode(chosen, places, valid, goal)

    def encode(
        self,
        patches: Float[Tensor, "b t v"],
        places: Int[Tensor, "b t"],
        valid: Bool[Tensor, "b t"],
        goal: Float[Tensor, "b g"],
    ) -> Float[Tensor, "b f"]:
        """Encode patches (their values) that lie at `places` of the row-major grid; those not
        `valid` are padding.
        """
        x = torch.cat(
            [self.goal(goal)[:, None], self.embed(patches) + self.position[places]], dim=1
        )
        seen = F.pad(valid, (1, 0), value=True)  # the goal's token is always there
        for block in self.blocks:
            x = block(x, seen)
        x = self.norm(x)
        score = (
            self.score(x[:, 1:])
            .float()
            .masked_fill(~valid[..., None], torch.finfo(torch.float32).min)
        )  # (b, t, k)
        attention = self.attention(score.transpose(1, 2))  # (b, k, t)
        points = attention @ (self.grid[places] * valid[..., None])
        return torch.cat([points.flatten(1), x[:, 0].float()], dim=-1)


def fold_patches(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b y x v"]:
    """Return the values of every patch side by side, from [0, 1] to [-1, 1]; v = c * PATCH ** 2.

    As F.pixel_unshuffle orders them, but with channels last and in one copy instead of three.
    """
    columns = image.unflatten(3, (-1, PATCH)).unflatten(2, (-1, PATCH))  # (b, c, y, 4, x, 4)
    copied = columns.permute(0, 2, 4, 1, 3, 5).clone(memory_format=torch.contiguous_format)
    return copied.flatten(3).mul_(2).sub_(1)


def kept_patches(image: Float[Tensor, "b 6 h w"], *, threshold: float) -> Bool[Tensor, "b p"]:
    """Say which patches of a composite the mask keeps: those whose mean coverage, over all roles,
    is above `threshold`.
    """
    covered = image[:, COVERAGE:].sum(dim=1, keepdim=True).clamp(max=1)
    return F.avg_pool2d(covered, PATCH).flatten(1) > threshold


def kept_places(kept: Bool[Tensor, "b p"]) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
    """Return the places of the kept patches, in order, padded to the batch's largest count; and
    which of them are no padding.

    There is one place at least, so that a batch in which nothing is kept has a shape.
    """
    longest = max(1, int(kept.sum(dim=1).max()))
    places = kept.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :longest]
    return places, kept.gather(1, places)
