"""The work of a comparison, counted before it starts."""

from __future__ import annotations

from robot.experiment.plan import work_of
from robot.system.estimate import read_times
from tests.experiment.comparison import arm, common_of


def counted(*arms, **change) -> dict[tuple[str, str], float]:
    """Return how much of every unit each chain has."""
    return {(w.unit, w.chain): w.count for w in work_of(arms, arms, common_of(**change))}


def test_an_arm_with_learned_masks_waits_for_its_head():
    common = common_of()
    units = counted(arm("masked", perception="learned"), arm("unmasked", perception="none"))
    assert units["mask_head_step", "masked 0"] == common.mask_training.steps
    assert ("mask_head_step", "unmasked 0") not in units


def test_steps_of_an_arm_are_multiplied():
    steps = common_of().train.steps
    (count,) = [
        count
        for (unit, chain), count in counted(arm("long", perception="none", steps=3.0)).items()
        if chain == "long 0"
    ]
    assert count == 3 * steps


def test_every_unit_of_work_has_a_measured_time():
    arms = (arm("masked", perception="learned"), arm("unmasked", perception="none"))
    known = {unit for times in read_times().values() for unit in times.arithmetic}
    known |= {unit for times in read_times().values() for unit in times.simulation}
    assert {work.unit for work in work_of(arms, arms, common_of())} <= known
