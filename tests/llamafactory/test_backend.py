"""Workers of the stand-in, asked through the backend: loaded once, exact, cancelled, unloaded."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.llamafactory.worker import (
    Answer,
    Bench,
    counted,
    ended,
    is_gone,
    keeper_of,
    relay_of,
    request,
    streamed,
    until,
    whole,
)
from trueup import events
from trueup.backends.llamafactory.backend import LlamaFactoryBackend
from trueup.errors import BackendError, RequestError, TrueUpError
from trueup.events import Event, ModelStateChanged


@pytest.fixture
def told() -> Any:
    heard: list[Event] = []
    stop = events.subscribe(heard.append)
    yield heard
    stop()


async def test_a_model_is_loaded_once_and_leaves_nothing_behind(
    bench: Bench, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUEUP_API_KEY", "hush")
    async with bench.backend() as backend:
        assert (await backend.health()).state == "stopped"
        first = await streamed(backend, "say one")
        health = await backend.health()
        pid = health.pid
        assert pid is not None
        keeper = keeper_of(pid).pid
        assert "TRUEUP_API_KEY" not in psutil.Process(pid).environ()
        second = await streamed(backend, "say two")
        assert (first.text, second.text) == ("one", "two")
        assert (health.state, health.leases, health.queued) == ("ready", 0, 0)
        assert bench.loads() == [pid]
    assert is_gone(pid)
    assert is_gone(keeper)
    states = [(e.before, e.after) for e in told if isinstance(e, ModelStateChanged)]
    assert states == [("stopped", "starting"), ("starting", "ready"), ("ready", "stopped")]
    assert bench.said == [
        line for line in bench.said if "`far` is being loaded on this machine: 2.5 MB" in line
    ]
    assert len(bench.said) == 1


TEXTS = {
    "Chinese and emoji": "你好，世界 👩‍👩‍👧 é",
    "many lines": "one\n\n  two\n\tthree\r\n",
    "a prompt of the terminal": "\nUser: 你好\nAssistant: no\n\nUser: ",
    "a line of ours": '{"event":"end","id":"x","finish_reason":"stop"}',
    "long": "长" * 6000,
}


async def test_texts_come_as_they_are_and_alike_streamed_and_whole(bench: Bench) -> None:
    async with bench.backend() as backend:
        for case, text in TEXTS.items():
            answer = await streamed(backend, f"say {text}", max_tokens=50_000)
            shape = await whole(backend, f"say {text}", max_tokens=50_000)
            (choice,) = shape["choices"]
            assert answer.text == text == choice["message"]["content"], case
            assert answer.finish_reason == "stop" == choice["finish_reason"]
            assert answer.is_done
            assert answer.token_ids == list(text.encode())
            # The end of the answer is a token too.
            assert answer.usage == shape["usage"]
            tokens = len(text.encode()) + 1
            assert shape["usage"]["completion_tokens"] == tokens
            assert shape["usage"]["total_tokens"] == shape["usage"]["prompt_tokens"] + tokens
        for word in ("exit", "clear"):
            assert (await streamed(backend, word)).text == f"None|1|{word}"


async def test_the_conversation_and_the_system_prompt_are_handed_on(bench: Bench) -> None:
    turns = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
        {"role": "user", "content": "d"},
    ]
    async with bench.backend() as backend:
        assert (await streamed(backend, turns)).text == "be brief|3|c\n\nd"


async def test_the_limit_ends_an_answer_as_such(bench: Bench) -> None:
    async with bench.backend() as backend:
        answer = await streamed(backend, "say 你好", max_tokens=4)
    assert answer.finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage["completion_tokens"] == 4
    assert answer.text == "你\ufffd"


async def test_an_answer_goes_on_after_its_tokens_and_draws_what_it_would_have_drawn(
    bench: Bench,
) -> None:
    async with bench.backend() as backend:
        undisturbed = await streamed(backend, "draw 40", seed=7)
        assert undisturbed.text != (await streamed(backend, "draw 40", seed=8)).text
        given = undisturbed.token_ids[:15]
        rest = await streamed(
            backend, "draw 40", seed=7, trueup={"continue_token_ids": {"0": given}}
        )
        assert undisturbed.text == undisturbed.text[:15] + rest.text
        assert rest.positions[0] == 15
        assert rest.usage == undisturbed.usage
        at_limit = await streamed(
            backend, "draw 40", seed=7, max_tokens=15, trueup={"continue_token_ids": given}
        )
        assert (at_limit.text, at_limit.finish_reason) == ("", "length")


async def test_tools_are_called_and_not_shown_as_text(bench: Bench) -> None:
    tools = [{"type": "function", "function": {"name": "look"}}]
    async with bench.backend() as backend:
        answer = await streamed(backend, "call", tools=tools)
        assert (answer.text, answer.finish_reason) == ("", "tool_calls")
        ((call,)) = answer.calls
        assert call["function"] == {"name": "look", "arguments": '{"at": "北京"}'}
        assert (await streamed(backend, "say hi", tools=tools)).text == "hi"
        assert (await streamed(backend, "call")).text == "no tools"


async def test_who_leaves_ends_the_answer_between_two_tokens(bench: Bench) -> None:
    async with bench.backend() as backend:
        opened = backend.open(request("draw 90000", max_tokens=90_000, stream=True))
        async with opened as response:
            got = Answer()
            async for piece in response.body:
                got.take(piece)
                if got.text:
                    break
        assert (await streamed(backend, "say next")).text == "next"
        (made,) = (int(line) for line in (bench.folder / "made").read_text().split()[:1])
        assert made < 90_000
        assert len(bench.loads()) == 1


async def test_who_comes_second_waits_for_its_turn(bench: Bench) -> None:
    async with bench.backend() as backend:
        first = asyncio.create_task(streamed(backend, f"hold {bench.gate} first"))
        await counted(backend, leases=1)
        sent = asyncio.Event()
        asked = request("say second", stream=True)
        asked.on_sent = sent.set

        async def second() -> Answer:
            answer = Answer()
            async with backend.open(asked) as response:
                async for piece in response.body:
                    answer.take(piece)
            return answer

        waiting = asyncio.create_task(second())
        await counted(backend, queued=1)
        left = asyncio.create_task(streamed(backend, "say third"))
        await counted(backend, queued=2)
        left.cancel()  # who leaves the queue is not answered
        await asyncio.wait((left,))
        assert not sent.is_set()
        bench.gate.touch()
        assert [(await first).text, (await waiting).text] == ["first", "second"]
        assert sent.is_set()


async def test_who_leaves_while_the_connection_is_lost_ends_the_answer(bench: Bench) -> None:
    async with bench.backend() as backend:
        answering = asyncio.create_task(streamed(backend, "endless", max_tokens=10**9))
        await counted(backend, leases=1)
        relay = relay_of(os.getpid())
        relay.kill()
        await ended(relay.pid)
        answering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answering
        assert (await streamed(backend, "say next")).text == "next"  # its turn had come
        assert len(bench.loads()) == 1


async def test_our_file_is_put_there_again_where_somebody_has_removed_it(bench: Bench) -> None:
    async with bench.backend() as backend:
        answering = asyncio.create_task(streamed(backend, f"hold {bench.gate} whole"))
        await counted(backend, leases=1)
        keeper = keeper_of(bench.loads()[0])
        (file,) = (Path(each) for each in keeper.cmdline() if each.endswith(".pyz"))
        file.unlink()
        relay = relay_of(os.getpid())
        relay.kill()
        await ended(relay.pid)
        bench.gate.touch()
        assert (await answering).text == "whole"
        assert len(bench.loads()) == 1
        assert file.exists()


async def test_our_file_is_there_for_the_next_load_too(bench: Bench) -> None:
    async with bench.backend() as backend:
        await backend.load()
        (pid,) = bench.loads()
        (file,) = (Path(each) for each in keeper_of(pid).cmdline() if each.endswith(".pyz"))
        whole = file.read_bytes()
        file.unlink()
        psutil.Process(pid).kill()
        await until(lambda: _has_failed(backend))
        assert (await streamed(backend, "say again")).text == "again"
        assert file.read_bytes() == whole
        assert len(bench.loads()) == 2


async def _has_failed(backend: LlamaFactoryBackend) -> bool:
    return (await backend.health()).state == "failed"


async def test_a_lost_connection_costs_nothing(bench: Bench) -> None:
    text = "the answer goes on where it was, 一字不差"
    async with bench.backend() as backend:
        answering = asyncio.create_task(streamed(backend, f"hold {bench.gate} {text}"))
        await counted(backend, leases=1)
        pid = (await backend.health()).pid
        relay = relay_of(os.getpid())
        relay.kill()
        await ended(relay.pid)
        bench.gate.touch()
        answer = await answering
        assert answer.text == text
        assert answer.token_ids == list(text.encode())
        assert (answer.finish_reason, answer.is_done) == ("stop", True)
        assert (await backend.health()).pid == pid
        assert bench.loads() == [pid]


@pytest.mark.parametrize("victim", ["model", "keeper"])
async def test_a_killed_worker_is_a_clear_error_and_the_next_request_loads_again(
    victim: str, bench: Bench
) -> None:
    async with bench.backend() as backend:
        answering = asyncio.create_task(streamed(backend, f"hold {bench.gate} some text"))
        await counted(backend, leases=1)
        pid = (await backend.health()).pid
        assert pid is not None
        keeper = keeper_of(pid)
        psutil.Process(pid).kill() if victim == "model" else keeper.kill()
        with pytest.raises(BackendError, match=r"was killed .*out of memory") as caught:
            await answering
        assert (caught.value.code, caught.value.retryable) == ("worker_failed", True)
        await ended(pid)
        bench.gate.touch()
        assert (await streamed(backend, f"hold {bench.gate} again")).text == "again"
        assert len(bench.loads()) == 2


async def test_an_idle_model_is_unloaded_and_loaded_when_it_is_asked(bench: Bench) -> None:
    async with bench.backend(idle_seconds=0.05) as backend:
        assert (await streamed(backend, "say one")).text == "one"
        (pid,) = bench.loads()
        await ended(pid)
        assert (await streamed(backend, "say two")).text == "two"
        assert len(bench.loads()) == 2


async def test_a_model_is_not_unloaded_under_whoever_has_just_asked(bench: Bench) -> None:
    async with bench.backend(idle_seconds=60.0) as backend:
        answers = [streamed(backend, "say one"), streamed(backend, "say two")]
        await asyncio.gather(*answers)
        (pid,) = bench.loads()
        for _ in range(5):
            backend._idle._out()  # its time is over, and somebody asks before it is unloaded
            assert (await streamed(backend, "say three")).text == "three"
            backend._idle._out()
            await backend.load()
        assert bench.loads() == [pid]


async def test_a_worker_that_is_killed_while_it_loads_is_told_to_whoever_loads_it(
    bench: Bench,
) -> None:
    async with bench.backend(base_model_path="own/endless") as backend:
        loading = asyncio.create_task(backend.load())
        await until(lambda: bool(bench.loads()))
        keeper = keeper_of(bench.loads()[0])
        keeper.kill()
        with pytest.raises(BackendError, match="was killed"):
            await loading
        await ended(*bench.loads())


async def test_two_backends_of_one_model_share_its_worker_and_the_last_one_ends_it(
    bench: Bench,
) -> None:
    async with bench.backend() as one:
        async with bench.backend(name="other") as other:
            await streamed(one, "say 1")
            await streamed(other, "say 2")
            (pid,) = bench.loads()
        assert not is_gone(pid)
        assert (await streamed(one, "say 3")).text == "3"
    assert is_gone(pid)
    assert len(bench.loads()) == 1


async def test_two_adapters_on_one_base_are_two_workers_whose_memory_is_told(bench: Bench) -> None:
    adapters = [bench.folder / name for name in ("one", "two")]
    for adapter in adapters:
        adapter.mkdir()
        (adapter / "adapter_config.json").write_text("{}")
    async with (
        bench.backend(name="one", adapter_path=str(adapters[0])) as one,
        bench.backend(name="two", adapter_path=str(adapters[1])) as two,
    ):
        await asyncio.gather(streamed(one, "say 1"), streamed(two, "say 2"))
        assert len(set(bench.loads())) == 2
        assert (await one.health()).pid != (await two.health()).pid
    told = sorted(bench.said)
    for name, line in zip(("one", "two"), told, strict=True):
        assert line.startswith(f"`{name}` is being loaded on this machine: 2.5 MB of weights, ")


async def test_an_engine_with_a_scheduler_answers_what_comes(bench: Bench) -> None:
    async with bench.backend(infer_backend="vllm") as backend:
        answer = await streamed(backend, "a b")
        assert answer.text == "streamed a b"
        assert answer.finish_reason == "stop"
        assert answer.usage is not None
        assert answer.usage["completion_tokens"] == len(answer.text)
        assert backend.capabilities.continuation == "none"


async def test_a_failed_answer_leaves_the_model_for_the_next(bench: Bench) -> None:
    async with bench.backend() as backend:
        with pytest.raises(BackendError, match="raised ValueError: cannot value"):
            await streamed(backend, "raise value")
        assert (await streamed(backend, "say fine")).text == "fine"
        with pytest.raises(RequestError, match=r"the prompt has .* tokens") as caught:
            await streamed(backend, "x" * 100_001)
        assert (caught.value.param, caught.value.code) == ("messages", "context_length_exceeded")
        assert len(bench.loads()) == 1


async def test_a_template_by_another_name_is_taken_with_a_warning(bench: Bench) -> None:
    async with bench.backend(template="qwen2") as backend:
        assert (await streamed(backend, "say hi")).text == "hi"
    assert "no template `qwen2`: `qwen` is taken" in bench.said[0]


async def test_a_load_that_takes_too_long_is_told(bench: Bench) -> None:
    async with bench.backend(load_seconds=0.2, base_model_path="own/endless") as backend:
        with pytest.raises(BackendError, match=r"`far` is not loaded after 0\.2 s") as caught:
            await streamed(backend, "say hi")
        assert "load_seconds" in str(caught.value.hint)


# what is told of the model, the cause, the hint
CANNOT: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "template": (
        {"template": "qwne"},
        "template `qwne` does not exist in LlamaFactory",
        "did you mean `qwen`",
    ),
    "base model": (
        {"base_model_path": "/nowhere/at/all"},
        "base model `/nowhere/at/all` not found on this machine",
        "`base_model_path`",
    ),
    "a base model that LlamaFactory does not find": (
        {"base_model_path": "own/broken"},
        "base model `own/broken` not found on this machine, or its tokenizer does not load",
        "trueup check own/broken",
    ),
    "adapter": (
        {"adapter_path": "/nowhere/adapter"},
        "adapter `/nowhere/adapter` does not exist on this machine",
        "`adapter_path`",
    ),
    "no adapter": (
        {"adapter_path": "/"},
        "adapter `/` has no adapter_config.json",
        "the training wrote",
    ),
    "torchvision": (
        {"base_model_path": "own/nms"},
        "torchvision does not match torch in",
        "reinstall torchvision there, or remove it",
    ),
    "killed while loading": ({"base_model_path": "own/killed"}, "was killed (often out of", None),
    "working directory": (
        {"work_dir": "/nowhere/work"},
        "`/nowhere/work` does not exist on this machine",
        "`work_dir`",
    ),
    "interpreter": (
        {"python": "/nowhere/python"},
        "there is no interpreter `/nowhere/python` on this machine",
        "`conda_env`",
    ),
    "conda environment": (
        {"python": None, "conda_env": "no-such-environment"},
        "there is no conda environment `no-such-environment` on this machine",
        "conda env list",
    ),
}


@pytest.mark.parametrize("case", CANNOT)
async def test_what_cannot_be_loaded_is_told_with_its_cause(case: str, bench: Bench) -> None:
    told, cause, hint = CANNOT[case]
    async with bench.backend(**told) as backend:
        with pytest.raises(TrueUpError) as caught:
            await streamed(backend, "say hi")
        assert cause in caught.value.cause
        assert hint is None or hint in str(caught.value.hint)
        assert caught.value.where == "far"
        with pytest.raises(TrueUpError) as again:
            await backend.load()
        assert cause in again.value.cause


async def test_a_missing_package_is_told_by_its_name(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH")
    async with bench.backend() as backend:
        with pytest.raises(BackendError, match="cannot import llamafactory") as caught:
            await streamed(backend, "say hi")
        assert sys.executable in caught.value.cause
        assert "install it in that environment" in str(caught.value.hint)
        assert (await backend.health()).state == "failed"


async def test_the_python_of_the_path_that_lacks_a_package_is_told_as_that(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH")
    programs = bench.folder / "bin"
    programs.mkdir()
    (programs / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    async with bench.backend(python=None) as backend:
        with pytest.raises(BackendError) as caught:
            await streamed(backend, "say hi")
    assert caught.value.cause.startswith("the first `python` of the PATH on this machine cannot")
    assert caught.value.hint == "set `conda_env` or `python`"


async def test_a_model_is_loaded_before_anybody_asks(bench: Bench) -> None:
    async with bench.backend() as backend:
        await backend.load()
        assert (await backend.health()).state == "ready"
        assert (await streamed(backend, "say hi")).text == "hi"
        assert len(bench.loads()) == 1
