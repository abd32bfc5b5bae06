"""Whole answers: joined, counted, and what is told of counts that nobody made."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.fakes import Turn, whole_answer
from tests.gateway.test_chain import JSON, ask, foreign, gateway
from trueup.backends.base import Accepts
from trueup.gateway.delivery import Delivery
from trueup.gateway.whole import Whole, WholeChoice, joined


def whole(usage: Any) -> Whole:
    return Whole(head={}, choices=[WholeChoice(text="x", finish_reason="stop")], usage=usage)


def usage(prompt: Any, answer: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": None}


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        ([usage(3, 10), usage(3, 5)], (3, 15, 18)),
        ([usage(3, 10), usage(None, 5)], (3, 15, 18)),
        ([usage("3", 10), usage(True, 5)], (0, 15, 15)),
        ([usage(None, None), usage(None, None)], None),
        ([usage(3, 10), usage(3, "5")], None),
        ([usage(3, 10), None], None),
        ([{}, usage(3, 10)], None),
    ],
)
def test_counts_are_added_where_each_answer_was_counted(usages: Any, expected: Any) -> None:
    counted = joined([whole(each) for each in usages]).usage
    assert (tuple(counted.values()) if counted else None) == expected


@pytest.mark.parametrize("odd", [None, "7", 1.5, True])
def test_odd_counts_of_a_stream_are_borne(odd: Any) -> None:
    delivery = Delivery(choices=2, is_chat=True)
    delivery.take_head({})
    delivery.choices[0].tokens = 4
    delivery.finish(0, "stop")
    delivery.resume("token_ids", is_exact=True)
    delivery.usage = usage(odd, odd)
    assert delivery.counted()["completion_tokens"] == 4


async def test_several_answers_without_counts_are_one_answer_without() -> None:
    shape = {**orjson.loads(whole_answer("x")), "usage": usage(None, None)}
    backend = foreign(
        Turn([orjson.dumps(shape)], headers=JSON), accepts=Accepts(unsupported=frozenset({"n"}))
    )
    client = await ask(gateway(backend), n=2)
    assert (client.status, len(client.json["choices"])) == (200, 2)
    assert "usage" not in client.json
