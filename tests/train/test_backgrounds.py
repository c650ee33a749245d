"""What is room and what is not, on pictures small enough to count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from robot.data.store import EpisodeStore
from robot.envs.textures import training_textures
from robot.train.backgrounds import ForegroundLook, empty_rooms, middle_of, texture_pictures
from robot.types import Goal, Label
from tests.experiment.toy import episode

ROOMS = [np.full((*size, 3), 200, np.uint8) for size in ((8, 8), (6, 10))]


def test_the_middle_leaves_out_what_is_unknown():
    nan = np.nan
    seen = np.array([[1.0, nan, nan], [5.0, 7.0, nan], [9.0, 3.0, nan]])
    assert middle_of(seen).tolist() == [5.0, 3.0, 0.0]


def test_what_differs_from_the_room_is_covered_and_the_room_is_not():
    frames = [np.stack([room, room]) for room in ROOMS]
    labels = [np.zeros(images.shape[:3], np.uint8) for images in frames]
    frames[0][1, 0, 0] = (200, 150, 200)  # an arm, before the first camera at the second step
    labels[1][1, 4, 4] = Label.TARGET  # of the room's colour
    front, wrist = ForegroundLook(ROOMS)(frames, labels, Goal("go"))
    assert front.sum() == wrist.sum() == 1
    assert front[1, :, 0, 0].tolist() == [0, 0, 1] and wrist[1, :, 4, 4].tolist() == [1, 0, 0]


def test_the_empty_room_is_seen_where_labels_name_nothing(tmp_path):
    store, plain = EpisodeStore(tmp_path), episode(0)
    images = {camera: np.full_like(view, 90) for camera, view in plain.images.items()}
    labels = {camera: np.zeros_like(view) for camera, view in plain.labels.items()}
    for camera in images:  # a thing that lies there most of the time
        images[camera][:-1, 2, 2], labels[camera][:-1, 2, 2] = 10, Label.TARGET
    store.append(replace(plain, images=images, labels=labels))
    assert all((room == 90).all() for room in empty_rooms([tmp_path]))


def test_textures_are_pictures_of_the_policys_size_that_a_seed_draws_again():
    pictures = texture_pictures(training_textures(), size=16, count=5)
    assert pictures.shape == (5, 3, 16, 16) and pictures.dtype == torch.uint8
    assert torch.equal(pictures, texture_pictures(training_textures(), size=16, count=5))
    assert len({picture.numpy().tobytes() for picture in pictures}) == 5
