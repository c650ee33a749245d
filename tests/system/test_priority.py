"""Scheduling of threads: what is taken is given back."""

import os

import pytest

from robot.system.priority import own_priority, prompt


def now():
    return os.sched_getscheduler(0), os.sched_getparam(0).sched_priority


def test_what_a_library_takes_is_given_back_even_when_it_fails():
    before = now()
    with pytest.raises(RuntimeError), own_priority():
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        assert now() != before
        raise RuntimeError("no robot")
    assert now() == before


def test_a_prompt_thread_is_a_real_time_one_where_that_is_allowed():
    before = now()
    with prompt():
        if os.geteuid() == 0:
            assert now() == (os.SCHED_RR, 3)
        else:
            assert now()[0] in (os.SCHED_RR, before[0])
    assert now() == before


def test_without_permission_it_goes_on_as_it_was(monkeypatch):
    schedule = os.sched_setscheduler

    def not_root(thread, policy, parameter):
        if policy == os.SCHED_RR:
            raise PermissionError("not root")
        schedule(thread, policy, parameter)

    before = now()
    monkeypatch.setattr(os, "sched_setscheduler", not_root)
    with prompt():
        assert now() == before
    assert now() == before
