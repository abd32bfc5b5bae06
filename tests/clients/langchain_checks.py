"""What programs get that use langchain-openai."""

from __future__ import annotations

from typing import Any

import openai
import pydantic
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from tests.clients.check import Checks, Place, Wrong, expect
from tests.clients.sdk_checks import EMBEDDER, Weather, asked
from tests.faults.answer import ARGUMENTS, TEXT, TOOL_NAME, TOOLS

CHECKS = Checks()


def chat_of(place: Place, fault: str = "", **more: Any) -> tuple[ChatOpenAI, str]:
    """A chat model that asks once, and what to ask it."""
    shape = asked(fault)
    chat = ChatOpenAI(
        model=shape["model"],
        base_url=place.url,
        api_key=pydantic.SecretStr(place.key),
        max_retries=0,
        **more,
    )
    return chat, shape["messages"][0]["content"]


@CHECKS.check("invoke")
async def _invoke(place: Place) -> None:
    chat, question = chat_of(place)
    answer = await chat.ainvoke(question)
    expect(answer.content == TEXT, answer.content)
    expect(bool(answer.usage_metadata), answer)


@CHECKS.check("batch")
async def _batch(place: Place) -> None:
    chat, question = chat_of(place)
    answers = await chat.abatch([question] * 4)
    expect([each.content for each in answers] == [TEXT] * 4, answers)


@CHECKS.check("stream, with usage")
async def _stream(place: Place) -> None:
    chat, question = chat_of(place, stream_usage=True)
    chunks = [chunk async for chunk in chat.astream(question)]
    expect("".join(str(each.content) for each in chunks) == TEXT, chunks[-1])
    expect(sum(each.usage_metadata is not None for each in chunks) == 1, chunks)


@CHECKS.check("a stream cut in mid-answer goes on", "close-after-20:stream-only")
async def _continued(place: Place) -> None:
    chat, question = chat_of(place, "close-after-20:stream-only")
    chunks = [chunk async for chunk in chat.astream(question)]
    expect("".join(str(each.content) for each in chunks) == TEXT, chunks[-1])


@CHECKS.check("what cannot be completed raises APIError", "close-after-20:always")
async def _incomplete(place: Place) -> None:
    chat, question = chat_of(place, "close-after-20:always")
    try:
        _ = [chunk async for chunk in chat.astream(question)]
    except openai.APIError as error:
        expect(error.code == "stream_incomplete", error.code, error)
        return
    raise Wrong("no exception")


@CHECKS.check("bound tools, invoked and streamed")
async def _tools(place: Place) -> None:
    chat, question = chat_of(place)
    bound = chat.bind_tools(TOOLS)
    answer: Any = await bound.ainvoke(question)
    whole: Any = None
    async for chunk in bound.astream(question):
        whole = chunk if whole is None else whole + chunk
    for each in (answer, whole):
        calls = [(call["name"], call["args"]) for call in each.tool_calls]
        expect(calls == [(TOOL_NAME, ARGUMENTS)], each)


@CHECKS.check(
    "a tool that must be called, where tool_choice is not known",
    "rejects-tool-choice-named-openai:always",
)
async def _named(place: Place) -> None:
    chat, question = chat_of(place, "rejects-tool-choice-named-openai:always")
    answer: Any = await chat.bind_tools(TOOLS, tool_choice=TOOL_NAME).ainvoke(question)
    calls = [(call["name"], call["args"]) for call in answer.tool_calls]
    expect(calls == [(TOOL_NAME, ARGUMENTS)], answer)


@CHECKS.check("tools that a server does not take, in its words", "rejects-tools-pydantic:always")
async def _tools_refused(place: Place) -> None:
    chat, question = chat_of(place, "rejects-tools-pydantic:always")
    try:
        await chat.bind_tools(TOOLS).ainvoke(question)
    except openai.UnprocessableEntityError as error:
        expect(error.param == "tools" and "leave `tools` out" in error.message, error)
        return
    raise Wrong("no exception")


@CHECKS.check("structured output by JSON schema")
async def _structured(place: Place) -> None:
    chat, question = chat_of(place)
    answer = await chat.with_structured_output(Weather, method="json_schema").ainvoke(question)
    expect(isinstance(answer, Weather) and answer.degrees == 21, answer)


@CHECKS.check("429: RateLimitError", "429-retry-after-3600:always")
async def _limited(place: Place) -> None:
    chat, question = chat_of(place, "429-retry-after-3600:always")
    try:
        await chat.ainvoke(question)
    except openai.RateLimitError as error:
        expect(bool(error.message), error)
        return
    raise Wrong("no exception")


@CHECKS.check("embeddings of documents and of a query")
async def _embeddings(place: Place) -> None:
    embeddings = OpenAIEmbeddings(
        model=EMBEDDER,
        base_url=place.url,
        api_key=pydantic.SecretStr(place.key),
        check_embedding_ctx_length=False,  # else it fetches OpenAI's vocabulary and sends ids
        max_retries=0,
    )
    vectors = await embeddings.aembed_documents(["one", "two"])
    query = await embeddings.aembed_query("one")
    difference = max(abs(left - right) for left, right in zip(vectors[0], query, strict=True))
    expect(len(vectors) == 2 and difference < 1e-5, difference)
