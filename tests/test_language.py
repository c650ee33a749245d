import socket

import pytest
import torch

from robot.language import LanguageEncoder
from robot.types import InputError


@pytest.fixture(scope="module")
def minilm() -> LanguageEncoder:
    return LanguageEncoder()


def test_tokens_are_padded_to_24_and_zero_on_padding(minilm):
    encoded = minilm.encode(["lift the red cup"])
    assert encoded.tokens.shape == (1, 24, 384)
    assert encoded.valid.sum() == 6  # [CLS] lift the red cup [SEP]
    assert encoded.tokens[~encoded.valid].abs().max() == 0


@pytest.mark.parametrize("make", [LanguageEncoder, LanguageEncoder.hashed])
def test_no_sentence_loses_its_end(make):
    encoder = make()
    with pytest.raises(InputError, match="got a sentence of 4[02] tokens.*at most 24: shorten it"):
        encoder.encode(["go", "red " * 40])
    assert encoder.encode(["red " * 22]).valid.sum() in (22, 24)


def test_similar_sentences_are_closer_than_different_ones(minilm):
    encoded = minilm.encode(["pick up the red cup", "lift the red mug", "open the drawer"])
    pooled = (encoded.tokens * encoded.valid[..., None]).sum(1) / encoded.valid.sum(1, keepdim=True)
    similarity = torch.nn.functional.cosine_similarity(pooled[:1], pooled[1:])
    assert similarity[0] > similarity[1]


def test_embedding_does_not_depend_on_the_rest_of_the_batch(minilm):
    alone = LanguageEncoder().encode(["the red cup"]).tokens
    together = (
        LanguageEncoder()
        .encode(["the red cup", "put the blue cube on the wide green plate"])
        .tokens[:1]
    )
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)


def test_loading_needs_no_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("network used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert LanguageEncoder().encode(["go"]).valid.any()


def counting(calls: list):
    def load(*, max_tokens):
        calls.append("load")

        def embed(sentences):
            calls.append(list(sentences))
            return [torch.ones(len(text.split()), 384) for text in sentences]

        return embed

    return load


def test_model_is_loaded_at_the_first_sentence_only():
    calls: list = []
    encoder = LanguageEncoder(load=counting(calls))
    assert calls == []
    encoder.encode(["a"])
    encoder.encode(["b"])
    assert calls == ["load", ["a"], ["b"]]


def test_each_sentence_is_embedded_once():
    calls: list = []
    encoder = LanguageEncoder(load=counting(calls))
    encoder.encode(["a", "b", "a"])
    encoder.encode(["b", "a"])
    assert calls == ["load", ["a", "b"]]


def test_least_recent_sentence_is_forgotten_first():
    calls: list = []
    encoder = LanguageEncoder(load=counting(calls), cache_size=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        encoder.encode([text])
    assert calls == ["load", ["a"], ["b"], ["c"], ["b"]]


def test_a_batch_larger_than_the_cache_is_still_complete():
    encoder = LanguageEncoder(load=counting([]), cache_size=1)
    assert encoder.encode(["a", "b c", "d"]).valid.sum(1).tolist() == [1, 2, 1]


def test_hashed_words_are_the_same_in_every_sentence():
    encoded = LanguageEncoder.hashed().encode(["red cup", "blue cup"])
    torch.testing.assert_close(encoded.tokens[0, 1], encoded.tokens[1, 1])
    assert not torch.allclose(encoded.tokens[0, 0], encoded.tokens[1, 0])


@pytest.mark.parametrize("bad", ["red cup", [" "]])
def test_bad_sentences_are_refused_with_a_teaching_error(bad):
    with pytest.raises(InputError, match="expected"):
        LanguageEncoder.hashed().encode(bad)
