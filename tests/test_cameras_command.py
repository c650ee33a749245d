"""launch/cameras.py on real sources, in this process."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from launch import cameras
from robot.hardware.cameras.find import found_devices
from tests.hardware.mjpeg import MjpegServer

QUICK = ("watch_s=0.3", "camera.wait.first_frame_s=10.0")


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["launch/cameras.py", *arguments])
        code = 0
        try:
            cameras.main()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def server():
    made = MjpegServer()
    yield made
    made.stop()


def pictures(folder: Path) -> Path:
    folder.mkdir()
    for k in range(3):
        cv2.imwrite(str(folder / f"{k}.png"), np.full((40, 60, 3), 60 + 40 * k, np.uint8))
    return folder


def test_cameras_are_watched_shown_and_written(command, tmp_path, server):
    pictures(tmp_path / "in")
    code, out, err = command(
        f'sources=["{server.url}"]',
        "+cameras.wrist={source: in, rotate: 90, settings: {}}",
        *QUICK,
        "view=true",
    )
    assert code == 0, err
    file = tmp_path / out.splitlines()[-1]
    found = json.loads(file.read_text())["cameras"]
    assert {name: entry["size"] for name, entry in found.items()} == {
        "camera0": [48, 64],
        "wrist": [60, 40],
    }
    assert found["camera0"]["health"]["fps"] > 5 and found["camera0"]["problem"] == ""
    assert cv2.imread(str(file.parent / "wrist.png")).shape == (60, 40, 3)
    assert cv2.imread(str(file.parent / "contact-sheet.png")).shape == (256, 516, 3)
    assert "view=true: this computer has no display" in " ".join(err.split())
    assert "60 x 40" not in err and "40 x 60" in err and "good" in err


def test_a_camera_with_a_problem_is_named_and_the_others_are_seen(command, tmp_path, server):
    code, out, err = command(
        f'sources=["{server.url}","http://me:secret@127.0.0.1:9/x"]',
        "watch_s=0.2",
        "camera.wait.first_frame_s=2.0",
    )
    assert code == 1
    file = tmp_path / out.splitlines()[-1]
    found = json.loads(file.read_text())["cameras"]
    assert found["camera0"]["problem"] == ""
    assert "does not answer" in found["camera1"]["problem"] and found["camera1"]["picture"] is None
    assert "secret" not in err + out + "".join(p.read_text() for p in file.parent.glob("*.*l*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sources=[nothing.mp4]"], "got source=nothing.mp4, expected a device"),
        (["+cameras.a={source: 0, rotate: 45}"], "got cameras.a.rotate=45"),
        (["+cameras.a={rotate: 90}"], "got no cameras.a.source, expected a value"),
        (["sources=[0]", "camera.undistort=true"], "got undistort=true without a calibration"),
        (["sources=[0]", "camera.calibration=no.json"], "got calibration=no.json, which does not"),
        (["sources=[0,0]"], "got sources with 0 twice"),
        (["sources=[0]", "watch_s=0.0"], "got watch_s=0.0, expected above 0"),
        (["+cameras.a={source: 0}", "+cameras.b={source: 0}"], "got device 0 for two cameras"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_run(command, tmp_path, arguments, message):
    code, _, err = command(*arguments)
    assert code == 2 and err.startswith(f"error: {message}") and err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_no_camera_at_all_is_one_sentence(command, monkeypatch):
    monkeypatch.setattr("launch.watching.found_devices", lambda: ())
    code, _, err = command()
    assert code == 2 and err.startswith("error: got no camera, expected a video device")


def test_devices_are_found_by_number_without_those_of_metadata(tmp_path):
    (tmp_path / "dev").mkdir()
    for name, index, model in (
        ("video10", "0", "Wrist"),
        ("video2", "0", "Front"),
        ("video3", "1", "Front"),
    ):
        (tmp_path / "dev" / name).touch()
        (tmp_path / "sys" / name).mkdir(parents=True)
        (tmp_path / "sys" / name / "index").write_text(f"{index}\n")
        (tmp_path / "sys" / name / "name").write_text(f"{model}\n")
    (tmp_path / "dev" / "video-decoder").touch()
    found = found_devices(devices=tmp_path / "dev", system=tmp_path / "sys")
    assert [(device.path.name, device.model) for device in found] == [
        ("video2", "Front"),
        ("video10", "Wrist"),
    ]
