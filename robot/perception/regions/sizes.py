"""Sizes of the network that reads regions, checked without torch."""

from __future__ import annotations

from robot.errors import InputError
from robot.system.parse import Count, options

STRIDES = (2, 4, 8, 16)  # of the levels of its pyramid


@options
class ReaderSizes:
    """configs/region_reader/. Tokens are pooled from the levels of `strides`: all, or fewer to see
    what several are worth.
    """

    widths: tuple[Count, Count, Count, Count] = (24, 48, 96, 128)  # channels, by level
    blocks: tuple[Count, Count, Count] = (1, 1, 1)  # of all levels but the finest
    strides: tuple[Count, ...] = STRIDES
    channels: Count = 48  # of every level after fusion
    dim: Count = 128  # of a region's token
    heads: Count = 4
    depth: Count = 2  # blocks in which tokens look at the frame
    word_dim: Count = 64
    queries: Count = 3  # that a phrase is compared with a token by

    def __post_init__(self) -> None:
        if unknown := set(self.strides) - set(STRIDES):
            raise InputError(
                f"got region_reader.strides with {min(unknown)}, expected some of "
                f"{', '.join(map(str, STRIDES))}; correct them"
            )
        if self.dim % self.heads:
            raise InputError(
                f"got region_reader.dim={self.dim} and heads={self.heads}, expected a dim that the "
                "number of heads divides; change one of the two"
            )
