"""Vision-language models that claims are asked of: through transformers, and on a local server."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
import torch

from robot.data import png
from robot.perception.claims.worded import Picture
from robot.perception.weights import no_weights, require_weights
from robot.types import InputError

YES, NO = "yes", "no"
TOP_LOGPROBS = 20  # the most that OpenAI's protocol gives
PATIENCE_S = 120.0


class PretrainedSpeaker:
    """Any image-text-to-text model of transformers that has a chat template."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model, self.processor = model.eval(), processor

    @classmethod
    def load(cls, name: str, *, device: str = "cpu", dtype: str = "auto") -> PretrainedSpeaker:
        """Load weights by their name on the Hugging Face hub, or from a folder. InputError where
        there are none.
        """
        require_weights(name)
        from transformers import AutoModelForImageTextToText, AutoProcessor

        try:
            model = AutoModelForImageTextToText.from_pretrained(name, dtype=dtype)
            processor = AutoProcessor.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise no_weights(name, str(error).splitlines()[0]) from error
        return cls(model.to(device), processor)  # pyright: ignore[reportArgumentType]

    @torch.inference_mode()
    def say(self, pictures: Sequence[Picture], prompt: str, *, most: int) -> str:
        inputs = self._inputs(pictures, prompt)
        made = self.model.generate(**inputs, max_new_tokens=most, do_sample=False)
        new = made[:, inputs["input_ids"].shape[1] :]
        return self.processor.batch_decode(new, skip_special_tokens=True)[0].strip()

    @torch.inference_mode()
    def yes(self, pictures: Sequence[Picture], prompt: str) -> float:
        logits = self.model(**self._inputs(pictures, prompt)).logits[0, -1].float()
        chances = logits.log_softmax(dim=0)
        yes, no = (torch.logsumexp(chances[self._first(word)], dim=0) for word in (YES, NO))
        return float(torch.sigmoid(yes - no))

    def _first(self, word: str) -> list[int]:
        """Return the first tokens of a word, however it is written."""
        tokenizer = self.processor.tokenizer
        forms = {f"{space}{w}" for space in ("", " ") for w in (word, word.capitalize())}
        ids = {tokenizer.encode(form, add_special_tokens=False)[0] for form in forms}
        return sorted(ids)

    def _inputs(self, pictures: Sequence[Picture], prompt: str) -> Any:
        content: list[dict[str, Any]] = [{"type": "image"} for _ in pictures]
        content.append({"type": "text", "text": prompt})
        text = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        images = [np.ascontiguousarray(picture) for picture in pictures]
        inputs = self.processor(text=[text], images=images, return_tensors="pt")
        return inputs.to(self.model.device)


class ServedSpeaker:
    """A server that speaks OpenAI's chat completions: vLLM, llama.cpp, SGLang, Ollama."""

    def __init__(
        self, url: str, *, model: str, key: str = "", patience_s: float = PATIENCE_S
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise InputError(
                f"got url {url!r}, expected the address of a server, such as "
                "http://127.0.0.1:8000/v1; correct it"
            )
        self.url, self.model, self.key = url.rstrip("/"), model, key
        self.patience_s = patience_s

    def say(self, pictures: Sequence[Picture], prompt: str, *, most: int) -> str:
        message = self._complete(pictures, prompt, max_tokens=most)["message"]
        return str(message.get("content") or "").strip()

    def yes(self, pictures: Sequence[Picture], prompt: str) -> float:
        """Return the probability from the server's logprobs; 1 or 0 from its words without them."""
        choice = self._complete(
            pictures, prompt, max_tokens=1, logprobs=True, top_logprobs=TOP_LOGPROBS
        )
        tokens = ((choice.get("logprobs") or {}).get("content") or [{}])[0].get("top_logprobs", [])
        found = {YES: 0.0, NO: 0.0}
        for token in tokens:
            word = str(token["token"]).strip().lower()
            if word in found:
                found[word] += math.exp(token["logprob"])
        if sum(found.values()):
            return found[YES] / sum(found.values())
        return float(str(choice["message"].get("content") or "").strip().lower().startswith(YES))

    def _complete(self, pictures: Sequence[Picture], prompt: str, **options: Any) -> Mapping:
        content: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": _data_uri(p)}} for p in pictures
        ]
        content.append({"type": "text", "text": prompt})
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            **options,
        }
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        asked = Request(
            f"{self.url}/chat/completions", data=json.dumps(body).encode(), headers=headers
        )
        try:
            with urlopen(asked, timeout=self.patience_s) as answer:
                return json.load(answer)["choices"][0]
        except HTTPError as error:
            said = error.read(200).decode(errors="replace")
            raise InputError(
                f"got HTTP {error.code} from {self.url} ({said}), expected a chat completion; "
                f"check that it serves {self.model!r} with pictures"
            ) from error
        except (URLError, TimeoutError) as error:
            raise InputError(
                f"got no answer from {self.url} ({error}), expected a server with OpenAI's "
                "protocol; start it, or correct the address"
            ) from error
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise InputError(
                f"got an answer of {self.url} that is no chat completion, expected OpenAI's "
                "protocol; correct the address"
            ) from error


def _data_uri(picture: Picture) -> str:
    return "data:image/png;base64," + base64.b64encode(png.encode(picture)).decode()
