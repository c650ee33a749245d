"""Misspelt words -> the words that they were meant to be: by edit distance, never from one English
word to another.
"""

from __future__ import annotations

from collections.abc import Iterable


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
