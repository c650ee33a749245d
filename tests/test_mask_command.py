"""launch/mask.py on pictures, folders and videos, in this process."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from launch import mask
from robot.data import rle
from robot.perception.registry import DEPLOYMENTS

GOAL = "goal=pick up the red cup"


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["launch/mask.py", *arguments])
        code = 0
        try:
            mask.main()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        said = capfd.readouterr()
        return code, said.out, said.err

    return run


def write(path: Path, *shape: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert cv2.imwrite(str(path), pixels)


def test_a_folder_of_any_pictures(command, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "colour.jpg", 48, 64, 3)
    write(folder / "grey.png", 33, 20)
    write(folder / "rgba.png", 32, 32, 4)
    code, out, _ = command("image=in", GOAL)
    assert code == 0
    file = tmp_path / out.splitlines()[-1]
    entries = {entry["name"]: entry for entry in json.loads(file.read_text())["pictures"]}
    sizes = {name: entry["size"] for name, entry in entries.items()}
    assert sizes == {"colour.jpg": [48, 64], "grey.png": [33, 20], "rgba.png": [32, 32]}
    for entry in entries.values():
        assert entry["status"] in ("found", "absent", "uncertain")
        masks = {role: rle.decode(mask) for role, mask in entry["masks"].items()}
        assert set(masks) == {"target", "destination", "gripper"}
        for kind in ("overlay", "masked"):
            written = cv2.imread(str(file.parent / entry["files"][kind]))
            assert list(written.shape[:2]) == entry["size"]
        kept = np.logical_or.reduce(list(masks.values()))
        hidden = cv2.imread(str(file.parent / entry["files"]["masked"]))[~kept]
        assert (abs(hidden.astype(int) - 128) <= 1).all()


def test_a_bad_picture_of_a_folder_is_named_and_left_out_and_the_exit_code_says_so(
    command, tmp_path
):
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "good.png", 32, 32, 3)
    (folder / "text.png").write_text("no picture")
    whole = (folder / "good.png").read_bytes()
    (folder / "header.png").write_bytes(whole[:30])
    write(folder / "tail.png", 32, 32, 3)
    code, out, err = command("image=in", GOAL)
    results = json.loads((tmp_path / out.splitlines()[-1]).read_text())
    assert [entry["name"] for entry in results["pictures"]] == ["good.png", "tail.png"]
    assert list(results["left_out"]) == ["header.png", "text.png"]
    assert "left out: got in/text.png, which is no picture that can be read" in err
    assert "2 of 4 were left out" in err and code == 1


def test_words_that_count_for_nothing_are_told(command, tmp_path):
    write(tmp_path / "one.png", 32, 32, 3)
    code, _, err = command("image=one.png", "goal=pick up the tiny red cup")
    assert code == 0 and "note: 'tiny' counts for nothing" in err


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_every_deployment_makes_a_picture(command, tmp_path, deployment):
    write(tmp_path / "wide.png", 32, 48, 3)
    code, out, err = command("image=wide.png", GOAL, f"deployment={deployment}")
    assert code == 0, err
    masked = cv2.imread(str((tmp_path / out.splitlines()[-1]).parent / "wide.png-masked.png"))
    assert masked.shape == ((32, 32, 3) if deployment == "crop" else (32, 48, 3))


def test_a_video(command, tmp_path):
    video = cv2.VideoWriter("in.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for shade in range(0, 250, 50):
        video.write(np.full((48, 64, 3), shade, np.uint8))
    video.release()
    code, out, err = command("image=in.mp4", GOAL)
    assert code == 0, err
    file = tmp_path / out.splitlines()[-1]
    results = json.loads(file.read_text())
    assert len(results["pictures"]) == 5
    for name in results["files"].values():
        read = cv2.VideoCapture(str(file.parent / name))
        assert read.get(cv2.CAP_PROP_FRAME_COUNT) == 5
        assert read.get(cv2.CAP_PROP_FPS) == pytest.approx(10)


def test_bad_input_is_one_sentence_and_leaves_no_run(command, tmp_path):
    write(tmp_path / "good.png", 16, 16, 3)
    (tmp_path / "bad.png").write_text("no")
    (tmp_path / "bad.mp4").write_text("no")
    (tmp_path / "empty").mkdir()
    for arguments, says in [
        (["image=nope.png", GOAL], "got image=nope.png, which does not exist"),
        (["image=bad.png", GOAL], "got bad.png, which is no picture that can be read"),
        (["image=bad.mp4", GOAL], "got bad.mp4, a video without a frame"),
        (["image=empty", GOAL], "got image=empty, a folder without pictures"),
        (["image=good.png", "goal=''"], "got an empty goal"),
        (
            ["image=good.png", "goal=fly to the moon"],
            "got goal 'fly to the moon', expected a req",
        ),
        (["image=good.png", GOAL, "deployment=no"], "got deployment 'no', expected one of"),
    ]:
        code, _, err = command(*arguments)
        assert code == 2, arguments
        assert f"error: {says}" in err and "Traceback" not in err
        assert not (tmp_path / "runs").exists()
