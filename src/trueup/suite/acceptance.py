"""The cases of one subject's acceptance, by its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from trueup.suite import embedding_cases
from trueup.suite.case import Body, Case, Subject, Verdict
from trueup.suite.chat_cases import ChatMeasures, unknown_language
from trueup.suite.criteria import Criteria
from trueup.suite.language import is_known, name_of
from trueup.suite.prompts import Prompt
from trueup.suite.service import Service

TEXT_KINDS = ("chat", "completion")
ReadPrompts = Callable[[Path], tuple[Prompt, ...]]


def case_of(
    subject: Subject,
    key: str,
    title: str,
    body: Body,
    *,
    needs: tuple[str, ...] = (),
    follows: tuple[str, ...] = (),
) -> Case:
    """A case of a subject."""
    return Case(
        id=f"{subject.id}/{key}",
        subject=subject.id,
        title=title,
        body=body,
        needs=needs,
        follows=follows,
    )


def acceptance_cases(
    subject: Subject, kind: str, criteria: Criteria, load: str, read: ReadPrompts
) -> Iterator[Case]:
    """The cases of a subject of this kind, each of which needs the case `load`.

    Raises:
        ConfigError: a file of prompts cannot be used.
    """
    if kind == "embedding":
        yield from _embedding(subject, criteria, load)
    elif kind in TEXT_KINDS:
        measures = ChatMeasures(subject.name, kind, criteria)
        for language in criteria.languages:
            yield from _language(subject, measures, language, criteria, load)
        for path in criteria.prompts:
            for prompt in read(path):
                yield case_of(
                    subject,
                    prompt.title,
                    f"the answer to `{prompt.id}` of {path.name} is as expected",
                    partial(measures.meets, prompt=prompt),
                    needs=(load,),
                )


def _language(
    subject: Subject, measures: ChatMeasures, language: str, criteria: Criteria, load: str
) -> Iterator[Case]:
    told, limit = name_of(language), criteria.answer_seconds
    title = f"a whole answer in {limit:g} s, asked in {told}"
    if not is_known(language):
        verdict = unknown_language(language)
        yield case_of(subject, f"answer-{language}", title, partial(_given, verdict=verdict))
        return
    asked = partial(measures.answers, language=language)
    answer = case_of(subject, f"answer-{language}", title, asked, needs=(load,))
    yield answer
    after = {"needs": (load,), "follows": (answer.id,)}
    if criteria.first_token_seconds is not None:
        title = f"that answer begins in {criteria.first_token_seconds:g} s"
        begins = partial(measures.begins, language=language)
        yield case_of(subject, f"begin-{language}", title, begins, **after)
    if subject.kind == "chat":
        speaks = partial(measures.speaks, language=language)
        title = f"that answer is in {told}"
        yield case_of(subject, f"language-{language}", title, speaks, **after)


async def _given(service: Service, verdict: Verdict) -> Verdict:
    return verdict


def _embedding(subject: Subject, criteria: Criteria, load: str) -> Iterator[Case]:
    name, needs = subject.name, (load,)
    title = f"an embedding in {criteria.embedding_seconds:g} s"
    embeds = partial(embedding_cases.embeds, name=name, criteria=criteria)
    yield case_of(subject, "embedding", title, embeds, needs=needs)
    stable = partial(embedding_cases.is_stable, name=name)
    yield case_of(subject, "stable", "the same text, the same vector", stable, needs=needs)
    title = f"its similarity is right on {criteria.similarity_accuracy:.0%} of the pairs"
    source = subject.source if subject.is_ours else None
    apart = partial(embedding_cases.tells_apart, name=name, criteria=criteria, source=source)
    yield case_of(subject, "similarity", title, apart, needs=needs)
