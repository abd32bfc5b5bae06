"""Asks one case through a base URL, with the openai SDK and on a bare socket, and judges it.

`complete`: the whole right answer in the right form. `error`: an honest error in OpenAI's
form. `broken`: anything else, the wrong text presented as an answer above all.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.case import Case, Verdict
from tests.faults.form import Broken, Said, read_stream, read_whole
from tests.faults.raw import ask_raw
from tests.faults.right import Right, right_answer

_keys = itertools.count(1)
WORST: Sequence[Verdict] = ("broken", "error", "complete")
CLIENTS = ("raw", "sdk")


@dataclass(frozen=True)
class Judged:
    """A verdict and its reason."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Target:
    """Where cases are asked: a base URL that ends in /v1, and the model's name there.

    `name` keeps the counts of its cases apart from others'.
    """

    url: str
    model: str = "test"
    name: str = "none"
    api_key: str = "EMPTY"
    limit_seconds: float = 30.0


def request_of(case: Case, target: Target, client: str) -> dict[str, Any]:
    """What the client asks; the marker in the message finds the fault, whatever is renamed.

    The raw client's streams ask for usage, the SDK's do not.
    """
    marker = f"{case.marker}#{target.name}-{client}-{next(_keys)}"
    shape: dict[str, Any] = {"model": target.model, **case.fault.asks}
    if case.fault.path.endswith("/chat/completions"):
        messages = shape.get("messages") or [{"role": "user", "content": "Say the sentence."}]
        last = {**messages[-1], "content": f"{marker} {messages[-1]['content']}"}
        shape["messages"] = [*messages[:-1], last]
    else:
        shape["prompt"] = f"{marker} Say the sentence."
    if case.is_stream:
        shape["stream"] = True
        if client == "raw":
            shape["stream_options"] = {"include_usage": True}
    return shape


async def judge(case: Case, target: Target, clients: Iterable[str] = CLIENTS) -> dict[str, Judged]:
    """The verdict of each client; they ask one after the other."""
    asking = {"raw": judge_raw, "sdk": judge_sdk}
    return {client: await asking[client](case, target) for client in clients}


def worst(judged: Mapping[str, Judged]) -> Verdict:
    """The worst of the clients' verdicts."""
    return min((each.verdict for each in judged.values()), key=WORST.index)


async def judge_raw(case: Case, target: Target) -> Judged:
    """Judge every byte of the answer."""
    shape = request_of(case, target, "raw")
    heard = await ask_raw(
        target.url,
        case.fault.path,
        shape,
        limit_seconds=target.limit_seconds,
        headers={"Authorization": f"Bearer {target.api_key}"},
    )
    right = right_answer(case, shape)
    try:
        said = read_stream(heard, right) if case.is_stream else read_whole(heard, right)
        return _compared(said, right)
    except Broken as broken:
        return Judged("broken", str(broken))


async def judge_sdk(case: Case, target: Target) -> Judged:
    """Judge what a program gets that uses the openai package."""
    import openai

    shape = request_of(case, target, "sdk")
    right = right_answer(case, shape)
    client = openai.AsyncOpenAI(
        base_url=target.url, api_key=target.api_key, max_retries=0, timeout=target.limit_seconds
    )
    said = Said()
    try:
        async with asyncio.timeout(target.limit_seconds), client:
            await _ask_sdk(client, case, shape, said)
    except openai.APIConnectionError as error:  # and its child, APITimeoutError
        return Judged("broken", f"the SDK raised {type(error).__name__}: {error.__cause__!r}")
    except openai.APIError as error:
        said.error = f"{type(error).__name__}: {error.message}"
    except TimeoutError:
        return Judged("broken", f"hung for {target.limit_seconds:g} s")
    except Broken as broken:
        return Judged("broken", str(broken))
    except Exception as error:  # whatever else escapes is what users get to see
        return Judged("broken", f"the SDK raised {type(error).__name__}: {error}")
    try:
        return _compared(said, right)
    except Broken as broken:
        return Judged("broken", str(broken))


async def _ask_sdk(client: Any, case: Case, shape: dict[str, Any], said: Said) -> None:
    is_chat = case.fault.path.endswith("/chat/completions")
    resource = client.chat.completions if is_chat else client.completions
    answer = await resource.create(**shape)
    if not case.is_stream:
        for choice in answer.choices:
            is_text = not is_chat
            message = (
                {"content": choice.text} if is_text else choice.message.model_dump(warnings=False)
            )
            said.add_whole(choice.index, message, choice.finish_reason)
        return
    async with answer:
        async for chunk in answer:
            for choice in chunk.choices:
                delta = (
                    choice.delta.model_dump(warnings=False) if is_chat else {"content": choice.text}
                )
                said.add(choice.index, delta, choice.finish_reason)


def _compared(said: Said, right: Right) -> Judged:
    """What was said against what is right.

    Raises:
        Broken: it is neither, or an error came with text that is no beginning of the answer.
    """
    if said.error is not None:
        for index, text in said.texts.items():
            if not any(each.startswith(text) for each in right.texts):
                raise Broken(f"choice {index} begins wrongly before its error: {text[-40:]!r}")
        return Judged("error", said.error[:200])
    if set(said.finishes) != set(range(right.choices)):
        raise Broken(f"finished choices are {sorted(said.finishes)} of {right.choices}")
    for index in range(right.choices):
        _compare_choice(said, right, index)
    return Judged("complete", "")


def _compare_choice(said: Said, right: Right, index: int) -> None:
    text = said.texts.get(index, "")
    if right.arguments is None:
        if text not in right.texts:
            whole = max(len(each) for each in right.texts)
            raise Broken(f"{len(text)} of {whole} characters presented as whole: …{text[-30:]!r}")
        if said.calls.get(index):
            raise Broken("a tool call that nobody asked for")
    else:
        if text:
            raise Broken(f"text where a tool call was due: {text[:40]!r}")
        calls = said.arguments_of(index)
        if calls != [(right.tool, right.arguments)]:
            raise Broken(f"the tool call is {calls}")
    if said.finishes[index] not in right.finishes:
        raise Broken(f"finish_reason is `{said.finishes[index]}`, not {sorted(right.finishes)}")
