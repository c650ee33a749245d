"""Large models as claim models: a tiny random LLaVA through transformers, and a real HTTP server
that speaks OpenAI's protocol.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import log
from typing import Any

import numpy as np
import pytest
import torch

from robot.data import png
from robot.instruct.claims import Claim, answers
from robot.instruct.correct import Rules, corrected, one_shot
from robot.language import LanguageEncoder
from robot.perception.claims.speakers import PretrainedSpeaker, ServedSpeaker
from robot.perception.claims.worded import WordedClaims, pictures_of
from robot.perception.regions.network import RegionNetwork
from robot.perception.regions.reader import RegionReader
from robot.types import Frame, InputError

FRAME = Frame("picture", np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
WHERE = "[100, 100, 600, 600]"


class Boxed(RegionReader):
    """Draws every box full: what a trained reader would outline, these tests need not know."""

    def masks_of(self, frame, boxes):
        masks = np.zeros((len(boxes), *frame.image.shape[:2]), bool)
        for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
            mask[int(y0) : int(y1), int(x0) : int(x1)] = True
        return masks


@pytest.fixture(scope="module")
def reader() -> RegionReader:
    return Boxed(RegionNetwork(), language=LanguageEncoder.hashed())


# --- what a model says


class Said:
    """A speaker that says one text, and yes to what holds a word."""

    def __init__(self, text: str, *, true: str = "", answer: str = "") -> None:
        self.text, self.true, self.reply, self.prompts = text, true, answer, []

    def say(self, pictures, prompt, *, most):
        self.prompts.append(prompt)
        return self.reply if "Answer with" in prompt else self.text

    def yes(self, pictures, prompt):
        return 0.9 if self.true in prompt.split("Is it true")[-1] else 0.1


def test_statements_are_read_line_by_line_up_to_the_end(reader):
    text = "\n".join(
        [
            f"name: cup, {WHERE}",
            f"- colour: red, {WHERE}",
            f"side: left, {WHERE}, [700, 100, 900, 300]",
            "count: 2 cup, [0, 0, 1000, 1000]",
            f"name: unicorn, {WHERE}",  # no such word
            f"side: left, {WHERE}",  # of what?
            "colour: red, [500, 500, 500, 500]",  # an empty box
            "I also see a lovely picture.",
            "END",
            f"name: ball, {WHERE}",
        ]
    )
    claims = one_shot(FRAME, "", WordedClaims(Said(text), reader))
    assert [(c.topic, c.word) for c in claims] == [
        ("name", "cup"),
        ("colour", "red"),
        ("side", "left"),
        ("count", "2"),
    ]
    assert claims[0].region == claims[1].region == claims[2].region
    assert claims[2].other_region != claims[2].region
    assert claims[0].mask[6:38, 6:38].all() and claims[3].noun == "cup"


def test_what_is_accepted_and_the_goal_stand_in_the_prompt(reader):
    speaker = Said("END")
    mask = np.ones((64, 64), bool)
    WordedClaims(speaker, reader).generate(FRAME, "lift it", [Claim("name", "cup", 0, mask)])
    assert "lift it" in speaker.prompts[0] and "there is a cup" in speaker.prompts[0]


def test_a_false_word_is_substituted_by_what_the_model_answers(reader):
    speaker = Said(f"name: cup, {WHERE}", true="a ball", answer="ball")
    rules = Rules(0.5, 0.0, 0.0, 0.0, slack=0.8, rounds=3)
    model = WordedClaims(speaker, reader)
    result = corrected(FRAME, "", model, one_shot(FRAME, "", model), rules)
    assert [(c.topic, c.word) for c in result.claims] == [("name", "ball")]
    assert result.fixed


def test_a_claim_is_shown_outlined_and_cut_out():
    mask = np.zeros((64, 64), bool)
    mask[20:30, 20:40] = True
    outlined, cut = pictures_of(FRAME, Claim("name", "cup", 0, mask))
    assert (outlined[20, 25] == (255, 0, 255)).all() and outlined.shape == FRAME.image.shape
    assert max(cut.shape[:2]) == 224


# --- transformers


@pytest.fixture(scope="module")
def llava_folder(tmp_path_factory):
    """A LLaVA of a few thousand parameters with its processor, saved as the hub has it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    words = ["<pad>", "<unk>", "<s>", "</s>", "<image>", "yes", "no", "Yes", "No", "cup", "red"]
    tokenizer = Tokenizer(models.WordLevel({w: k for k, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=["<image>"],
    )
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
        ),
        tokenizer=fast,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=(
            "{% for m in messages %}{% for c in m['content'] %}"
            "{{ '<image>' if c['type'] == 'image' else c['text'] }} {% endfor %}{% endfor %}"
        ),
    )
    torch.manual_seed(0)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    config = LlavaConfig(
        vision_config={
            **small,
            "model_type": "clip_vision_model",
            "num_hidden_layers": 2,
            "image_size": 28,
            "patch_size": 14,
        },
        text_config={**small, "model_type": "llama", "num_hidden_layers": 1, "vocab_size": 11},
        image_token_index=4,
    )
    folder = tmp_path_factory.mktemp("llava")
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def test_a_pretrained_model_speaks_and_its_yes_is_a_probability(llava_folder, reader):
    speaker = PretrainedSpeaker.load(str(llava_folder))
    assert isinstance(speaker.say([FRAME.image], "what is red", most=3), str)
    mask = np.ones((64, 64), bool)
    verdict = WordedClaims(speaker, reader).judge(FRAME, "", [Claim("name", "cup", 0, mask)], ())[0]
    assert 0 < verdict.chance < 1 and verdict.best in answers("name")


