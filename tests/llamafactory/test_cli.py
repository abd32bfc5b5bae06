"""The mode cli: `llamafactory-cli chat` of the stand-in, with the hook and over plain pipes."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from tests.llamafactory.worker import Bench, counted, ended, keeper_of, streamed, until, whole
from trueup.errors import BackendError

CONVERSATION = [
    {"role": "user", "content": "say one"},
    {"role": "assistant", "content": "one"},
    {"role": "user", "content": "second"},
]


def program(bench: Bench, *, options: str = "") -> Path:
    """A llamafactory-cli; with `-I` it takes no hook, as in a container."""
    path = bench.folder / "llamafactory-cli"
    start = f"import sys; sys.path.insert(0, {str(bench.path)!r})\n" if options else ""
    path.write_text(
        f"#!{sys.executable} {options}\n{start}from llamafactory.cli import main\nmain()\n"
    )
    path.chmod(0o700)
    return path


async def test_what_an_engine_started_ends_with_it(bench: Bench) -> None:
    path, told = program(bench), bench.folder / "stubborn"
    deaf = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"open({str(told)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(600)"
    )
    first, rest = path.read_text().split("\n", 1)
    null = "**dict.fromkeys(('stdin', 'stdout', 'stderr'), subprocess.DEVNULL)"
    popen = f"subprocess.Popen([sys.executable, '-c', {deaf!r}], {null})"
    start = f"import subprocess, sys\n{popen}\n"
    path.write_text(f"{first}\n{start}{rest}")
    async with bench.backend(mode="cli", cli_path=str(path)) as backend:
        assert (await streamed(backend, "hi")).finish_reason == "stop"
        await until(lambda: told.exists() and told.read_text().endswith("\n"))
        psutil.Process(bench.loads()[0]).kill()
        await ended(int(told.read_text()))
        await until(lambda: backend._state == "failed")
        assert (await streamed(backend, "hi")).finish_reason == "stop"
        await until(lambda: told.read_text().count("\n") == 2)
    await ended(*map(int, told.read_text().split()))


async def test_messages_and_replies_are_exact_with_the_hook(bench: Bench) -> None:
    async with bench.backend(mode="cli", cli_path=str(program(bench))) as backend:
        for message in ("say one\n\nUser: two\n", "say exit", "say " + "字" * 6000, "say 👩‍👩‍👧 é"):
            answer = await streamed(backend, message, max_tokens=20_000)
            assert answer.text == message.removeprefix("say ")
            assert answer.usage is not None
            assert answer.usage["completion_tokens"] == len(answer.text.encode()) + 1
        for command in ("exit", "clear"):
            answer = await streamed(backend, [{"role": "system", "content": "S"}, *CONVERSATION])
            assert answer.text == "S|3|second"
            assert (await streamed(backend, command)).text == f"None|1|{command}"
        assert (await streamed(backend, "draw 9", max_tokens=4)).finish_reason == "length"
        (pid,) = bench.loads()
        assert (await backend.health()).pid == pid
    await ended(pid)


async def test_a_conversation_over_plain_pipes_is_whole(bench: Bench) -> None:
    cli = str(program(bench, options="-I"))
    async with bench.backend(mode="cli", cli_path=cli) as backend:
        recited = await streamed(backend, "recite")
        assert recited.text == "你好\nUser: again\n\nUser: yes"
        assert (recited.finish_reason, recited.usage) == ("stop", None)
        assert (await streamed(backend, "一")).text == "streamed 一"
        shape = await whole(backend, "first")
        reply = shape["choices"][0]["message"]
        assert reply["content"] == "streamed first"
        assert "usage" not in shape
        turns = [{"role": "user", "content": "first"}, reply, {"role": "user", "content": "more"}]
        assert (await streamed(backend, turns)).text == "streamed after 2: more"
        for refused in ("two\nlines", " exit", CONVERSATION):
            with pytest.raises(BackendError, match="takes plain lines alone"):
                await streamed(backend, refused)
        assert (await streamed(backend, "next")).text == "streamed next"
        assert len(bench.loads()) == 1
        assert "over plain pipes" in bench.said[-1]


async def test_what_llamafactory_cli_ended_with_is_told(bench: Bench) -> None:
    cli = str(program(bench))
    async with bench.backend(mode="cli", cli_path=f"{cli}-not") as backend:
        with pytest.raises(BackendError, match="llamafactory-cli-not` was not found") as caught:
            await streamed(backend, "hi")
        assert os.environ["PATH"] in str(caught.value)
    for options, hint in (("", "did you mean `qwen`"), ("-I", "leave `template` out")):
        cli = str(program(bench, options=options))
        async with bench.backend(mode="cli", cli_path=cli, template="qwenn") as backend:
            with pytest.raises(BackendError, match="`qwenn` does not exist") as caught:
                await streamed(backend, "hi")
            assert hint in str(caught.value.hint)


@pytest.mark.parametrize("options", ["", "-I"])
async def test_a_killed_one_is_told_and_started_anew(options: str, bench: Bench) -> None:
    async with bench.backend(mode="cli", cli_path=str(program(bench, options=options))) as backend:
        await streamed(backend, "hi")
        (pid,) = bench.loads()
        keeper = keeper_of(psutil.Process(pid).ppid())
        asking = asyncio.create_task(streamed(backend, f"hold {bench.gate} what is never said"))
        await counted(backend, leases=1)
        psutil.Process(pid).kill()
        with pytest.raises(BackendError, match="was killed"):
            await asking
        assert (await streamed(backend, "again")).text
        assert len(bench.loads()) == 2
        assert keeper.is_running()
    await ended(keeper.pid, *bench.loads())
