"""Work in processes of its own. The functions below are what workers import: they must stay at the
top of this module.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from robot.system.parallel import available_workers, parallel_map
from robot.types import InputError


def make_squares(*, started: Path):
    (started / str(os.getpid())).touch()
    return squared


def squared(item: int) -> int:
    return item * item


def make_fussy(*, done: Path):
    return partial(refuse_two, done=done)


def refuse_two(item: int, *, done: Path) -> int:
    if item == 2:
        raise InputError("got item 2, expected another; pass 3")
    time.sleep(0.2)
    (done / str(item)).touch()
    return item


def make_slow(*, root: Path):
    (root / f"{os.getpid()}.pid").touch()
    return partial(slow, root=root)


def slow(item: int, *, root: Path) -> int:
    (root / f"{item}.begun").touch()
    time.sleep(1.0)
    (root / f"{item}.done").touch()
    return item


def make_thread_count():
    import torch  # as work does that needs it: after the worker began

    return lambda item: torch.get_num_threads()


@pytest.mark.parametrize("workers", [1, 2])
def test_work_that_imports_torch_has_one_thread_of_it(workers):
    assert dict(parallel_map(make_thread_count, [0, 1], workers=workers)) == {0: 1, 1: 1}


def test_work_without_torch_does_not_load_it():
    code = (
        "import sys; from robot.system.parallel import parallel_map\n"
        "list(parallel_map(lambda: abs, [1, 2], workers=1)); print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_all_results_come_each_with_its_item(tmp_path):
    results = dict(parallel_map(partial(make_squares, started=tmp_path), range(9), workers=2))
    assert results == {k: k * k for k in range(9)}
    makers = {int(path.name) for path in tmp_path.iterdir()}
    assert 1 <= len(makers) <= 2 and os.getpid() not in makers


def test_one_worker_is_this_process(tmp_path):
    assert list(parallel_map(partial(make_squares, started=tmp_path), [3, 4], workers=1)) == [
        (3, 9),
        (4, 16),
    ]
    assert [path.name for path in tmp_path.iterdir()] == [str(os.getpid())]


def test_no_items_is_no_work():
    assert list(parallel_map(partial(pytest.fail, "made work for nothing"), [], workers=2)) == []


def test_bad_input_in_a_worker_is_bad_input_here_and_ends_the_rest(tmp_path):
    items = [2, *range(10, 40)]
    with pytest.raises(InputError, match="got item 2, expected another; pass 3"):
        list(parallel_map(partial(make_fussy, done=tmp_path), items, workers=2))
    assert len(list(tmp_path.iterdir())) < len(items) - 5, "what was not begun is cancelled"


def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    """A worker that went on would write the episodes that the next start is writing."""
    code = (
        "import sys; from functools import partial; from pathlib import Path; from "
        "robot.system.parallel import parallel_map\n"
        "from tests.system.test_parallel import make_slow\n"
        "if __name__ == '__main__': list(parallel_map(partial(make_slow, root=Path(sys.argv[1])), "
        "range(30), workers=2))"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    (tmp_path / "out").mkdir()
    root = Path(__file__).resolve().parents[2]
    parent = subprocess.Popen(
        [sys.executable, script, tmp_path / "out"], env=os.environ | {"PYTHONPATH": str(root)}
    )
    try:
        wait_for(lambda: len(list((tmp_path / "out").glob("*.pid"))) == 2)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    workers = [int(path.stem) for path in (tmp_path / "out").glob("*.pid")]
    wait_for(lambda: not any(alive(pid) for pid in workers), timeout_s=20)
    assert workers and not any(alive(pid) for pid in workers)


def alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and that nobody has asked about (a zombie)
    does not.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, *, timeout_s: float = 300.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_there_is_a_worker_for_every_core():
    assert 1 <= available_workers() <= (os.cpu_count() or 1)
