"""What an episode of the tabletop contains, condition by condition. No simulator: scenes are
sampled.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest

from robot.envs.registry import TABLETOP
from robot.envs.tabletop import catalogue as cat
from robot.envs.tabletop.conditions import conditions
from robot.envs.tabletop.goals import PAPER_TASKS, TASKS
from robot.envs.tabletop.other_goals import named_in, other_goal
from robot.envs.tabletop.placing import WORKSPACE, Placement
from robot.envs.tabletop.scene import DISTINCT_COLOURS, LONG_AXES, Scene, restyled, sample_scene
from robot.types import InputError
from robot.words.reader import GoalReader

CONDITIONS = tuple(conditions())
TRAINING_ONLY = ("randomised", "randomised_still", "strangers", "randomised_duplicates")
ALIKE = ("duplicates", "duplicates_clutter", "randomised_duplicates")
EPISODES = range(40)


def scenes(*, task: str, scene: str, seed: int = 3) -> list[Scene]:
    return [sample_scene(task=task, scene=scene, seed=seed, index=index) for index in EPISODES]


@cache  # what every other condition is compared with
def clean_scenes(task: str) -> list[Scene]:
    return scenes(task=task, scene="clean")


def placed(scene: Scene, body: str | None) -> Placement | None:
    return next((p for p in scene.placements if p.body == body), None)


def shape_of(placement: Placement) -> str:
    return cat.body_names()[placement.body]


def nearest_colour(placement: Placement) -> str:
    """Return the name of the catalogue colour closest to a placement's own."""
    assert placement.colour is not None
    names = cat.catalogue()["colours"] | cat.catalogue()["unseen_colours"]
    return min(
        names, key=lambda name: float(np.linalg.norm(np.array(placement.colour) - names[name]))
    )


def said(kind: str, *, held_out: bool) -> re.Pattern:
    """Return a pattern of every goal that the seen or the held-out wordings can say."""
    templates = (re.escape(template) for template in cat.wordings(kind, held_out=held_out))
    return re.compile(
        "|".join(re.sub(r"\\\{\w+\\\}", r"[a-z ]+", template) for template in templates)
    )


@pytest.mark.parametrize("scene", CONDITIONS)
def test_a_scene_depends_on_task_condition_seed_and_index_only(scene):
    first = sample_scene(task="pick", scene=scene, seed=5, index=9)
    sample_scene(task="place_any", scene="distract", seed=1, index=2)
    assert sample_scene(task="pick", scene=scene, seed=5, index=9) == first
    assert sample_scene(task="pick", scene=scene, seed=5, index=10) != first
    assert sample_scene(task="pick", scene=scene, seed=6, index=9) != first


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("scene", [c for c in CONDITIONS if c not in ("absent", "patch")])
def test_target_and_destination_stand_at_the_same_place_in_every_condition(task, scene):
    for clean, other in zip(clean_scenes(task), scenes(task=task, scene=scene), strict=True):
        assert (clean.target, clean.destination) == (other.target, other.destination)
        assert placed(clean, clean.target) == placed(other, other.target)
        assert placed(clean, clean.destination) == placed(other, other.destination)


def test_in_a_patch_the_target_alone_stands_in_one_place():
    found = list(scenes(task="pick", scene="patch"))
    targets = np.array(
        [(p.x, p.y) for scene in found for p in scene.placements if p.body == scene.target]
    )
    others = np.array(
        [(p.x, p.y) for scene in found for p in scene.placements if p.body != scene.target]
    )
    assert np.abs(targets).max() <= 0.04 < np.abs(others).max()


def test_the_same_goal_is_said_in_every_condition_but_the_one_that_holds_words_out():
    for scene in CONDITIONS:
        if not (conditions()[scene].held_out_wording or conditions()[scene].nonsense):
            assert [s.goal for s in scenes(task="pick", scene=scene)] == [
                s.goal for s in clean_scenes("pick")
            ]


def test_a_further_placing_task_leaves_the_papers_tasks_unchanged(monkeypatch):
    before = [sample_scene(task="place", scene="clean", seed=0, index=k) for k in EPISODES]
    further = {"ball_in_bowl": (cat.Noun("ball", "red"), cat.Noun("bowl", "blue"))}
    monkeypatch.setattr("robot.envs.tabletop.goals.PLACE_TASKS", further | PAPER_TASKS)
    after = [sample_scene(task="place", scene="clean", seed=0, index=k) for k in EPISODES]
    assert after == before


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("scene", [c for c in CONDITIONS if c not in ("absent", *ALIKE)])
def test_every_object_of_the_goal_is_on_the_table_once(task, scene):
    for sampled in scenes(task=task, scene=scene):
        for body, noun in (
            (sampled.target, sampled.target_noun),
            (sampled.destination, sampled.destination_noun),
        ):
            if noun is not None:
                assert [p.body for p in sampled.placements if p.noun == noun] == [body]


