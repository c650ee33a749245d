"""Words by kind -> a label, a caption: the grammar that turns classifiers' answers into English."""

from __future__ import annotations

from collections.abc import Mapping

STATES = {"lying": "lying on its side", "held": "held above the table", "upright": "standing"}


def label_of(words: Mapping[str, str]) -> str:
    """Return the short form: "red cube", "pan handle", "table"."""
    if not words["names"]:
        return ""
    noun = words["names"]
    if words["parts"] != "whole":
        noun = f"{noun} {words['parts']}"
    return f"{words['colours']} {noun}".strip()


def caption_of(words: Mapping[str, str]) -> str:
    """Return a noun phrase: "a small patterned red cube standing", "the handle of a silver pan"."""
    if not words["names"]:
        return "not visible"
    patterned = "patterned" if words["materials"] == "patterned" else ""
    adjectives = " ".join(w for w in (words["sizes"], patterned, words["colours"]) if w)
    if words["parts"] != "whole":
        return f"the {words['parts']} of {_with_article(words['names'], '')}, {adjectives}".rstrip(
            ", "
        )
    if not adjectives:
        return f"the {words['names']}"
    state = STATES.get(words["states"], "")
    return f"{_with_article(words['names'], adjectives)} {state}".strip()


def _with_article(noun: str, adjectives: str) -> str:
    phrase = f"{adjectives} {noun}".strip()
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
