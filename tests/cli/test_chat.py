from __future__ import annotations

import asyncio
import io
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.scripted_server import Scripted, scripted_server
from tests.cli.test_client import WHOLE, event
from trueup.cli import chat
from trueup.cli.main import main
from trueup.config.servers import RunningServer, registered


@contextmanager
def served(*answers: tuple[int, bytes]) -> Iterator[Scripted]:
    """A scripted server in a thread of its own, for a command that runs its own loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    context = scripted_server(*answers)
    try:
        yield asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result(10)
        asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_one_message_prints_the_answer_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with served((200, WHOLE)) as server:
        assert main(["chat", "m", "--message", "a", "--url", server.url]) == 0
    assert capsys.readouterr().out == "你好\n"


def test_json_is_one_object_with_the_role(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["chat", "m", "--message", "a", "--format", "json", "--system", "s"]
    with served((200, WHOLE)) as server:
        assert main([*arguments, "--url", server.url.removesuffix("/v1")]) == 0
    assert json.loads(capsys.readouterr().out) == {"role": "assistant", "content": "你好"}
    assert b'"system"' in server.requests[0]


def test_a_pipe_is_one_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("two\nlines\n"))
    with served((200, WHOLE)) as server:
        assert main(["chat", "m", "--url", server.url]) == 0
    assert rb"two\nlines" in server.requests[0]


def test_a_broken_answer_in_json_leaves_stdout_empty(capsys: pytest.CaptureFixture[str]) -> None:
    with served((200, event("half"))) as server:
        status = main(["chat", "m", "--message", "a", "--format", "json", "--url", server.url])
    shown = capsys.readouterr()
    assert (status, shown.out) == (1, "")
    assert "broke off" in shown.err


def test_an_answer_cut_at_the_limit_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    body = event("half") + event(finish="length") + b"data: [DONE]\n\n"
    with served((200, body)) as server:
        assert main(["chat", "m", "--message", "a", "--max-tokens", "1", "--url", server.url]) == 0
    assert "token limit" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--message", " "], ["--format", "json"]])
def test_nothing_to_ask_is_a_usage_error(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())
    assert main(["chat", "m", *words]) == 2


def test_a_running_server_that_serves_the_model_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = b'{"data":[{"id":"glm","trueup":{"plan":{"model":{"source":"org/glm"}}}}]}'
    with served((200, rows), (200, WHOLE)) as server:
        here = RunningServer(url=server.url.removesuffix("/v1"), pid=os.getpid(), models=("glm",))
        with registered(here):
            assert main(["chat", "org/glm", "--message", "a"]) == 0
    assert b'"model":"glm"' in server.requests[1]
    assert capsys.readouterr().out == "你好\n"


def test_a_model_is_known_by_its_directory(tmp_path: os.PathLike[str]) -> None:
    link = os.path.join(tmp_path, "link")
    os.symlink(tmp_path, link)
    rows = [{"id": "glm", "trueup": {"plan": {"model": {"directory": str(tmp_path)}}}}]
    assert chat._name_of(link, rows) == "glm"
    assert chat._name_of("other", rows) is None


def test_a_cut_answer_in_json_says_so_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    body = event("half") + event(finish="length") + b"data: [DONE]\n\n"
    with served((200, body)) as server:
        assert main(["chat", "m", "--message", "a", "--format", "json", "--url", server.url]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"role": "assistant", "content": "half"}
    assert "token limit" in shown.err


def test_a_closed_stdin_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert main(["chat", "m"]) == 2


def test_an_empty_message_is_placed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "m", "--message", ""]) == 2
    assert "where: --message" in capsys.readouterr().err
