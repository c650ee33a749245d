"""What the verifier learns from: cut-outs, phrases that name them, and phrases that do not."""

from __future__ import annotations

import numpy as np
import pytest

from robot.data.scene_looks import FIRST_OBJECT, SceneLooks, SeenObject
from robot.train.verifier import NOTHING, cutouts_of, vocabulary_phrases, wrong_phrases

PHRASES = [("cube", "red"), ("cube", "blue"), ("cup", "red")]


def thing(body: str, shape: str, colour: str | None) -> SeenObject:
    return SeenObject(body, shape, colour, None, 0.03, 0.05, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))


def looks_at(*objects: SeenObject) -> SceneLooks:
    """Return one look in which the objects are squares of 8 px side by side."""
    instances = np.zeros((1, 1, 40, 40), np.uint8)
    images = np.full((1, 1, 40, 40, 3), 100, np.uint8)
    for k in range(len(objects)):
        instances[0, 0, 4:12, 10 * k : 10 * k + 8] = FIRST_OBJECT + k
        images[0, 0, 4:12, 10 * k : 10 * k + 8] = 20 * k
    return SceneLooks(
        images=images,
        instances=instances,
        parts=np.zeros_like(instances),
        objects=(objects,),
        cameras=("agentview",),
        scenes=("clean",),
        moments=("start",),
        sequences=np.zeros(1, int),
        steps=np.zeros(1, int),
    )


def test_cutouts_have_the_phrase_that_names_them():
    looks = looks_at(
        thing("a", "cube", "blue"),
        thing("b", "banana", "yellow"),  # not in the vocabulary: nothing names it
        thing("c", "cup", None),  # a cup of no colour that has a name: nobody can say
        thing("d", "cup", "red"),
    )
    cutouts = cutouts_of(looks, PHRASES, seed=0)
    named = [(s, int(p)) for s, p in zip(cutouts.shapes, cutouts.phrases, strict=True) if s]
    assert named == [("cube", 1), ("banana", NOTHING), ("cup", 2)]
    middle = cutouts.planes.shape[-1] // 2
    assert [int(p[0, middle, middle]) for p in cutouts.planes[:3]] == [0, 20, 60]
    assert (cutouts.planes[:3, 3, middle, middle] == 255).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_wrong_phrase_is_never_its_own_and_often_nearly(seed):
    cutouts = cutouts_of(looks_at(thing("a", "cube", "red")), PHRASES, seed=0)
    rng, chosen = np.random.default_rng(seed), np.zeros(200, int)
    drawn = wrong_phrases(cutouts, chosen, PHRASES, rng=rng)
    assert set(drawn) == {1, 2}  # the blue cube shares the shape, the red cup the colour


def test_every_target_of_the_vocabulary_in_every_colour_is_a_phrase():
    phrases = vocabulary_phrases()
    assert ("cup", "blue") in phrases and ("duck", "yellow") in phrases
    assert len(phrases) == len(set(phrases)) == 17
