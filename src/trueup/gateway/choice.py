"""What a client has of one choice of its answer, its log probabilities among it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Keys of a delta that carry the answer and are passed on unread; others go beside it.
CARRIERS = frozenset({"refusal", "audio", "function_call"})
# Their members that are no text.
NAMES = frozenset({"id", "name"})
# Lists of log probabilities whose entries are tokens, or tell of one: of chats, of completions.
TOKEN_LISTS = ("content", "refusal", "tokens")


@dataclass(slots=True)
class Choice:
    """What the client has of one choice; `tokens` counts what made it, as far as is known.

    `role_event` is a chunk with nothing but the role, held until something of the answer comes.
    `logprobs` has the lists of all chunks, by name; `has_other` says that there was text under a
    name that nobody here knows, with no content beside it. `reasoning_keys` are the names under
    which the reasoning came, the same text under each.
    """

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    reasoning_keys: Sequence[str] = ()
    calls: list[Mapping[str, Any]] = field(default_factory=list)
    logprobs: dict[str, list[Any]] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    token_ids: list[int] = field(default_factory=list)
    tokens: int = 0
    has_role: bool = False
    has_other: bool = False
    role_event: bytes = b""
    finish_reason: str | None = None

    @property
    def has_content(self) -> bool:
        """Whether it has anything that another answer would have to repeat."""
        return bool(self.text or self.reasoning or self.calls or self.logprobs or self.is_hidden)

    @property
    def is_hidden(self) -> bool:
        """Whether a part of the answer itself is in what is not read here."""
        return self.has_other or not CARRIERS.isdisjoint(self.extra)


def keep_extra(choice: Choice, extra: Mapping[str, Any], *, is_beside: bool) -> None:
    """Keep what a chunk has that is passed on unread: pieces of the answer are put together.

    `is_beside`: there was something known as well, so that words under unknown names are none.
    """
    for key, value in extra.items():
        is_piece = key in CARRIERS or (isinstance(value, str) and not is_beside)
        had = choice.extra.get(key)
        choice.extra[key] = value if had is None or not is_piece else _joined(had, value)


def _joined(had: Any, value: Any) -> Any:
    """A text and its next piece, or an object and what a chunk adds to its members."""
    if isinstance(had, str) and isinstance(value, str):
        return had + value
    if not isinstance(had, dict) or not isinstance(value, dict):
        return value
    joined = dict(had)
    for key, each in value.items():
        before = had.get(key)
        # Ids and names are said again by some servers.
        if each is not None and not (key in NAMES and each == before):
            joined[key] = each if before is None else _joined(before, each)
    return joined


def keep_logprobs(choice: Choice, logprobs: Any) -> None:
    """Keep log probabilities that the client has."""
    if isinstance(logprobs, dict):
        for name, entries in logprobs.items():
            if isinstance(entries, list) and entries:
                choice.logprobs.setdefault(name, []).extend(entries)


def has_logprobs(logprobs: Any) -> bool:
    """Whether they tell of any token."""
    return isinstance(logprobs, dict) and any(
        isinstance(each, list) and each for each in logprobs.values()
    )


def joined_logprobs(first: Any, second: Any) -> Any:
    """The log probabilities of two chunks as one's."""
    if not has_logprobs(first) or not has_logprobs(second):
        return first if has_logprobs(first) else second
    joined = {**first, **second}
    for name, entries in second.items():
        if isinstance(entries, list) and isinstance(first.get(name), list):
            joined[name] = first[name] + entries
    return joined


def logprobs_after(given: Any, had: Mapping[str, list[Any]]) -> Any:
    """The rest of an answer's log probabilities; None where they do not begin as those had."""
    if not had or not isinstance(given, dict):
        return given
    lists = {name: each for name, each in given.items() if isinstance(each, list)}
    for name in TOKEN_LISTS:
        entries = had.get(name, [])
        if _tokens(lists.get(name, [])[: len(entries)]) != _tokens(entries):
            return None
    return {**given, **{name: each[len(had.get(name, [])) :] for name, each in lists.items()}}


def _tokens(entries: list[Any]) -> list[Any]:
    return [each.get("token") if isinstance(each, dict) else each for each in entries]
