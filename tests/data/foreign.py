"""A LeRobotDataset v3 as LeRobot itself records one: several episodes a file, frames in Parquet or
in video files, joint angles, its own camera names, no footers of this package.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

FPS = 10
JOINTS = [f"{name}.pos" for name in ("shoulder_pan", "elbow_flex", "gripper")]
CAMERAS = {"front": (48, 64), "side": (32, 32)}  # height, width
LENGTHS, TASKS = (4, 6, 5), ("grab the cube", "put it away")
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"


def grey(episode: int, step: int) -> int:
    """Return the level of all pixels of a frame."""
    return 20 + 70 * episode + 10 * step


def write_foreign(root: Path, *, video: bool) -> Path:
    """Write three episodes, the first and the last of the same task."""
    _write(root / "data/chunk-000/file-000.parquet", _frames(video=video))
    _write(root / "meta/episodes/chunk-000/file-000.parquet", _episodes(video=video))
    _write(
        root / "meta/tasks.parquet",
        pa.table({"task_index": [0, 1], "task": list(TASKS)}),
    )
    (root / "meta/info.json").write_text(json.dumps(_info(video=video)))
    (root / "meta/stats.json").write_text("{}")
    if video:
        for camera in CAMERAS:
            _write_video(root, camera)
    return root


def _steps() -> list[tuple[int, int]]:
    return [(e, t) for e, length in enumerate(LENGTHS) for t in range(length)]


def _values(*, plus: float) -> pa.Array:
    rows = [[e + 0.1 * t + plus] * len(JOINTS) for e, t in _steps()]
    return pa.array(rows, pa.list_(pa.float32(), len(JOINTS)))


def _frames(*, video: bool) -> pa.Table:
    episode, step = (np.array(column) for column in zip(*_steps(), strict=True))
    table = {
        "observation.state": _values(plus=0.0),
        "action": _values(plus=0.5),
        "timestamp": pa.array((step / FPS).astype(np.float32)),
        "frame_index": step,
        "episode_index": episode,
        "index": np.arange(len(step)),
        "task_index": episode % 2,
    }
    if not video:
        for camera in CAMERAS:
            table[f"observation.images.{camera}"] = pa.array(
                [{"bytes": _png(camera, e, t), "path": None} for e, t in _steps()],
                pa.struct({"bytes": pa.binary(), "path": pa.string()}),
            )
    return pa.table(table)


def _episodes(*, video: bool) -> pa.Table:
    starts = np.cumsum([0, *LENGTHS])
    rows = []
    for e, length in enumerate(LENGTHS):
        row = {
            "episode_index": e,
            "tasks": [TASKS[e % 2]],
            "length": length,
            "data/chunk_index": 0,
            "data/file_index": 0,
            "dataset_from_index": int(starts[e]),
            "dataset_to_index": int(starts[e + 1]),
            "stats/action/mean": [0.0],
        }
        for camera in CAMERAS if video else ():
            row |= {
                f"videos/observation.images.{camera}/chunk_index": 0,
                f"videos/observation.images.{camera}/file_index": 0,
                f"videos/observation.images.{camera}/from_timestamp": starts[e] / FPS,
                f"videos/observation.images.{camera}/to_timestamp": starts[e + 1] / FPS,
            }
        rows.append(row)
    return pa.Table.from_pylist(rows)


def _info(*, video: bool) -> dict:
    joints = {"dtype": "float32", "shape": [len(JOINTS)], "names": JOINTS}
    cameras = {
        f"observation.images.{name}": {
            "dtype": "video" if video else "image",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
        }
        for name, (height, width) in CAMERAS.items()
    }
    return {
        "codebase_version": "v3.0",
        "robot_type": "so100_follower",
        "fps": FPS,
        "total_episodes": len(LENGTHS),
        "features": {"observation.state": joints, "action": joints, **cameras},
        "data_path": DATA,
        "video_path": VIDEO if video else None,
    }


def _picture(camera: str, episode: int, step: int) -> np.ndarray:
    return np.full((*CAMERAS[camera], 3), grey(episode, step), np.uint8)


def _png(camera: str, episode: int, step: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(_picture(camera, episode, step)).save(buffer, "PNG")
    return buffer.getvalue()


def _write_video(root: Path, camera: str) -> None:
    """Write all episodes end to end, as LeRobot does."""
    key = f"observation.images.{camera}"
    path = root / VIDEO.format(video_key=key, chunk_index=0, file_index=0)
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"g": "4", "crf": "10"})
        stream.height, stream.width = CAMERAS[camera]
        stream.pix_fmt = "yuv420p"
        for episode, step in _steps():
            frame = av.VideoFrame.from_ndarray(_picture(camera, episode, step), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _write(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
