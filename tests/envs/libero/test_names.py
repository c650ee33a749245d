"""Names, problem files and options of LIBERO: none of it needs its packages."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import gymnasium
import pytest

import robot.envs  # noqa: F401  (registers)
from launch.running import check_world
from robot.envs.libero.names import (
    HORIZONS,
    NAMES,
    SCENES,
    TaskName,
    check_libero_scene,
    file_names,
)
from robot.envs.libero.problem import read_problem
from robot.envs.make import EnvOptions, check_backend
from robot.envs.registry import check_expert, check_scene, check_task
from robot.experiment.collect import check_collection
from robot.types import InputError

PROBLEM = """(define (problem LIBERO_Floor_Manipulation)
  (:domain robosuite)
  (:language Pick the Cream Cheese and place it)
  (:regions (contain_region (:target basket_1)))
  (:objects
    cream_cheese_1 - cream_cheese
    bowl_1 bowl_2 - bowl
  )
  (:goal (And (In cream_cheese_1 basket_1_contain_region) (Open drawer_1))))
"""


def test_a_suite_shows_its_tasks_in_turn_and_a_task_its_own_states():
    assert TaskName.of("libero_object").episode(23) == (3, 2)
    assert TaskName.of("libero_object-7").episode(23) == (7, 23)


def test_every_suite_has_ten_tasks_that_gymnasium_knows_with_their_horizons():
    assert {suite: len(set(files)) for suite, files in file_names().items()} == dict.fromkeys(
        HORIZONS, 10
    )
    for name in NAMES:
        spec = gymnasium.spec(f"robot/{name}-v0")
        assert spec.max_episode_steps == HORIZONS[TaskName.of(name).suite]


def test_a_problem_is_read_as_its_words_goals_and_objects():
    problem = read_problem(PROBLEM)
    assert problem.words == "pick the cream cheese and place it"
    assert problem.goals == (
        ("in", "cream_cheese_1", "basket_1_contain_region"),
        ("open", "drawer_1"),
    )
    assert problem.objects == {"cream_cheese_1": "cream_cheese", "bowl_1": "bowl", "bowl_2": "bowl"}


@pytest.mark.parametrize("text", [PROBLEM[:-40], "", "(define (problem X))", "words"])
def test_a_damaged_problem_is_one_sentence(text):
    with pytest.raises(InputError, match="expected LIBERO's BDDL; reinstall"):
        read_problem(text)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (lambda: check_task("libero_objects"), "expected one of libero_spatial, libero_object"),
        (lambda: check_task("libero_object-10"), "such as libero_object-0"),
        (lambda: check_scene("libero_object", "messy"), "expected one of clean, rearranged"),
        (lambda: check_scene("libero_goal-1", "rearranged"), "things stand on the floor"),
        (lambda: check_expert("libero_goal"), "no scripted expert"),
        (lambda: check_backend("robosuite", robot="Panda", task="libero_goal"), "env=libero"),
        (lambda: check_backend("libero", robot="Panda", task="pick"), "a task of LIBERO"),
        (lambda: check_backend("libero", robot="UR5e"), "with env=libero, expected Panda"),
        (lambda: EnvOptions(backend="libero", suite="libero_90"), "expected one of libero_spatial"),
        (lambda: EnvOptions(suite="libero_object"), "with env=libero"),
        (
            lambda: check_collection(task="libero_object", scene="position", backend="libero"),
            "are for evaluation",
        ),
    ],
)
def test_what_cannot_work_is_one_sentence(check, words):
    with pytest.raises(InputError, match=words):
        check()


def test_things_are_rearranged_only_where_they_stand_on_the_floor():
    def shown(task: str) -> set[str]:
        scenes = set()
        for scene in SCENES:
            with suppress(InputError):
                check_libero_scene(task, scene)
                scenes.add(scene)
        return scenes

    assert shown("libero_object-3") == set(SCENES)
    assert shown("libero_goal-3") == set(SCENES) - {"rearranged"}


def test_it_does_not_run_in_real_time():
    robot: Any = SimpleNamespace(kind="simulated")
    env = EnvOptions(backend="libero")
    with pytest.raises(InputError, match="got env=libero with robot=simulated, expected a sim"):
        check_world(robot, env, task="libero_object", scene="official", goal=None)
