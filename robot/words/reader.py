"""A goal's sentence -> the sentences that a head or policy was trained on.

reader = GoalReader.of("tabletop")
reader.read("kindly hoist the crimson mug").sentences  # ("pick up the red cup",)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import product
from typing import Any

from robot.errors import InputError
from robot.words.candidates import open_candidates
from robot.words.items import Thing
from robot.words.lexicon import read_yaml
from robot.words.related import GRIPPER, Related
from robot.words.related_phrases import RelatedGoal, read_related
from robot.words.request import Request, Understanding, understand
from robot.words.vocabulary import Named, Vocabulary, matching, training_patterns

MOST_SENTENCES = 16  # that one goal may stand for


@dataclass(frozen=True)
class ReadGoal:
    """What to ask the head for: any of `sentences`; none where there is nothing to do, for
    `reason`. `targets` and `destinations` are the (noun, colour) that each sentence names, where
    they are known. With `related` one of these objects is meant, by where it stands or its size.
    """

    sentences: tuple[str, ...]
    status: Understanding
    reason: str = ""
    targets: tuple[tuple[str, str], ...] = ()
    destinations: tuple[tuple[str, str] | None, ...] = ()
    related: Related | None = None
    unheeded: tuple[str, ...] = ()  # words that were read, and that no sentence of these says
    judged: str = ""  # what the judge took for the request, where the grammar found none

    @property
    def note(self) -> str:
        """Return what a user has to know of a goal that is acted on; "" for nothing."""
        if self.judged:
            return f"understood as {self.judged!r}"
        words = ", ".join(repr(word) for word in self.unheeded)
        return f"{words} counts for nothing, only kinds and colours were learned" if words else ""


def shortened(text: str, *, length: int = 80) -> str:
    """Return a goal as a message quotes it."""
    return text if len(text) <= length else f"{text[:length]}..."


def vocabulary_named_by(sentences: Iterable[str]) -> str | None:
    """Return the name of the vocabulary that training sentences are all of; None where there is
    none.
    """
    unique = set(sentences)
    for name in read_yaml("vocabulary.yaml"):
        reader = GoalReader.of(name)
        if unique and all(reader.is_trained(sentence) for sentence in unique):
            return name
    return None


class GoalReader:
    """Reads goals into the words of one vocabulary. Without one it hands sentences on unchanged."""

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        self.vocabulary = vocabulary
        self.read = lru_cache(maxsize=1024)(self._read)
        self._trained = () if vocabulary is None else training_patterns(vocabulary)

    @classmethod
    def of(cls, stated: str | Mapping[str, Any] | None) -> GoalReader:
        """Return the reader of what a checkpoint states: the name of a vocabulary, one of its own,
        or none.
        """
        if isinstance(stated, str):
            return _shipped_reader(stated)
        return cls(None if stated is None else Vocabulary.from_json(stated))

    def _read(self, text: str) -> ReadGoal:
        if self.vocabulary is None:
            return ReadGoal((text,), Understanding.UNDERSTOOD)
        if (goal := read_related(text)) is not None:
            return self._related(goal)
        request = understand(text)
        if request.status is not Understanding.UNDERSTOOD or request.target is None:
            refused = ReadGoal((), request.status, request.reason)
            return self._judged(text, request) or refused
        meant = self._meant(request)
        if meant.sentences and self.is_trained(text):
            return ReadGoal((text,), meant.status, "", meant.targets[:1], meant.destinations[:1])
        return replace(meant, unheeded=request.unheeded) if meant.sentences else meant

    def require(self, text: str) -> ReadGoal:
        """Return a goal as read. InputError unless it asks for something that was learned."""
        read = self.read(text)
        if not read.sentences:
            why = read.reason or read.status.value
            raise InputError(
                f"got goal {shortened(text)!r}, expected a request for something that was learned: "
                f"{why}; say it otherwise"
            )
        return read

    @property
    def example(self) -> str:
        """Return a sentence that asks for something that was learned."""
        if self.vocabulary is None:
            return "pick up the red cup"
        target = self.vocabulary.targets[0]
        return self.sentence((target, target.colours[0]), None)

    def is_trained(self, text: str) -> bool:
        """Return whether a sentence is one of those that training saw."""
        plain = text.strip().lower()
        return any(pattern.fullmatch(plain) for pattern in self._trained)

    def _meant(self, request: Request) -> ReadGoal:
        """Return the sentences of the vocabulary that a request may mean."""
        assert request.target is not None
        meant = self._named(request, request.target)
        if len(meant.sentences) > MOST_SENTENCES:
            reason = "too many objects that it may mean"
            return ReadGoal((), Understanding.NOT_UNDERSTOOD, reason)
        return meant

    def _judged(self, text: str, request: Request) -> ReadGoal | None:
        """Return what the judge finds asked for in a text that the grammar does not read; None
        where that is nothing, or nothing that was learned.
        """
        candidates = open_candidates(text, request)
        if not candidates:
            return None
        from robot.words.judge import asked_for  # imports torch: seconds, only where it is needed

        if (thing := asked_for(candidates)) is None:
            return None
        meant = self._meant(replace(request, status=Understanding.UNDERSTOOD, target=thing))
        plain = " ".join(word for word in (thing.colour, thing.noun) if word)
        assert self.vocabulary is not None
        judged = self.vocabulary.pick.format(object=plain)
        return replace(meant, judged=judged) if meant.sentences else None

    def _related(self, goal: RelatedGoal) -> ReadGoal:
        """Return the sentences about all the objects that a relation tells one from."""
        assert self.vocabulary is not None
        request, anchor = goal.request, goal.related.anchor
        if request.status is not Understanding.UNDERSTOOD:
            return ReadGoal((), request.status, request.reason)
        if not goal.is_target:
            reason = "a place told from others by its surroundings"
            return ReadGoal((), Understanding.NOT_UNDERSTOOD, reason)
        if anchor is not None and anchor != GRIPPER and not self.naming(anchor):
            return _unlearned(anchor, (*self.vocabulary.targets, *self.vocabulary.destinations))
        meant = self._named(request, goal.related.target)
        return replace(meant, related=goal.related, unheeded=request.unheeded)

    def naming(self, thing: Thing) -> list[tuple[str, Thing, bool]]:
        """Return sentences that name what a phrase may mean, what that is, whether as the place."""
        assert self.vocabulary is not None
        some = self.vocabulary.targets[0]
        found = [
            (self.sentence(named, None), named, False)
            for named in matching(self.vocabulary.targets, thing, excluded=())
        ] + [
            (self.sentence((some, some.colours[0]), named), named, True)
            for named in matching(self.vocabulary.destinations, thing, excluded=())
        ]
        return [(text, Thing(noun=of[0].noun, colour=of[1]), place) for text, of, place in found]

    def _named(self, request: Request, target: Thing) -> ReadGoal:
        """Return the sentences about all that target and destination may mean."""
        assert self.vocabulary is not None
        excluded = request.excluded
        targets = matching(self.vocabulary.targets, target, excluded=excluded)
        if not targets:
            return _unlearned(target, self.vocabulary.targets)
        places: Sequence[tuple[Named, str] | None] = (None,)
        if request.destination is not None:
            places = matching(self.vocabulary.destinations, request.destination, excluded=excluded)
            if not places:
                return _unlearned(request.destination, self.vocabulary.destinations)
        pairs = list(product(targets, places))
        return ReadGoal(
            tuple(self.sentence(target, place) for target, place in pairs),
            Understanding.UNDERSTOOD,
            "",
            tuple((target[0].noun, target[1]) for target, _ in pairs),
            tuple(None if place is None else (place[0].noun, place[1]) for _, place in pairs),
        )

    def sentence(self, target: tuple[Named, str], place: tuple[Named, str] | None) -> str:
        """Return the plain sentence about a target, and a destination if there is one."""
        assert self.vocabulary is not None
        if place is None:
            return self.vocabulary.pick.format(object=_phrase(target))
        return self.vocabulary.place.format(
            object=_phrase(target), destination=_phrase(place), preposition=place[0].preposition
        )


@cache
def _shipped_reader(name: str) -> GoalReader:
    """Return the reader of a vocabulary of this package, made once: envs and heads share it."""
    known = read_yaml("vocabulary.yaml")
    if name not in known:
        raise InputError(
            f"got vocabulary {name!r} in a checkpoint, expected one of {', '.join(known)}; "
            "use the version that wrote it"
        )
    return GoalReader(Vocabulary.from_json(known[name]))


def _phrase(named: tuple[Named, str]) -> str:
    return f"{named[1]} {named[0].names[0]}"


def _unlearned(thing: Thing, named: Sequence[Named]) -> ReadGoal:
    what = " ".join(word for word in (thing.colour, thing.noun) if word)
    known = ", ".join(f"{'/'.join(one.colours)} {one.noun}" for one in named)
    reason = f"{what} is not among what it has learned: {known}"
    return ReadGoal((), Understanding.NOT_UNDERSTOOD, reason)
