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
from trueup.cli import served as served_by
from trueup.cli.client import ChatClient
from trueup.cli.main import main
from trueup.cli.streams import json_line
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
    assert served_by._name_of(link, rows) == "glm"
    assert served_by._name_of("other", rows) is None


def test_a_name_that_is_served_wins_over_the_source_of_another_model() -> None:
    rows = [
        {"id": "glm", "trueup": {"plan": {"model": {"source": "demo"}}}},
        {"id": "demo", "trueup": {"plan": None, "role": {"chain": ["other"]}}},
    ]
    assert served_by._name_of("demo", rows) == "demo"
    assert served_by._name_of("demo", rows[:1]) == "glm"


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


def test_a_server_that_wants_a_key_for_the_model_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    locked = (401, b'{"error":{"message":"no key"}}')
    with served(locked) as server:
        url = server.url.removesuffix("/v1")
        with registered(RunningServer(url=url, pid=os.getpid(), models=("glm",))):
            assert main(["chat", "glm", "--message", "a"]) == 1
    shown = capsys.readouterr().err
    assert f"error: the server at {url} serves `glm` and wants a key\n" in shown
    assert "hint:  set TRUEUP_API_KEY" in shown


def test_a_server_that_refuses_the_key_is_told_in_words_of_the_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = {"message": "no API key is given; send a header", "hint": "send a header"}
    with served((401, json.dumps({"error": error}).encode())) as server:
        assert main(["chat", "a", "--url", server.url, "--message", "a"]) == 1
    shown = capsys.readouterr().err
    assert "error: no API key is given\n" in shown
    assert "hint:  set TRUEUP_API_KEY to the server's key" in shown


@pytest.mark.parametrize(("model", "models"), [("demo", ("demo",)), ("other", ("glm",))])
async def test_a_locked_server_is_passed_over_where_another_will_do(
    model: str, models: tuple[str, ...]
) -> None:
    async with scripted_server((401, b"{}")) as server, ChatClient(server.url) as client:
        locked = RunningServer(url=server.url, pid=os.getpid(), models=models)
        assert await served_by._name_there(client, locked, model) is None


def test_a_private_server_that_refuses_is_heard_once(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "no-such-model-anywhere", "--message", "a"]) == 1
    shown = capfd.readouterr().err
    assert shown.count("error:") == 1
    assert "no-such-model-anywhere" in shown


def test_no_configuration_adds_to_a_private_server(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUEUP_CONFIG", "/no/such/file.yaml")
    assert main(["chat", "no-such-model-anywhere", "--message", "a"]) == 1
    shown = capfd.readouterr().err
    assert "no-such-model-anywhere" in shown
    assert "file.yaml" not in shown


def test_a_revision_goes_to_the_private_server(capfd: pytest.CaptureFixture[str]) -> None:
    words = ["no-such-org/model", "--revision", "branch-of-nobody"]
    assert main(["chat", *words, "--message", "a"]) == 1
    assert "branch-of-nobody" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max-tokens", "-1"], "`-1` is not 1 or more"),
        (["--temperature", "9"], "`9` is not from 0 to 2"),
        (["--temperature", "nan"], "`nan` is not from 0 to 2"),
        (["--dtype", "bogus"], "invalid choice: 'bogus'"),
        (["--device", "tpu"], "`tpu` is no device: auto, cpu"),
        (["--url", "foo"], "`foo` does not begin with http://"),
    ],
)
def test_an_option_out_of_range_is_a_usage_error(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", "demo", "--message", "a", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_an_object_is_json_whatever_the_locale(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding=encoding))
    shape = {"role": "assistant", "content": "你好 🙂"}
    print(json_line(shape), flush=True)
    assert json.loads(raw.getvalue().decode(encoding)) == shape
