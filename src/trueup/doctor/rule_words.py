"""What a rule says of a failure that was met elsewhere: in a pasted error, not in a model."""

from __future__ import annotations

import string
from collections.abc import Mapping

from trueup.doctor.known.row import CHAT, CHECK, Known
from trueup.doctor.message import Message
from trueup.doctor.rule import Rule
from trueup.doctor.rule_text import text_of
from trueup.environment.symbols.symbols import history

NATIVE = "; TrueUp's native route runs the GLM family without that code"


def filled(template: object, words: Mapping[str, str]) -> str | None:
    """A text with its words in it; None where it is no text, or words of it are not known."""
    if not isinstance(template, str):
        return None
    names = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    return template.format(**words) if names <= set(words) else None


def about(rule: Rule, said: Known | None = None) -> str:
    """All that a rule says of itself, in one line, without what `said` says already."""
    text = text_of(rule)
    cause, hint = (said.cause, said.hint) if said is not None else (None, None)
    what = "" if cause == _plain(_as_clause(text.what)) else f"{text.what}."
    remedy = "" if hint and hint.startswith(_plain(_as_clause(text.remedy))) else text.remedy
    return " ".join(each for each in (what, *text.why, remedy) if each)


def said_by(rule: Rule, message: Message, words: Mapping[str, str], text: str) -> Known:
    """The rule's words for a message: the message's own, its finding's, its docstring's.

    Where `text`, all that was pasted, is of a model of the GLM family, the native route is told.
    """
    told = text_of(rule)
    causes: tuple[str | None, ...] = (
        message.cause,
        getattr(rule, "cause", None),
        _plain(_as_clause(told.what)),
    )
    hints: tuple[str | None, ...] = (
        message.hint,
        getattr(rule, "hint", None),
        _plain(_as_clause(told.remedy)),
    )
    is_avoided = rule.blocks == ("fixed",) and "glm" in text.lower()
    since, until = _gate(rule, message, words)
    return Known(
        code=rule.code,
        patterns=message.patterns,
        cause=next(each for each in causes if each and filled(each, words)),
        hint=next(each for each in hints if each and filled(each, words))
        + (NATIVE if is_avoided else ""),
        command=CHAT if is_avoided else CHECK,
        since=since,
        until=until,
    )


def _plain(text: str) -> str:
    """Braces that stand for themselves."""
    return text.replace("{", "{{").replace("}", "}}")


def _as_clause(text: str) -> str:
    """A sentence as it stands behind `cause:` and `hint:`."""
    is_word = text[1:2].islower() or text.startswith("A ")
    return (text[0].lower() + text[1:] if is_word else text).removesuffix(".")


def _gate(rule: Rule, message: Message, words: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The message's own gate, that of the name that is gone, or the rule's."""
    if message.since or message.until:
        return message.since, message.until
    dotted = filled(message.dotted, words)
    return (rule.since, rule.until) if dotted is None else _absence(dotted)


def _absence(dotted: str) -> tuple[str | None, str | None]:
    """The last versions without a name that others had: the first of them, and the first after."""
    rows = history(dotted)
    had = next((place for place, (_, is_there) in enumerate(rows) if is_there), len(rows))
    gone = [place for place, (_, is_there) in enumerate(rows) if not is_there and place > had]
    if not gone:
        return None, None
    first = last = gone[-1]
    while not rows[first - 1][1]:
        first -= 1
    after = str(rows[last + 1][0]) if last + 1 < len(rows) else None
    return str(rows[first][0]), after
