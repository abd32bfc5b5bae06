"""From an agent system's JSON to what it says of each role; nothing of it is left out.

What has no place in a configuration is kept as text and noted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from trueup.config.agents.json_text import JsonText
from trueup.config.agents.measure import (
    UNITS,
    is_undecided,
    languages_of,
    seconds_of,
    share_of,
)
from trueup.config.mistake import Key, dotted
from trueup.errors import ConfigError

ROLES_KEYS = ("models", "agents", "roles")
ROLE_KEYS = ("role", "agent", "name", "id", "task")
MODEL_KEYS = ("model_name", "model", "model_id", "model_path")
FALLBACK_KEYS = ("fallback_models", "fallback_model", "fallbacks", "fallback", "backup_models")
GROUP_KEYS = ("acceptance", "acceptance_criteria", "requirements", "performance", "targets")
# What is kept as a comment without a word: it steers nothing that we run.
STATE_KEYS = ("status", "ready_for_production", "description", "note", "notes", "comment")
TIMES = {
    "answer_seconds": ("response_time", "answer_time", "latency", "response_latency", "answer"),
    "first_token_seconds": ("first_token_time", "first_token_latency", "ttft", "first_token"),
    "embedding_seconds": ("embedding_time", "embedding_latency", "embedding"),
}
SHARES = ("accuracy", "similarity_accuracy", "similarity")
LANGUAGES = ("languages", "language", "supported_languages")
LIMIT_PREFIX = re.compile(r"^(max|maximum|min|minimum|target|required|expected)_")
LIMIT_SUFFIX = re.compile(r"_(limit|threshold|target|requirement)$")
UNIT_SUFFIX = re.compile(r"_(ms|s|sec|secs|seconds|milliseconds|minutes)$")
ENCODER = re.compile(r"bert|embed|bge|gte-|\be5\b|minilm|sentence", re.IGNORECASE)


@dataclass(slots=True, kw_only=True)
class AgentRole:
    """One role; `sources` are its models, the first one first.

    `acceptance` has each value with the text it came from; `kept` are lines for comments.
    `undecided` says why there is no model; None where there is one.
    """

    name: str
    key: Key
    sources: list[str] = field(default_factory=list)
    undecided: str | None = None
    is_compatible: bool | None = None
    acceptance: dict[str, tuple[Any, str]] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Agents:
    """All roles, what else the file has, and what the user should know."""

    roles: list[AgentRole] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def as_json(value: object) -> str:
    """A value on one line."""
    return json.dumps(value, ensure_ascii=False)


def read_agents(text: JsonText) -> Agents:
    """The roles of a file.

    Raises: ConfigError where it has none, or a role's model is not named by a text.
    """
    agents = Agents()
    key, entries = _roles_of(text)
    parent: Any = text.tree
    for depth, part in enumerate(key):
        agents.kept += [
            _kept(text, agents, here := (*key[:depth], other), parent[other], dotted(here))
            for other in parent
            if other != part
        ]
        parent = parent[part]
    for role_key, name, shape in _entries(text, key, entries):
        agents.roles.append(_Reading(text, agents).role(role_key, name, shape))
    return agents


def _roles_of(text: JsonText) -> tuple[Key, Any]:
    """Where the roles stand: under one of ROLES_KEYS, at the top or one level down."""
    tree = text.tree
    outer = [((), tree)] if isinstance(tree, dict) else []
    inner = [((key,), value) for key, value in tree.items()] if isinstance(tree, dict) else []
    for key, shape in (*outer, *((key, value) for key, value in inner)):
        for word in ROLES_KEYS if isinstance(shape, dict) else ():
            if isinstance(shape.get(word), dict | list) and shape[word]:
                return (*key, word), shape[word]
    kind = "an object" if isinstance(tree, dict) else f"`{as_json(tree)[:40]}`"
    kind = "a list" if isinstance(tree, list) else kind
    has = f" with {', '.join(f'`{key}`' for key in list(tree)[:8])}" if tree and inner else ""
    raise ConfigError(
        f"the file holds {kind}{has}, expected an object with roles in `models`",
        where=text.name,
        hint='it begins with: {"models": {"ROLE": {"model_name": "ORG/NAME"}}}',
    )


def _entries(text: JsonText, key: Key, entries: Any) -> Iterator[tuple[Key, str, Any]]:
    if isinstance(entries, dict):
        yield from (((*key, name), name, shape) for name, shape in entries.items())
        return
    for index, shape in enumerate(entries):
        here = (*key, index)
        words = {_word(own): own for own in shape} if isinstance(shape, dict) else {}
        own = next((words[word] for word in ROLE_KEYS if word in words), None)
        if own is None or not isinstance(shape[own], str):
            raise ConfigError(
                "this element of the list does not say whose model it is",
                where=text.place(here),
                hint='write {"role": "NAME", "model_name": "ORG/NAME"}',
            )
        rest = {each: value for each, value in shape.items() if each != own}
        yield here, shape[own], rest


def _word(key: str) -> str:
    """`modelName`, `model-name` and `Model name` as `model_name`."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key.strip())
    return re.sub(r"[\s-]+", "_", snake).lower()


