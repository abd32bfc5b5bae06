"""A script of the user's own, with the documents' contract."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.llamafactory.worker import Bench, ended, streamed, until, whole
from trueup.backends.base import Backend
from trueup.backends.llamafactory.one_shot import OneShotBackend, last_object
from trueup.backends.llamafactory.opening import open_llamafactory
from trueup.config.limit_settings import LimitSettings
from trueup.errors import BackendError, RequestError

START = "import json, os, sys\nasked = json.loads(sys.argv[1])\n"


@asynccontextmanager
async def script(bench: Bench, body: str, **more: Any) -> AsyncIterator[Backend]:
    (bench.folder / "chat one.py").write_text(START + body)
    told = {
        "script_path": "chat one.py",
        "work_dir": str(bench.folder),
        "adapter_path": "/a",
        **more,
    }
    backend = open_llamafactory(bench.settings(**told), say=bench.said.append)
    assert isinstance(backend, OneShotBackend)
    try:
        yield backend
    finally:
        await backend.close()


async def test_it_is_asked_and_answers_as_the_documents_say(bench: Bench) -> None:
    body = """
print("[INFO] loading {'a': 1}", flush=True)
print('{"content": "an early line"}')
print(json.dumps({"role": "assistant", "content": json.dumps([asked, os.getcwd()])}, indent=2))
print("done")
"""
    async with script(bench, body, default_system="S") as backend:
        message = "two\nlines 'quoted' \"$HOME\" 你好 🙂"
        turns = [
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "second"},
            {"role": "user", "content": message},
        ]
        answer = await streamed(backend, turns)
        asked, folder = json.loads(answer.text)
        assert folder == str(bench.folder)
        assert asked == {
            "base_model_path": str(bench.base),
            "adapter_path": "/a",
            "template": None,
            "message": message,
            "messages": turns,
            "system": "S",
        }
        assert (answer.finish_reason, answer.usage) == ("stop", None)
        shape = await whole(backend, turns)
        assert shape["choices"][0]["message"]["content"] == answer.text
        quotes = "'" * 60_000  # a shell's word of it would be longer than an argument may be
        assert json.loads((await streamed(backend, quotes)).text)[0]["message"] == quotes
        with pytest.raises(RequestError, match="a script's argument up to"):
            await whole(backend, "字" * 50_000)


@pytest.mark.parametrize(
    ("body", "told", "hint"),
    [
        ("print(json.dumps({'error': 'no GPU'}))", "answered an error: no GPU", None),
        (
            "from llamafactory import ChatModel",
            "ended with status 1: ImportError",
            "llamafactory.chat",
        ),
        ("import nowhere_to_be_found", "status 1: ModuleNotFoundError", "install nowhere_to_be"),
        ("print('你好')", "printed no JSON object", "last line"),
        ("os.kill(os.getpid(), 9)", "was killed", None),
    ],
)
async def test_how_it_failed_is_told(body: str, told: str, hint: str | None, bench: Bench) -> None:
    async with script(bench, body) as backend:
        with pytest.raises(BackendError, match=told) as caught:
            await whole(backend, "hi")
        assert (hint or "") in str(caught.value.hint)
        assert (await backend.health()).state == "failed"


async def test_a_missing_script_and_one_that_takes_too_long_are_told(bench: Bench) -> None:
    async with script(bench, "", script_path="other.py") as backend:
        with pytest.raises(BackendError, match=r"script `other\.py` does not exist"):
            await whole(backend, "hi")
    body = f"open({str(bench.folder / 'pid')!r}, 'w').write(str(os.getpid()))\nsys.stdin.close()\n"
    body += "import signal\nsignal.pause()\n"
    limits = LimitSettings(total_seconds=2.0)
    async with script(bench, body, limits=limits) as backend:
        with pytest.raises(BackendError, match="took more than 2 s and was ended"):
            await whole(backend, "hi")
        await ended(int((bench.folder / "pid").read_text()))
    # Who leaves ends it.
    (bench.folder / "pid").unlink()
    async with script(bench, body) as backend:
        asking = asyncio.create_task(whole(backend, "hi"))
        await until(
            lambda: (bench.folder / "pid").exists() and (bench.folder / "pid").read_text() != ""
        )
        asking.cancel()
        await asyncio.wait((asking,))
        await ended(int((bench.folder / "pid").read_text()))


async def test_a_program_that_is_no_python_is_run_itself(bench: Bench) -> None:
    program = bench.folder / "say"
    program.write_text('#!/bin/sh\necho \'{"content": "from a shell"}\'\n')
    program.chmod(0o700)
    async with script(bench, "", script_path="say") as backend:
        assert (await streamed(backend, "hi")).text == "from a shell"


def test_the_answer_is_the_last_object_that_is_one() -> None:
    assert last_object("noise {\n") is None
    assert last_object('{"a": 1}\n') is None
    assert last_object('{"content": "a"}\n{"loss": 1}\n') == {"content": "a"}
    assert last_object('log: {"content": "no"}\n  {"content": "{\\"content\\": 1}"} tail') == {
        "content": '{"content": 1}'
    }
