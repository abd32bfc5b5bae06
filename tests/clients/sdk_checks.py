"""What programs get that use the openai package."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import openai
import pydantic

from tests.clients.check import Checks, Place, Wrong, expect
from tests.faults.answer import ARGUMENTS, JSON_TEXT, TEXT, TOOL_NAME, TOOLS

CHECKS = Checks()
CANCEL_SECONDS = 0.1
EMBEDDER = "embedder"
GOOD = "healthy"
_keys = itertools.count(1)


class Weather(pydantic.BaseModel):
    """What a structured answer is read into."""

    city: str
    degrees: int
    sky: str
    note: str


@contextlib.asynccontextmanager
async def client_of(place: Place, **more: Any) -> AsyncIterator[Any]:
    """A client that asks once, so that what is seen is ours."""
    settings = {"base_url": place.url, "api_key": place.key, "max_retries": 0, **more}
    async with openai.AsyncOpenAI(**settings) as client:
        yield client


def asked(fault: str = "", **more: Any) -> dict[str, Any]:
    """A request that the fault server meets with this fault, through the model made for it."""
    marker = f"fault:{fault}#sdk-{next(_keys)} " if fault else ""
    messages = [{"role": "user", "content": f"{marker}Say the sentence."}]
    return {"model": fault.replace(":", ".") or GOOD, "messages": messages, **more}


async def raised(place: Place, shape: dict[str, Any], **settings: Any) -> openai.APIError:
    """The exception of a request that must fail, when it is sent or while the stream is read."""
    async with client_of(place, **settings) as client:
        try:
            answer = await client.chat.completions.create(**shape)
            if shape.get("stream"):
                _ = [chunk async for chunk in answer]
        except openai.APIError as error:
            expect(not isinstance(error, openai.APIConnectionError), repr(error.__cause__))
            message = (error.body or {}).get("message") if isinstance(error.body, dict) else None
            expect(bool(message), "an error without a message", error.body)
            return error
    raise Wrong("no exception")


@CHECKS.check("a whole answer")
async def _whole(place: Place) -> None:
    async with client_of(place) as client:
        answer = await client.chat.completions.create(**asked())
    expect(answer.choices[0].message.content == TEXT, answer.choices[0].message.content)
    expect(answer.usage is not None and answer.usage.total_tokens > 0, answer.usage)


@CHECKS.check("a whole answer by the client that is not async")
async def _sync(place: Place) -> None:
    def ask() -> Any:
        with openai.OpenAI(base_url=place.url, api_key=place.key, max_retries=0) as client:
            return client.chat.completions.create(**asked())

    answer = await asyncio.to_thread(ask)
    expect(answer.choices[0].message.content == TEXT, answer)


@CHECKS.check("a stream, with usage where it is asked for")
async def _stream(place: Place) -> None:
    for options, chunks_with_usage in (({}, 0), ({"include_usage": True}, 1)):
        text, finish, usages = "", None, 0
        async with client_of(place) as client:
            more = {"stream_options": options} if options else {}
            async for chunk in await client.chat.completions.create(**asked(stream=True, **more)):
                usages += chunk.usage is not None
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    finish = choice.finish_reason or finish
        expect((text, finish) == (TEXT, "stop"), text[-60:], finish)
        expect(usages == chunks_with_usage, usages, "chunks with usage")


@CHECKS.check("the stream helper's final answer")
async def _helper(place: Place) -> None:
    async with client_of(place) as client, client.chat.completions.stream(**asked()) as stream:
        answer = await stream.get_final_completion()
    expect(answer.choices[0].message.content == TEXT, answer)


@CHECKS.check("an answer cut in mid-stream goes on in the same stream", "close-after-3:stream-only")
async def _continued(place: Place) -> None:
    text, finish = await streamed(place, asked("close-after-3:stream-only", stream=True))
    expect((text, finish) == (TEXT, "stop"), text[-60:], finish)


@CHECKS.check("what cannot be completed raises APIError", "close-after-3:always")
async def _incomplete(place: Place) -> None:
    said: list[str] = []
    try:
        await streamed(place, asked("close-after-3:always", stream=True), said)
    except openai.APIError as error:
        expect(error.code == "stream_incomplete", error.code, error)
        expect(TEXT.startswith("".join(said)) and bool(said), said)
        return
    raise Wrong("no exception")


async def streamed(
    place: Place, shape: dict[str, Any], said: list[str] | None = None
) -> tuple[str, str | None]:
    """Text and finish reason of a stream; `said` has what came before an exception."""
    said = [] if said is None else said
    finish = None
    async with client_of(place) as client:
        async for chunk in await client.chat.completions.create(**shape):
            for choice in chunk.choices:
                said.append(choice.delta.content or "")
                finish = choice.finish_reason or finish
    return "".join(said), finish


@CHECKS.check("tools: a call, whole and streamed")
async def _tools(place: Place) -> None:
    async with client_of(place) as client:
        answer = await client.chat.completions.create(**asked(tools=TOOLS))
        async with client.chat.completions.stream(**asked(tools=TOOLS)) as stream:
            final = await stream.get_final_completion()
    for each in (answer, final):
        choice = each.choices[0]
        expect(choice.finish_reason == "tool_calls", choice.finish_reason)
        call = (choice.message.tool_calls or [None])[0]
        expect(call is not None and call.function.name == TOOL_NAME, call)
        expect(pydantic.TypeAdapter(dict).validate_json(call.function.arguments) == ARGUMENTS, call)


@CHECKS.check("tools that a server does not take: BadRequestError", "rejects-tools-openai:always")
async def _tools_refused(place: Place) -> None:
    for is_stream in (False, True):
        shape = asked("rejects-tools-openai:always", tools=TOOLS, stream=is_stream)
        error = await raised(place, shape)
        expect(isinstance(error, openai.BadRequestError), type(error).__name__, error)
        expect(error.param == "tools", error.param)


@CHECKS.check(
    "a parameter that it does not take goes, and the header says so", "rejects-seed-vllm:always"
)
async def _dropped(place: Place) -> None:
    async with client_of(place) as client:
        resource = client.chat.completions.with_raw_response
        answer = await resource.create(**asked("rejects-seed-vllm:always", seed=7))
    expect(answer.headers.get("x-trueup-dropped") == "seed", dict(answer.headers))
    expect(answer.parse().choices[0].message.content == TEXT, answer.text)


@CHECKS.check("strict: the same is an error", "rejects-user-openai:always")
async def _strict(place: Place) -> None:
    shape = asked("rejects-user-openai:always", user="u")
    error = await raised(place, shape, default_headers={"X-TrueUp-Strict": "true"})
    expect(isinstance(error, openai.BadRequestError), type(error).__name__, error)


@CHECKS.check("response_format by parse()", "rejects-response-format-schema-openai:always")
async def _parse(place: Place) -> None:
    for model in ("", "rejects-response-format-schema-openai:always"):
        async with client_of(place) as client:
            answer = await client.chat.completions.parse(**asked(model), response_format=Weather)
        parsed = answer.choices[0].message.parsed
        expect(parsed is not None and parsed.degrees == 21, answer.choices[0].message)
        expect(answer.choices[0].message.content == JSON_TEXT, answer.choices[0].message.content)


@CHECKS.check("n=2")
async def _choices(place: Place) -> None:
    async with client_of(place) as client:
        answer = await client.chat.completions.create(**asked(n=2))
    expect([each.message.content for each in answer.choices] == [TEXT, TEXT], answer.choices)


ERRORS: tuple[tuple[str, str, type[openai.APIStatusError], dict[str, Any]], ...] = (
    ("401:always", "the server's key is wrong", openai.APIStatusError, {}),
    ("429-no-retry-after:always", "429", openai.RateLimitError, {}),
    ("503:always", "503", openai.InternalServerError, {}),
    ("stall-before-headers:always", "silence", openai.InternalServerError, {}),
    ("404:always", "the server does not know its model", openai.APIStatusError, {}),
    ("context-length:always", "context_length_exceeded", openai.BadRequestError, {}),
    ("", "max_tokens 0", openai.BadRequestError, {"max_tokens": 0}),
    ("", "temperature a text", openai.BadRequestError, {"temperature": "x"}),
    ("", "messages a text", openai.BadRequestError, {"messages": "x"}),
    ("", "unknown model", openai.NotFoundError, {"model": "nobody"}),
)


def _error_check(
    fault: str, name: str, kind: type[openai.APIStatusError], more: dict[str, Any]
) -> None:
    @CHECKS.check(f"{name}: {kind.__name__}", *filter(None, [fault]))
    async def check(place: Place) -> None:
        for is_stream in (False, True):
            error = await raised(place, {**asked(fault), "stream": is_stream, **more})
            # Where trying took longer than the grace before the first byte it comes in the stream.
            is_in_stream = is_stream and type(error) is openai.APIError
            expect(is_in_stream or isinstance(error, kind), type(error).__name__, error)
            expect(bool(error.code), "an error without a code", error.body)


for _row in ERRORS:
    _error_check(*_row)


@CHECKS.check("a wrong key: AuthenticationError")
async def _wrong_key(place: Place) -> None:
    error = await raised(place, asked(), api_key="wrong")
    expect(isinstance(error, openai.AuthenticationError), type(error).__name__, error)


@CHECKS.check("too large a body: 413")
async def _too_large(place: Place) -> None:
    shape = {**asked(), "messages": [{"role": "user", "content": "x" * 2**21}]}
    error = await raised(place, shape)
    expect(isinstance(error, openai.APIStatusError) and error.status_code == 413, error)


@CHECKS.check("text completions, whole and streamed")
async def _completions(place: Place) -> None:
    async with client_of(place) as client:
        answer = await client.completions.create(model=GOOD, prompt="Say")
        stream = await client.completions.create(model=GOOD, prompt="Say", stream=True)
        text = "".join([choice.text async for chunk in stream for choice in chunk.choices])
    expect(answer.choices[0].text == text == TEXT, text[-60:])


@CHECKS.check("embeddings: one, several, base64 and numbers")
async def _embeddings(place: Place) -> None:
    async with client_of(place) as client:
        several = await client.embeddings.create(model=EMBEDDER, input=["one", "two"])
        one = await client.embeddings.create(model=EMBEDDER, input="one", encoding_format="float")
    expect([each.index for each in several.data] == [0, 1], several.data)
    first, again = several.data[0].embedding, one.data[0].embedding
    expect(len(first) == len(again) > 0, len(first), len(again))
    difference = max(abs(left - right) for left, right in zip(first, again, strict=True))
    expect(difference < 1e-5, difference)
    expect(several.data[1].embedding != first, "two texts have one vector")


@CHECKS.check("embeddings of a chat model: BadRequestError")
async def _wrong_kind(place: Place) -> None:
    async with client_of(place) as client:
        try:
            await client.embeddings.create(model=GOOD, input="one")
        except openai.BadRequestError as error:
            expect(bool(error.message), error)
            return
    raise Wrong("no exception")


@CHECKS.check("the list of models")
async def _models(place: Place) -> None:
    async with client_of(place) as client:
        names = [each.id async for each in client.models.list()]
        one = await client.models.retrieve(GOOD)
    expect({GOOD, EMBEDDER} <= set(names), names)
    expect(one.id == GOOD, one)


@CHECKS.check("leaving a stream ends it behind the gateway", "stall-after-3:always")
async def _leave_stream(place: Place) -> None:
    shape = asked("stall-after-3:always", stream=True)
    async with client_of(place) as client:
        stream = await client.chat.completions.create(**shape)
        async for chunk in stream:
            if any(choice.delta.content for choice in chunk.choices):
                break
        await stream.close()
    await _see_left(place, shape)


@CHECKS.check("cancelling a whole answer ends it behind the gateway", "stall-before-headers:always")
async def _leave_whole(place: Place) -> None:
    shape = asked("stall-before-headers:always")
    async with client_of(place) as client:
        task = asyncio.create_task(client.chat.completions.create(**shape))
        await place.server.seen(lambda each: _key(shape) in each.fault)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await _see_left(place, shape)


async def _see_left(place: Place, shape: dict[str, Any]) -> None:
    """See that the server's request ended at once."""
    left_at = asyncio.get_running_loop().time()
    received = await place.server.seen(lambda each: _key(shape) in each.fault)
    took_seconds = await place.server.ended(received) - left_at
    expect(took_seconds <= CANCEL_SECONDS, f"{took_seconds * 1000:.0f} ms")


def _key(shape: dict[str, Any]) -> str:
    return str(shape["messages"][0]["content"]).partition("#")[2].partition(" ")[0]
