"""Typing errors as fingers make them: a neighbouring key, a letter left out, doubled or swapped.

A first letter is seldom wrong, longer words are wrong more often. The shares are assumed; their
order (substitution, omission, insertion, transposition) is that of studies of typing.
"""

from __future__ import annotations

import numpy as np

KINDS = {"neighbour": 0.4, "omission": 0.25, "doubling": 0.2, "transposition": 0.15}
FIRST_LETTER = 0.1  # of a word's errors
SHORTEST = 3  # letters; shorter words stay
_ROWS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))
_KEYS = {key: (x + shift, y) for y, (row, shift) in enumerate(_ROWS) for x, key in enumerate(row)}


def neighbours(key: str) -> list[str]:
    """Return the keys that touch a letter's on a QWERTY keyboard."""
    x, y = _KEYS[key]
    return [k for k, (u, v) in _KEYS.items() if k != key and abs(u - x) <= 1 and abs(v - y) <= 1]


def mistyped(word: str, *, rng: np.random.Generator) -> str:
    """Return a lower-case word with one typing error that changes it."""
    while True:
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        k = 0 if rng.random() < FIRST_LETTER else int(rng.integers(1, len(word)))
        if kind == "neighbour":
            typed = word[:k] + str(rng.choice(neighbours(word[k]))) + word[k + 1 :]
        elif kind == "omission":
            typed = word[:k] + word[k + 1 :]
        elif kind == "doubling":
            typed = word[: k + 1] + word[k:]
        else:
            k = min(k, len(word) - 2)
            typed = word[:k] + word[k + 1] + word[k] + word[k + 2 :]
        if typed != word:
            return typed


def with_typing_errors(sentence: str, *, errors: int, rng: np.random.Generator) -> str:
    """Return a sentence in lower case with so many of its words mistyped, once each."""
    words = sentence.lower().split(" ")
    long_enough = [k for k, word in enumerate(words) if word.isalpha() and len(word) >= SHORTEST]
    lengths = np.array([len(words[k]) for k in long_enough], float)
    count = min(errors, len(long_enough))
    for k in rng.choice(long_enough, size=count, replace=False, p=lengths / lengths.sum()):
        words[k] = mistyped(words[k], rng=rng)
    return " ".join(words)
