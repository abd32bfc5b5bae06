"""An engine that does what the request's last message or the plan's implementation says."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from trueup.adapt.plan import Memory, Plan, PlannedModel
from trueup.engines.base import Prompt, Step, Work
from trueup.errors import CheckpointError, RequestError
from trueup.protocol.chat import ChatRequest
from trueup.protocol.completion import CompletionRequest


def fake_plan(model_id: str = "fake", implementation: str = "ok", **changes: object) -> Plan:
    facts: dict[str, object] = {
        "model": PlannedModel(
            id=model_id, source=model_id, revision=None, digest="sha256:0", directory="/"
        ),
        "route": "native",
        "why": (),
        "family": None,
        "implementation": implementation,
        "kind": "chat",
        "dtype": "float32",
        "device": "cpu",
        "memory": Memory(weights_bytes=1000, kv_bytes_per_1k_tokens=0, overhead_bytes=0),
    }
    return Plan(**{**facts, **changes})  # type: ignore[arg-type]


def spin() -> None:
    """Hold the GIL for ever."""
    sum(range(10**18))


def load_fake(plan: Plan, progress: Callable[[float], None]) -> FakeEngine:
    progress(0.5)
    match plan.implementation:
        case "fail":
            raise CheckpointError("the shard `a` is missing", where="/model", hint="get it")
        case "bug":
            raise ValueError("no such thing")
        case "die":
            print("the last words", file=sys.stderr)
            os._exit(3)
        case "hang":
            while True:
                time.sleep(60)
        case "spin":
            spin()
        case "environment":
            return FakeEngine(say=" ".join(sorted(os.environ)))
    return FakeEngine()


class FakeEngine:
    """`say a b`: these words; `forever`; `stall`: nothing, ever; `break`: one word, then a bug."""

    def __init__(self, say: str = "") -> None:
        self.work = Work()
        self.say = say
        self.started: list[str] = []
        self.finished: list[str] = []

    def prepare(self, request: ChatRequest | CompletionRequest) -> tuple[Prompt, ...]:
        if order_of(request) == "refuse":
            raise RequestError("too long", param="messages", code="context_length_exceeded")
        return (Prompt(token_ids=(1, 2, 3), max_tokens=100),)

    def generate(
        self,
        prompt: Prompt,
        request: ChatRequest | CompletionRequest,
        is_cancelled: Callable[[], bool],
    ) -> Iterator[Step]:
        order = order_of(request)
        self.started.append(order)
        try:
            for position, text in enumerate(self.texts(order, is_cancelled)):
                if is_cancelled():
                    order += " (cancelled)"
                    return
                yield Step(choice=0, position=position, token_ids=(position,), text=text)
            yield Step(
                choice=0,
                position=len(order.split()),
                token_ids=(99,),
                text="",
                finish_reason="stop",
            )
        finally:
            self.finished.append(order)

    def texts(self, order: str, is_cancelled: Callable[[], bool]) -> Iterator[str]:
        match order.split():
            case ["say", *words]:
                yield from self.say.split() or words
            case ["forever"]:
                while True:
                    yield "on "
                    time.sleep(0)
            case ["stall"]:
                while not is_cancelled():
                    time.sleep(0.001)
                yield ""
            case ["break"]:
                yield "one "
                raise ValueError("no more")
            case ["break-first"]:
                raise ValueError("nothing at all")
            case ["spin"]:
                # The worker's own directory, where its server looks for it.
                Path("spins").touch()
                spin()
                yield ""
            case ["die"]:
                yield "last "
                os._exit(9)


def order_of(request: ChatRequest | CompletionRequest) -> str:
    if isinstance(request, CompletionRequest):
        return str(request.prompts[0])
    return request.messages[-1].content