def _kept(text: JsonText, agents: Agents, key: Key, value: object, label: str = "") -> str:
    agents.notes.append(f"{text.place(key)}: kept as a comment, a configuration has no key for it")
    return f"{label or key[-1]}: {as_json(value)}"


class _Reading:
    """Reads one role."""

    def __init__(self, text: JsonText, agents: Agents) -> None:
        self._text = text
        self._agents = agents

    def role(self, key: Key, name: str, shape: Any) -> AgentRole:
        role = AgentRole(name=name, key=key)
        if isinstance(shape, dict):
            for own, value in shape.items():
                self._take(role, (*key, own), _word(own), value)
        else:
            self._models(role, key, shape)
        if not role.sources and role.undecided is None:
            role.undecided = "no `model_name`"
        if role.undecided and role.sources:
            role.kept.append(role.undecided)
            self._agents.notes.append(
                f"{self._text.place(key)}: {role.undecided} is left out of the chain"
            )
            role.undecided = None
        if role.undecided:
            self._agents.notes.append(
                f"{self._text.place(key)}: no model yet ({role.undecided}): written as a comment"
            )
        _settle_time(role)
        return role

    def _take(self, role: AgentRole, key: Key, word: str, value: Any) -> None:
        if word in MODEL_KEYS:
            self._models(role, key, value, is_first=True)
        elif word in FALLBACK_KEYS:
            if value not in (None, "", []):
                self._models(role, key, value)
        elif word == "compatibility_mode" and isinstance(value, bool):
            role.is_compatible = value
        elif word in STATE_KEYS:
            role.kept.append(f"{key[-1]}: {as_json(value)}")
        elif word in GROUP_KEYS and isinstance(value, dict):
            for own, each in value.items():
                self._take_measure(role, (*key, own), _word(own), each)
        else:
            self._take_measure(role, key, word, value)

    def _take_measure(self, role: AgentRole, key: Key, word: str, value: Any) -> None:
        measure = _measure(word, value)
        if measure is None or measure[0] in role.acceptance:
            role.kept.append(_kept(self._text, self._agents, key, value))
        else:
            role.acceptance[measure[0]] = (measure[1], f"{key[-1]}: {as_json(value)}")

    def _models(self, role: AgentRole, key: Key, value: Any, *, is_first: bool = False) -> None:
        found: list[str] = []
        for each_key, each in _flat(key, value):
            source = self._source(role, each_key, each)
            if source is not None and source not in (*role.sources, *found):
                found.append(source)
        # The order of keys in the JSON says nothing: a fallback may stand before the model.
        role.sources[:] = [*found, *role.sources] if is_first else [*role.sources, *found]

    def _source(self, role: AgentRole, key: Key, value: Any) -> str | None:
        if isinstance(value, dict):
            words = {_word(own): own for own in value}
            own = next((words[word] for word in (*MODEL_KEYS, "name") if word in words), None)
            role.kept += [
                _kept(self._text, self._agents, (*key, other), value[other])
                for other in value
                if other != own
            ]
            return None if own is None else self._source(role, (*key, own), value[own])
        if is_undecided(value):
            role.undecided = f"{_label(role, key)}: {as_json(value)}"
            return None
        if not isinstance(value, str) or not value.isprintable():
            raise ConfigError(
                f"the model is {as_json(value)[:60]}, expected a name such as `org/name`",
                where=self._text.place(key),
            )
        return value.strip()


def _label(role: AgentRole, key: Key) -> str:
    """A key as the role's own JSON has it; the role's name where it has only a model."""
    return dotted(key[len(role.key) :]) or "model"


def _flat(key: Key, value: Any) -> Iterator[tuple[Key, Any]]:
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _flat((*key, index), each)
    else:
        yield key, value


def _measure(word: str, value: Any) -> tuple[str, Any] | None:
    """The acceptance key that a key clearly means, with its value."""
    word = LIMIT_SUFFIX.sub("", LIMIT_PREFIX.sub("", word))
    if word in LANGUAGES:
        codes = languages_of(value)
        return None if codes is None else ("languages", codes)
    if word in SHARES:
        share = share_of(value)
        return None if share is None else ("similarity_accuracy", share)
    unit = UNIT_SUFFIX.search(word)
    word = UNIT_SUFFIX.sub("", word)
    for name, words in TIMES.items():
        if word in words:
            seconds = seconds_of(value, unit[1] if unit and unit[1] in UNITS else None)
            return None if seconds is None else (name, seconds)
    return None


def _settle_time(role: AgentRole) -> None:
    """The response of a model that makes embeddings is an embedding."""
    is_encoder = any(ENCODER.search(source) for source in role.sources) or (
        not role.sources and "similarity_accuracy" in role.acceptance
    )
    if is_encoder and "embedding_seconds" not in role.acceptance:
        settled: Mapping[str, tuple[Any, str]] = {
            "embedding_seconds" if name == "answer_seconds" else name: value
            for name, value in role.acceptance.items()
        }
        role.acceptance = dict(settled)
