"""Readers of replies: each says what the answer shows of one parameter.

They are handed replies without an error (`probe.judged` sees to that).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trueup.backends.probe import Known, Reply, Seen, choices_of, message_of, one_line, said
from trueup.backends.probe_stream import stream_facts, usage_row

TOOL_NAME = "ping"
MIN_TEXT = 4
# Two tokens may come as three pieces of text where a server cuts by characters.
MAX_DELTAS_OF_TWO = 3
NO_CHOICES = Seen(verdict="fails", text="status 200 without choices")


def tokens_kept(reply: Reply, limit: int) -> Seen:
    """The limit that every question carries, by the first whole answer."""
    usage = reply.shape.get("usage") if isinstance(reply.shape, dict) else None
    count = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if isinstance(count, int) and count > limit:
        return Seen(verdict="ignored", text=f"{count} tokens came, at most {limit} were asked for")
    if choices_of(reply) and choices_of(reply)[0].get("finish_reason") == "length":
        return Seen(verdict="honoured", text="the answer ends with `length`")
    return Seen(verdict="taken", text="the answer ended before the limit")


def taken(replies: Sequence[Reply], known: Known) -> Seen:
    """No error, and an answer; more cannot be seen."""
    for reply in replies:
        if not choices_of(reply) and not stream_facts(reply).chunks:
            return NO_CHOICES
    return Seen(verdict="taken", text="no error; its effect cannot be seen from outside")


def usage_seen(replies: Sequence[Reply], known: Known) -> Seen:
    """`stream_options`."""
    facts = stream_facts(replies[0])
    return usage_row(facts) if facts.is_stream else NO_CHOICES


def choices_counted(replies: Sequence[Reply], known: Known) -> Seen:
    """`n` = 2."""
    count = len(choices_of(replies[0]))
    if not count:
        return NO_CHOICES
    is_right = count == 2
    return Seen(verdict="honoured" if is_right else "ignored", text=f"n = 2 gave {count}")


def stop_cut(reply: Reply, stop: str, whole: str) -> Seen:
    """`stop`, a string that the answer without it has."""
    if not choices_of(reply):
        return NO_CHOICES
    text = said(reply)
    if stop in text:
        return Seen(verdict="ignored", text="the answer holds the stop string")
    if text and not whole.startswith(text.rstrip()):
        return Seen(verdict="unclear", text="another answer came, without the stop string")
    return Seen(verdict="honoured", text="the answer ends before the stop string")


def repeatable(replies: Sequence[Reply], known: Known) -> Seen:
    """`seed`, twice the same and once another, at temperature 1."""
    if not all(choices_of(reply) for reply in replies):
        return NO_CHOICES
    first, again, other = (said(reply) for reply in replies)
    if first != again:
        return Seen(verdict="ignored", text="the same seed gave two answers")
    if first == other:
        return Seen(verdict="unclear", text="two seeds gave one answer: it may not sample at all")
    return Seen(verdict="honoured", text="the same seed gave the same answer, another another")


def tokens_limited(replies: Sequence[Reply], known: Known) -> Seen:
    """`max_completion_tokens` = 2, as a stream."""
    reply = replies[0]
    facts = stream_facts(reply)
    if reply.is_left:
        return Seen(verdict="ignored", text=f"{facts.chunks} chunks and more for 2 tokens")
    if not facts.chunks:
        return NO_CHOICES if not choices_of(reply) else Seen(verdict="unclear", text="no stream")
    if facts.finish_reasons[:1] == ("length",) and len(facts.deltas) <= MAX_DELTAS_OF_TWO:
        return Seen(verdict="honoured", text="the answer ends with `length`")
    if not known.text or not facts.text or len(facts.text) >= len(known.text):
        return Seen(verdict="unclear", text="the answer is short anyway")
    return Seen(verdict="honoured", text="the answer is cut, without saying so")


def is_json(replies: Sequence[Reply], known: Known) -> Seen:
    """`response_format`, against the words of the prompt."""
    if not choices_of(replies[0]):
        return NO_CHOICES
    text = said(replies[0])
    if text.lstrip().startswith("{"):
        return Seen(verdict="honoured", text="an object begins")
    shown = one_line(text)[:30]
    return Seen(verdict="ignored", text=f"no JSON comes: `{shown}`" if shown else "nothing comes")


def logprobs_seen(replies: Sequence[Reply], known: Known) -> Seen:
    """`logprobs`."""
    if not choices_of(replies[0]):
        return NO_CHOICES
    given = choices_of(replies[0])[0].get("logprobs")
    content = given.get("content") if isinstance(given, dict) else None
    if content:
        return Seen(verdict="honoured", text=f"for {len(content)} tokens")
    return Seen(verdict="ignored", text="`logprobs` is null" if given is None else "none inside")


def tool_called(replies: Sequence[Reply], known: Known) -> Seen:
    """Tools that a model may use."""
    if not choices_of(replies[0]):
        return NO_CHOICES
    if calls := _calls(replies[0]):
        return Seen(verdict="honoured", text=f"a call was made: {_described(calls)}")
    return Seen(verdict="taken", text="no error; no call was made")


def tool_enforced(replies: Sequence[Reply], known: Known) -> Seen:
    """A tool choice that leaves no choice."""
    if not choices_of(replies[0]):
        return NO_CHOICES
    if calls := _calls(replies[0]):
        return Seen(verdict="honoured", text=f"a call was made: {_described(calls)}")
    return Seen(verdict="ignored", text="not enforced: no call was made")


def tool_named(replies: Sequence[Reply], known: Known) -> Seen:
    """A tool choice that names `ping`."""
    seen = tool_enforced(replies, known)
    if seen.verdict == "honoured" and any(_name(call) != TOOL_NAME for call in _calls(replies[0])):
        return Seen(
            verdict="ignored", text=f"another call was made: {_described(_calls(replies[0]))}"
        )
    return seen


def no_call(replies: Sequence[Reply], known: Known) -> Seen:
    """The tool choice `none`."""
    if not choices_of(replies[0]):
        return NO_CHOICES
    if calls := _calls(replies[0]):
        return Seen(verdict="ignored", text=f"a call was made: {_described(calls)}")
    return Seen(verdict="taken", text="no call was made")


def goes_on(reply: Reply, prefix: str, rest: str) -> Seen:
    """A question for the rest of a partial answer, of which the rest is known."""
    if not choices_of(reply):
        return NO_CHOICES
    text = said(reply)
    if len(text.strip()) < MIN_TEXT:
        return Seen(verdict="unclear", text="too little was said to tell")
    if _is_start(text, rest):
        return Seen(verdict="honoured", text="goes on with the given text")
    if text.startswith(prefix) and _is_start(text[len(prefix) :], rest):
        return Seen(verdict="unclear", text="goes on, and says the given text again first")
    if _is_start(text.lstrip(), rest.lstrip()):
        return Seen(verdict="unclear", text="goes on, but white space at the cut differs")
    if _is_start(text.lstrip(), (prefix + rest).lstrip()):
        return Seen(verdict="ignored", text="begins anew")
    return Seen(verdict="ignored", text="does not go on as the whole answer did")


def _is_start(one: str, other: str) -> bool:
    """Whether one is the beginning of the other and there is enough of both."""
    if min(len(one.strip()), len(other.strip())) < MIN_TEXT:
        return False
    return one.startswith(other) or other.startswith(one)


def _calls(reply: Reply) -> list[Any]:
    calls = message_of(reply).get("tool_calls")
    return calls if isinstance(calls, list) else []


def _name(call: Any) -> str | None:
    function = call.get("function") if isinstance(call, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def _described(calls: Sequence[Any]) -> str:
    """The first call in words; how odd its arguments are."""
    name = _name(calls[0])
    if name is None:
        return "without a function's name"
    odd = "" if isinstance(calls[0]["function"].get("arguments"), str) else ", arguments no text"
    return f"`{one_line(name)}`{odd}"
