"""Small random models and tokenizers, held together the way `adapt.load.Loaded` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GlmConfig,
    GlmForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from trueup.engines.base import ChatEngine, Step
from trueup.engines.chat import TorchChatEngine

VOCABULARY = 512
END = 511
CORPUS = [
    "The quick brown fox jumps over the lazy dog. Hello there, how are you today?",
    "你好，世界！今天天气怎么样？我们一起去公园散步吧。",
    "naïve café — “quotes” … and emoji 😀👍🏽 in the text.",
]


@cache
def byte_level_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE: most Chinese characters and emoji take several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<pad>", "<end>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<pad>")


@cache
def byte_fallback_tokenizer() -> PreTrainedTokenizerFast:
    """As sentencepiece writes it: `▁` for spaces, byte tokens, a space dropped at the start."""
    words = ["▁", "▁Hello", "▁the", "▁world", "lo", "wor", "ld", ",", "!", "你", "好", "a", "b"]
    vocabulary = {"<unk>": 0, "<end>": 1}
    for byte in range(256):
        vocabulary[f"<0x{byte:02X}>"] = len(vocabulary)
    for word in words:
        vocabulary[word] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens([AddedToken("<end>", special=True)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")


def spread(model: torch.nn.Module, *, seed: int, scale: float) -> None:
    """Random weights large enough that the answers do not repeat one token for ever."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            factor = scale if "embed" in name or "lm_head" in name else 1.0
            width = parameter.shape[-1] ** -0.5
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * width * factor)


@cache
def glm(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = GlmConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=512,
        attention_bias=True,
        eos_token_id=END,
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    return _ready(GlmForCausalLM(config), seed)


@cache
def qwen2(seed: int = 0, *, sliding_window: int | None = None) -> Any:
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        use_sliding_window=sliding_window is not None,
        sliding_window=sliding_window or 4096,
        max_window_layers=1,
        eos_token_id=END,
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    return _ready(Qwen2ForCausalLM(config), seed)


def _ready(model: Any, seed: int) -> Any:
    spread(model, seed=seed, scale=1.5)
    return model.eval().requires_grad_(False)


@dataclass(frozen=True, kw_only=True)
class TinyLoaded:
    """What the engine reads of a loaded model; a chat is its contents, byte for byte."""

    model: Any = field(default_factory=glm)
    tokenizer: Any = field(default_factory=byte_level_tokenizer)
    stop_token_ids: tuple[int, ...] = (END,)
    context_tokens: int | None = 512
    answers_after_space: bool = False

    def encode_chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        add_generation_prompt: bool,
        continue_final_message: bool,
    ) -> list[int]:
        text = "\n".join(f"{each['role']}: {each['content']}" for each in messages)
        if add_generation_prompt:
            text += "\nassistant: "
        ids: list[int] = self.tokenizer(text)["input_ids"]
        return ids


def engine(**parts: Any) -> TorchChatEngine:
    return TorchChatEngine(TinyLoaded(**parts))  # type: ignore[arg-type]


def never() -> bool:
    return False


def run(made: ChatEngine, request: Any, is_cancelled: Callable[[], bool] = never) -> list[Step]:
    """All steps of a request, prompt after prompt."""
    return [
        step
        for prompt in made.prepare(request)
        for step in made.generate(prompt, request, is_cancelled)
    ]


def tokens_of(steps: Sequence[Step], choice: int = 0) -> list[int]:
    return [token for step in steps if step.choice == choice for token in step.token_ids]


def text_of(steps: Sequence[Step], choice: int = 0) -> str:
    return "".join(step.text for step in steps if step.choice == choice)


@cache
def trained() -> Any:
    """A model that has learnt the corpus by heart: its answers are texts, not noise."""
    with torch.random.fork_rng():
        model = qwen2.__wrapped__(3)
        model.requires_grad_(True)
        tokenizer = byte_level_tokenizer()
        rows = [[*tokenizer(text)["input_ids"], 1] for text in CORPUS]
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for _ in range(80):
            for row in rows:
                ids = torch.tensor([row])
                model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return model.eval().requires_grad_(False)
