from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import orjson
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from tests.cli.scripted_server import Scripted, scripted_server
from tests.cli.test_client import WHOLE, event
from trueup.cli.client import ChatClient
from trueup.cli.conversation import Conversation

ENTER, ALT_ENTER, END_OF_INPUT = "\r", "\x1b\r", "\x04"


async def hold(server: Scripted, typed: str, system: str | None = None) -> Conversation:
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        pipe.send_text(typed)
        async with ChatClient(server.url) as client:
            conversation = Conversation(client, "m", {}, system=system)
            await conversation.hold()
            return conversation


def asked(server: Scripted, index: int) -> list[dict[str, str]]:
    body = server.requests[index].partition(b"\r\n\r\n")[2]
    messages: list[dict[str, str]] = orjson.loads(body)["messages"]
    return messages


async def test_rounds_are_remembered_until_clear(capsys: pytest.CaptureFixture[str]) -> None:
    typed = f"a{ENTER}b{ENTER}/clear{ENTER}c{ENTER}/exit{ENTER}"
    async with scripted_server(*[(200, WHOLE)] * 3) as server:
        await hold(server, typed, system="be brief")
    system = {"role": "system", "content": "be brief"}
    first = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "你好"}]
    assert asked(server, 0) == [system, first[0]]
    assert asked(server, 1) == [system, *first, {"role": "user", "content": "b"}]
    assert asked(server, 2) == [system, {"role": "user", "content": "c"}]
    assert capsys.readouterr().out.count("你好") == 3


async def test_a_message_may_have_several_lines() -> None:
    async with scripted_server((200, WHOLE)) as server:
        await hold(server, f"one{ALT_ENTER}two{ENTER}{END_OF_INPUT}")
    assert asked(server, 0)[-1]["content"] == "one\ntwo"


async def test_the_system_message_is_set_shown_and_removed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    typed = f"/system be kind{ENTER}/system{ENTER}a{ENTER}/system -{ENTER}b{ENTER}/exit{ENTER}"
    async with scripted_server(*[(200, WHOLE)] * 2) as server:
        await hold(server, typed)
    assert asked(server, 0)[0] == {"role": "system", "content": "be kind"}
    assert asked(server, 1)[0]["role"] == "user"
    assert "(system: none)" in capsys.readouterr().out


async def test_an_unknown_command_is_not_sent(capsys: pytest.CaptureFixture[str]) -> None:
    async with scripted_server() as server:
        await hold(server, f"/clera{ENTER}/help{ENTER}/exit{ENTER}")
    assert server.requests == []
    assert "no command /clera" in capsys.readouterr().out


async def test_a_failed_round_is_left_out_and_the_conversation_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    busy = (503, b'{"error":{"message":"does not fit","hint":"free memory"}}')
    async with scripted_server(busy, (200, WHOLE)) as server:
        conversation = await hold(server, f"a{ENTER}b{ENTER}/exit{ENTER}")
    assert asked(server, 1) == [{"role": "user", "content": "b"}]
    assert len(conversation.rounds) == 2
    assert "error: does not fit" in capsys.readouterr().err


async def test_ctrl_c_stops_the_answer_and_keeps_what_was_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with scripted_server((200, event("half")), goes_on=True) as server:
        with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
            pipe.send_text(f"a{ENTER}")
            async with ChatClient(server.url) as client, asyncio.timeout(20):
                conversation = Conversation(client, "m", {}, system=None)
                talk = asyncio.create_task(conversation.hold())
                said = ""
                while "half" not in said:
                    await asyncio.sleep(0)
                    said += capsys.readouterr().out
                os.kill(os.getpid(), signal.SIGINT)
                await server.left_early.wait()
                pipe.send_text(f"/exit{ENTER}")
                await talk
    assert conversation.rounds[-1] == {"role": "assistant", "content": "half"}
    assert "(stopped)" in capsys.readouterr().out


async def test_commands_are_not_kept_in_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path))
    async with scripted_server((200, WHOLE)) as server:
        await hold(server, f"/help{ENTER}asked{ENTER}/exit{ENTER}")
    kept = (tmp_path / "chat_history").read_text(encoding="utf-8")
    assert [line for line in kept.splitlines() if line.startswith("+")] == ["+asked"]
