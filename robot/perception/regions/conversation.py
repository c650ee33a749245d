"""Several rounds about one frame: regions keep their numbers, "it" is the one last spoken of.

talk = Conversation(reader, frame, regions)
talk.ask("what is region 1?")
talk.ask("is it left of region 2?")
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from robot.perception.regions.answers import answer
from robot.perception.regions.questions import read_question
from robot.perception.regions.reader import RegionReader
from robot.perception.regions.readings import Answer, Look, RegionReading
from robot.types import Frame, InputError, Region


class Conversation:
    """A frame, its regions by number, and what was asked and answered so far."""

    def __init__(self, reader: RegionReader, frame: Frame, regions: Sequence[Region] = ()) -> None:
        self.reader, self.rounds = reader, list[tuple[str, Answer]]()
        self._look: Look = reader.look(frame, regions)
        self._last: int | None = None

    @property
    def readings(self) -> tuple[RegionReading, ...]:
        return self._look.readings

    def add(self, region: Region) -> RegionReading:
        """Take one more region, with the next free number where its own is taken; return what is
        said of it.
        """
        taken = {known.index for known in self._look.regions}
        index = region.index if region.index not in taken else max(taken) + 1
        self._look = self.reader.look(
            self._look.frame, [*self._look.regions, replace(region, index=index)]
        )
        return self._look.readings[-1]

    def show(self, frame: Frame, regions: Sequence[Region]) -> None:
        """Go on with another frame, and where it shows the regions."""
        self._look = self.reader.look(frame, regions)

    def ask(self, question: str) -> Answer:
        """Answer a question in the light of the rounds before. InputError where "it" is nothing."""
        spelled = self._spelled(question)
        given = answer(self.reader, self._look, spelled)
        named = read_question(spelled).regions
        chosen = re.match(r"region (\d+)", given.text.lower())
        self._last = int(chosen[1]) if chosen else named[0] if named else self._last
        self.rounds.append((question, given))
        return given

    def _spelled(self, question: str) -> str:
        """Return a question with "it" and "that one" by number."""
        pattern = r"\b(it|that one|that region|this one|this region)\b"
        if not re.search(pattern, question, flags=re.IGNORECASE):
            return question
        if self._last is None:
            raise InputError(
                f"got {question!r} before any region was spoken of, expected its number; say "
                '"region 1"'
            )
        return re.sub(pattern, f"region {self._last}", question, flags=re.IGNORECASE)
