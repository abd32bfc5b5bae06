"""The profile of a server: what its answers showed, as JSON and as an entry of the config."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trueup.backends.presets import PRESETS
from trueup.backends.probe import Kind, Seen, Verdict
from trueup.backends.probe_stream import StreamFacts

SCHEMA_VERSION = 1
DEFAULT_PRESET = "openai-compatible"
CONTINUATIONS = ("continue_final_message", "prefix")
NOT_VISIBLE = "whether leaving a request ends the work for it cannot be seen from outside"
# Nobody waits less for a first token than this, or than so many times what was measured.
MIN_FIRST_TOKEN_SECONDS = 60
PATIENCE_FACTOR = 20
PARAMETER = re.compile(r"[a-z_]+")
# Rows about a value, and what is then emulated for every value of the parameter. `auto` is not
# among them: a model need not call anything.
OF_A_VALUE = {
    "tool_choice none": "tool_choice",
    "tool_choice required": "tool_choice",
    "tool_choice named": "tool_choice",
    "response_format json_object": "response_format",
    "response_format json_schema": "response_format",
    "role developer": "developer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """Where a server's make shows: `place` is `owned_by` of its models, or a header."""

    preset: str
    place: str
    word: str


SIGNS = (
    Sign(preset="trueup", place="owned_by", word="trueup"),
    Sign(preset="vllm", place="owned_by", word="vllm"),
    Sign(preset="sglang", place="owned_by", word="sglang"),
    Sign(preset="llama.cpp", place="owned_by", word="llamacpp"),
    Sign(preset="llama.cpp", place="server", word="llama.cpp"),
    Sign(preset="lmdeploy", place="owned_by", word="lmdeploy"),
    Sign(preset="ollama", place="owned_by", word="library"),
    Sign(preset="xinference", place="owned_by", word="xinference"),
    Sign(preset="litellm", place="x-litellm-version", word=""),
    Sign(preset="openai", place="openai-processing-ms", word=""),
)
# Paths of versions that are asked where the make is not known.
MAX_VERSION_PATHS = 6


