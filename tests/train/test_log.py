import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from robot.system.command import plain
from robot.train.log import RunLog, log_results, resolve_mode
from robot.types import InputError


def rows(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_every_report_is_a_line_of_json(tmp_path):
    with RunLog(tmp_path, wandb_mode="disabled") as log:
        log(1, {"loss": 0.5})
        log(2, {"loss": 0.25})
    assert [(row["step"], row["loss"]) for row in rows(tmp_path)] == [(1, 0.5), (2, 0.25)]


def test_lines_are_on_disk_before_the_log_is_closed(tmp_path):
    with RunLog(tmp_path, wandb_mode="disabled") as log:
        log(1, {"loss": 0.5})
        assert len(rows(tmp_path)) == 1


def test_a_second_log_appends(tmp_path):
    for step in (1, 2):
        with RunLog(tmp_path, wandb_mode="disabled") as log:
            log(step, {"loss": 1.0})
    assert [row["step"] for row in rows(tmp_path)] == [1, 2]


def test_auto_is_offline_without_a_key(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_mode("auto") == "offline"


def test_auto_is_online_with_a_key(monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert resolve_mode("auto") == "online"


def test_auto_follows_the_environment_variable_of_wandb(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert resolve_mode("auto") == "disabled"


def test_an_unknown_mode_is_refused(tmp_path):
    with pytest.raises(InputError, match="offline"):
        RunLog(tmp_path, wandb_mode="shared")


def test_disabled_does_not_import_wandb(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it would raise
    with RunLog(tmp_path, wandb_mode="disabled") as log:
        log(1, {"loss": 1.0})
    assert '"loss": 1.0' in (tmp_path / "log.jsonl").read_text()


def test_wandb_gets_every_report_and_is_finished(tmp_path, monkeypatch):
    calls = []
    run = SimpleNamespace(
        log=lambda values, step: calls.append((step, values)), finish=lambda: calls.append("finish")
    )

    def settings(**options):
        return options

    monkeypatch.setitem(
        sys.modules, "wandb", SimpleNamespace(init=lambda **options: run, Settings=settings)
    )
    with RunLog(tmp_path, wandb_mode="offline") as log:
        log(1, {"loss": 1.0})
    assert calls == [(1, {"loss": 1.0}), "finish"]


def test_options_become_plain_values():
    options = {"root": Path("data"), "shares": (1, 0.5), "head": None, "deep": {1: Path("x")}}
    assert plain(options) == {
        "root": "data",
        "shares": [1, 0.5],
        "head": None,
        "deep": {"1": "x"},
    }


def test_results_of_a_disabled_run_do_not_import_wandb(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it would raise
    log_results(
        tmp_path, name="a", wandb_mode="disabled", config={}, values={}, pictures={}, videos={}
    )
    assert list(tmp_path.iterdir()) == []
