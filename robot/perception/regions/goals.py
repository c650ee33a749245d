"""A goal's text and its regions, read together: which region plays which role.

goal = Goal("put <region1> on <region2>", (Region("agentview", box=(20, 30, 44, 52)),
                                           Region("agentview", click=(80.0, 61.0), index=2)))
read_goal(goal, reader).target  # 1

Region k is every `Region` of `Goal.regions` whose `index` is k: one per camera that it is given in.
Later words may call it "region k". "pick up the red cup <region1>" gives it a name; in "put the red
cup on <region1>" the cup is found by words, the destination by its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from robot.types import Frame, Goal, InputError, Region
from robot.words.items import Thing
from robot.words.reader import GoalReader, shortened
from robot.words.regions import Asked, asked_of, indices_in, sentences_of


@dataclass(frozen=True)
class RegionGoal:
    """What a goal with regions asks for. A role that no region plays is None: words name it, or
    (destination) there is none. `sentences` say it in the words of training, for the mask source
    that finds what words name and for the policy; none where nothing is to be done, for `reason`.
    """

    target: int | None
    destination: int | None
    target_words: Thing | None  # what words say of the target, also where it is a region
    destination_words: Thing | None
    has_destination: bool
    sentences: tuple[str, ...]
    reason: str = ""

    @property
    def by_words(self) -> bool:
        """Return whether words alone name the target or the destination."""
        return self.target is None or (self.has_destination and self.destination is None)


def has_regions(goal: Goal) -> bool:
    """Return whether a goal has regions, or refers to some in its text."""
    return bool(goal.regions or indices_in(goal.text))


@lru_cache(maxsize=256)
def read_goal(goal: Goal, reader: GoalReader) -> RegionGoal:
    """Return which region plays which role in a goal.

    Raises InputError where text and regions do not belong together: another count, an index that
    the other lacks.
    """
    _check_binding(goal)
    asked = asked_of(goal.text)
    sentences = sentences_of(asked, reader)
    known = f"{shortened(goal.text)!r} names an object that it has not learned"
    return RegionGoal(
        target=asked.target if isinstance(asked.target, int) else None,
        destination=asked.destination if isinstance(asked.destination, int) else None,
        target_words=_words(asked.target, asked),
        destination_words=_words(asked.destination, asked),
        has_destination=asked.destination is not None,
        sentences=sentences,
        reason=asked.reason or ("" if sentences else known),
    )


def regions_of(goal: Goal, index: int) -> dict[str, Region]:
    """Return region `index` of a goal, by camera."""
    return {region.camera: region for region in goal.regions if region.index == index}


def check_regions(goal: Goal, frames: Sequence[Frame]) -> None:
    """Raise InputError for a region in a camera that is not there, beyond its frame, or whose mask
    has another size.
    """
    sizes = {frame.camera: frame.image.shape[:2] for frame in frames}
    for region in goal.regions:
        named = f"region {region.index}"
        if region.camera not in sizes:
            raise InputError(
                f"got {named} in camera {region.camera!r}, expected one of "
                f"{', '.join(sizes)}; draw it in a camera's frame"
            )
        height, width = sizes[region.camera]
        x0, y0, x1, y1 = region.bounds
        if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
            raise InputError(
                f"got {named} at {tuple(round(v) for v in region.bounds)}, outside of "
                f"{region.camera}'s frame of {width} x {height} px, expected it inside; give "
                "pixels, not shares of the frame"
            )
        if region.mask is not None and region.mask.shape != (height, width):
            raise InputError(
                f"got a mask {region.mask.shape} of {named}, expected ({height}, {width}), the "
                f"size of {region.camera}'s frame; draw it on that frame"
            )


def _check_binding(goal: Goal) -> None:
    """Raise InputError unless the text refers to every region, and to no other."""
    said, given = indices_in(goal.text), goal.indices
    if len(said) != len(given):
        raise InputError(
            f"got {len(given)} regions for the {len(said)} that {shortened(goal.text)!r} refers "
            "to, expected as many; write <region1>, <region2> where the text means them and pass "
            "one Region(..., index=k) for each"
        )
    if unknown := sorted(set(said) - set(given)):
        raise InputError(
            f"got <region{unknown[0]}> in the goal, expected one of the regions given: "
            f"{', '.join(map(str, given))}; number text and regions alike"
        )


def _words(role: int | Thing | None, asked: Asked) -> Thing | None:
    return asked.named.get(role) if isinstance(role, int) else role
