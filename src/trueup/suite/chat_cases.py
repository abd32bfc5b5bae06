"""What is measured of a model that gives text: time, language, prompts, a comparison."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from trueup.suite.case import Figure, Problem, Verdict
from trueup.suite.criteria import Criteria
from trueup.suite.expectation import disappointments, shown
from trueup.suite.language import BEGINNINGS, QUESTIONS, base_of, is_in, name_of, share_in
from trueup.suite.prompts import Prompt
from trueup.suite.service import Said, Service

# An answer is waited for beyond its limit, so that it can be said how long it took.
PATIENCE, PATIENCE_SECONDS = 4, 15.0


NOTHING_SAID = Verdict(unable=Problem(cause="there is no answer that could be judged"))


class NoAnswerError(Exception):
    """There was no whole answer as long as one was waited for."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no whole answer within {seconds:.0f} s")
        self.seconds = seconds


class ChatMeasures:
    """The measurements of one model; what was answered is kept for those that build upon it."""

    def __init__(self, name: str, kind: str, criteria: Criteria) -> None:
        self._name = name
        self._kind = kind
        self._criteria = criteria
        self._said: dict[str, Said] = {}

    async def answers(self, service: Service, language: str) -> Verdict:
        """A whole answer to a question in the language, within the time."""
        limit = self._criteria.answer_seconds
        question = _question(self._kind, language)
        messages = [{"role": "user", "content": question}]
        details: dict[str, Any] = {"asked": question, "answer": None}
        try:
            said = await self._ask(service, messages, limit, self._criteria.max_tokens)
        except NoAnswerError as error:
            return Verdict(
                problem=Problem(cause=f"{error}, expected {limit:g} s or less"),
                figures=(Figure(name="answer", value=error.seconds, unit="s", limit=limit),),
                details=details,
            )
        self._said[language] = said
        details["answer"] = said.text
        figure = Figure(name="answer", value=said.seconds, unit="s", limit=limit)
        problem = None
        if not said.text.strip():
            problem = Problem(cause="the answer is empty, expected text")
        elif not figure.is_met:
            problem = Problem(
                cause=f"the answer took {said.seconds:.1f} s, expected {limit:g} s or less"
            )
        return Verdict(problem=problem, figures=(figure,), notes=self._notes(said), details=details)

    async def begins(self, service: Service, language: str) -> Verdict:
        """The first text of that answer, within the time."""
        limit = self._criteria.first_token_seconds
        said = self._said.get(language)
        if said is None:
            return NOTHING_SAID
        value = said.seconds if said.first_seconds is None else said.first_seconds
        figure = Figure(name="first text", value=value, unit="s", limit=limit)
        problem = None
        if not figure.is_met:
            problem = Problem(
                cause=f"the answer began after {value:.1f} s, expected {limit:g} s or less"
            )
        return Verdict(problem=problem, figures=(figure,))

    async def speaks(self, service: Service, language: str) -> Verdict:
        """That answer is in the language."""
        said = self._said.get(language)
        if said is None or not said.text.strip():
            return NOTHING_SAID
        text = said.text
        figure = Figure(name="share of it", value=share_in(text, language), unit="share")
        problem = None
        if not is_in(text, language):
            problem = Problem(
                cause=f"the answer is not in {name_of(language)}: `{shown(text)}`",
                hint=f"use a model that was made for {name_of(language)}, or leave "
                f"`{base_of(language)}` out of the role's `languages`",
            )
        return Verdict(problem=problem, figures=(figure,), details={"answer": text})

    async def meets(self, service: Service, prompt: Prompt) -> Verdict:
        """The answer to a prompt is as its author expects."""
        limit = prompt.within_seconds or self._criteria.answer_seconds
        details: dict[str, Any] = {"asked": prompt.messages[-1]["content"], "answer": None}
        tokens = prompt.max_tokens or self._criteria.max_tokens
        try:
            said = await self._ask(service, prompt.messages, limit, tokens)
        except NoAnswerError as error:
            cause, figure = f"{error}", Figure(name="answer", value=error.seconds, unit="s")
            late = Problem(cause=cause, where=prompt.place)
            return Verdict(problem=late, figures=(figure,), details=details)
        details["answer"] = said.text
        # Only a prompt that names a time is about time.
        figure = Figure(name="answer", value=said.seconds, unit="s", limit=prompt.within_seconds)
        against = disappointments(prompt.expectation, said.text)
        if not said.text.strip():
            against.insert(0, "it is empty")
        if not figure.is_met:
            against.append(f"it took {said.seconds:.1f} s, expected {limit:g} s or less")
        problem = None
        if against:
            problem = Problem(
                cause=f"the answer is not as expected: {'; '.join(against)}; it is "
                f"`{shown(said.text)}`",
                where=prompt.place,
            )
        return Verdict(problem=problem, figures=(figure,), notes=self._notes(said), details=details)

    async def _ask(
        self,
        service: Service,
        messages: Sequence[Mapping[str, str]],
        limit: float,
        max_tokens: int,
    ) -> Said:
        patience = limit * PATIENCE + PATIENCE_SECONDS
        try:
            async with asyncio.timeout(patience):
                if self._kind == "completion":
                    prompt = "\n".join(each["content"] for each in messages)
                    return await service.complete(self._name, prompt, max_tokens=max_tokens)
                return await service.answer(self._name, messages, max_tokens=max_tokens)
        except TimeoutError:
            raise NoAnswerError(patience) from None

    def _notes(self, said: Said) -> tuple[str, ...]:
        return ("the answer was cut at the token limit",) if said.finish_reason == "length" else ()


def _question(kind: str, language: str) -> str:
    texts = BEGINNINGS if kind == "completion" else QUESTIONS
    return texts[base_of(language)]


def unknown_language(language: str) -> Verdict:
    """The verdict on a language that nothing can be asked in."""
    known = ", ".join(f"`{each}`" for each in QUESTIONS)
    return Verdict(
        unable=Problem(
            cause=f"there is no question of ours in `{language}`, only in {known}",
            hint="write a file of prompts in it and name it under the role's `prompts`",
        )
    )
