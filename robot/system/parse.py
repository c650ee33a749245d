"""Sections of a config -> frozen dataclasses, once, at the edge; what does not fit is one sentence.

pydantic reads the type hints. A dataclass that stands for a section is declared with `@options`:
frozen, keyword-only, and unknown keys are errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, TypeVar, dataclass_transform

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import ErrorDetails

from robot.types import InputError

T = TypeVar("T")
# told first: of `sorce` it helps little that `source` is missing
UNKNOWN_KEY = ("unexpected_keyword_argument", "extra_forbidden")

Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegativeNumber = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Share = Annotated[float, Field(ge=0, le=1)]


def folder_name(text: str) -> str:
    """Return a name that can be one of a folder; raise InputError for another one."""
    if text in ("", ".", "..") or text != text.strip() or not text.isprintable() or "/" in text:
        raise InputError(
            f"got name={text!r}, expected the name of a folder: without /, and not empty; choose "
            "another one"
        )
    if len(text.encode()) > 100:
        raise InputError(f"got a name of {len(text)} characters, expected at most 100; shorten it")
    return text


FolderName = Annotated[str, BeforeValidator(str), AfterValidator(folder_name)]


@dataclass_transform(frozen_default=True, kw_only_default=True)
def options(cls: type[T]) -> type[T]:
    """Declare a section of the config: a frozen keyword-only dataclass without unknown keys."""
    cls.__pydantic_config__ = ConfigDict(  # type: ignore[attr-defined]
        extra="forbid", arbitrary_types_allowed=True
    )
    return dataclass(frozen=True, kw_only=True)(cls)


@dataclass(frozen=True)
class Spec:
    """What to build: the kind, a key of a registry, and keyword arguments that its constructor
    checks.
    """

    kind: str
    options: Mapping[str, object]

    @classmethod
    def of(cls, section: object) -> Spec:
        """Read a flat section `{kind: ..., option: value, ...}`."""
        if not isinstance(section, Mapping) or not isinstance(section.get("kind"), str):
            raise InputError(
                f"got {section} for something to build, expected a section with a kind and its "
                "options; add kind"
            )
        return cls(section["kind"], {k: v for k, v in section.items() if k != "kind"})


def _flat(section: object) -> Spec:
    return section if isinstance(section, Spec) else Spec.of(section)


FlatSpec = Annotated[Spec, BeforeValidator(_flat)]


def parse(cls: type[T], section: object, *, at: str = "") -> T:
    """Return `section` as a `cls`; InputError names the first key that is wrong, below `at`."""
    try:
        return _adapter(cls).validate_python(section)
    except ValidationError as error:
        found = error.errors(include_url=False)
        first = next((e for e in found if e["type"] in UNKNOWN_KEY), found[0])
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, InputError):  # raised by a constructor: it says what is wrong itself
            raise cause from error
        raise InputError(_sentence(first, at=at)) from error


@cache
def _adapter(cls: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(cls)


def _sentence(error: ErrorDetails, *, at: str) -> str:
    """Return what was got, what was expected and what to do."""
    key = ".".join(str(part) for part in (at, *error["loc"]) if part != "")
    got, context = error["input"], error.get("ctx", {})
    match error["type"]:
        case "missing" | "missing_keyword_only_argument" if isinstance(error["loc"][-1], int):
            *parents, index = error["loc"]
            key = ".".join(str(part) for part in (at, *parents) if part != "")
            return f"got {index} items in {key}, expected more; add one"
        case "missing" | "missing_keyword_only_argument":
            return f"got no {key}, expected a value; set it"
        case kind if kind in UNKNOWN_KEY:
            return f"got {key}, which the config does not have; correct the name"
        case "greater_than_equal":
            return f"got {key}={got}, expected {_at_least(context['ge'])}; raise it"
        case "greater_than":
            return f"got {key}={got}, expected above {context['gt']:g}; raise it"
        case "less_than_equal":
            return f"got {key}={got}, expected at most {context['le']:g}; lower it"
        case _:
            expected = error["msg"].removeprefix("Input should be ")
            return f"got {key}={got}, expected {expected}; correct it"


def _at_least(bound: Any) -> str:
    return "0 or above" if bound == 0 else f"at least {bound:g}"


@contextmanager
def buildable(at: str) -> Iterator[None]:
    """Turn what a constructor within raises, where the options at `at` fit no network, into an
    InputError.
    """
    try:
        yield
    except InputError:
        raise
    except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as e:
        reason = " ".join(str(e).split())[:200]
        raise InputError(
            f"got options of {at} that make no network, expected ones that fit together; correct "
            f"them: {reason}"
        ) from e
