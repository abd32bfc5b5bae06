"""Answers that the keeper has in memory: asked, under way, or over and not yet forgotten.

So that whoever lost the connection gets the rest of an answer, and not another one.
"""

from __future__ import annotations

from collections.abc import Iterator

from .lines import Message

# How long an answer that is over can still be fetched.
KEPT_SECONDS = 60.0
OVER = ("end", "error")


class Answer:
    """One answer; `events` are numbered from 1 in their `seq`. `request` is what was asked."""

    def __init__(self, request: Message) -> None:
        self.id = str(request["id"])
        self.request = request
        self.events: list[Message] = []
        self.is_running = False
        self.is_unwanted = False
        self.over_at: float | None = None

    def add(self, event: Message, now: float) -> Message:
        """Number and keep an event."""
        numbered = {**event, "id": self.id, "seq": len(self.events) + 1}
        self.events.append(numbered)
        if event["event"] in OVER:
            self.is_running, self.over_at = False, now
        return numbered

    def after(self, seq: int) -> list[Message]:
        """The events after that number."""
        return self.events[max(0, seq) :]


class Answers:
    """All of them, in the order in which they were asked."""

    def __init__(self) -> None:
        self._known: dict[str, Answer] = {}

    def add(self, answer: Answer) -> None:
        """Keep another one."""
        self._known[answer.id] = answer

    def get(self, answer_id: object) -> Answer | None:
        """The answer of that id; None where it is not known, or no more."""
        return self._known.get(str(answer_id))

    def forget(self, answer_id: object) -> None:
        """It will not be fetched again; one that is being made has its turn until it ends."""
        answer = self._known.get(str(answer_id))
        if answer is None:
            return
        if answer.over_at is None:
            answer.is_unwanted = True
        else:
            del self._known[answer.id]

    def forget_old(self, now: float) -> None:
        """Forget what nobody fetched in time."""
        for answer in list(self._known.values()):
            if answer.over_at is not None and now - answer.over_at > KEPT_SECONDS:
                self.forget(answer.id)

    def open(self) -> list[Answer]:
        """Those that are not over."""
        return [answer for answer in self._known.values() if answer.over_at is None]

    def waiting(self) -> Iterator[Answer]:
        """Those whose turn has not come."""
        return (answer for answer in self.open() if not answer.is_running)

    def running(self) -> int:
        """How many are being made."""
        return sum(answer.is_running for answer in self.open())