def test_a_pretrained_yes_compares_yes_with_no(llava_folder):
    speaker = PretrainedSpeaker.load(str(llava_folder))
    head = speaker.model.get_output_embeddings()
    before = speaker.yes([FRAME.image], "is it red")
    with torch.no_grad():  # yes becomes as likely as no
        head.weight[[5, 7]] = head.weight[[6, 8]]
    assert before != pytest.approx(0.5, abs=1e-6)
    assert speaker.yes([FRAME.image], "is it red") == pytest.approx(0.5, abs=1e-4)


def test_weights_that_are_not_there_are_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        PretrainedSpeaker.load(str(tmp_path))


# --- a server


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]], list[Any]]]:
    """A real HTTP server: its address, the requests that it got, and the answers that it gives."""
    requests: list[dict[str, Any]] = []
    replies: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append({"path": self.path, "key": self.headers["Authorization"], **body})
            status, reply = replies.pop(0)
            text = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_address[1]}/v1", requests, replies
    http.shutdown()
    thread.join()
    http.server_close()


def reply(text: str, logprobs: dict[str, float] | None = None) -> tuple[int, dict[str, Any]]:
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}}
    if logprobs is not None:
        top = [{"token": t, "logprob": log(p)} for t, p in logprobs.items()]
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    return 200, {"object": "chat.completion", "choices": [choice]}


def test_a_server_gets_pictures_and_text_and_its_words_are_returned(server):
    url, requests, replies = server
    replies.append(reply(" a red cup "))
    speaker = ServedSpeaker(url, model="tiny", key="secret")
    assert speaker.say([FRAME.image], "what is it", most=7) == "a red cup"
    asked = requests[0]
    assert asked["path"] == "/v1/chat/completions" and asked["key"] == "Bearer secret"
    assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("tiny", 7, 0)
    picture, text = asked["messages"][0]["content"]
    assert text == {"type": "text", "text": "what is it"}
    sent = base64.b64decode(picture["image_url"]["url"].removeprefix("data:image/png;base64,"))
    assert (png.decode(sent) == FRAME.image).all()


def test_yes_is_weighed_against_no_by_logprobs(server):
    url, requests, replies = server
    replies.append(reply("Yes", {"Yes": 0.5, " yes": 0.1, "No": 0.2, "Maybe": 0.2}))
    assert ServedSpeaker(url, model="m").yes([FRAME.image], "q") == pytest.approx(0.6 / 0.8)
    assert requests[0]["logprobs"] is True


def test_without_logprobs_the_word_decides(server):
    url, _, replies = server
    replies += [reply("Yes."), reply("No, it is not")]
    speaker = ServedSpeaker(url, model="m")
    assert [speaker.yes([], "q"), speaker.yes([], "q")] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((404, {"error": "no such model"}), "HTTP 404"),
        ((200, {"error": "what?"}), "no chat completion"),
    ],
)
def test_what_a_server_refuses_is_one_sentence(server, given, message):
    url, _, replies = server
    replies.append(given)
    with pytest.raises(InputError, match=message):
        ServedSpeaker(url, model="m").say([], "q", most=1)


def test_a_server_that_is_not_there_is_one_sentence():
    with pytest.raises(InputError, match="got no answer"):
        ServedSpeaker("http://127.0.0.1:9/v1", model="m", patience_s=0.5).say([], "q", most=1)
    with pytest.raises(InputError, match="expected the address"):
        ServedSpeaker("127.0.0.1:9", model="m")
