"""launch/generate.py on pictures, in this process: no simulator is needed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from launch import generate

BOXES = {
    "width": 60,
    "height": 40,
    "bboxes": [[2, 5, 14, 20], [40, 5, 55, 20]],
    "labels": ["cup", "plate"],
    "attributes": [["red"], ["blue"]],
}


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    entries = {f"p{k}": {"data_path": f"p{k}.png", "annotation": BOXES} for k in range(3)}
    (folder / "all.json").write_text(json.dumps(entries))
    return folder


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, list[str], str]:
        monkeypatch.setattr(sys, "argv", ["generate.py", *arguments])
        code = 0
        try:
            generate.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        out, err = capfd.readouterr()
        return code, out.splitlines(), err

    return run


def test_annotated_pictures_become_records_and_a_cut_off_run_continues(command, pictures, tmp_path):
    asked = ["source=pictures", f"path={pictures}", "shards=2", "root=data/annotated"]
    code, lines, err = command(*asked)
    assert code == 0, err
    results = json.loads(Path(lines[-1]).read_text())
    assert results["records"] > 20 and results["agreed"] == 0  # nothing verifies them
    assert results["samples"] is None  # the annotations came without their pictures
    records = sorted((tmp_path / "data/annotated/records").glob("*.parquet"))
    first, second = (path.read_bytes() for path in records)
    records[1].unlink()
    assert command(*asked)[0] == 0
    assert [path.read_bytes() for path in records] == [first, second]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["source=pictures"], "expected a path"),
        (["path=somewhere"], "none for simulators"),
        (["source=episodes", "path=nowhere"], "without episodes"),
        (["benchmark=correct", "claims.models=[nowhere]"], "got checkpoint 'nowhere'"),
        (["benchmark=correct", "claims.hidden.simulated=[pick]"], "expected <simulator>/<task>"),
    ],
)
def test_what_cannot_be_a_source_is_one_sentence(command, arguments, says):
    code, _, err = command(*arguments)
    assert code == 2 and says in err
