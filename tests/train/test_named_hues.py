"""Looks in other hues: what changes, what stays, and that no odd colour tells what is meant."""

from __future__ import annotations

import numpy as np
import torch

from robot.batch import MaskBatch
from robot.language import LanguageEncoder
from robot.train.named_hues import looks_in_other_hues
from robot.types import Label

LOOKS, CAMERAS, SIDE = 40, 2, 8


def looks() -> MaskBatch:
    """Return looks of one colour whose target and destination take a quarter each."""
    count = LOOKS * CAMERAS
    labels = torch.zeros(count, SIDE, SIDE, dtype=torch.uint8)
    labels[:, :4, :4], labels[:, 4:, 4:] = Label.TARGET.value, Label.DESTINATION.value
    colour = torch.tensor([200, 60, 30], dtype=torch.uint8)
    return MaskBatch(
        frames=colour[None, :, None, None].expand(count, 3, SIDE, SIDE),
        language=LanguageEncoder.hashed().encode(["put the soup in the basket"] * count),
        labels=labels,
        presence=torch.ones(count, 2),
    )


def changed(share: float) -> tuple[MaskBatch, torch.Tensor]:
    """Return the looks in other hues, and which of their pixels have changed (look, camera, h,
    w).
    """
    before = looks()
    after = looks_in_other_hues(before, cameras=CAMERAS, share=share, rng=np.random.default_rng(0))
    pixels = (after.frames != before.frames).any(dim=1)
    return after, pixels.unflatten(0, (LOOKS, CAMERAS))


def test_either_what_is_named_or_all_else_gets_another_hue_in_all_cameras():
    after, pixels = changed(1.0)
    named = looks().labels[0] > 0
    of_named = [bool((look == named).all()) for look in pixels]
    of_others = [bool((look == ~named).all()) for look in pixels]
    assert all(a != b for a, b in zip(of_named, of_others, strict=True))
    assert 5 < sum(of_named) < LOOKS - 5
    first, second = after.frames.unflatten(0, (LOOKS, CAMERAS)).unbind(dim=1)
    assert first.equal(second)
    assert after.labels.equal(looks().labels) and after.presence.equal(looks().presence)


def test_target_and_destination_have_each_their_own_hue():
    after, pixels = changed(1.0)
    frames = after.frames.unflatten(0, (LOOKS, CAMERAS))[:, 0]
    of_named = pixels[:, 0, 0, 0]
    target, destination = frames[of_named, :, 0, 0], frames[of_named, :, 7, 7]
    assert (target != destination).any(dim=1).float().mean() > 0.5


def test_the_other_looks_are_left_as_they_are():
    _, pixels = changed(0.25)
    assert 3 <= int(pixels.flatten(1).any(dim=1).sum()) <= 20
    assert not changed(0.0)[1].any()
