"""Items -> noun phrases: "the small red cup" is one item, a thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from robot.words.items import PART, Item, Thing


def noun_phrases(items: Sequence[Item]) -> list[Item]:
    found: list[Item] = []
    k = 0
    while k < len(items):
        phrase, end = noun_phrase(items, k)
        if phrase is None:
            found.append(items[k])
            k += 1
        else:
            found.append(Item(" ".join(i.text for i in items[k:end]), thing=phrase))
            k = end
    return found


def noun_phrase(items: Sequence[Item], start: int) -> tuple[Thing | None, int]:
    """Return the noun phrase that begins here and where it ends; None where none does."""
    k, thing = start, Thing()
    determined = False
    while k < len(items) and items[k].is_a("determiners") and not items[k].is_a("colour"):
        k, determined = k + 1, True
    first, plain, modified = k, False, False
    unknown: list[str] = []
    colours: list[Item] = []
    while k < len(items):
        item = items[k]
        if item.is_a("noun", "generic") and not (
            item.is_a("colour") and _leads_to_noun(items, k + 1)
        ):
            break
        if item.is_a("colour"):
            colours.append(item)
            plain = item.text == item.value("colour") != "orange"
        elif item.is_a("quantities") and (determined or not item.is_a("stops", "fillers")):
            unknown.append(item.text)
        elif item.is_a("modifiers", "evaluations") and (
            determined or colours or _leads_to_noun(items, k + 1)
        ):
            modified, plain = True, False
            thing = replace(thing, evaluated=thing.evaluated or item.is_a("evaluations"))
        elif item.is_a("surroundings") and (determined or colours):
            thing = replace(thing, vague=True)
        elif (item.is_a("unknown") and (determined or colours)) or (
            determined and not item.mark and _leads_to_noun(items, k + 1, only=1)
        ):
            unknown.append(item.text)
        else:
            break
        k += 1
    colour, known = _one_colour([item.value("colour") for item in colours])
    if not known:
        unknown.append(" ".join(item.text for item in colours))
    thing = replace(thing, colour=colour)
    if k < len(items) and items[k].is_a("noun") and not items[k].mark:
        thing, k = replace(thing, noun=items[k].value("noun")), k + 1
    elif k < len(items) and items[k].is_a("generic") and (determined or colours or modified):
        thing, k = replace(thing, one=items[k].text in ("one", "ones")), k + 1
    elif not (unknown and (determined or colours)) and not (colours and plain):
        return None, start
    if unknown and thing.noun is None and not determined and not colours:
        return None, start
    if k == first and not colours and not unknown and thing.noun is None:
        return None, start
    if thing.noun is not None and k < len(items) and items[k].text in ("thing", "thingy", "object"):
        k += 1  # "that cup thing"
    while k < len(items) and items[k].is_a("unknown") and thing.noun is not None:
        if k + 1 < len(items) and items[k + 1].is_a("determiners"):
            break  # "the cup form the table"
        unknown.append(items[k].text)  # "cup holder" is another thing than a cup
        k += 1
    if (
        k < len(items)
        and items[k].is_a("noun")
        and thing.noun is not None
        and not determined_here(items, k)
    ):
        unknown.append(items[k].text)
        k += 1
    thing = replace(thing, unknown=tuple(unknown))
    return _described(items, k, thing)


def determined_here(items: Sequence[Item], k: int) -> bool:
    """Return whether the noun at `k` begins a phrase of its own."""
    return items[k].is_a("places", "fillers", "take", "place")


def _leads_to_noun(items: Sequence[Item], k: int, *, only: int = 6) -> bool:
    """Return whether the words from here on end in a noun: the one before is part of its phrase."""
    for item in items[k : k + only]:
        if item.is_a("noun", "generic"):
            return True
        if not item.is_a(*PART):
            return False
    return False


def _one_colour(colours: Sequence[str]) -> tuple[str | None, bool]:
    """Return the colour that words name together, and whether there is one: "cherry red" is, "red
    green" is not.
    """
    if not colours:
        return None, True
    return (colours[-1], True) if len(set(colours)) == 1 else (None, False)


def _described(items: Sequence[Item], k: int, thing: Thing) -> tuple[Thing, int]:
    """Add what follows a noun: "that is blue", "of red colour", "which is not green"."""
    end, negated = _past_place(items, k), False
    start = end
    while end < len(items) and (
        items[end].is_a("about", "modifiers", "generic")
        or (end == start and items[end].text == "of")
        or (items[end].is_a("determiners") and end > start)
        or (end > start and items[end].is_a("negations"))
    ):
        negated |= items[end].is_a("negations")
        end += 1
    if end == start or end >= len(items) or not items[end].is_a("colour"):
        return thing, k
    if items[end].is_a("noun") or _leads_to_noun(items, end + 1):
        return thing, k
    if items[end - 1].text == "of" and not any("color" in i.text for i in items[end + 1 : end + 2]):
        return thing, k  # "a cup of green tea"
    colour, end = items[end].value("colour"), end + 1
    while end < len(items) and items[end].is_a("modifiers", "about") and "color" in items[end].text:
        end += 1
    if negated:
        return replace(thing, not_colours=(*thing.not_colours, colour)), end
    if thing.colour not in (None, colour):
        return replace(thing, unknown=(*thing.unknown, colour)), end
    return replace(thing, colour=colour), end


def _past_place(items: Sequence[Item], k: int) -> int:
    """Return where "on the table" ends, if it stands here."""
    end = k + 1
    while end < len(items) and items[end].is_a("determiners"):
        end += 1
    if k < len(items) and items[k].is_a("puts", "sources") and not items[k].is_a("about"):
        return end + 1 if end < len(items) and items[end].is_a("places") else k
    return k
