"""Frame + sentence -> one condition token: LLaVA with LoRA reads both, a two-layer MLP projects
what it makes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration, LlavaModel

from robot.batch import Sentences
from robot.perception.ivm.pixels import CLIP, prepare
from robot.types import InputError

IMAGE = "<image>"
INSTRUCTION = "{instruction}"
# of the token whose last hidden state is the condition; only left padding keeps it inside the
# sentence
POSITION = -2
LORA_MODULES = (
    r".*language_model\..*\.(q_proj|v_proj)"  # the vision tower has q_proj and v_proj of its own
)

Tokenize = Callable[
    [Sequence[str]], tuple[Int[Tensor, "b l"], Int[Tensor, "b l"]]
]  # prompts -> ids, attention mask


def add_lora(llava: LlavaModel, *, rank: int, alpha: int, dropout: float) -> LlavaModel:
    """Freeze the model and give q_proj and v_proj of its language model low-rank updates, in place
    (LoRA, arXiv 2106.09685).
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise InputError(
            "got no package peft, expected it for LoRA: install the extra with `pip install -e "
            "'.[ivm]'`"
        ) from error
    llava.requires_grad_(False)
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=LORA_MODULES)
    adapted = inject_adapter_in_model(config, llava)
    assert isinstance(adapted, LlavaModel)
    return adapted


def last_but_one(
    hidden: Float[Tensor, "b l c"], attended: Int[Tensor, "b l"]
) -> Float[Tensor, "b c"]:
    """Return the hidden state at position -2. InputError where padding is on the right: it would
    read padding.
    """
    if not bool(attended[:, POSITION:].all()):
        raise InputError(
            "got tokens padded on the right, expected them on the left: set the tokenizer's "
            "padding_side to left"
        )
    return hidden[:, POSITION]


class LlavaCondition(nn.Module):
    """One forward pass, no generation: hidden state (B, 4096) -> MLP 4096 -> 2048 -> 256 ->
    condition (B, 1, 256).
    """

    def __init__(
        self,
        *,
        llava: LlavaForConditionalGeneration,
        tokenize: Tokenize,
        prompt: str,
        lora_rank: int,
        lora_alpha: int,
        lora_dropout: float,
        projection_dim: int,
        dim: int,
    ) -> None:
        super().__init__()
        if prompt.count(IMAGE) != 1 or prompt.count(INSTRUCTION) != 1:
            raise InputError(f"got prompt {prompt!r}, expected {IMAGE} and {INSTRUCTION} once each")
        self.tokenize, self.prompt = tokenize, prompt
        self.llava = add_lora(
            llava.model, rank=lora_rank, alpha=lora_alpha, dropout=lora_dropout
        )  # lm_head is not needed
        config: Any = llava.config  # its parts are declared as dict or None as well
        vision, width = config.vision_config, config.text_config.hidden_size
        self.side: int = vision.image_size
        self.image_tokens: int = (vision.image_size // vision.patch_size) ** 2
        if config.vision_feature_select_strategy == "full":
            self.image_tokens += 1  # the class token
        self.project = nn.Sequential(
            nn.Linear(width, projection_dim), nn.GELU(), nn.Linear(projection_dim, dim)
        )

    def forward(
        self, frames: Shaped[Tensor, "b _ _ _"], language: Sentences
    ) -> Float[Tensor, "b 1 dim"]:
        """Condition on uint8 frames (B, 3, H, W) and a sentence each."""
        ids, attended = (
            tokens.to(frames.device) for tokens in self.tokenize(self.prompts(language))
        )
        pixels = prepare(frames, side=self.side, statistics=CLIP).to(self.llava.dtype)
        output = self.llava(
            input_ids=ids, attention_mask=attended, pixel_values=pixels, use_cache=False
        )
        state = last_but_one(output.last_hidden_state, attended)
        return self.project(state.to(next(self.project.parameters()).dtype))[:, None]

    def prompts(self, language: Sentences) -> list[str]:
        """Write each sentence into the prompt, with one image token per patch that the vision tower
        hands on.
        """
        template = self.prompt.replace(IMAGE, IMAGE * self.image_tokens)
        return [template.replace(INSTRUCTION, text) for text in language.texts]
