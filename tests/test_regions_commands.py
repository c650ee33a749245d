"""launch/train_regions.py and launch/measure_regions.py at toy size, in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from launch import measure_regions, train_regions
from launch.region_figures import ROWS
from robot.experiment import region_reading
from robot.language import LanguageEncoder
from robot.perception.regions import reader
from robot.perception.regions.network import RegionNetwork
from robot.perception.regions.sizes import ReaderSizes
from robot.system.parse import parse
from robot.train import region_reader

ROOT = Path(__file__).resolve().parents[1]
LOOKS = ["region_looks.shards=1", "region_looks.looks_per_shard=4", "workers=1"]
TOY = ["training.steps=2", "training.log_every=1", "batch_size=2", "region_reader.channels=8"]


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    """Run a command in an empty folder; return its exit code, and the lines of both streams."""
    monkeypatch.chdir(tmp_path)
    for module in (reader, region_reader):
        monkeypatch.setattr(module, "LanguageEncoder", LanguageEncoder.hashed)
    monkeypatch.setattr(
        region_reading, "minilm_similarity", lambda: lambda one, other: one == other
    )

    def run(main: Callable[[], None], *arguments: str) -> tuple[int, list[str], str]:
        monkeypatch.setattr(sys, "argv", ["command", *arguments])
        code = 0
        try:
            main()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        captured = capfd.readouterr()
        return code, captured.out.splitlines(), captured.err

    return run


@pytest.mark.slow
def test_a_reader_is_trained_and_measured(command):
    code, out, _ = command(train_regions.main, *LOOKS, *TOY)
    assert code == 0
    trained = json.loads(Path(out[-1]).read_text())
    assert Path(trained["region_reader"]).is_file() and trained["looks"] == 4
    code, out, _ = command(
        measure_regions.main, *LOOKS, f"readers=[{trained['region_reader']}]", "looks=2"
    )
    assert code == 0
    measured = json.loads(Path(out[-1]).read_text())
    assert measured["looks"] == 2 and measured["speed"]["regions"] == 32
    (figures,) = measured["readers"].values()
    for _, path, _ in ROWS:
        group = figures
        for step in path.split(".")[:2]:
            group = group[step]


@pytest.mark.parametrize(
    ("main", "arguments", "says"),
    [
        (train_regions.main, ["region_looks.shards=0"], "got region_looks.shards=0"),
        (train_regions.main, ["region_looks.scenes={fog: 1.0}"], "got region_looks.scenes.fog"),
        (train_regions.main, ["region_reader=large_vit"], "with a language model"),
        (train_regions.main, ["region_reader.strides=[3]"], "region_reader.strides with 3"),
        (train_regions.main, ["region_reader.heads=5"], "got region_reader.dim=128 and heads=5"),
        (train_regions.main, ["training.steps=0"], "got training.steps=0"),
        (measure_regions.main, ["readers=[]"], "got readers=[], expected at least one"),
        (measure_regions.main, ["readers=[nothing]"], "got checkpoint 'nothing'"),
    ],
)
def test_bad_options_are_one_sentence(command, main, arguments, says, tmp_path):
    code, out, err = command(main, *arguments)
    assert (code, out) == (2, [])
    assert says in err and "Traceback" not in err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["tiny", "single_level"])
def test_a_reader_can_be_built_from_each_config(name):
    values = yaml.safe_load((ROOT / "configs" / "region_reader" / f"{name}.yaml").read_text())
    network = RegionNetwork(parse(ReaderSizes, values))
    parameters = sum(p.numel() for p in network.parameters())
    assert 0.9e6 < parameters < 1.5e6
    assert len(network.levels) == len(values["strides"])
