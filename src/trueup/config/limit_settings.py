"""How long a backend may take, as a configuration says it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """Seconds that a backend may take; None leaves it to its preset."""

    connect_seconds: float | None = None
    first_token_seconds: float | None = None
    between_tokens_seconds: float | None = None
    total_seconds: float | None = None
