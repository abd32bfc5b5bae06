"""A failure that no rule of a check is about, as the catalogue knows it."""

from __future__ import annotations

from dataclasses import dataclass

from trueup.doctor.message import Message

CHECK, PLAN, CHAT, SERVE = (
    "trueup check MODEL",
    "trueup plan MODEL",
    "trueup chat MODEL",
    "trueup serve MODEL",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known(Message):
    """A message with its code; `command` is the TrueUp command that helps, None where none does.

    `cause` and `hint` are always given here.
    """

    code: str
    command: str | None = None