@pytest.mark.parametrize("scene", ALIKE)
def test_copies_are_alike_to_the_last_shade_and_stand_elsewhere(scene):
    counts = []
    for sampled in scenes(task="pick", scene=scene):
        target = placed(sampled, sampled.target)
        assert target is not None
        copies = [p for p in sampled.placements if p.noun == target.noun and p != target]
        assert all(p.colour == target.colour and shape_of(p) == shape_of(target) for p in copies)
        assert len({(p.x, p.y) for p in (target, *copies)}) == 1 + len(copies)
        counts.append(len(copies))
    assert set(counts) <= {0, 1, 2} and np.mean(counts) > 1.2


def test_a_destination_has_a_copy_too():
    sampled = scenes(task="red_cup_on_red_plate", scene="duplicates")
    plates = [sum(shape_of(p) == "plate" for p in s.placements) for s in sampled]
    assert max(plates) == 2 and np.mean([count == 2 for count in plates]) > 0.5


@pytest.mark.parametrize("scene", CONDITIONS)
def test_objects_keep_apart_and_stay_in_the_workspace(scene):
    (x0, x1), (y0, y1) = WORKSPACE
    for sampled in scenes(task="place_any", scene=scene):
        for a, b in combinations(sampled.placements, 2):
            gap = (
                np.hypot(a.x - b.x, a.y - b.y)
                - cat.footprint_m(shape_of(a))
                - cat.footprint_m(shape_of(b))
            )
            assert gap > 0.005, (a, b)
        assert all(x0 <= p.x <= x1 and y0 <= p.y <= y1 for p in sampled.placements)


def test_each_body_is_used_once():
    for sampled in scenes(task="place_any", scene="everything"):
        bodies = [p.body for p in sampled.placements]
        assert len(set(bodies)) == len(bodies)


@pytest.mark.parametrize("task", ["pick", "place"])
def test_distract_adds_only_unseen_shapes_and_unseen_colours_to_known_objects(task):
    unseen_shapes, unseen_colours = (
        set(cat.catalogue()["unseen"]),
        set(cat.catalogue()["unseen_colours"]),
    )
    for sampled in scenes(task=task, scene="distract"):
        for placement in (p for p in sampled.placements if p.noun is None):
            if placement.colour is None:
                assert shape_of(placement) in unseen_shapes
            else:
                assert shape_of(placement) in cat.catalogue()["graspable"]
                assert nearest_colour(placement) in unseen_colours


def test_distract_shows_more_objects_than_clean_and_most_of_them_are_unseen():
    clean, distract = scenes(task="pick", scene="clean"), scenes(task="pick", scene="distract")
    clutter = [sum(p.noun is None for p in s.placements) for s in distract]
    assert min(clutter) >= 3 and np.mean(clutter) > 4  # 5 where the table has room
    assert all(p.noun is not None for s in clean for p in s.placements)


def test_a_lookalike_shares_the_shape_or_the_colour_of_the_target_and_never_both():
    for sampled in scenes(task="pick", scene="lookalike"):
        target = sampled.target_noun
        others = [p.noun for p in sampled.placements if p.body != sampled.target and p.noun]
        shared = [(n.shape == target.shape) + (n.colour == target.colour) for n in others]
        assert 2 not in shared
        assert shared.count(1) >= 3  # three lookalikes, and one known object that may be a fourth


@pytest.mark.parametrize("task", TASKS)
def test_absent_shows_nothing_that_answers_to_the_goal(task):
    for sampled in scenes(task=task, scene="absent"):
        named = sampled.target_noun
        assert sampled.target is None and len(sampled.placements) >= 2
        for placement in sampled.placements:
            assert placement.noun != named
            alike = placement.colour is None or (
                np.linalg.norm(np.array(placement.colour) - cat.rgb(named.colour))
                < DISTINCT_COLOURS
            )
            assert not (shape_of(placement) == named.shape and alike)


def test_absent_keeps_the_destination_where_it_would_be():
    for clean, absent in zip(
        scenes(task="place", scene="clean"), scenes(task="place", scene="absent"), strict=True
    ):
        assert absent.destination is not None
        assert placed(absent, absent.destination) == placed(clean, clean.destination)


@pytest.mark.parametrize("kind", ["pick", "place"])
def test_a_tenth_of_at_least_thirty_wordings_is_held_out(kind):
    seen, held_out = cat.wordings(kind, held_out=False), cat.wordings(kind, held_out=True)
    assert len(seen) + len(held_out) >= 30 and len(held_out) * 10 == len(seen) + len(held_out)
    assert set(seen).isdisjoint(held_out)
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("task", "kind"), [("pick", "pick"), ("place", "place"), ("place_any", "place")]
)
def test_held_out_words_are_said_under_wording_only(task, kind):
    held_out, seen = said(kind, held_out=True), said(kind, held_out=False)
    for scene in ("clean", "distract", "randomised"):
        assert not any(held_out.fullmatch(s.goal) for s in scenes(task=task, scene=scene))
    assert all(
        held_out.fullmatch(s.goal) and not seen.fullmatch(s.goal)
        for s in scenes(task=task, scene="wording")
    )


