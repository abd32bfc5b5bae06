"""Tells an answer that goes on from one that was begun again, where it should have gone on."""

from __future__ import annotations

from trueup.errors import BackendError

RESTARTED = "continuation_restarted"
# So many characters of the beginning, said once more, are no accident.
TELLING_CHARACTERS = 40


class RestartGuard:
    """Holds the start of a continuation as long as it repeats the start of what it continues.

    A server that does not know the parameter says its whole answer again: joined to what was
    delivered, that would be an answer twice over.
    """

    def __init__(self, delivered: str) -> None:
        self.is_done = False
        # Some tokenizers begin an answer with a blank, and templates with a line.
        self._start = delivered.lstrip()[:TELLING_CHARACTERS]
        self._held = ""

    def push(self, text: str, *, is_last: bool) -> str:
        """The part of the continuation that is certain to be one.

        Raises:
            BackendError: code `continuation_restarted`, it is the answer from its beginning.
        """
        if self.is_done:
            return text
        self._held += text
        held = self._held.lstrip()
        if held.startswith(self._start):
            raise BackendError(
                "the backend began its answer again where it was asked to go on with it",
                retryable=False,
                code=RESTARTED,
            )
        if not is_last and self._start.startswith(held):
            return ""
        self.is_done = True
        held, self._held = self._held, ""
        return held
