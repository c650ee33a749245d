"""Streams over real sources: MJPEG over HTTP, videos that OpenCV wrote, folders of pictures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from robot.errors import InputError
from robot.hardware.camera import CameraError
from robot.hardware.cameras.stream import OpenCVStream, streams_of
from tests.hardware.cameras import camera_options
from tests.hardware.mjpeg import MjpegServer

FAST = {"retry_first_s": 0.02, "retry_most_s": 0.1, "read_s": 0.3, "first_frame_s": 20.0}


@pytest.fixture
def server():
    made = MjpegServer()
    yield made
    made.stop()


def until(holds: Callable[[], bool], *, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def video(path: Path, *, shades: list[int], fps: float = 20.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
    for shade in shades:
        writer.write(np.full((48, 64, 3), shade, np.uint8))
    writer.release()
    return path


def shade(image: np.ndarray) -> int:
    return int(image[24, 48].mean().round())


def test_a_url_gives_upright_rgb_frames_with_rising_index_and_time(server):
    with OpenCVStream(camera_options(server.url, wait=FAST)) as stream:
        assert (stream.camera.height, stream.camera.width) == (48, 64)
        first = stream.newest()
        until(lambda: stream.newest().index > first.index)
        later = stream.newest()
        assert later.image.shape == (48, 64, 3) and later.image.dtype == np.uint8
        assert first.time_s < later.time_s <= time.monotonic()
        until(lambda: stream.health().fps > 10)
        assert stream.health().problem == ""


def test_a_cut_connection_is_opened_anew(server):
    with OpenCVStream(camera_options(server.url, wait=FAST)) as stream:
        before = stream.newest().index
        server.cut()
        until(lambda: server.connections == 2)
        until(lambda: stream.health().reconnects == 1 and stream.newest().index > before + 1)
        assert stream.health().connected


def test_a_lost_camera_ages_says_why_and_comes_back(server):
    with OpenCVStream(camera_options(server.url, wait=FAST)) as stream:
        server.stop()
        until(lambda: not stream.health().connected)
        last = stream.newest()
        until(lambda: "does not answer" in stream.health().problem)
        assert stream.newest() is last
        assert stream.health().age_s >= time.monotonic() - last.time_s - 0.5
        server.start()
        until(lambda: stream.newest().index > last.index)
        until(lambda: stream.health().problem == "")


def test_a_silent_connection_counts_as_lost(server):
    with OpenCVStream(camera_options(server.url, wait=FAST)) as stream:
        server.mode = "silent"
        until(lambda: server.connections >= 2)
        server.mode = "moving"
        until(lambda: stream.health().problem == "")
        assert stream.health().reconnects >= 1


def test_the_same_picture_again_is_no_new_frame_and_a_frozen_camera(server):
    with OpenCVStream(camera_options(server.url, wait=FAST)) as stream:
        server.mode = "frozen"
        until(lambda: stream.health().frozen)
        before = stream.newest()
        time.sleep(0.1)  # six frames
        assert stream.newest() is before
        assert "frozen" in stream.health().problem
        assert stream.health().connected and stream.health().reconnects == 0
        server.mode = "moving"
        until(lambda: stream.health().problem == "" and stream.newest().index > before.index)


def test_repeats_are_frames_where_they_are_allowed(server):
    server.mode = "frozen"
    limits = {"frozen_after": None, "stalled_after_s": 5.0}
    with OpenCVStream(camera_options(server.url, wait=FAST, limits=limits)) as stream:
        until(lambda: stream.newest().index > 10)
        assert not stream.health().frozen


def test_a_black_picture_is_a_problem(server):
    with OpenCVStream(camera_options(server.url, wait=FAST)) as stream:
        assert not stream.health().black
        server.mode = "black"
        until(lambda: stream.health().black and not stream.health().frozen)
        assert stream.health().problem.startswith("black")


def test_a_camera_that_comes_back_with_another_size_is_not_used(server):
    with OpenCVStream(camera_options(server.url, wait=FAST)) as stream:
        server.stop()
        server.height, server.width = 96, 128
        server.start()
        until(lambda: stream.health().dropped > 0)
        assert stream.newest().image.shape == (48, 64, 3)
        assert "128 x 96 px came instead of 64 x 48" in stream.health().error


def test_a_reader_never_waits_for_the_camera(server):
    with OpenCVStream(camera_options(server.url, wait=FAST | {"read_s": 0.9})) as stream:
        server.mode = "silent"
        time.sleep(0.05)
        start = time.perf_counter()
        for _ in range(1000):
            stream.newest()
            stream.health()
        assert time.perf_counter() - start < 1.0


def test_disconnect_ends_the_thread_and_can_be_called_twice_and_the_stream_connected_again(server):
    stream = OpenCVStream(camera_options(server.url, wait=FAST))
    stream.disconnect()
    for _ in range(2):
        stream.connect()
        assert stream.newest().index >= 0
        stream.disconnect()
        stream.disconnect()
        until(lambda: not [t for t in threading.enumerate() if t.name == "camera front"])
    assert not stream.health().connected


def test_a_thread_that_its_driver_holds_up_is_left_behind_and_changes_nothing(server, monkeypatch):
    """The old connection waits for a frame; when it gives up, the new one must not look lost."""
    monkeypatch.setattr("robot.hardware.cameras.stream.JOIN_S", 0.05)
    stream = OpenCVStream(camera_options(server.url, wait=FAST | {"read_s": 20.0}))
    stream.connect()
    server.held = {1}
    time.sleep(0.1)
    (old,) = [t for t in threading.enumerate() if t.name == "camera front"]
    stream.disconnect()
    assert old.is_alive()
    stream.connect()
    assert stream.health().problem == ""
    before = stream.health()
    server.cut(oldest=1)
    until(lambda: not old.is_alive())
    assert stream.health().connected and stream.health().reconnects == before.reconnects
    stream.disconnect()


def test_a_camera_that_never_answers_is_one_sentence():
    wait = FAST | {"first_frame_s": 0.3}
    stream = OpenCVStream(camera_options("http://me:secret@127.0.0.1:9/video", wait=wait))
    with pytest.raises(
        CameraError, match="gave no frame within 0.3 s: .*does not answer"
    ) as raised:
        stream.connect()
    assert "secret" not in str(raised.value)
    with pytest.raises(CameraError, match="has given no frame"):
        stream.newest()


def test_a_device_that_does_not_exist_is_one_sentence():
    stream = OpenCVStream(camera_options("/dev/video97", wait=FAST | {"first_frame_s": 0.3}))
    with pytest.raises(CameraError, match="device /dev/video97 cannot be opened"):
        stream.connect()


def test_a_video_plays_in_real_time(tmp_path):
    path = video(tmp_path / "a.avi", shades=list(range(20, 220, 10)), fps=20.0)
    with OpenCVStream(camera_options(path)) as stream:
        start, first = time.monotonic(), shade(stream.newest().image)
        until(lambda: shade(stream.newest().image) >= first + 80)
        took_s = time.monotonic() - start
        assert took_s > 0.3  # eight frames of 50 ms; slower where the computer is busy


def test_a_video_plays_faster_as_asked_without_losing_time(tmp_path):
    path = video(tmp_path / "a.avi", shades=[100] * 40, fps=20.0)
    play = {"speed": 20.0, "loop": False}
    with OpenCVStream(camera_options(path, play=play)) as stream:
        until(lambda: "has ended" in stream.health().error)
        assert not stream.health().connected and stream.newest().index < 40


def test_without_a_speed_every_call_gives_the_next_frame(tmp_path):
    path = video(tmp_path / "a.avi", shades=[40, 80, 120])
    play = {"speed": None, "loop": True}
    with OpenCVStream(camera_options(path, play=play)) as stream:
        shots = [stream.newest() for _ in range(5)]
    assert [round(shade(shot.image), -1) for shot in shots] == [80, 120, 40, 80, 120]
    assert [shot.index for shot in shots] == [1, 2, 3, 4, 5]


def test_a_video_that_has_ended_keeps_its_last_frame(tmp_path):
    path = video(tmp_path / "a.avi", shades=[40, 80])
    with OpenCVStream(camera_options(path, play={"speed": None, "loop": False})) as stream:
        shots = [stream.newest() for _ in range(3)]
        assert [shot.index for shot in shots] == [1, 1, 1]
        assert "has ended; pass play.loop=true" in stream.health().problem


def test_a_folder_plays_its_pictures_by_name_and_leaves_out_damaged_ones(tmp_path):
    for name, value in (("b.png", 80), ("a.png", 40), ("d.png", 160)):
        cv2.imwrite(str(tmp_path / name), np.full((48, 64, 3), value, np.uint8))
    (tmp_path / "c.png").write_text("no")
    with OpenCVStream(camera_options(tmp_path, play={"speed": None, "loop": True})) as stream:
        shades = [shade(stream.newest().image) for _ in range(5)]
        assert shades == [80, 80, 160, 40, 80]  # the first one came with connect
        assert stream.health().dropped == 1


def test_pictures_are_rotated_flipped_cropped_and_resized(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture[..., ::-1])
    crop = {"top": 4, "left": 2, "height": 40, "width": 40}
    edits = {"rotate": 90, "flip": "horizontal", "crop": crop, "height": 20, "width": 20}
    with OpenCVStream(camera_options(tmp_path, play={"speed": None}, **edits)) as stream:
        image = stream.newest().image
    turned = np.rot90(picture, -1)[:, ::-1][4:44, 2:42]
    expected = turned.reshape(20, 2, 20, 2, 3).mean((1, 3))
    np.testing.assert_allclose(image, expected, atol=1)


def test_a_crop_outside_of_the_picture_is_one_sentence(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    crop = {"top": 10, "left": 0, "height": 40, "width": 40}
    stream = OpenCVStream(camera_options(tmp_path, crop=crop, wait={"first_frame_s": 0.5}))
    with pytest.raises(CameraError, match="got a crop down to row 50"):
        stream.connect()


def test_two_cameras_of_one_name_or_one_device_are_rejected():
    same_name = camera_options(0, name="a"), camera_options(1, name="a")
    with pytest.raises(InputError, match="got name a for two cameras"):
        streams_of(same_name)
    with pytest.raises(InputError, match="got device 0 for two cameras"):
        streams_of((camera_options(0, name="a"), camera_options(0, name="b")))