def test_nonsense_says_no_word_of_any_goal():
    catalogue = cat.catalogue()
    nouns = {
        word for names in catalogue["nouns"].values() for name in names for word in name.split()
    }
    colours = {*catalogue["colours"], *catalogue["unseen_colours"]}
    verbs = {
        "pick",
        "grasp",
        "grab",
        "lift",
        "take",
        "get",
        "put",
        "place",
        "move",
        "bring",
        "drop",
    }
    for sampled in scenes(task="place", scene="nonsense"):
        assert not set(re.findall(r"[a-z]+", sampled.goal.lower())) & (nouns | colours | verbs), (
            sampled.goal
        )


def test_nonsense_changes_nothing_but_the_words():
    for clean, nonsense in zip(
        scenes(task="place", scene="clean"), scenes(task="place", scene="nonsense"), strict=True
    ):
        assert replace(nonsense, goal=clean.goal) == clean != nonsense


def test_the_goal_names_target_and_destination():
    nouns = cat.catalogue()["nouns"]
    for sampled in scenes(task="place_any", scene="clean"):
        assert sampled.destination_noun is not None
        for noun in (sampled.target_noun, sampled.destination_noun):
            assert any(name in sampled.goal for name in nouns[noun.shape]), (sampled.goal, noun)


def test_training_scenes_share_no_texture_with_those_that_evaluation_holds_out():
    textures = cat.catalogue()["textures"]
    standard = {textures[surface] for surface in ("table", "wall", "floor")}
    assert {conditions()[name].textures for name in TRAINING_ONLY} == {"training"}
    assert set(textures["training"]).isdisjoint(textures["held_out"])
    assert standard.isdisjoint(textures["held_out"])
    assert {spec.textures for name, spec in conditions().items() if name not in TRAINING_ONLY} == {
        "standard",
        "held_out",
    }


def test_training_scenes_share_no_clutter_with_distract():
    unseen, training = set(cat.catalogue()["unseen"]), set(cat.catalogue()["training_clutter"])
    assert unseen.isdisjoint(
        training | set(cat.catalogue()["graspable"]) | set(cat.catalogue()["receptacles"])
    )
    for scene in TRAINING_ONLY:
        shapes = {shape_of(p) for s in scenes(task="pick", scene=scene) for p in s.placements}
        assert shapes & training and shapes.isdisjoint(unseen)


def test_strangers_wear_the_colours_of_goals_whichever_one_the_goal_names():
    training, counts = set(cat.catalogue()["training_clutter"]), {True: 0, False: 0}
    for sampled in scenes(task="pick", scene="strangers"):
        for stranger in (p for p in sampled.placements if shape_of(p) in training):
            assert nearest_colour(stranger) in cat.catalogue()["object_colours"]
            counts[nearest_colour(stranger) == sampled.target_noun.colour] += 1
    assert counts[True] > 10 and counts[False] > 2 * counts[True]


def test_no_two_strangers_are_alike_and_none_turns_into_what_a_goal_names():
    training, stretches, patterned = set(cat.catalogue()["training_clutter"]), [], []
    for sampled in scenes(task="pick", scene="strangers"):
        for stranger in (p for p in sampled.placements if shape_of(p) in training):
            long = LONG_AXES[shape_of(stranger)]
            across = [s for a, s in zip("xyz", stranger.stretch, strict=True) if a not in long]
            along = [s for a, s in zip("xyz", stranger.stretch, strict=True) if a in long]
            assert max(across) <= 1.0 and min(along) >= 0.9, stranger
            stretches.append(stranger.stretch)
            patterned.append(stranger.pattern is not None)
    assert len(set(stretches)) == len(stretches) > 100
    assert 0.3 < np.mean(patterned) < 0.7


def test_only_strangers_are_reshaped():
    plain = {
        p.stretch
        for c in CONDITIONS
        if c != "strangers"
        for s in scenes(task="pick", scene=c)
        for p in s.placements
    }
    assert plain == {(1.0, 1.0, 1.0)}


def test_a_randomly_coloured_object_is_never_taken_for_the_target():
    for sampled in scenes(task="pick", scene="randomised"):
        alike = [
            p
            for p in sampled.placements
            if p.noun is None and shape_of(p) == sampled.target_noun.shape
        ]
        distances = [
            np.linalg.norm(np.array(p.colour) - cat.rgb(sampled.target_noun.colour)) for p in alike
        ]
        assert all(
            distance > DISTINCT_COLOURS - 0.04 * 3**0.5 for distance in distances
        )  # less the colour jitter


