"""The time a job will take, with numbers small enough to check by hand."""

import pytest

from robot.system.estimate import (
    Machine,
    StepTimes,
    Work,
    estimate,
    read_times,
    sentence,
    this_machine,
)

SLOW = Machine(name="AMD EPYC", cores=2, bf16=False, arithmetic_s=0.2, interpreter_s=0.3)
MEASURED = StepTimes(
    arithmetic_s=0.1, interpreter_s=0.1, arithmetic={"step": 1.0}, simulation={"episode": 2.0}
)
TIMES = {False: MEASURED}


def stages(*plan: Work, workers: int = 2) -> dict[str, float]:
    return estimate(plan, machine=SLOW, times=TIMES, workers=workers)


def test_a_machine_half_as_fast_takes_twice_as_long():
    assert stages(Work("train", "step", 10)) == {"train": pytest.approx(20.0)}


def test_simulation_is_scaled_by_the_other_probe():
    assert stages(Work("collect", "episode", 10)) == {"collect": pytest.approx(60.0)}


def test_parallel_work_is_divided_among_the_workers():
    work = Work("collect", "episode", 10, parallel=True)
    assert stages(work, workers=2) == {"collect": pytest.approx(30.0)}
    assert stages(work, workers=1) == {"collect": pytest.approx(60.0)}


def test_more_workers_than_cores_do_not_help():
    work = Work("collect", "episode", 10, parallel=True)
    assert stages(work, workers=8) == stages(work, workers=2)


def test_a_stage_lasts_as_long_as_its_longest_process():
    plan = (Work("policies", "step", 10), Work("policies", "step", 50))
    assert stages(*plan) == {"policies": pytest.approx(100.0)}


def test_work_of_one_chain_is_done_one_after_the_other():
    plan = (Work("train", "step", 10, chain="masked"), Work("train", "step", 50, chain="masked"))
    assert stages(*plan) == {"train": pytest.approx(120.0)}


def test_an_unknown_unit_is_named_with_the_choices():
    with pytest.raises(ValueError, match="got unit 'look', expected one of step, episode"):
        stages(Work("collect", "look", 1))


def test_the_sentence_names_machine_and_stages():
    said = sentence({"collect": 240.0, "mask head": 540.0, "report": 5.0}, machine=SLOW)
    assert said == (
        "about 13 minutes on this machine (AMD EPYC, 2 cores, no bfloat16): "
        "collect 4, mask head 9, report <1"
    )


def test_both_kinds_of_processor_know_the_same_units():
    times = read_times()
    assert set(times) == {True, False}
    assert set(times[True].arithmetic) == set(times[False].arithmetic)


def test_this_machine_is_measured():
    machine = this_machine()
    assert machine.cores >= 1 and machine.arithmetic_s > 0 and machine.interpreter_s > 0
