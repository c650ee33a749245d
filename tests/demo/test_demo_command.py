"""launch/demo.py checks all of its config before anything is set up."""

from __future__ import annotations

import pytest

from launch import showing
from launch.options import check_options
from launch.showing import parse_asked
from robot.demo.page_options import PageOptions
from robot.errors import InputError
from tests.test_configs import composed, options


def asked(*overrides: str):
    values = composed("demo", *overrides)
    check_options(values, default=composed("demo", *(o for o in overrides if "robot=" in o)))
    return parse_asked(values)


def test_the_table_is_the_default():
    found = asked()
    assert found.robot is None and (found.task, found.env.backend) == ("place", "mujoco")
    assert found.policies.pick.name == "tabletop" and found.policies.place.name == "place"
    assert PageOptions(host=found.host, port=found.port).host == "127.0.0.1"


@pytest.mark.parametrize("robot", options("robot"))
def test_every_robot_can_be_shown(robot):
    found = asked(f"robot={robot}")
    assert found.robot is not None and found.robot.kind == robot


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("scene=foggy",), "got scene 'foggy'"),
        (("task=fold",), "got task 'fold'"),
        (("task=lift", "scene=clean"), "got task 'lift' with env=mujoco"),
        (("policies.pick=nothing",), "got checkpoint 'nothing'"),
        (("head=nothing",), "nothing"),
        (("execute=0",), "got execute=0"),
        (("port=-1",), "got port=-1"),
        (("device=abacus",), "abacus"),
        (("env.control_dt_s=0.1",), "control"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(overrides, said):
    with pytest.raises(InputError) as error:
        asked(*overrides)
    assert said in str(error.value)


def test_the_package_of_the_server_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setattr(showing.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install -e "\.\[server\]"'):
        asked()


def test_without_weights_that_read_there_is_no_reader(tmp_path, monkeypatch):
    found = asked()
    object.__setattr__(found, "reader", tmp_path)
    assert showing.reading_of(found) is None
