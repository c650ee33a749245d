import itertools
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from robot.checkpoint import read_tensors
from robot.train.loop import Training, train
from robot.train.resume import FILE_NAME
from robot.types import InputError
from tests.train.tiny import CHECKPOINT_EVERY, STEPS, Tiny, batch_of_step, batches, train_tiny

WHOLE = Training(steps=STEPS, device="cpu")


def start(folder: Path) -> subprocess.Popen:
    """Train in a process of its own, slowly, until the first checkpoint is there."""
    command = [sys.executable, "-m", "tests.train.tiny", str(folder), "0.2"]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 60
    while not (folder / FILE_NAME).is_file():
        assert process.poll() is None, "training ended before its first checkpoint"
        assert time.monotonic() < deadline, "training did not reach its first checkpoint"
        time.sleep(0.01)
    return process


def finished_steps(folder: Path) -> int:
    return int(read_tensors(folder / FILE_NAME)[1]["step"])


def killed(folder: Path) -> Path:
    process = start(folder)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < finished_steps(folder) < STEPS
    return folder


@pytest.fixture(scope="module")
def killed_run(tmp_path_factory) -> Path:
    return killed(tmp_path_factory.mktemp("killed"))


@pytest.mark.parametrize("as_iterator", [False, True], ids=["function of the step", "iterator"])
def test_a_killed_run_ends_bit_for_bit_like_an_uninterrupted_one(killed_run, tmp_path, as_iterator):
    (tmp_path / FILE_NAME).write_bytes((killed_run / FILE_NAME).read_bytes())
    resumed, uninterrupted = train_tiny(tmp_path, as_iterator=as_iterator), train_tiny(None)
    assert finished_steps(tmp_path) == STEPS
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, uninterrupted.state_dict()[name]), name


def test_a_stream_that_draws_from_the_same_generator_resumes_where_it_was_cut_off(tmp_path):
    def run(folder: Path | None, *, cut_at: int | None = None):
        generator = torch.Generator().manual_seed(3)

        def drawn(start: int):
            for step in itertools.count(start):
                if step == cut_at:
                    raise KeyboardInterrupt
                yield batch_of_step(int(torch.randint(1000, (), generator=generator)))

        torch.manual_seed(0)
        training = Training(
            steps=8, warmup_steps=1, precision="fp32", device="cpu", checkpoint_every=2
        )
        return train(Tiny(), drawn, training, generator=generator, checkpoint_dir=folder)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, cut_at=5)
    assert torch.equal(run(tmp_path).head.weight, run(None).head.weight)


def test_a_kill_loses_at_most_one_checkpoint_interval(killed_run):
    assert finished_steps(killed_run) % CHECKPOINT_EVERY == 0


def test_sigterm_saves_the_step_in_flight_before_it_ends_the_run(tmp_path):
    process = start(tmp_path)
    time.sleep(0.3)  # somewhere between two checkpoints
    process.terminate()
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert finished_steps(tmp_path) > CHECKPOINT_EVERY


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = train_tiny(tmp_path)
    again = train(Tiny(), batches, WHOLE, checkpoint_dir=tmp_path)
    assert torch.equal(first.head.weight, again.head.weight)


def test_the_state_of_another_module_is_refused(tmp_path):
    train_tiny(tmp_path)
    with pytest.raises(InputError, match="another module"):
        train(Tiny(width=8), batches, WHOLE, checkpoint_dir=tmp_path)


def test_a_truncated_state_is_refused(tmp_path):
    train_tiny(tmp_path)
    file = tmp_path / FILE_NAME
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        train_tiny(tmp_path)
