import math

import numpy as np
import pytest

from robot.policy.chunking import ChunkExecutor, predictions_for, temporal_ensemble
from robot.types import InputError


def chunk(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)[:, None].repeat(7, axis=1)


def run(executor: ChunkExecutor, chunks: list[np.ndarray], steps: int) -> list[float]:
    """Feed chunks when asked for and return the first dimension of each action."""
    waiting, actions = iter(chunks), []
    for _ in range(steps):
        if executor.needs_chunk:
            executor.add(next(waiting))
        actions.append(float(executor.next_action()[0]))
    return actions


def test_ensemble_weighs_predictions_with_exp_of_minus_decay_times_index():
    expected = (1.0 + 2.0 * math.exp(-0.5)) / (1 + math.exp(-0.5))
    assert temporal_ensemble(chunk(1, 2), decay=0.5)[0] == pytest.approx(expected)


def test_ensemble_with_decay_zero_is_the_mean():
    assert temporal_ensemble(chunk(1, 2, 6), decay=0.0)[0] == pytest.approx(3.0)


def test_predictions_come_only_from_chunks_that_cover_the_step():
    chunks = [(0, chunk(1, 2)), (1, chunk(3, 4)), (3, chunk(9, 9))]
    assert predictions_for(2, chunks)[:, 0].tolist() == [4.0]


def test_executor_replans_after_its_share_of_the_chunk():
    assert run(ChunkExecutor(execute=2), [chunk(1, 2, 3, 4), chunk(5, 6, 7, 8)], 4) == [1, 2, 5, 6]


def test_executor_replans_when_a_chunk_runs_out():
    assert run(ChunkExecutor(execute=8), [chunk(1, 2), chunk(3, 4)], 4) == [1, 2, 3, 4]


def test_ensembling_at_every_step_averages_all_live_chunks():
    executor = ChunkExecutor(execute=1, ensemble_decay=0.0)
    assert run(executor, [chunk(0, 3, 6), chunk(1, 4, 7), chunk(2, 5, 8)], 3) == [0, 2, 4]


def test_ensembling_can_replan_less_often_than_every_step():
    executor = ChunkExecutor(execute=2, ensemble_decay=0.0)
    assert run(executor, [chunk(0, 0, 10, 20), chunk(0, 0, 0, 0)], 4) == [0, 0, 5, 10]


def test_a_chunk_observed_two_steps_ago_continues_at_its_third_action():
    executor = ChunkExecutor(execute=2)
    run(executor, [chunk(1, 2, 3, 4)], 2)
    executor.add(chunk(10, 20, 30, 40), observed_at=0)
    assert executor.next_action()[0] == 30


def test_a_chunk_that_ended_before_now_is_refused():
    executor = ChunkExecutor(execute=2)
    run(executor, [chunk(1, 2)], 2)
    with pytest.raises(InputError, match="covers"):
        executor.add(chunk(1, 2), observed_at=0)


def test_next_action_without_a_chunk_is_refused():
    with pytest.raises(InputError, match="needs_chunk"):
        ChunkExecutor().next_action()


def test_reset_forgets_the_chunks_of_the_last_episode():
    executor = ChunkExecutor(execute=2)
    run(executor, [chunk(1, 2)], 1)
    executor.reset()
    assert executor.needs_chunk
    assert executor.step == 0