@pytest.mark.parametrize("absent_share", [0.0, 1.0])
def test_another_goal_names_a_body_on_the_table_or_one_that_is_not_there(absent_share):
    rng = np.random.default_rng(0)
    for sampled in scenes(task="pick", scene="randomised"):
        words, target, destination = other_goal(sampled, absent_share=absent_share, rng=rng)
        bodies = {p.body for p in sampled.placements}
        assert words and (destination is None or destination in bodies)
        assert (target is None) if absent_share == 1.0 else (target in bodies)


def test_a_hard_absent_goal_shares_its_colour_or_its_shape_with_a_thing_that_is_there():
    hard, easy = (alike_share(hard_share) for hard_share in (1.0, 0.0))
    assert hard == 1.0 > easy


def alike_share(hard_share: float) -> float:
    """Return how many absent goals share their colour or shape with a placement."""
    rng, reader = np.random.default_rng(0), GoalReader.of("tabletop")
    alike = []
    for sampled in scenes(task="pick", scene="clean"):
        words, target, _ = other_goal(sampled, absent_share=1.0, hard_share=hard_share, rng=rng)
        [(shape, colour)] = reader.read(words).targets
        assert target is None and cat.Noun(shape, colour) not in {
            p.noun for p in sampled.placements
        }
        alike.append(
            any(shape == shape_of(p) or colour == nearest_colour(p) for p in sampled.placements)
        )
    return float(np.mean(alike))


def test_every_thing_on_the_table_is_mistaken_as_often_as_any_other():
    rng, reader = np.random.default_rng(0), GoalReader.of("tabletop")
    sampled = sample_scene(task="pick", scene="clean", seed=3, index=0)
    crowd = replace(  # a red stranger among four blue cubes
        sampled,
        placements=(
            Placement(body="egg_0", x=0, y=0, yaw=0, colour=(0.82, 0.08, 0.08)),
            *(
                Placement(
                    body=f"cube_{k}",
                    x=0,
                    y=0,
                    yaw=0,
                    colour=(0.1, 0.22, 0.85),
                    noun=cat.Noun("cube", "blue"),
                )
                for k in range(3)
            ),
        ),
    )
    words = [other_goal(crowd, absent_share=1.0, hard_share=1.0, rng=rng)[0] for _ in range(200)]
    red = np.mean([reader.read(said).targets[0][1] == "red" for said in words])
    assert 0.25 < red < 0.6  # a quarter for the stranger, and red cubes


def test_a_new_look_is_drawn_from_the_condition_alone():
    sampled = sample_scene(task="pick", scene="clean", seed=0, index=0)
    looks = [
        restyled(sampled, condition_name="randomised", rng=np.random.default_rng(k))
        for k in (1, 1, 2)
    ]
    assert looks[0] == looks[1] != looks[2]
    assert looks[0].pool == "training"


def test_an_unknown_task_is_refused_with_those_there_are():
    with pytest.raises(
        InputError,
        match="got task 'fold', expected one of pick, pick_related, place, place_any, red_cup_on",
    ):
        sample_scene(task="fold", scene="clean", seed=0, index=0)


def test_an_unknown_scene_is_refused_with_those_there_are():
    with pytest.raises(
        InputError, match="got scene 'foggy', expected one of clean, distract, lookalike"
    ):
        sample_scene(task="pick", scene="foggy", seed=0, index=0)


def test_the_registry_lists_the_tasks_of_the_family():
    assert TABLETOP == TASKS


@pytest.mark.parametrize("index", [0, 1, 2])
def test_another_goal_makes_the_object_that_it_names_the_target(index):
    scene = sample_scene(task="pick", scene="distract", seed=3, index=index)
    other = next(p for p in scene.placements if p.noun and p.body != scene.target)
    assert other.noun is not None
    named = named_in(scene, f"kindly fetch the {other.noun.colour} {other.noun.shape}")
    assert (named.target, named.target_noun, named.destination) == (other.body, other.noun, None)


@pytest.mark.parametrize(
    "goal", ["stop", "fetch the banana", "do not take the red cup", "拿起红色的杯子"]
)
def test_nothing_succeeds_at_a_goal_that_names_nothing_there(goal):
    scene = sample_scene(task="pick", scene="distract", seed=3, index=0)
    assert named_in(scene, goal).target is None


def test_another_goal_names_a_destination_too():
    scene = sample_scene(task="duck_in_pot", scene="clean", seed=3, index=0)
    named = named_in(scene, "drop the yellow duckling into the dark pot")
    assert (named.target, named.destination) == (scene.target, scene.destination)
