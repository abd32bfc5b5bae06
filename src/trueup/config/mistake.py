"""One thing that is wrong or odd in a configuration file, with its place and the next step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trueup.errors import ConfigError

Key = tuple[int | str, ...]


def dotted(key: Key) -> str:
    """`models.glm.source`, `server.api_keys[0]`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return "".join(parts).lstrip(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """`line` is that of the key, or of the nearest key above it that the file has."""

    path: str
    line: int | None
    key: Key
    cause: str
    hint: str | None = None

    @property
    def where(self) -> str:
        """`file:line: key.path`, without what is not known."""
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {dotted(self.key)}" if self.key else place

    def as_error(self) -> ConfigError:
        """The same to be raised."""
        return ConfigError(self.cause, where=self.where, hint=self.hint)

    def as_dict(self) -> dict[str, Any]:
        """The same for a report."""
        where = {"path": self.path, "line": self.line, "key": dotted(self.key) or None}
        return {"cause": self.cause, "where": where, "hint": self.hint}
