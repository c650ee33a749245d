"""The wire format: as openpi's, and whatever else comes is refused before it costs anything."""

from __future__ import annotations

import random
import tracemalloc

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from openpi_client import msgpack_numpy

from benchmarks.fuzz_wire import mutated
from robot.deploy.wire import DEEPEST, MOST_ITEMS, WireError, pack, unpack

DTYPES = ("|u1", "|b1", "<i2", "<i8", "<f4", "<f8", ">f4")
OBSERVATION = {
    "observation/agentview": np.arange(48, dtype=np.uint8).reshape(4, 4, 3),
    "observation/state": np.linspace(0, 1, 10),
    "prompt": "pick up the red cup",
    "time_s": 1.5,
    "numbers": [1, -2, 2**40, None, True, np.float32(2.5), np.int64(-3)],
    "empty": np.zeros((0, 3), np.float32),
}


def test_it_is_openpis_format_to_the_byte():
    assert pack(OBSERVATION) == msgpack_numpy.packb(OBSERVATION)
    np.testing.assert_equal(unpack(msgpack_numpy.packb(OBSERVATION)), OBSERVATION)
    np.testing.assert_equal(msgpack_numpy.unpackb(pack(OBSERVATION)), OBSERVATION)


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0, max_side=5))
    )
)
def test_arrays_survive(array):
    there_and_back = unpack(pack({"x": array}))["x"]
    assert there_and_back.dtype == array.dtype
    np.testing.assert_array_equal(there_and_back, array)


def test_an_array_that_is_not_contiguous_survives():
    array = np.arange(6).reshape(2, 3).T
    np.testing.assert_array_equal(unpack(pack(array)), array)


@pytest.mark.parametrize(
    "content",
    [
        {b"__ndarray__": True, b"data": b"1234", b"dtype": "<f4", b"shape": [2]},
        {b"__ndarray__": True, b"data": b"", b"dtype": "<f4", b"shape": [2**31, 2**31, 2**31]},
        {b"__ndarray__": True, b"data": b"1234", b"dtype": "<f4", b"shape": [-1]},
        {b"__ndarray__": True, b"data": b"1234", b"dtype": "|O", b"shape": [1]},
        {b"__ndarray__": True, b"data": b"1234", b"dtype": "f2,f2", b"shape": [1]},
        {b"__ndarray__": True, b"data": b"1234", b"dtype": "S4", b"shape": [1]},
        {b"__ndarray__": True, b"data": b"1234", b"dtype": 7, b"shape": [1]},
        {b"__ndarray__": True, b"data": b"1234", b"dtype": "<f4"},
        {b"__ndarray__": True, b"data": b"1", b"dtype": "|u1", b"shape": [1] * 9},
        {b"__npgeneric__": True, b"data": "x", b"dtype": "<f4"},
        {b"__npgeneric__": True, b"data": 1, b"dtype": "<M8[s]"},
        {1: 2},
        {"x": msgpack.ExtType(1, b"y")},
    ],
)
def test_what_is_no_sound_content_is_refused(content):
    with pytest.raises(WireError, match=r"got .*(expected|send)"):
        unpack(msgpack.packb(content))


def test_deep_wide_and_cut_off_messages_are_refused():
    deep = b"\x91" * (DEEPEST + 2) + b"\xc0"
    wide = msgpack.packb([None] * (MOST_ITEMS + 1))
    whole = pack(OBSERVATION)
    for message in (deep, wide, whole + b"\xc0", b"", *(whole[:n] for n in range(len(whole)))):
        with pytest.raises(WireError):
            unpack(message)


def test_a_small_message_cannot_ask_for_much_memory():
    claims = [
        b"\xdd\xff\xff\xff\xff",  # a list of 4 billion items
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",  # 4 GB of bytes
        b"\xdc\xff\xff" + b"\x90" * 65535,  # lists of 56 bytes each
        b"\x91" * 100_000,
    ]
    tracemalloc.start()
    for message in claims:
        with pytest.raises(WireError):
            unpack(message)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_objects_have_no_wire_format():
    with pytest.raises(WireError, match="no wire format"):
        pack({"x": np.array([object()])})
    with pytest.raises(WireError, match="no wire format"):
        pack({"x": object()})


def test_mutated_messages_are_read_or_refused():
    rng, message = random.Random(0), pack(OBSERVATION)
    refused = 0
    for _ in range(2000):
        try:
            unpack(mutated(message, rng))
        except WireError:
            refused += 1
    assert 200 < refused < 2000  # some mutations change a value and nothing else
