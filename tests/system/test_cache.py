"""Names of cache folders."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from pathlib import Path

import pytest

from robot.system.cache import ADDED, key


def test_a_file_counts_by_its_bytes_wherever_it_lies(tmp_path):
    names = []
    for name, content in (("one", b"these"), ("copy", b"these"), ("other", b"those")):
        (tmp_path / name).write_bytes(content)
        names.append(key("made", {"of": tmp_path / name}))
    assert names[0] == names[1] != names[2]


def test_a_folder_counts_by_its_name_wherever_it_lies(tmp_path):
    (tmp_path / "frames-1234").mkdir()
    here, there, other = (
        key("made", {"of": path})
        for path in (tmp_path / "frames-1234", Path("data/frames-1234"), Path("data/frames-5678"))
    )
    assert here == there != other


def test_dataclasses_of_the_same_fields_are_told_apart_by_their_class():
    @dataclass(frozen=True)
    class One:
        share: float

    @dataclass(frozen=True)
    class Other:
        share: float

    assert key("made", {"of": One(0.5)}) != key("made", {"of": Other(0.5)})
    assert key("made", {"of": One(0.5)}) == key("made", {"of": One(0.5)})


def test_a_field_added_later_counts_only_where_it_is_not_the_default():
    before = make_dataclass("Env", ["size"])(1)
    later = make_dataclass("Env", ["size", ("suite", object, field(default=None, metadata=ADDED))])
    assert key("made", {"of": before}) == key("made", {"of": later(1)})
    assert key("made", {"of": before}) != key("made", {"of": later(1, "libero_object")})


def test_what_has_no_content_is_our_mistake():
    with pytest.raises(TypeError, match="got a object in the content of a cache folder"):
        key("made", {"of": object()})
