import numpy as np

from robot.data import statistics


def test_combined_statistics_are_those_of_the_union():
    a, b = np.array([[0.0], [2.0]]), np.array([[4.0], [6.0], [8.0]])
    combined = statistics.combine([statistics.of_vectors(a), statistics.of_vectors(b)])
    assert (combined.mean.item(), combined.min.item(), combined.max.item(), combined.count) == (
        4.0,
        0.0,
        8.0,
        5,
    )
    np.testing.assert_allclose(combined.std, np.sqrt(8))  # (16 + 4 + 0 + 4 + 16) / 5


def test_image_statistics_of_half_black_half_white_red():
    images = np.zeros((1, 2, 2, 3), np.uint8)
    images[0, 0, :, 0] = 255
    got = statistics.of_images(images)
    assert got.mean.squeeze().tolist() == [0.5, 0.0, 0.0]
    assert got.std.squeeze().tolist() == [0.5, 0.0, 0.0]
    assert got.max.squeeze().tolist() == [1.0, 0.0, 0.0]


def test_labels_have_one_channel():
    assert statistics.of_images(np.ones((3, 2, 2), np.uint8)).mean.shape == (1, 1, 1)


def test_from_json_inverts_to_json():
    once = statistics.to_json(statistics.of_vectors(np.array([[0.1, 2.0], [0.3, 5.0]])))
    assert statistics.to_json(statistics.from_json(once)) == once
