"""What was recorded is there, whatever ended the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from robot.data.corrections import corrections_of
from robot.data.store import EpisodeStore
from robot.deploy.journal import Header, Journal, Step, read_journal
from robot.deploy.recorder import (
    CORRECTIONS,
    EPISODES,
    JOURNALS,
    Recorder,
    _journal_path,
    next_index,
    recover,
)
from tests.robots import panda

ROOT = Path(__file__).resolve().parents[2]


def header(index: int = 0) -> Header:
    return Header(
        index=index,
        task="pick",
        goal="lift the red cube",
        scene="clean",
        seed=7,
        spaces=panda(agentview=(12, 16), wrist=(12, 16)),
        extra={"robot": "simulated"},
    )


def step(k: int, *, corrected: bool = False, labels: bool = False) -> Step:
    rng = np.random.default_rng(k)

    def pixels(high, *shape):
        return {
            name: rng.integers(0, high, (12, 16, *shape), np.uint8)
            for name in ("agentview", "wrist")
        }

    return Step(
        images=pixels(256, 3),
        proprio=rng.uniform(0, 1, 10).astype(np.float32),
        action=rng.uniform(-0.05, 0.05, 7).astype(np.float32),
        columns={"time_s": 100.0 + k, "is_correction": corrected, "mask_status": 1},
        labels=pixels(4) if labels else None,
    )


def written(path: Path, steps: int) -> Journal:
    journal = Journal(path, header())
    for k in range(steps):
        journal.append(step(k, labels=k == 1))
    return journal


def waited(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_journal_reads_back_with_masks_held_until_the_next(tmp_path):
    written(tmp_path / "a", 4).end(success=True, extra={"ended": "success"})
    episode = read_journal(tmp_path / "a")
    assert episode is not None and episode.success and len(episode) == 4
    assert episode.extra == {"robot": "simulated", "ended": "success"}
    for k in range(4):
        np.testing.assert_array_equal(episode.images["wrist"][k], step(k).images["wrist"])
        np.testing.assert_array_equal(episode.actions[k], step(k).action)
    assert not episode.labels["wrist"][0].any()  # no mask yet
    expected = step(1, labels=True).labels
    assert expected is not None
    for k in (1, 2, 3):
        np.testing.assert_array_equal(episode.labels["wrist"][k], expected["wrist"])
    assert episode.columns["time_s"].tolist() == [100, 101, 102, 103]
    assert episode.columns["is_correction"].dtype == bool


def test_a_journal_that_is_cut_off_anywhere_keeps_its_whole_steps(tmp_path):
    path = tmp_path / "a"
    journal, sizes = Journal(path, header()), []
    for k in range(3):
        journal.append(step(k))
        sizes.append(path.stat().st_size)
    journal.close()
    content = path.read_bytes()
    for length in range(0, len(content) + 1, 37):
        path.write_bytes(content[:length])
        episode = read_journal(path)
        whole = sum(size <= length for size in sizes)
        assert (0 if episode is None else len(episode)) == whole


def test_a_flipped_bit_ends_the_episode_before_it(tmp_path):
    path = tmp_path / "a"
    journal = Journal(path, header())
    journal.append(step(0))
    size = path.stat().st_size
    journal.append(step(1))
    journal.close()
    content = bytearray(path.read_bytes())
    content[size + 40] ^= 1
    path.write_bytes(content)
    episode = read_journal(path)
    assert episode is not None and len(episode) == 1


def test_what_a_killed_process_left_is_recovered_once(tmp_path):
    written(_journal_path(tmp_path, 3), 2).close()
    empty = Journal(_journal_path(tmp_path, 4), header(4))
    empty.close()
    assert recover(tmp_path) == [0]  # the header's index
    assert recover(tmp_path) == []
    assert EpisodeStore(tmp_path / EPISODES).read(0).extra["ended"] == "the process was killed"
    assert list((tmp_path / JOURNALS).iterdir()) == []


def test_a_journal_that_is_being_written_is_left_alone(tmp_path):
    journal = written(_journal_path(tmp_path, 0), 2)
    assert recover(tmp_path) == []
    assert next_index(tmp_path) == 1
    journal.close()
    assert recover(tmp_path) == [0]


def test_corrections_become_a_trusted_tier_of_their_own(tmp_path):
    journal = Journal(_journal_path(tmp_path, 0), header())
    for k in range(14):
        journal.append(step(k, corrected=k in (1, 2) or 5 <= k < 10))
    journal.close()
    recover(tmp_path)
    whole = EpisodeStore(tmp_path / EPISODES).read(0)
    assert whole.tier == "machine" and whole.columns["is_correction"].sum() == 7
    (part,) = EpisodeStore(tmp_path / CORRECTIONS)  # two steps were hardly meant
    assert (part.tier, len(part), part.extra["first_step"]) == ("trusted", 5, "5")
    np.testing.assert_array_equal(part.actions, whole.actions[5:10])


def test_an_episode_without_the_column_has_no_corrections(tmp_path):
    written(tmp_path / "a", 6).close()
    episode = read_journal(tmp_path / "a")
    assert episode is not None
    del episode.columns["is_correction"]  # type: ignore[attr-defined]
    assert corrections_of(episode, first_index=0) == []


def test_the_recorder_writes_episodes_and_videos(tmp_path):
    recorder = Recorder(tmp_path)
    for index in (0, 1):
        recorder.begin(header(index))
        for k in range(3):
            recorder.step(step(k))
        recorder.end(success=index == 1)
    recorder.close()
    assert recorder.failure is None and recorder.dropped == 0
    store = EpisodeStore(tmp_path / EPISODES)
    assert [(len(e), e.success) for e in store] == [(3, False), (3, True)]
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 2


def test_another_goal_is_another_episode_and_takes_the_next_free_number(tmp_path):
    recorder = Recorder(tmp_path, videos=False)
    for index in (0, 1):
        recorder.begin(header(index))
        recorder.step(step(0))
        if index == 0:
            recorder.change_goal("lift the blue ball")
            recorder.step(step(1))
            recorder.step(step(2))
        recorder.end(success=True)
    recorder.close()
    assert recorder.failure is None
    found = [(e.index, e.goal.text, len(e), e.success) for e in EpisodeStore(tmp_path / EPISODES)]
    assert found == [
        (0, "lift the red cube", 1, False),
        (1, "lift the blue ball", 2, True),
        (2, "lift the red cube", 1, True),
    ]


def test_a_folder_that_cannot_be_written_is_a_failure_and_no_exception(tmp_path):
    (tmp_path / JOURNALS).write_text("in the way")
    recorder = Recorder(tmp_path, videos=False)
    recorder.begin(header())
    recorder.step(step(0))
    recorder.close()
    assert recorder.failure is not None and "recording failed" in recorder.failure


@pytest.mark.parametrize("both", [False, True])
def test_kill_9_loses_no_step(tmp_path, both):
    """With the loop alone the recorder ends the episode, with both the next start does."""
    code = f"""
        import sys, time
        sys.path.insert(0, {str(ROOT)!r})
        if __name__ == "__main__":
            from pathlib import Path
            from tests.deploy.test_recorder import header, step
            from robot.deploy.recorder import Recorder
            recorder = Recorder(Path({str(tmp_path)!r}), videos=False)
            recorder.begin(header())
            for k in range(5):
                recorder.step(step(k))
            print(recorder._process.pid, flush=True)
            time.sleep(60)
    """
    script = tmp_path / "loop.py"
    script.write_text(textwrap.dedent(code))
    loop = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert loop.stdout is not None
    pid = int(loop.stdout.readline())
    journal = _journal_path(tmp_path, 0)
    waited(lambda: journal.exists() and (e := read_journal(journal)) is not None and len(e) == 5)
    if both:
        os.kill(pid, signal.SIGKILL)
    loop.send_signal(signal.SIGKILL)
    loop.wait()
    if both:  # a process that was killed holds its lock for a moment longer
        waited(lambda: recover(tmp_path) == [0])
    else:
        waited(lambda: not journal.exists())
    assert len(EpisodeStore(tmp_path / EPISODES).read(0)) == 5
