"""Misspelt words -> the words that they were meant to be: by edit distance, never from one English
word to another.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache


def distance(one: str, other: str) -> int:
    """Return the number of letters to insert, delete, replace or swap with their neighbour
    (Damerau-Levenshtein, optimal string alignment).
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        last, before, row = before, row, [i]
        for j, b in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]


def limit(length: int) -> int:
    """Return how many slips a word of so many letters may have."""
    return 0 if length < 3 else 1 if length < 6 else 2


def candidates(word: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return the known words nearest to a misspelt one; empty where none is near enough."""
    best, letters = limit(len(word)), set(word)
    found: list[str] = []
    for other in known:
        if len(other) < 3 or abs(len(other) - len(word)) > best:
            continue
        if len(letters ^ set(other)) > 2 * best:
            continue  # as many letters differ as slips can explain, or more: spares the table
        slips = distance(word, other)
        if slips > min(best, limit(len(other)), max(1, len(other) - 4)):
            continue
        if slips == 2 and other[0] != word[0]:
            continue
        if slips < best:
            best, found = slips, []
        found.append(other)
    return tuple(found)


def same_letters(one: str, other: str) -> bool:
    """Return whether a word has the other's letters, in another order or one of them twice."""
    return sorted(one) == sorted(other) or (set(one) == set(other) and len(one) == len(other) + 1)


def slip(typed: str, meant: str) -> bool:
    """Return whether fingers slip from one word into another: a swap, a letter doubled or left out,
    or a neighbouring key (QWERTY).
    """
    if distance(typed, meant) != 1:
        return False
    if len(typed) != len(meant):
        return len(typed) > len(meant) or len(meant) > 2
    wrong = [(a, b) for a, b in zip(typed, meant, strict=True) if a != b]
    return len(wrong) == 2 or (len(typed) > 2 and wrong[0][1] in _beside(wrong[0][0]))


_ROWS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))


@cache
def _beside(key: str) -> frozenset[str]:
    """Return the keys that touch a letter's."""
    at = {k: (x + shift, y) for y, (row, shift) in enumerate(_ROWS) for x, k in enumerate(row)}
    if key not in at:
        return frozenset()
    x, y = at[key]
    return frozenset(k for k, (u, v) in at.items() if abs(u - x) <= 1 and abs(v - y) <= 1)
