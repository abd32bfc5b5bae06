from __future__ import annotations

import orjson
import pytest

from tests.fakes import FakeClient
from tests.gateway.test_chain import gateway
from tests.llamafactory.worker import Bench, streamed, whole
from trueup.backends.llamafactory.garbage import hint_of

LOOP = "好的。我会帮助你。" * 30


@pytest.mark.parametrize(
    ("text", "reason", "said"),
    [
        (LOOP, "length", "repeats itself"),
        ("Well. " + "ha" * 60 + " \n", "length", "repeats itself"),
        ("a" * 90, "length", "repeats itself"),
        ("hi<|im_end|>\n<|im_start|>user\nhi<|im_end|>\nand so on", "length", "<|im_end|>"),
        ("[INST][/INST]</s>", "stop", "[INST]"),
        (LOOP, "stop", None),
        ("ha" * 10, "length", None),
        (" ".join(str(n) for n in range(200)), "length", None),
        ("A turn of ChatML ends with `<|im_end|>`, one of Llama 2 with `</s>`.", "stop", None),
        ("", "stop", None),
        ("", "length", None),
    ],
)
def test_what_looks_like_another_format_than_the_trainings(
    text: str, reason: str, said: str | None
) -> None:
    hint = hint_of(text, reason)
    if said is None:
        assert hint is None
    else:
        assert hint is not None
        assert said in hint
        assert "`template` and `default_system`" in hint


async def test_a_loop_is_hinted_at_once_for_each_model(bench: Bench) -> None:
    asked = {"max_tokens": len(LOOP.encode())}
    async with bench.backend() as backend:
        assert (await streamed(backend, "say fine")).hint is None
        first = await streamed(backend, f"say {LOOP}", **asked)
        assert (first.text, first.finish_reason) == (LOOP, "length")
        assert "repeats itself" in str(first.hint)
        assert bench.said[-1] == f"warning: `far`: {first.hint}"
        assert (await streamed(backend, f"say {LOOP}", **asked)).hint is None
        assert "trueup" not in await whole(backend, f"say {LOOP}", **asked)
        assert len(bench.said) == 2


async def test_three_in_a_row_that_find_no_end_are_hinted_at_once(bench: Bench) -> None:
    async with bench.backend() as backend:

        async def cut() -> str | None:
            answer = await streamed(backend, "say no two words are alike", max_tokens=5)
            assert answer.finish_reason == "length"
            return answer.hint

        assert [await cut(), await cut()] == [None, None]
        assert (await streamed(backend, "say this one ends")).hint is None
        assert [await cut(), await cut()] == [None, None]
        hint = await cut()
        assert str(hint).startswith("3 answers in a row went on until their limit")
        assert "`template` and `default_system`" in str(hint)
        assert bench.said[-1] == f"warning: `far`: {hint}"
        assert [await cut() for _ in range(4)] == [None] * 4


@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_client_of_the_gateway_gets_the_hint(is_stream: bool, bench: Bench) -> None:
    async with bench.backend() as backend:
        app = gateway(backend)  # type: ignore[arg-type]
        shape = {"model": "far", "messages": [{"role": "user", "content": f"say {LOOP}"}]}
        limit = len(LOOP.encode())
        client = FakeClient(body={**shape, "max_tokens": limit, "stream": is_stream})
        await app(client.scope, client.receive, client.send)
        told = client.json if not is_stream else orjson.loads(client.events[-2])
        assert told["choices"][0]["finish_reason"] == "length"
        assert "repeats itself" in told["trueup"]["hint"]
