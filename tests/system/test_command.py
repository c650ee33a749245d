import errno
import json
import math
from collections import namedtuple
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from robot.system import command
from robot.system.command import (
    main_guard,
    require_free_space,
    require_writable,
    run_directory,
    run_folder,
    write_results,
)
from robot.types import InputError, MaskStatus

NOON = datetime(2026, 3, 4, 12, 5, 6)


def raising(error):
    @main_guard
    def main():
        raise error

    return main


def exit_code(main):
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code


def test_input_error_exits_2_with_one_sentence_and_no_traceback(capsys):
    assert exit_code(raising(InputError("got 3 cameras,\n  expected 2; remove one"))) == 2
    assert capsys.readouterr().err == "error: got 3 cameras, expected 2; remove one\n"


def test_input_error_behind_another_exception_exits_2(capsys):
    wrapped = RuntimeError("error in call to target")
    wrapped.__cause__ = InputError("got size 3, expected an even size; add one")
    assert exit_code(raising(wrapped)) == 2
    assert "got size 3" in capsys.readouterr().err


def test_full_disk_exits_2_and_names_the_file(capsys):
    assert (
        exit_code(raising(OSError(errno.ENOSPC, "No space left on device", "/runs/video.mp4"))) == 2
    )
    assert "disk is full while writing /runs/video.mp4" in capsys.readouterr().err


def test_a_disk_that_nobody_may_write_to_is_bad_input(tmp_path, monkeypatch):
    def mkdir(self, **options):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(
        InputError,
        match="cannot create .*: read-only file system; choose a directory that you may write to",
    ):
        run_directory("train", root=tmp_path / "runs", now=NOON)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    require_writable(tmp_path / "not/there/yet")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="it is a file"):
        require_writable(tmp_path / "file/inside")
    with pytest.raises(InputError, match="expected a folder that can be written to"):
        require_writable(Path("/proc/data"))


def test_keyboard_interrupt_exits_130():
    assert exit_code(raising(KeyboardInterrupt())) == 130


def test_unexpected_exception_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        raising(ZeroDivisionError())()


def test_run_directory_is_named_by_date_time_and_name(tmp_path):
    assert run_directory("train", root=tmp_path, now=NOON) == tmp_path / "2026-03-04-120506-train"


def test_second_run_in_the_same_second_gets_its_own_directory(tmp_path):
    first, second, third = (run_directory("train", root=tmp_path, now=NOON) for _ in range(3))
    assert [p.name for p in (second, third)] == [f"{first.name}-2", f"{first.name}-3"]


def test_run_directory_under_a_file_is_an_input_error(tmp_path):
    (tmp_path / "runs").touch()
    with pytest.raises(InputError, match="cannot create"):
        run_directory("train", root=tmp_path / "runs", now=NOON)


def test_write_results_prints_the_path_last(tmp_path, capsys):
    path = write_results(tmp_path, {"success_rate": 0.5})
    assert path == tmp_path / "results.json"
    assert capsys.readouterr().out.splitlines()[-1] == str(path)


def test_write_results_turns_arrays_enums_paths_and_nan_into_json(tmp_path):
    results = {
        "wilson95": np.array([0.25, 0.75]),
        "n": np.int64(3),
        "status": MaskStatus.FOUND,
        7: Path("a"),
        "x": math.nan,
    }
    written = json.loads(write_results(tmp_path, results).read_text())
    assert written == {"wilson95": [0.25, 0.75], "n": 3, "status": "found", "7": "a", "x": None}


def test_failed_write_leaves_the_old_results_and_no_temporary_file(tmp_path):
    write_results(tmp_path, {"episodes": 1})
    with pytest.raises(TypeError, match="got a object"):
        write_results(tmp_path, {"episodes": object()})
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]
    assert json.loads((tmp_path / "results.json").read_text()) == {"episodes": 1}


def test_free_space_is_checked_on_the_disk_of_a_directory_that_does_not_exist_yet(
    tmp_path, monkeypatch
):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(
        command.shutil, "disk_usage", lambda path: usage(free=1.5e9 if path == tmp_path else 0)
    )
    require_free_space(tmp_path / "runs/new", 1.4e9)
    with pytest.raises(InputError, match=r"got 1\.50 GB free .*expected at least 2\.00 GB"):
        require_free_space(tmp_path / "runs/new", 2e9)


def test_a_run_that_fails_before_it_writes_anything_leaves_no_folder(tmp_path):
    root = tmp_path / "runs"
    with pytest.raises(InputError), run_folder("train", config_yaml="a: 1", root=root):
        raise InputError("got no disk")
    assert not root.exists()


def test_a_run_that_fails_keeps_what_it_wrote(tmp_path):
    with pytest.raises(InputError), run_folder("train", config_yaml="a: 1", root=tmp_path) as run:
        (run / "cells").mkdir()
        (run / "cells/a.json").touch()
        raise InputError("got no disk")
    assert {path.name for path in run.iterdir()} == {"cells", "config.yaml"}


def test_a_run_that_was_cut_off_goes_on_under_the_same_config_only(tmp_path):
    def start(config_yaml, *, done=False):
        with (
            suppress(KeyboardInterrupt),
            run_folder("evaluate", config_yaml=config_yaml, root=tmp_path, resume=True) as run,
        ):
            (run / "episode").touch()
            if not done:
                raise KeyboardInterrupt
            write_results(run, {})
        return run

    first = start("seed: 1")
    assert start("seed: 2") != first
    assert start("seed: 1") == first
    assert start("seed: 1", done=True) == first
    assert start("seed: 1") != first, "it has results"


def test_two_commands_do_not_share_a_run(tmp_path):
    start = partial(run_folder, "evaluate", config_yaml="", root=tmp_path, resume=True)
    with start() as first, start() as second:
        assert first != second
