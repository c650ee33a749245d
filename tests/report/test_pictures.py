"""Pictures and videos of small synthetic frames."""

import base64
import io

import av
import numpy as np
import pytest
from PIL import Image

from robot.report import video as video_module
from robot.report.pictures import (
    COLORS,
    GAP_GREY,
    composite_rgb,
    episode_rows,
    film_strip,
    fit,
    grid,
    heat,
    overlay,
    picture_uri,
    spread,
)
from robot.report.video import available_codec, film, video_uri, write_video
from robot.types import InputError, Label


def flat(value, *, size=8):
    return np.full((size, size, 3), value, dtype=np.uint8)


def test_a_whole_factor_repeats_every_pixel_exactly():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert np.array_equal(fit(image, size=6), image.repeat(3, axis=0).repeat(3, axis=1))


def test_a_broken_factor_is_interpolated_to_the_asked_size():
    assert fit(flat(40), size=20).shape == (20, 20, 3)


def test_a_composite_shows_its_first_three_channels():
    composite = np.zeros((6, 2, 2), dtype=np.float32)
    composite[0], composite[1], composite[3] = 1.0, 0.5, 1.0
    assert np.array_equal(composite_rgb(composite)[0, 0], [255, 128, 0])


def test_heat_leaves_improbable_pixels_grey_and_tints_probable_ones_with_the_channels_colour():
    probability = np.zeros((3, 8, 8), dtype=np.float32)
    probability[0, 0, 0] = 1.0
    shown = heat(flat(100), probability)
    assert np.array_equal(shown[7, 7], [55, 55, 55])  # 0.55 * 100
    assert np.array_equal(shown[0, 0], np.round(0.15 * 55 + 0.85 * np.array(COLORS[Label.TARGET])))


def test_an_overlay_is_three_tiles_wide():
    shown = overlay(
        flat(90),
        np.zeros((3, 8, 8), dtype=np.float32),
        np.zeros((6, 4, 4), dtype=np.float32),
        tile=64,
    )
    assert shown.shape == (64, 3 * 64 + 2 * 4, 3)


def test_moments_are_evenly_spread_with_first_and_last():
    assert spread(101, count=6) == (0, 20, 40, 60, 80, 100)


def test_a_short_episode_shows_every_frame_once():
    assert spread(3, count=6) == (0, 1, 2)


def test_a_strip_has_a_row_per_view_and_a_column_per_moment():
    frames = [flat(value) for value in range(0, 200, 10)]
    strip = film_strip({"agentview": frames, "wrist": frames}, frames=4, tile=64)
    assert strip.shape == (2 * 64 + 4, 4 * 64 + 3 * 4, 3)
    assert np.array_equal(strip[-1, -1], [190, 190, 190])  # the last frame ends the strip


def test_a_strip_of_unequal_views_is_refused():
    with pytest.raises(InputError, match=r"got rows of \[1, 2\] frames"):
        film_strip({"a": [flat(0)], "b": [flat(0), flat(0)]})


def test_a_grid_puts_images_in_reading_order():
    tiled = grid([[flat(1), flat(2)], [flat(3), flat(4)]], gap=2)
    assert [tiled[y, x, 0] for y in (0, 17) for x in (0, 17)] == [1, 2, 3, 4]


def test_a_picture_uri_decodes_to_the_picture():
    head, data = picture_uri(flat(77)).split(",")
    assert head == "data:image/webp;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (8, 8)


def test_a_video_is_browser_playable_and_holds_every_frame(tmp_path):
    path = write_video(
        tmp_path / "episode.mp4", (flat(v, size=65) for v in (0, 120, 250)), fps=20.0
    )
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert (
            stream.codec_context.name,
            stream.codec_context.pix_fmt,
            float(stream.average_rate),
        ) == (
            "h264",
            "yuv420p",
            20.0,
        )
    assert [image.shape for image in shown] == [
        (64, 64, 3)
    ] * 3  # an odd size loses its last row and column
    assert [int(image.mean()) for image in shown] == pytest.approx([0, 120, 250], abs=4)


def test_vp9_stands_in_where_x264_is_missing(monkeypatch):
    monkeypatch.setattr(video_module, "CODECS", {"no-such-codec": {}, "libvpx-vp9": {}})
    assert available_codec() == "libvpx-vp9"


def test_a_video_without_frames_is_refused(tmp_path):
    with pytest.raises(InputError, match="got no frames"):
        write_video(tmp_path / "empty.mp4", [], fps=20.0)


def test_a_film_shows_cameras_above_and_what_the_policy_sees_below():
    composites = np.stack([np.full((3, 4, 4), v / 255, dtype=np.float32) for v in (3, 4)])
    rows = episode_rows([{"agentview": flat(1), "wrist": flat(2)}] * 2, [composites] * 2)
    assert list(rows) == ["agentview", "wrist", "policy: agentview", "policy: wrist"]
    shown = list(film(rows, columns=2, tile=64, times_s=[0.0, 0.1]))
    assert len(shown) == 2
    assert [shown[0][y, x, 0] for y in (50, -1) for x in (0, -1)] == [1, 2, 3, 4]
    assert (shown[0][:20, :64] != shown[1][:20, :64]).any()  # the time, on the first view


def test_a_video_uri_carries_the_file(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"film")
    assert video_uri(tmp_path / "a.mp4") == "data:video/mp4;base64,ZmlsbQ=="


def test_a_frame_that_is_not_square_keeps_its_aspect_ratio():
    image = np.full((4, 8, 3), 200, np.uint8)
    tile = fit(image, size=16)
    assert (
        (tile[4:12] == 200).all() and (tile[:4] == GAP_GREY).all() and (tile[12:] == GAP_GREY).all()
    )
