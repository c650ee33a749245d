"""What the verifier reads: words back into things, and things out of arrays.

Nothing here comes from the scene graph or from the code that made it; only vocabulary.yaml, which
says what words mean, is common to both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, cached_property

import numpy as np

from robot.instruct.raw import RawFrame, Thing
from robot.instruct.wording import vocabulary

CLEAR_SHARE, CLEAR_PIXELS = 0.15, 20
NEAR_M, BESIDE_M, SUNK_M, FLAT_M, FINGER_M = 0.15, 0.005, 0.015, 0.03, 0.025
HIDING_SHARE = 0.15
OPEN_FROM, CLOSED_UP_TO = 0.7, 0.25
PLACES = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4}
ORDINAL = re.compile(r"(\w+) (.+) from the (left|right)")


@cache
def classes_by_noun() -> dict[str, str]:
    return {
        noun: cls for cls, names in vocabulary()["nouns"].items() for pair in names for noun in pair
    }


@cache
def type_of_word(word: str) -> str | None:
    return next((t for t, words in vocabulary()["attributes"].items() if word in words), None)


@cache
def relation_names() -> dict[str, str]:
    return {text: name for name, text in vocabulary()["relations"].items()}


@cache
def parsed(text: str) -> tuple[str, tuple[str, ...]]:
    """Return (class, attribute words) of a noun phrase; raise ValueError for other text."""
    text = re.sub(r"^(the|an|a) ", "", text)
    words = text.split(" ")
    for k in range(len(words)):
        noun = " ".join(words[k:])
        if noun in classes_by_noun():
            return classes_by_noun()[noun], tuple(words[:k])
    raise ValueError(f"no noun in {text!r}")


def numbers(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"-?\d+", text)]


def points(text: str) -> list[tuple[int, int]]:
    return [(int(x), int(y)) for x, y in re.findall(r"\((\d+), (\d+)\)", text)]


def split_list(text: str) -> list[str]:
    return [part for part in re.split(r", | or ", text) if part]


class Picture:
    """Arrays of one frame, and simple facts of them."""

    def __init__(self, raw: RawFrame) -> None:
        self.raw = raw
        self.things = {t.id: t for t in raw.things}
        ids, counts = np.unique(raw.segmentation, return_counts=True)
        self.area = dict(zip(ids.tolist(), counts.tolist(), strict=True))
        self.whole = {t.id: int(m.sum()) for t, m in zip(raw.things, raw.alone, strict=True)}
        self._boxes: dict[int, list[int]] = {}
        self._depths: dict[int, float] = {}

    def share(self, i: int) -> float:
        return self.area.get(i, 0) / self.whole[i] if self.whole.get(i) else 0.0

    def is_clear(self, i: int) -> bool:
        return (
            self.things[i].kind != "marker"
            and self.area.get(i, 0) >= CLEAR_PIXELS
            and self.share(i) >= CLEAR_SHARE
        )

    @cached_property
    def shown(self) -> list[int]:
        """Return the things that questions are about and that have a pixel."""
        kinds = ("object", "receptacle", "part", "marker")
        return [i for i, t in self.things.items() if t.kind in kinds and self.area.get(i, 0)]

    @cached_property
    def clear(self) -> list[int]:
        return [i for i in self.shown if self.is_clear(i)]

    @cached_property
    def hand(self) -> list[int]:
        return [i for i, t in self.things.items() if t.kind == "gripper" and self.area.get(i, 0)]

    def box(self, i: int) -> list[int]:
        """Return [x0, y0, x1, y1] around the pixels of a thing."""
        if i not in self._boxes:
            ys, xs = np.nonzero(self.raw.segmentation == i)
            self._boxes[i] = [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]
        return self._boxes[i]

    def middle(self, i: int) -> tuple[float, float]:
        x0, y0, x1, y1 = self.box(i)
        return 0.5 * (x0 + x1), 0.5 * (y0 + y1)

    def depth(self, i: int) -> float:
        if i not in self._depths:
            self._depths[i] = float(np.median(self.raw.depth_m[self.raw.segmentation == i]))
        return self._depths[i]

    def at(self, point: tuple[int, int]) -> int:
        return int(self.raw.segmentation[point[1], point[0]])

    def in_box(self, text: str) -> int:
        """Return the one clear thing with exactly this box."""
        wanted = numbers(text)
        found = [i for i in self.clear if self.box(i) == wanted]
        if len(found) != 1:
            raise ValueError(f"{len(found)} things have the box {text}")
        return found[0]

    # --- words

    def words(self, i: int) -> dict[str, str]:
        """Return the attribute words of a thing by type, from its facts."""
        t = self.things[i]
        facts = {"colour": t.colour, "material": t.material, "size": size_word(t)}
        facts["state"] = self.state(i)
        said = vocabulary()["attribute_words"]
        return {k: said.get(word, word) for k, word in facts.items() if word is not None}

    def fits(self, i: int, text: str) -> bool:
        """Return whether a noun phrase is true of a thing."""
        cls, words = parsed(text)
        mine = self.words(i)
        return self.things[i].cls == cls and all(w in mine.values() for w in words)

    def find(self, text: str) -> list[int]:
        """Return the clear things that a noun phrase, ordinals included, refers to."""
        side = ordinal = None
        if match := ORDINAL.fullmatch(text):
            ordinal, text, side = PLACES[match[1]], match[2], match[3]
        elif text.startswith(("leftmost ", "rightmost ")):
            side, ordinal, text = text.split("most ")[0], 0, text.split(" ", 1)[1]
        found = [i for i in self.clear if self.fits(i, text)]
        if side is None or ordinal is None:
            return found
        found.sort(key=lambda i: self.middle(i)[0], reverse=side == "right")
        return found[ordinal : ordinal + 1]

    def one(self, text: str) -> int:
        """Return the thing that a phrase refers to; raise ValueError unless it is one."""
        found = self.find(text)
        if len(found) != 1:
            raise ValueError(f"{text!r} fits {len(found)} things")
        return found[0]

    # --- space

    @cached_property
    def corners(self) -> dict[int, np.ndarray]:
        """Return the eight corners of every thing's box in the world."""
        found = {}
        for i, t in self.things.items():
            signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
            local = t.centre_m + signs * t.half_m
            found[i] = local @ t.T_world_thing[:3, :3].T + t.T_world_thing[:3, 3]
        return found

    def centre(self, i: int) -> np.ndarray:
        return self.corners[i].mean(axis=0)

    def apart(self, a: int, b: int) -> float:
        return float(np.linalg.norm(self.centre(a) - self.centre(b)))

    def touch(self, a: int, b: int) -> bool:
        return (min(a, b), max(a, b)) in self.raw.contacts

    def state(self, i: int) -> str | None:
        """Return "open" or "closed"; a hand that holds something is closed."""
        t = self.things[i]
        return "closed" if t.kind == "gripper" and self.held() is not None else state_word(t)

    def held(self) -> int | None:
        """Return what both sides of the hand touch."""
        sides: dict[int, set[int]] = {}
        for i, side in self.raw.robot.finger_contacts:
            if self.things[i].kind in ("object", "receptacle", "part"):
                sides.setdefault(i, set()).add(side)
        both = [i for i, of in sides.items() if len(of) == 2]
        return both[0] if len(both) == 1 else None

    def related(self, a: int, name: str, b: int) -> bool:
        """Return whether a relation holds, without any margin."""
        if name in ("left", "right"):
            return (self.middle(a)[0] < self.middle(b)[0]) == (name == "left")
        if name in ("front", "behind"):
            return (self.depth(a) < self.depth(b)) == (name == "front")
        if name in ("robot_left", "robot_right"):
            base = np.linalg.inv(self.raw.robot.T_world_base)[:3, :3]
            y = float((base @ (self.centre(a) - self.centre(b)))[1])
            return (y > 0) == (name == "robot_left")
        if name == "near":
            return self.apart(a, b) < NEAR_M
        if name in ("on", "in"):
            return self._rests(a, b) == name
        if name == "blocks":
            return self._is_in_the_way(a, b)
        raise ValueError(f"no relation {name!r}")

    def _rests(self, a: int, b: int) -> str | None:
        """Return "on" or "in" where a is supported by or lies within b."""
        t = self.things[b]
        inverse = np.linalg.inv(t.T_world_thing)
        x, y, _ = inverse[:3, :3] @ self.centre(a) + inverse[:3, 3] - t.centre_m
        low, high = self.corners[a][:, 2].min(), self.corners[b][:, 2].max()
        floor = self.corners[b][:, 2].min()
        cavity = t.cavity_m or (0.0, 0.0)
        if abs(x) < cavity[0] and abs(y) < cavity[1] and floor - SUNK_M < low < high:
            return "on" if high - floor < FLAT_M else "in"
        over = abs(x) < t.half_m[0] and abs(y) < t.half_m[1]
        close = self.touch(a, b) or abs(low - high) < BESIDE_M
        return "on" if over and close and low >= high - SUNK_M else None

    def _is_in_the_way(self, a: int, b: int) -> bool:
        if self.things[a].kind != "object":
            return False
        mine, its = self.corners[a], self.corners[b]
        gaps = [
            max(its[:, k].min() - mine[:, k].max(), mine[:, k].min() - its[:, k].max())
            for k in (0, 1)
        ]
        return bool(mine[:, 2].max() > self.centre(b)[2] and max(gaps) < FINGER_M)

    def others(self, *excluded: int) -> Iterator[int]:
        return (i for i in self.shown if i not in excluded)


def size_word(t: Thing) -> str | None:
    """Return the word for the longest edge: up to 6 cm, up to 12 cm, or more; not within 5 mm."""
    edge = 2 * float(max(t.half_m))
    if t.kind not in ("object", "receptacle") or min(abs(edge - 0.06), abs(edge - 0.12)) < 0.005:
        return None
    return ["small", "medium-sized", "large"][(edge > 0.06) + (edge > 0.12)]


def state_word(t: Thing) -> str | None:
    if t.joint is None:
        return None
    way = (t.joint.value - t.joint.closed) / (t.joint.open - t.joint.closed)
    return "open" if way > OPEN_FROM else "closed" if way < CLOSED_UP_TO else None
