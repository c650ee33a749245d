"""The scene graph of one frame of one camera: what generators read, whichever source it is from.

A source fills what it knows: a simulator all of it, an annotation no poses, a picture only masks,
names and confidences. What is not known is None, and generators that need it abstain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from robot.instruct.raw import GoalKind, Joint, Kind

Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels, the maxima exclusive
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)  # of an object's depth


@dataclass(frozen=True, eq=False)
class Camera:
    """Where the picture was taken from; K [px] and T_world_camera (OpenCV axes) where known."""

    name: str
    width: int
    height: int
    K: Float[np.ndarray, "3 3"] | None = None
    T_world_camera: Float[np.ndarray, "4 4"] | None = None


@dataclass(frozen=True, eq=False)
class Object:
    """A node. `mask` is what is seen of it, `box` the tight box of that, and `depth_m` quantiles
    over the mask (QUANTILES; metres, or a unit of the annotation's own where `metric` is False).

    `attributes` are words by type ("colour": ("red",)); `centre_m` and `half_m` describe the 3-D
    box in the object's own frame.
    """

    id: int
    cls: str
    kind: Kind = "object"
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mask: Bool[np.ndarray, "h w"] | None = None
    box: Box | None = None
    pixels: int = 0
    visible_fraction: float | None = None
    depth_m: tuple[float, ...] | None = None
    metric: bool = True
    T_world_object: Float[np.ndarray, "4 4"] | None = None
    centre_m: Float[np.ndarray, "3"] | None = None
    half_m: Float[np.ndarray, "3"] | None = None
    cavity_m: tuple[float, float] | None = None
    joint: Joint | None = None
    confidence: float = 1.0

    @property
    def colour(self) -> str | None:
        return self.word("colour")

    @property
    def material(self) -> str | None:
        return self.word("material")

    @property
    def size(self) -> str | None:
        return self.word("size")

    def word(self, kind: str) -> str | None:
        """Return the only word of a type of attribute; None without one, or with several."""
        words = self.attributes.get(kind, ())
        return words[0] if len(words) == 1 else None

    @cached_property
    def words(self) -> frozenset[str]:
        """Return all words of its attributes."""
        return frozenset(word for words in self.attributes.values() for word in words)

    @cached_property
    def centre_px(self) -> tuple[float, float]:
        """Return the centre (x, y) of the box [px]."""
        assert self.box is not None
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2

    @cached_property
    def position_m(self) -> Float[np.ndarray, "3"]:
        """Return the centre of the 3-D box in the world."""
        assert self.T_world_object is not None and self.centre_m is not None
        return self.T_world_object[:3, :3] @ self.centre_m + self.T_world_object[:3, 3]


@dataclass(frozen=True)
class Relation:
    """An edge: `head` is `name` of `tail` ("left" of, "on", ...), seen in `frame` ("camera",
    "robot", "world"; "annotation" where it is only stated), by `margin` in `unit`.
    """

    head: int
    name: str
    tail: int
    margin: float
    unit: str
    frame: str


@dataclass(frozen=True, eq=False)
class RobotState:
    """Where the hand is, how open it is (0 to 1), and the id of what it holds."""

    T_world_base: Float[np.ndarray, "4 4"]
    T_world_ee: Float[np.ndarray, "4 4"]
    opening: float
    held: int | None = None


@dataclass(frozen=True)
class Predicate:
    """Part of a goal: `name` ("lifted", "in", "on", "released", "open") of ids, whether it holds,
    and by how much it is away from changing (0 to 1, relative to its own threshold).
    """

    name: str
    ids: tuple[int, ...]
    holds: bool
    margin: float


@dataclass(frozen=True)
class GraphGoal:
    """What the episode asks for; `satisfied` is None where predicates and simulator differ."""

    text: str
    kind: GoalKind
    targets: tuple[int, ...]
    destinations: tuple[int, ...]
    predicates: tuple[Predicate, ...]
    satisfied: bool | None


@dataclass(frozen=True, eq=False)
class SceneGraph:
    """One frame of one camera."""

    family: str
    episode: str
    frame: int
    time_s: float
    camera: Camera
    objects: tuple[Object, ...]
    relations: tuple[Relation, ...]
    denied: frozenset[tuple[int, str, int]] = frozenset()  # (head, name, tail) known not to hold
    robot: RobotState | None = None
    goal: GraphGoal | None = None
    depth_m: Float[np.ndarray, "h w"] | None = None
    metric: bool = True
    caption: str | None = None

    @cached_property
    def by_id(self) -> dict[int, Object]:
        return {o.id: o for o in self.objects}

    @cached_property
    def relations_of(self) -> dict[tuple[int, int], tuple[Relation, ...]]:
        """Return the relations of every pair (head, tail)."""
        found: dict[tuple[int, int], list[Relation]] = {}
        for relation in self.relations:
            found.setdefault((relation.head, relation.tail), []).append(relation)
        return {pair: tuple(relations) for pair, relations in found.items()}

    @cached_property
    def id_map(self) -> np.ndarray:
        """Return the id of the object seen at every pixel (int32), -1 where none is."""
        ids = np.full((self.camera.height, self.camera.width), -1, np.int32)
        for o in self.objects:
            if o.mask is not None:
                ids[o.mask] = o.id
        return ids
