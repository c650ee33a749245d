"""Teach the encoder of a policy where the objects of a goal are, on mask frames, before it sees a
demonstration.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robot.batch import MaskBatch
from robot.checkpoint import load, save
from robot.data.mask_frames import MaskFrameStore
from robot.data.mask_shards import split_shards
from robot.language import LanguageEncoder
from robot.perception.compose.masking import Channel, compose, mask_from_labels
from robot.policy.attention import watched
from robot.policy.conditioning import LanguagePool
from robot.policy.config import EncoderConfig
from robot.policy.grounding import ROLES, grounding_loss, whole
from robot.policy.registry import Policy
from robot.policy.vision import VisionEncoder
from robot.system.progress import Announce, silent
from robot.train.loop import Log, train_seeded
from robot.train.mask_head import mask_batches
from robot.train.options import Training

KIND = "grounded_encoder"


@dataclass(frozen=True, kw_only=True)
class EncoderTraining:
    """All that an encoder depends on, but for its mask frames: it learns from as many `shards` as a
    mask head, less the held-out ones, `batch_size` frames at a time.
    """

    shards: int
    encoder: EncoderConfig
    training: Training
    batch_size: int
    seed: int


class GroundedEncoder(nn.Module):
    """What of a policy's encoder says where the objects of a goal are: its cameras and its
    words.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.language, self.vision = LanguagePool(dim=config.dim), VisionEncoder(config)

    def loss(
        self, batch: MaskBatch, generator: torch.Generator | None = None
    ) -> Float[Tensor, " l"]:
        """Return the loss of the keypoints in each look of a batch of whole looks."""
        cameras = self.config.cameras
        composites = compose(
            batch.frames,
            mask_from_labels(batch.labels),
            deployment=Channel(),
            size=self.config.image_size,
        ).unflatten(0, (-1, cameras))  # (l, n, 6, h, w)
        looks = torch.arange(0, len(batch.frames), cameras, device=batch.frames.device)
        with watched(self.vision) as scores:
            self.vision(whole(composites), self.language(batch.language[looks]))
        return grounding_loss(scores, composites[:, :, ROLES])


def train_encoder(
    options: EncoderTraining,
    *,
    frames: Path,
    directory: Path,
    log: Log | None = None,
    announce: Announce = silent,
) -> Path:
    """Train an encoder on the mask frames in `frames`; return its checkpoint in `directory`.
    Resumes; done is done.
    """
    file = directory / "model.safetensors"
    if file.is_file():
        return file
    announce("reading mask frames")
    learned, _ = split_shards(options.shards)
    torch.manual_seed(options.seed)
    module = GroundedEncoder(options.encoder)
    batches = mask_batches(
        MaskFrameStore(frames).load(shards=learned),
        language=LanguageEncoder(),
        cameras=options.encoder.cameras,
        batch_size=options.batch_size,
        seed=options.seed,
    )
    average = train_seeded(
        module, batches, options.training, directory=directory, seed=options.seed, log=log
    )
    return save(directory, average.cpu(), kind=KIND, config=options.encoder.to_json())


def start_with(policy: Policy, encoder: Path) -> None:
    """Give a policy the cameras and words of the encoder in a checkpoint."""
    learned = load(encoder, {KIND: _rebuilt})
    assert isinstance(learned, GroundedEncoder)
    policy.encoder.language.load_state_dict(learned.language.state_dict())
    policy.encoder.vision.load_state_dict(learned.vision.state_dict())


def _rebuilt(**config: object) -> GroundedEncoder:
    return GroundedEncoder(EncoderConfig.of(config))
