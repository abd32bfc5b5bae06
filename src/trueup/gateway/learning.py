"""What the errors of one backend teach while one request is asked: what to leave out, or cut.

Whether an error teaches is `teaching.py`'s to say, what was learned for later `lessons.py`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trueup.backends.base import Backend
from trueup.config.settings import ClientProfile
from trueup.errors import RequestError, TrueUpError
from trueup.gateway.lessons import Lessons
from trueup.gateway.policies import POLICIES
from trueup.gateway.teaching import is_about_company, is_about_value, lesson_of, value_limit
from trueup.protocol.errors import code_of

# What servers say that answer whole, always or with tools.
NO_STREAMS = re.compile(
    r"\bstream(ing)?\b(?!_options)[^.]*\b(not|un)\W?\s?(supported|implemented|allowed)", re.I
)
# … and those that answer in streams alone. The lesson is no parameter's name.
ONLY_STREAMS = re.compile(
    r"\bonly\b[^.]*\bstream(?:ing)?\b|\bstream\s*[=:]\s*false\b|\bnon[ _-]?stream"
    r"|\b(?:enable|set|use|requires?)\b[^.]*\bstream(?:ing)?\b(?!_options)",
    re.I,
)
WHOLE = "stream=false"
# … and what they say where it is so in some company only.
CONDITION = re.compile(
    r"\b(when|if|while|with|without|together|unless|using|and|combin\w+|for(?!\s+(this|the)\s+model))\b",
    re.I,
)
# A server that rejects one parameter after another is believed this often.
MAX_LESSONS = 32


class Learning:
    """One request's at one backend; `shape` is the request, `parameters` what it may not have."""

    def __init__(
        self,
        shape: Mapping[str, Any],
        backend: Backend,
        lessons: Lessons,
        *,
        profile: ClientProfile,
        is_strict: bool,
    ) -> None:
        self.shape = shape
        self.parameters: set[str] = set()
        self._backend = backend
        self._model = shape["model"]
        self._lessons = lessons
        self._profile = profile
        self._is_strict = is_strict
        # True of this request, and perhaps of no other.
        self._passing: set[str] = set()
        self._clamps = 0

    @property
    def known(self) -> frozenset[str]:
        """What the backend does not take, as far as anybody has learned."""
        known = self._lessons.of(self._backend, self._model)
        return known | self.parameters if self.parameters else known

    def mend(self, error: TrueUpError, sent: Mapping[str, Any] | None) -> bool:
        """Whether the request is worth asking again, without what the error is about.

        `sent` is the request as it went where that is another one.
        """
        if len(self.parameters) + self._clamps >= MAX_LESSONS:
            return False
        lesson = self._lesson(error, sent or self.shape)
        if self._is_strict and (lesson is None or lesson in self.shape.keys() - {"stream"}):
            return False  # what the client sent is not left out; what we added is
        if lesson is not None and lesson not in self.parameters:
            self.parameters.add(lesson)
            return True
        limit = value_limit(error) if self._profile.clamps_max_tokens else None
        name = "max_completion_tokens" if "max_completion_tokens" in self.shape else "max_tokens"
        if limit is None or self.shape.get(name) == limit or not isinstance(error, RequestError):
            return False
        self._clamps += 1
        self.shape = {**self.shape, name: limit}
        return True

    def keep(self) -> None:
        """The request was answered: remember what it took."""
        for parameter in self.parameters - self._passing:
            self._lessons.learn(self._backend, parameter, self._model)

    def _lesson(self, error: TrueUpError, sent: Mapping[str, Any]) -> str | None:
        if code_of(error) == "choices_missing":
            self._passing.add("n")  # no words say that it never does
            return "n" if (sent.get("n") or 1) > 1 else None
        if isinstance(error, RequestError) and ONLY_STREAMS.search(error.cause):
            return WHOLE
        if isinstance(error, RequestError) and NO_STREAMS.search(error.cause):
            words = set(re.findall(r"\w+", error.cause))
            if CONDITION.search(error.cause) or words & (sent.keys() - {"stream", "model"}):
                self._passing.add("stream")
            return "stream"
        # A stream may have been asked for its usage by us, and any answer be given a seed.
        lesson = lesson_of(error, {"stream_options": None, "seed": None, **sent})
        if lesson is None or lesson not in sent:
            return lesson
        if is_about_value(error, lesson, sent[lesson]):
            # Another value may be taken. What is emulated is as right without it.
            if POLICIES.get(lesson) != "emulate":
                return None
            self._passing.add(lesson)
        elif is_about_company(error, lesson, sent):
            self._passing.add(lesson)
        return lesson