@dataclass(slots=True, kw_only=True)
class Profile:
    """All that was found out; `rows` are (group, name, what was seen) in the order of asking.

    `key` tells whether a key was sent, taken and needed; `is_key_taken` is None where nothing
    came that tells. Times are seconds.
    """

    name: str
    url: str
    preset: str
    is_preset_guessed: bool = False
    key_variable: str | None = None
    is_reachable: bool = False
    key: str = "none was sent"
    is_key_taken: bool | None = None
    models: tuple[str, ...] = ()
    model: str | None = None
    kind: Kind | None = None
    server: str | None = None
    version: str | None = None
    connect_seconds: float | None = None
    answer_seconds: float | None = None
    stream: StreamFacts | None = None
    rows: list[tuple[str, str, Seen]] = field(default_factory=list)
    requests: int = 0
    seconds: float = 0.0

    @property
    def is_sound(self) -> bool:
        """Whether it answers, and its streams end properly."""
        if not (self.is_reachable and self.kind) or self.is_key_taken is False:
            return False
        return self.kind == "embedding" or bool(self.stream and self.stream.ends_properly)

    @property
    def trouble(self) -> str | None:
        """The first reason why it is not sound."""
        if self.is_key_taken is False:
            return f"the key: {self.key}"
        if self.kind is None:
            return "no question got an answer"
        if self.kind != "embedding" and not (self.stream and self.stream.ends_properly):
            return "its streams do not end properly"
        return None

    @property
    def hint(self) -> str | None:
        """What to do about the trouble, where that is known."""
        if self.is_key_taken is False:
            return "give one of its keys: --api-key-env VAR, or `api_key` in the configuration"
        if self.kind is None and self.is_reachable:
            what = "is it the base of an OpenAI API, and is its model loaded?"
            return f"{what} curl {self.url}/models"
        return None

    @property
    def continuation(self) -> str:
        """How it can be asked to go on with a partial answer."""
        for way in CONTINUATIONS:
            if ("continuation", way) in self._named("honoured"):
                return way
        return "none"

    def names(self, *verdicts: Verdict) -> list[str]:
        """Tools and parameters of which this was seen."""
        return [name for group, name in self._named(*verdicts) if group in ("tools", "parameters")]

    def as_dict(self) -> dict[str, Any]:
        """The profile, as JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": "backend",
            "name": self.name,
            "url": self.url,
            "reachable": self.is_reachable,
            "sound": self.is_sound,
            "key": self.key,
            "key_taken": self.is_key_taken,
            "server": self.server,
            "version": self.version,
            "preset": self.preset,
            "preset_guessed": self.is_preset_guessed,
            "models": list(self.models),
            "model": self.model,
            "answers": self.kind,
            "rows": [
                {"group": group, "name": name, "verdict": seen.verdict, "text": seen.text}
                for group, name, seen in self.rows
            ],
            "stream": self.stream.as_dict() if self.stream else None,
            "latency": {
                "connect_seconds": _rounded(self.connect_seconds),
                "first_token_seconds": _rounded(self._first_token_seconds),
                "token_seconds": _rounded(self.stream.token_seconds if self.stream else None),
                "answer_seconds": _rounded(self.answer_seconds),
            },
            "not_visible": [NOT_VISIBLE],
            "config": {"backends": {self.name: self.entry()}},
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
        }

    def entry(self) -> dict[str, Any]:
        """The keys of this backend in a configuration."""
        shape: dict[str, Any] = {"preset": self.preset, "url": self.url}
        if self.model is not None:
            shape["model"] = self.model
        if self.key_variable is not None:
            shape["api_key"] = f"${{env.{self.key_variable}}}"
        if self.kind not in (None, "chat"):
            shape["kind"] = self.kind
        if self.stream is not None and self.stream.end_of_answer is not None:
            shape["end_of_answer"] = self.stream.end_of_answer
        if self.kind == "chat":
            shape["continuation"] = self.continuation
        untaken: tuple[tuple[str, Verdict], ...] = (
            ("unsupported", "rejected"),
            ("ignored", "ignored"),
        )
        told: set[str] = set()
        for key, verdict in untaken:
            named = dict.fromkeys(_parameter(name) for name in self.names(verdict))
            if names := [name for name in named if name and name not in told]:
                shape[key] = names
                told.update(names)
        first = self._first_token_seconds or 0
        if first * PATIENCE_FACTOR > MIN_FIRST_TOKEN_SECONDS:
            shape["limits"] = {"first_token_seconds": round(first * PATIENCE_FACTOR)}
        return shape

    def entry_yaml(self) -> str:
        """The entry as YAML, to be pasted; what a config cannot say stands in comments."""
        lines = [f"# as checked: {self._title()}"]
        for what, verdicts in (
            ("rejects", ("rejected",)),
            ("takes without effect", ("ignored",)),
            ("fails with", ("fails", "no answer")),
        ):
            if names := self.names(*verdicts):
                lines.append(f"# it {what}: {', '.join(names)}")
        return "\n".join([*lines, "backends:", *_yaml({self.name: self.entry()}, 1)]) + "\n"

    @property
    def _first_token_seconds(self) -> float | None:
        return self.stream.first_token_seconds if self.stream else None

    def _title(self) -> str:
        words = (self.server or self.preset, self.version)
        return " ".join(word for word in words if word)

    def _named(self, *verdicts: Verdict) -> list[tuple[str, str]]:
        return [(group, name) for group, name, seen in self.rows if seen.verdict in verdicts]


def make_of(rows: Sequence[Any], headers: Mapping[str, str]) -> str | None:
    """The preset of the make that models' rows or headers show; None where nothing does."""
    owners = [row.get("owned_by") for row in rows if isinstance(row, dict)]
    for sign in SIGNS:
        if sign.place == "owned_by":
            if sign.word in owners:
                return sign.preset
        elif sign.place in headers and sign.word in headers[sign.place].lower():
            return sign.preset
    return None


def version_rows(preset: str) -> Sequence[tuple[str, str]]:
    """Where a server of such a make tells its version: (path below the root, key).

    All the places that are known, once each, where the make is not.
    """
    row = PRESETS.get(preset)
    if row is not None and preset != DEFAULT_PRESET:
        return [(row.version_path, row.version_key)] if row.version_path else []
    places = ((each.version_path, each.version_key) for each in PRESETS.values())
    return [place for place in dict.fromkeys(places) if place[0]][:MAX_VERSION_PATHS]


def make_of_version(path: str) -> str | None:
    """The make that tells its version there, where no other does."""
    makes = [each.name for each in PRESETS.values() if each.version_path == path]
    return makes[0] if len(makes) == 1 else None


def _parameter(row: str) -> str | None:
    """The parameter that a row is about, as it can be written down."""
    return row if PARAMETER.fullmatch(row) else OF_A_VALUE.get(row)


def _yaml(shape: Mapping[str, Any], depth: int) -> list[str]:
    """Block style; texts are JSON strings, which YAML reads as they are."""
    lines = []
    for key, value in shape.items():
        name = key if key.isidentifier() else json.dumps(key, ensure_ascii=False)
        if isinstance(value, Mapping):
            lines += [f"{'  ' * depth}{name}:", *_yaml(value, depth + 1)]
        else:
            lines.append(f"{'  ' * depth}{name}: {json.dumps(value, ensure_ascii=False)}")
    return lines


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 5)
