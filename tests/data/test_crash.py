"""Kills, full disks, corrupt files and several writers."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from robot.data import atomic
from robot.data.store import EpisodeStore
from robot.types import InputError

_PREAMBLE = """
import os, sys, time
import numpy as np
from robot.data.store import EpisodeStore
from robot.end_effector import panda_spaces
from robot.spaces import Camera
from robot.types import Episode, Goal

def episode(index, size=16, steps=4):
    rng = np.random.default_rng(index)
    pixels = rng.integers(0, 256, (steps, size, size, 3), dtype=np.uint8)
    return Episode(task="t", goal=Goal("go"), images={"a": pixels}, labels={},
                   proprio=np.zeros((steps, 10), np.float32),
                   actions=np.full((steps, 7), index * 1e-6, np.float32), control_dt_s=0.05,
                   spaces=panda_spaces(cameras=[Camera("a", size, size)], control_dt_s=0.05),
                   success=True, seed=0, index=index,
                   scene="s")

store = EpisodeStore(sys.argv[1])
"""


def _start(script: str, *args: object) -> subprocess.Popen:
    code = _PREAMBLE + textwrap.dedent(script)
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def _temporaries(root: Path) -> list[Path]:
    return list(root.rglob(".*.tmp"))


def test_a_kill_mid_episode_loses_that_episode_only(tmp_path):
    writer = _start(
        """
        store.append(episode(0))
        rename = os.rename
        def hang(*args):
            print("about to rename", flush=True)
            time.sleep(60)
        os.rename = hang
        store.append(episode(1))
        """,
        tmp_path,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "about to rename\n"
    EpisodeStore(tmp_path)
    assert len(_temporaries(tmp_path)) == 1, "the temporary of a living writer stays"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    store = EpisodeStore(tmp_path)
    assert _temporaries(tmp_path) == [], "that of a killed one goes"
    assert store.missing(2) == [1]
    assert (store.read(0).actions == 0).all()


def test_kills_at_random_moments_leave_only_whole_episodes(tmp_path):
    for delay_s in (0.0, 0.013, 0.031):
        writer = _start(
            "for index in store.missing(100_000): store.append(episode(index)); print(index, "
            "flush=True)",
            tmp_path,
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(delay_s)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    store = EpisodeStore(tmp_path)
    assert len(store) >= 3
    assert sorted(store.indices()) == list(range(len(store)))
    assert all((episode.actions == np.float32(episode.index * 1e-6)).all() for episode in store)
    store.finalize()


def test_workers_write_one_store_at_the_same_time(tmp_path):
    workers = [
        _start("for i in range(int(sys.argv[2]), 12, 3): store.append(episode(i))", tmp_path, start)
        for start in range(3)
    ]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    store = EpisodeStore(tmp_path)
    store.finalize()
    assert store.missing(12) == []
    assert all((episode.actions == np.float32(episode.index * 1e-6)).all() for episode in store)


def test_a_file_size_limit_is_bad_input_and_leaves_no_half_file(tmp_path):
    writer = _start(
        """
        import resource
        from robot.types import InputError
        store.append(episode(0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            store.append(episode(1, size=16, steps=1000))
        except InputError as error:
            print(error, flush=True)
        """,
        tmp_path,
    )
    assert writer.stdout is not None
    assert "file-001.parquet" in writer.stdout.read()
    writer.wait()
    assert EpisodeStore(tmp_path).indices() == {0}
    assert _temporaries(tmp_path) == []


def test_a_full_disk_is_bad_input_and_leaves_no_half_file(tmp_path, make_episode, monkeypatch):
    def no_space(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", no_space)
    with pytest.raises(InputError, match="full disk.*free some space"):
        EpisodeStore(tmp_path).append(make_episode())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_another_operating_system_error_is_not_disguised(tmp_path, make_episode, monkeypatch):
    def failing(_descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(atomic.os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output"):
        EpisodeStore(tmp_path).append(make_episode())


def test_a_truncated_file_is_named_with_a_remedy(tmp_path, make_episode):
    store = EpisodeStore(tmp_path)
    store.append(make_episode())
    path = tmp_path / "data/chunk-000/file-000.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    for use in (lambda: store.read(0), lambda: store.summary(0), store.finalize):
        with pytest.raises(
            InputError, match="file-000.parquet.*delete it and collect episode 0 again"
        ):
            use()


def test_an_empty_file_is_named_with_a_remedy(tmp_path, make_episode):
    store = EpisodeStore(tmp_path)
    store.append(make_episode())
    (tmp_path / "data/chunk-000/file-000.parquet").write_bytes(b"")
    with pytest.raises(InputError, match="file-000.parquet"):
        store.read(0)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6])
def test_a_flipped_bit_is_found(tmp_path, make_episode, share):
    store = EpisodeStore(tmp_path)
    store.append(make_episode(steps=20))
    path = tmp_path / "data/chunk-000/file-000.parquet"
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="file-000.parquet"):
        store.read(0)


def test_a_foreign_parquet_file_is_named_with_a_remedy(tmp_path):
    import pyarrow as pa

    from robot.data.parquet import write_table

    write_table(tmp_path / "data/chunk-000/file-000.parquet", pa.table({"a": [1]}))
    with pytest.raises(InputError, match="file-000.parquet"):
        EpisodeStore(tmp_path).read(0)
