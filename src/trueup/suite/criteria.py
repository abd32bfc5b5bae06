"""What a subject has to reach: a role's acceptance, and figures of our own where it says nothing.

Paths are resolved here; nothing is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from trueup.config.settings import Acceptance

ANSWER_SECONDS = 5.0
EMBEDDING_SECONDS = 2.0
SIMILARITY_ACCURACY = 0.85
LANGUAGES = ("zh", "en")
MAX_TOKENS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What has to be reached; None of the last ones asks for nothing."""

    answer_seconds: float = ANSWER_SECONDS
    embedding_seconds: float = EMBEDDING_SECONDS
    similarity_accuracy: float = SIMILARITY_ACCURACY
    languages: tuple[str, ...] = LANGUAGES
    max_tokens: int = MAX_TOKENS
    first_token_seconds: float | None = None
    host_memory_bytes: int | None = None
    device_memory_bytes: int | None = None
    prompts: tuple[Path, ...] = ()
    pairs: Path | None = None
    compare_with: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line asks for beside the configuration."""

    prompts: tuple[Path, ...] = ()
    pairs: Path | None = None
    max_tokens: int = MAX_TOKENS
    compared: tuple[tuple[str, str], ...] = field(default=())


def criteria_of(acceptance: Acceptance, wanted: Wanted, folder: Path) -> Criteria:
    """The criteria of an acceptance; its paths are relative to `folder`."""
    pairs = None if acceptance.pairs is None else folder / acceptance.pairs
    return Criteria(
        answer_seconds=acceptance.answer_seconds or ANSWER_SECONDS,
        embedding_seconds=acceptance.embedding_seconds or EMBEDDING_SECONDS,
        similarity_accuracy=acceptance.similarity_accuracy or SIMILARITY_ACCURACY,
        languages=acceptance.languages or LANGUAGES,
        max_tokens=wanted.max_tokens,
        first_token_seconds=acceptance.first_token_seconds,
        host_memory_bytes=acceptance.host_memory_bytes,
        device_memory_bytes=acceptance.device_memory_bytes,
        prompts=(*(folder / each for each in acceptance.prompts), *wanted.prompts),
        pairs=wanted.pairs or pairs,
        compare_with=acceptance.compare_with,
    )
