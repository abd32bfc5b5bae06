"""What both sides are asked: texts, conversations and lengths. Pure, and the same for a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

# Nearer to a context limit than that nothing is asked: attention grows with the square.
LONGEST_TOKENS = 2048
STEPS_AT_THE_LIMIT = 8
GREEDY_TOKENS = 64
LENGTHS = (5, 17, 64, 256)
BATCH_LENGTHS = (5, 12, 33, 64)

GREEDY, UNCACHED, BATCH, LIMIT = "greedy", "uncached", "batch", "near-limit"
ALONE, SERVED = "alone", "served"

SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "人工智能正在改变我们的生活方式。",
    "In 1969 three people flew 384,400 km to the Moon and back.",
    "今天天气很好，我们去公园散步吧！",
    "def add(a, b):\n    return a + b\n",
    "Überall sah man Häuser, Gärten und Straßen.",
    "问：一加一等于几？答：二。",
    "  two spaces,\ttabs and\n\nempty lines  ",
    "for (int i = 0; i < n; ++i) { sum += x[i]; }",
    "数据库查询需要 3.14 秒，比昨天慢 20%。",
    "😀 emoji, naïve café, Ωmega",
    "SELECT name FROM users WHERE id = 42;",
    "Привет, мир! こんにちは世界。",
    "a",
)
CONVERSATIONS: tuple[tuple[Mapping[str, str], ...], ...] = (
    ({"role": "user", "content": "你好"},),
    (
        {"role": "user", "content": "What is 1 + 1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "And 2 + 2?"},
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Lengths in tokens. `limit_tokens` is the prompt near the context limit, 0 for none."""

    seed: int
    lengths: tuple[int, ...]
    greedy_tokens: int
    uncached_tokens: int
    batch_lengths: tuple[int, ...]
    batch_tokens: int
    limit_tokens: int
    limit_steps: int = STEPS_AT_THE_LIMIT

    @property
    def longest_tokens(self) -> int:
        """The longest text that is gone through."""
        return max((*self.lengths, self.limit_tokens and self.limit_tokens + self.limit_steps))

    def cases(self, *, generates: bool) -> tuple[str, ...]:
        """The names of what has to be answered."""
        has_batch = bool(self.batch_lengths)
        asked = {
            GREEDY: generates and self.greedy_tokens > 0,
            UNCACHED: generates and self.uncached_tokens > 0,
            ALONE: has_batch and not generates,
            BATCH: has_batch,
            LIMIT: self.limit_tokens > 0,
        }
        prompts = (f"prompt-{each}" for each in self.lengths)
        return (*prompts, *(case for case, is_asked in asked.items() if is_asked))

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return asdict(self)

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Questions:
        """Read back what `as_dict` wrote."""
        lists = {key: tuple(shape[key]) for key in ("lengths", "batch_lengths")}
        return cls(**{**shape, **lists})


def questions_for(
    context_tokens: int | None, seed: int, *, is_streamed: bool, generates: bool = True
) -> Questions:
    """What a model of that context is asked; one that makes embeddings `generates` nothing.

    One that is gone through layer by layer is asked little: each token reads all weights again.
    """
    longest = min(context_tokens or LONGEST_TOKENS, LONGEST_TOKENS)
    if not generates:
        return Questions(
            seed=seed,
            lengths=tuple(each for each in LENGTHS if each <= longest) or (longest,),
            greedy_tokens=0,
            uncached_tokens=0,
            batch_lengths=tuple(each for each in BATCH_LENGTHS if each <= longest),
            batch_tokens=0,
            limit_tokens=longest,
            limit_steps=0,
        )
    if is_streamed:
        is_long = longest > 64
        lengths: tuple[int, ...] = (17, 64) if is_long else (max(longest // 2, 1),)
        return Questions(
            seed=seed,
            lengths=lengths,
            greedy_tokens=3,
            uncached_tokens=2,
            batch_lengths=(5, 17) if is_long else (),
            batch_tokens=2 if is_long else 0,
            limit_tokens=0,
        )
    lengths = tuple(each for each in LENGTHS if each <= longest) or (longest,)
    batch_tokens = 16
    room = longest - batch_tokens
    greedy_tokens = max(min(GREEDY_TOKENS, longest - start_tokens(lengths)), 0)
    return Questions(
        seed=seed,
        lengths=lengths,
        greedy_tokens=greedy_tokens,
        uncached_tokens=min(16, greedy_tokens),
        batch_lengths=tuple(each for each in BATCH_LENGTHS if each <= room),
        batch_tokens=batch_tokens,
        limit_tokens=max(longest - STEPS_AT_THE_LIMIT, 0),
    )


def start_tokens(lengths: tuple[int, ...]) -> int:
    """The length of the prompt that is continued: the second one where there are two."""
    return lengths[min(1, len(lengths) - 1)]


def text_of(seed: int, sentences: int) -> str:
    """That many sentences in an order that `seed` gives."""
    draw = random.Random(seed)
    return " ".join(draw.choice(SENTENCES) for _ in range(sentences))
