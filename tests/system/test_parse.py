"""Sections of a config become frozen types; what does not fit is one sentence with its key."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Literal

import pytest

from robot.system.parse import Count, FlatSpec, NotNegative, Positive, Share, Spec, options, parse
from robot.types import InputError


@options
class Wheel:
    spokes: Count
    pressure: Positive = 1.0
    wear: Share = 0.0


@options
class Bicycle:
    front: Wheel
    kind: Literal["road", "city"] = "city"
    gears: NotNegative = 0
    names: tuple[str, ...] = ()
    manual: Path | None = None
    bell: FlatSpec | None = None

    def __post_init__(self) -> None:
        if self.kind == "road" and self.bell is not None:
            raise InputError("got a bell on a road bicycle, expected none; drop bell")


def refusal(section: object, *, at: str = "") -> str:
    with pytest.raises(InputError) as caught:
        parse(Bicycle, section, at=at)
    return str(caught.value)


def test_a_section_becomes_the_dataclass_with_its_parts():
    parsed = parse(
        Bicycle,
        {"front": {"spokes": 32}, "kind": "road", "names": ["Rosi"], "manual": "docs/manual.md"},
    )
    assert parsed == Bicycle(
        front=Wheel(spokes=32), kind="road", names=("Rosi",), manual=Path("docs/manual.md")
    )


def test_what_is_parsed_already_is_taken_as_it_is():
    front, bell = Wheel(spokes=32), Spec("brass", {})
    parsed = parse(Bicycle, {"front": front, "bell": bell})
    assert parsed.front is front and parsed.bell is bell


def test_options_are_frozen():
    with pytest.raises(FrozenInstanceError):
        Wheel(spokes=32).spokes = 3  # type: ignore[misc]


def test_a_whole_number_will_do_for_a_real_one():
    assert parse(Wheel, {"spokes": 1, "pressure": 2}).pressure == 2.0


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"front": {"spokes": 1}, "basket": 1}, "got basket, which the config does not have; "),
        ({}, "got no front, expected a value; set it"),
        ({"front": {"spokes": "many"}}, "got front.spokes=many, expected a valid integer"),
        ({"front": {"spokes": 1.5}}, "got front.spokes=1.5, expected a valid integer"),
        ({"front": {"spokes": None}}, "got front.spokes=None, expected a valid integer"),
        ({"front": {"spokes": 1}, "kind": "boat"}, "got kind=boat, expected 'road' or 'city'"),
        ({"front": {"spokes": 1}, "names": "Rosi"}, "got names=Rosi, expected a valid tuple"),
        ({"front": 1}, "got front=1, expected "),
    ],
)
def test_what_does_not_fit_names_its_key_and_what_was_expected(section, says):
    assert refusal(section).startswith(says)


@pytest.mark.parametrize(
    ("wheel", "says"),
    [
        ({"spokes": 0}, "got front.spokes=0, expected at least 1; raise it"),
        ({"spokes": 1, "pressure": 0}, "got front.pressure=0, expected above 0; raise it"),
        ({"spokes": 1, "wear": 1.5}, "got front.wear=1.5, expected at most 1; lower it"),
        ({"spokes": 1, "wear": -1}, "got front.wear=-1, expected 0 or above; raise it"),
        (
            {"spokes": 1, "pressure": float("inf")},
            "got front.pressure=inf, expected a finite number; correct it",
        ),
    ],
)
def test_a_number_out_of_its_range_is_told_the_bound(wheel, says):
    assert refusal({"front": wheel}) == says


def test_a_key_is_named_with_the_place_of_its_section():
    assert refusal({"front": {"wear": 0}}, at="shop.bikes").startswith(
        "got no shop.bikes.front.spokes"
    )


def test_the_first_of_several_wrong_keys_is_named():
    assert refusal({"front": {"spokes": 0}, "gears": -1}).startswith("got front.spokes=0")


def test_a_misspelt_key_is_told_before_the_one_that_is_missing():
    assert refusal({"frnt": {"spokes": 3}}).startswith("got frnt, which the config does not have")


@options
class Corner:
    place_m: tuple[float, float, float]


def test_a_list_that_is_too_short_is_told_how_long_it_is():
    with pytest.raises(InputError, match="got 2 items in corner.place_m, expected more; add one"):
        parse(Corner, {"place_m": [0.1, 0.2]}, at="corner")


def test_what_a_constructor_refuses_comes_through_unchanged():
    section = {"front": {"spokes": 1}, "kind": "road", "bell": {"kind": "brass"}}
    assert refusal(section, at="shop") == ("got a bell on a road bicycle, expected none; drop bell")


def test_a_flat_section_is_a_kind_and_its_options():
    parsed = parse(Bicycle, {"front": {"spokes": 1}, "bell": {"kind": "brass", "notes": 2}})
    assert parsed.bell == Spec("brass", {"notes": 2})


@pytest.mark.parametrize("bell", [{"notes": 2}, {"kind": 3}, "brass"])
def test_a_flat_section_without_a_kind_is_told_to_add_it(bell):
    says = refusal({"front": {"spokes": 1}, "bell": bell})
    assert says == (
        f"got {bell} for something to build, expected a section with a kind and its options; "
        "add kind"
    )
