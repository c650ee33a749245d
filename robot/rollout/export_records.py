"""Records in other people's formats: LLaVA conversations, COCO JSON, LeRobot's language columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from robot.data.atomic import write_bytes
from robot.data.parquet import read_table, write_table
from robot.data.rle import decode
from robot.rollout.record_summary import record_paths

REGION = "<region>"  # stands for a mask, in the order of `regions`


def _rows(root: Path) -> Iterator[dict]:
    for path in record_paths(root):
        yield from read_table(path).to_pylist()


def with_options(row: dict) -> str:
    """Return the question, and below it the options as letters."""
    lettered = [f"{chr(65 + k)}. {option}" for k, option in enumerate(row["options"])]
    return "\n".join([row["question"], *lettered])


def lettered_answer(row: dict) -> str:
    """Return the answer, with its letter in multiple choice."""
    if not row["options"]:
        return row["answer"]
    return f"{chr(65 + row['options'].index(row['answer']))}. {row['answer']}"


def llava(root: Path) -> Path:
    """Write conversations, one JSON object a line; what an answer shows is a region after it."""
    lines = []
    for row in _rows(root):
        regions = [
            {"image": k, "mask": rle}
            for k, (rle, box) in enumerate(
                zip(row["answer_masks"], row["answer_boxes"], strict=True)
            )
            if box
        ]
        images = "\n".join("<image>" for _ in row["images"])
        answer = " ".join([lettered_answer(row), *(REGION for _ in regions)])
        one = len(row["images"]) == 1
        lines.append(
            json.dumps(
                {
                    "id": row["id"],
                    "image": row["images"][0] if one else row["images"],
                    "conversations": [
                        {"from": "human", "value": f"{images}\n{with_options(row)}"},
                        {"from": "gpt", "value": answer},
                    ],
                    "regions": regions,
                }
            )
        )
    path = root / "llava.jsonl"
    write_bytes(path, ("\n".join(lines) + "\n").encode())
    return path


def coco(root: Path) -> Path:
    """Write one COCO file: an annotation per image of a record that its answer shows anything in;
    categories are generators, and the sentence stands in the annotation.
    """
    images: dict[str, dict] = {}
    names: dict[str, int] = {}
    annotations = []
    for row in _rows(root):
        parts = zip(row["images"], row["answer_masks"], row["answer_boxes"], strict=True)
        for path, rle, box in parts:
            height, width = rle["size"]
            image = images.setdefault(
                path,
                {"id": len(images) + 1, "file_name": path, "height": height, "width": width},
            )
            if not box:
                continue
            x0, y0, x1, y1 = box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": names.setdefault(row["generator"], len(names) + 1),
                    "segmentation": rle,
                    "area": int(decode(rle).sum()),
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "iscrowd": 0,
                    "caption": f"{row['question']} {row['answer']}",
                }
            )
    categories = [{"id": number, "name": name} for name, number in names.items()]
    content = {
        "images": list(images.values()),
        "annotations": annotations,
        "categories": categories,
    }
    path = root / "coco.json"
    write_bytes(path, json.dumps(content).encode())
    return path


def lerobot(root: Path) -> Path:
    """Write a table to join to a LeRobot data set's frames: per episode and frame the questions and
    answers about it, as `language` columns.
    """
    frames: dict[tuple[str, int], dict[str, list[str]]] = {}
    tasks: dict[tuple[str, int], str] = {}
    times: dict[tuple[str, int], float] = {}
    for row in _rows(root):
        key = row["episodes"][0], row["frames"][0]
        if len(row["images"]) > 1:
            continue
        of = frames.setdefault(key, {"question": [], "answer": [], "camera": []})
        of["question"].append(with_options(row))
        of["answer"].append(lettered_answer(row))
        of["camera"].append(row["cameras"][0])
        tasks[key], times[key] = row["goal"], row["times_s"][0]
    keys = sorted(frames)
    table = pa.table(
        {
            "episode": [episode for episode, _ in keys],
            "frame_index": pa.array([frame for _, frame in keys], pa.int64()),
            "timestamp": pa.array([times[key] for key in keys], pa.float32()),
            "task": [tasks[key] for key in keys],
            "language.question": [frames[key]["question"] for key in keys],
            "language.answer": [frames[key]["answer"] for key in keys],
            "language.camera": [frames[key]["camera"] for key in keys],
        }
    )
    path = root / "lerobot-language.parquet"
    write_table(path, table)
    return path


EXPORTERS: dict[str, Callable[[Path], Path]] = {"llava": llava, "coco": coco, "lerobot": lerobot}
