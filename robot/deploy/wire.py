"""openpi's wire format: msgpack in which an array is a map {b"__ndarray__": True, b"data",
b"dtype", b"shape"} and a NumPy scalar {b"__npgeneric__": True, b"data", b"dtype"}.

A message comes from a network, so `unpack` first walks its bytes without building anything: depth,
number of items and every length are checked before memory is taken, and an array is checked before
it is one. Nothing here can run code. What is refused is a `WireError` of one sentence.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any, TypeGuard

import msgpack
import numpy as np

KINDS = "biuf"  # of arrays: truth values, whole numbers, floats; never objects, structures or text
DEEPEST = 8
MOST_ITEMS = 4096  # an observation has about forty
MOST_DIMENSIONS = 8
_ARRAY, _SCALAR = b"__ndarray__", b"__npgeneric__"


class WireError(ValueError):
    """A message that is no observation or answer; the text may be sent to whoever sent it."""


def pack(content: Any) -> bytes:
    """Return the message of plain values and NumPy arrays. Raises WireError for another kind."""
    try:
        packed = msgpack.packb(content, default=_flatten)
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(
            f"got content that has no wire format: {error}; send plain values"
        ) from None
    assert packed is not None
    return packed


def unpack(message: bytes) -> Any:
    """Return the content of a message; its arrays are read-only views of it. Raises WireError."""
    _walk(message)
    try:
        return msgpack.unpackb(
            message, object_hook=_restore, strict_map_key=True, max_ext_len=0, raw=False
        )
    except WireError:
        raise
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        kind = type(error).__name__
        raise WireError(f"got a message that is no msgpack ({kind}); send one map") from None


def _flatten(value: Any) -> Any:
    if not isinstance(value, np.ndarray | np.generic):
        raise TypeError(f"a {type(value).__name__}")
    if value.dtype.kind not in KINDS:
        raise TypeError(f"an array of {value.dtype}")
    if isinstance(value, np.ndarray):
        return {
            _ARRAY: True,
            b"data": np.ascontiguousarray(value).data.cast("B") if value.size else b"",
            b"dtype": value.dtype.str,
            b"shape": value.shape,
        }
    return {_SCALAR: True, b"data": value.item(), b"dtype": value.dtype.str}


def _restore(content: dict[Any, Any]) -> Any:
    if _ARRAY in content:
        return _array(content)
    if _SCALAR in content:
        data = content.get(b"data")
        if not isinstance(data, bool | int | float):
            raise WireError(f"got a scalar made of {type(data).__name__}, expected a number")
        with np.errstate(over="ignore"):
            return np.array(data).astype(_dtype(content))[()]
    return content


def _array(content: dict[Any, Any]) -> np.ndarray:
    data, shape, dtype = content.get(b"data"), content.get(b"shape"), _dtype(content)
    if not _is_shape(shape):
        raise WireError("got an array without a shape, expected a list of at most 8 whole numbers")
    expected = math.prod(shape) * dtype.itemsize
    if not isinstance(data, bytes) or len(data) != expected:
        size = len(data) if isinstance(data, bytes) else type(data).__name__
        raise WireError(f"got {size} bytes for an array of {shape} {dtype}, expected {expected}")
    return np.frombuffer(data, dtype).reshape(shape)


def _is_shape(shape: Any) -> TypeGuard[list[int]]:
    return (
        isinstance(shape, list)
        and len(shape) <= MOST_DIMENSIONS
        and all(type(side) is int and 0 <= side < 2**31 for side in shape)
    )


def _dtype(content: dict[Any, Any]) -> np.dtype:
    name = content.get(b"dtype")
    text = name.decode("ascii", "replace") if isinstance(name, bytes) else name
    try:
        if not isinstance(text, str) or len(text) > 8:
            raise TypeError
        dtype = np.dtype(text)
        if dtype.kind not in KINDS or dtype.subdtype is not None:
            raise TypeError
    except (TypeError, ValueError, SyntaxError):
        raise WireError(
            "got an array of unknown dtype, expected one such as '|u1', '<f4'"
        ) from None
    return dtype


@dataclass(frozen=True)
class _Token:
    """How the items of a msgpack type byte lie: `length` bytes of their number follow the byte,
    then `fixed` + number bytes of content, or `children` per number.
    """

    length: int = 0
    fixed: int = 0
    number: int = 0  # where the type byte itself holds it
    content: bool = False
    children: int = 0


def _tokens() -> dict[int, _Token]:
    """Return what each type byte of msgpack announces (github.com/msgpack/msgpack, spec.md);
    extension types are left out, because no message here has any.
    """
    plain = {byte: _Token() for byte in (*range(0x80), 0xC0, 0xC2, 0xC3, *range(0xE0, 0x100))}
    maps = {0x80 + n: _Token(number=n, children=2) for n in range(16)}
    lists = {0x90 + n: _Token(number=n, children=1) for n in range(16)}
    texts = {0xA0 + n: _Token(number=n, content=True) for n in range(32)}
    numbers = {0xCA: 4, 0xCB: 8, **{base + k: 2**k for base in (0xCC, 0xD0) for k in range(4)}}
    sized = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
    return {
        **plain,
        **maps,
        **lists,
        **texts,
        **{byte: _Token(fixed=size) for byte, size in numbers.items()},
        **{byte: _Token(length=size, content=True) for byte, size in sized.items()},
        **{byte: _Token(length=size, children=1) for byte, size in ((0xDC, 2), (0xDD, 4))},
        **{byte: _Token(length=size, children=2) for byte, size in ((0xDE, 2), (0xDF, 4))},
    }


_TOKENS = _tokens()
_NUMBER = {1: ">B", 2: ">H", 4: ">I"}


def _walk(message: bytes) -> None:
    """Raise WireError unless the bytes are one whole msgpack value that is neither deep nor made of
    many items.
    """
    at, items, open_levels = 0, 0, [1]  # values still to come, per level
    while open_levels:
        if not open_levels[-1]:
            open_levels.pop()
            continue
        open_levels[-1] -= 1
        token = _TOKENS.get(message[at]) if at < len(message) else None
        if token is None:
            raise WireError("got a message that is cut off or no msgpack; send one map")
        at += 1
        number = token.number
        if token.length:
            if at + token.length > len(message):
                raise WireError("got a message that is cut off; send all of it")
            (number,) = struct.unpack_from(_NUMBER[token.length], message, at)
            at += token.length
        at += token.fixed + (number if token.content else 0)
        items += number * token.children
        if token.children and number:
            open_levels.append(number * token.children)
        if items > MOST_ITEMS or len(open_levels) > DEEPEST + 1:
            raise WireError(
                f"got a message of more than {MOST_ITEMS} items or {DEEPEST} levels; send one map "
                "of arrays"
            )
    if at != len(message):
        raise WireError("got a message whose lengths do not add up; send one map")
