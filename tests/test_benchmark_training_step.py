"""The benchmark of training steps trains what it says."""

from typing import Any

import pytest
import torch

from benchmarks import training_step
from robot.policy.tokens import kept_patches
from robot.train.loop import Training
from tests.train.tiny import Tiny, batch_of_step


def test_a_masked_batch_keeps_as_many_patches_as_stated():
    images = training_step.policy_batch(masked=True).observation.images
    for camera, kept in enumerate(training_step.KEPT):
        assert kept_patches(images[:, camera], threshold=0.0).sum(dim=1).unique().tolist() == [kept]


def test_steps_are_timed_after_the_warm_up():
    training = Training(steps=training_step.WARM_UP + 4, device="cpu", log_every=1)
    times_ms = training_step.step_times(Tiny(), batch_of_step(0), training)
    assert times_ms.shape == (4,) and (times_ms > 0).all()


def test_every_module_is_built_for_its_batch():
    for make, batch in training_step.things_to_train().values():
        with torch.no_grad():
            module: Any = make()
            assert module.loss(batch).isfinite().all()


@pytest.mark.parametrize("argument", ["--steps=0", "--threads=0"])
def test_bad_numbers_exit_with_2(argument, capsys):
    with pytest.raises(SystemExit) as stopped:
        training_step.main([argument])
    assert stopped.value.code == 2
    assert "expected" in capsys.readouterr().err
