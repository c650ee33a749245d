"""What the page shows, as values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robot.demo.commands import AddBox, Go, Picture, command_of
from robot.demo.state import (
    Choice,
    State,
    Turn,
    box_in,
    found_of,
    free_index,
    point_in,
    rings_of,
    with_region,
    with_turn,
    without_region,
)
from robot.spaces import Camera
from robot.types import InputError, Mask, MaskStatus, Region

CAMERA = Camera("agentview", 40, 60)  # height, width


def test_a_box_is_sorted_and_clipped_to_the_frame():
    assert box_in(CAMERA, (50.0, 30.0, -4.0, 10.0)) == (0.0, 10.0, 50.0, 30.0)
    assert box_in(CAMERA, (10.0, 10.0, 99.0, 99.0)) == (10.0, 10.0, 60.0, 40.0)


def test_a_box_that_is_a_slip_of_the_hand_is_none():
    with pytest.raises(InputError, match=r"box of 1 x 20 px, expected at least 2 px"):
        box_in(CAMERA, (10.0, 10.0, 11.0, 30.0))
    with pytest.raises(InputError, match="box of 0 x"):
        box_in(CAMERA, (70.0, 10.0, 90.0, 30.0))  # outside


def test_a_click_is_on_the_frame():
    assert point_in(CAMERA, Region("agentview", click=(60.0, -2.0))).click == (59.0, 0.0)


def test_the_lowest_free_number_is_given():
    one, three = (Region("agentview", click=(1.0, 1.0), index=k) for k in (1, 3))
    assert free_index(()) == 1
    assert free_index((one, three)) == 2
    with pytest.raises(InputError, match="at most"):
        free_index([Region("agentview", click=(1.0, 1.0), index=k) for k in range(1, 10)])


def test_regions_keep_their_numbers_when_another_one_goes():
    state = State()
    for index in (1, 2):
        state = with_region(state, Region("agentview", click=(1.0, 1.0), index=index))
    assert [region.index for region in without_region(state, 1).regions] == [2]
    assert without_region(state, None).regions == ()
    other = Region("wrist", click=(2.0, 2.0), index=2)
    assert len(with_region(state, other).regions) == 3
    with pytest.raises(InputError, match="region 2 twice in agentview"):
        with_region(state, state.regions[1])


def test_only_what_is_new_goes_to_the_page():
    state = replace(State(), choice=Choice("place", "clean", 1, 0), cameras=(CAMERA,))
    everything = state.changed(None)
    assert everything["choice"] == {"task": "place", "scene": "clean", "seed": 1, "episode": 0}
    assert everything["cameras"] == [{"name": "agentview", "height": 40, "width": 60}]
    said = with_turn(state, Turn("you", "put it there", "goal"))
    assert said.changed(state) == {
        "turns": [{"who": "you", "text": "put it there", "kind": "goal"}]
    }
    assert state.changed(state) == {}


def test_a_conversation_forgets_what_was_long_ago():
    state = State()
    for number in range(250):
        state = with_turn(state, Turn("you", str(number), "goal"))
    assert [turn.text for turn in state.turns] == [str(number) for number in range(50, 250)]


def test_an_outline_goes_around_the_mask():
    mask = np.zeros((40, 60), np.float32)
    mask[10:20, 30:50] = 1.0
    (ring,) = rings_of(mask)
    xs, ys = np.array(ring).T
    np.testing.assert_allclose([xs.min(), xs.max(), ys.min(), ys.max()], [30, 50, 10, 20], atol=0.3)
    assert rings_of(np.zeros((40, 60), np.float32)) == ()


def test_what_masks_show_has_a_role_and_a_camera():
    probability = np.zeros((3, 40, 60), np.float32)
    probability[1, 5:15, 5:15] = 0.9  # the destination
    found = found_of(
        Mask(
            probability=(probability,),
            presence=np.array([[0.3, 0.9]], np.float32),
            predicted_iou=np.ones(1, np.float32),
            status=(MaskStatus.ABSENT,),
        ),
        (CAMERA,),
    )
    assert (found.status, round(found.presence or 0, 3)) == ("absent", 0.3)
    assert [(one.camera, one.role) for one in found.outlines] == [("agentview", "destination")]


def test_messages_are_commands():
    assert command_of('{"do": "go", "text": "lift it"}') == Go(text="lift it")
    box = command_of('{"do": "box", "camera": "wrist", "box": [1, 2, 3.5, 4]}')
    assert box == AddBox(camera="wrist", box=(1.0, 2.0, 3.5, 4.0))
    assert command_of(b"bytes") == Picture(b"bytes")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "known do"),
        ('{"do": "fly"}', "expected one of preview, go, stop"),
        ('{"do": "go"}', "got no go.text"),
        ('{"do": "go", "text": "x", "speed": 2}', "go.speed"),
        ('{"do": "go", "text": 3}', "valid string"),
        ('{"do": "box", "camera": "wrist", "box": [1, 2, 3]}', "box"),
        ('{"do": "click", "camera": "wrist", "x": NaN, "y": 1}', "finite"),
        ('{"do": "arrange", "seed": -1}', "arrange.seed=-1"),
        ('{"do": "go", "text": "%s"}' % ("x" * 501), "at most 500"),
    ],
)
def test_what_is_no_command_is_one_sentence(message, said):
    with pytest.raises(InputError) as error:
        command_of(message)
    assert said in str(error.value)
