"""The agents example: each agent answers through a real server, and computes what it says."""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from trueup.cli.main import main
from trueup.config.load import load_config

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "agents"
NEAR_DUPLICATES = {"invoices.py:8 invoice_sum", "orders.py:25 total_with_discount"}


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of the example as its own program does."""
    monkeypatch.syspath_prepend(str(FOLDER))
    names = [path.stem for path in FOLDER.glob("*.py")]

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in names:
        sys.modules.pop(name, None)


def ask(*words: str, url: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": ""}
    command = [sys.executable, "agents.py", *words]
    return subprocess.run(
        command, cwd=FOLDER, env=environ, input=stdin, capture_output=True, text=True, timeout=240
    )


def test_the_configuration_is_what_import_makes_of_the_agents_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "trueup.yaml"
    source = str(FOLDER / "agents.json")
    assert main(["config", "import", source, "--output", str(written)]) == 0
    for path in (written, FOLDER / "trueup.yaml", FOLDER / "trueup.demo.yaml"):
        assert main(["config", "validate", str(path)]) == 0
    assert written.read_text("utf-8") == (FOLDER / "trueup.yaml").read_text("utf-8")
    roles = {role.name: role.chain for role in load_config(written).roles}
    assert set(roles) == {"user_communication", "code_analysis", "performance_analysis"}
    assert {role.name for role in load_config(FOLDER / "trueup.demo.yaml").roles} == set(roles)


def test_functions_and_methods_are_cut_with_their_decorators_and_lines(example: Any) -> None:
    text = (
        "import os\n\x0c\n"
        "class A:\n    @staticmethod\n    def one(x):\n        def inner():\n            pass\n"
        "        return x\n"
        "if True:\n    async def two():\n        pass\n"
    )
    found = example("functions").split(text, "a.py")
    assert [(each.place, each.last_line) for each in found] == [
        ("a.py:4 A.one", 8),
        ("a.py:10 two", 11),
    ]
    assert found[0].code.startswith("    @staticmethod\n    def one")
    assert found[1].code == "    async def two():\n        pass\n"


def test_files_that_are_no_python_are_left_out_and_told(example: Any, tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("def f(): pass\n")
    (tmp_path / "latin.py").write_bytes(b"# coding: latin-1\ndef g(): return '\xe9'\n")
    (tmp_path / "bad.py").write_text("\ndef f(:\n")
    (tmp_path / "null.py").write_bytes(b"x = 1\0\n")
    (tmp_path / "bytes.py").write_bytes(b"x = '\xff'\n")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "other.py").write_text("def h(): pass\n")
    found, left_out = example("functions").read_functions(tmp_path)
    assert [each.name for each in found] == ["f", "g"]
    assert [line.partition(":")[0] for line in left_out] == ["bad.py", "bytes.py", "null.py"]
    assert left_out[0].startswith("bad.py:2: ")


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("functions like total_of", ["total_of"]),
        ("跟total_of相似的函数", ["total_of"]),
        ("what is like slug", ["slug"]),
        ("和 slug 相似的", ["slug"]),
        ("anything near `slug`?", ["slug"]),
        ("is Order.pay like slug() twice, slug()", ["Order.pay", "slug"]),
        ("which function makes a slug from a title", []),
        ("how do customers pay", []),
    ],
)
def test_a_function_is_named_by_marks_and_not_by_common_words(
    message: str, names: list[str], example: Any
) -> None:
    text = "def total_of(): pass\ndef slug(): pass\nclass Order:\n    def pay(self): pass\n"
    functions = example("functions").split(text, "a.py")
    found = example("code_agent").named_functions(message, functions)
    assert [each.name for each in found] == names


@pytest.mark.parametrize(
    ("message", "role"),
    [
        ("你好", "user_communication"),
        ("What is TrueUp?", "user_communication"),
        ("哪些函数重复？", "code_analysis"),
        ("Which functions are duplicates?", "code_analysis"),
        ("code_analysis的延迟怎么样", "performance_analysis"),
        ("p95怎么样", "performance_analysis"),
        ("How is the latency of code_analysis?", "performance_analysis"),
        ("/talk p95 of a function", "user_communication"),
        ("/perf 你好", "performance_analysis"),
        ("/code\tyou", "code_analysis"),
    ],
)
def test_words_or_a_command_decide_who_answers(message: str, role: str, example: Any) -> None:
    assert example("coordinator").route(message)[0] == role


@pytest.mark.parametrize("message", ["/none x", "/code", "/"])
def test_an_unknown_command_or_one_without_a_question_is_told(message: str, example: Any) -> None:
    route = example("coordinator").route
    with pytest.raises(example("connection").AgentError, match=f"`{message.split()[0]}`"):
        route(message)


def test_figures_are_summed_up_by_group_without_empty_cells(example: Any, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("at,who,ms\n1:00,a,1\n1:01,b,\n1:02,a,2\n1:03,b,1000.4\n1:04,a,3\n1:05,a,6\n")
    figures = example("figures")
    lines = [each.line() for each in figures.summarise(figures.read_figures(path))]
    assert lines == [
        "a ms: n 4, mean 3, p95 6, max 6, +200.0 %",
        "b ms: n 1, mean 1000, p95 1000, max 1000",
    ]


def test_p95_is_a_measured_value_of_nearest_rank(example: Any) -> None:
    rows = [{"ms": str(number)} for number in range(1, 101)]
    (summary,) = example("figures").summarise(rows)
    assert (summary.group, summary.p95, summary.largest) == ("all", 95, 100)


def test_json_figures_are_read_and_numbers_that_are_none_are_not(
    example: Any, tmp_path: Path
) -> None:
    path = tmp_path / "f.json"
    path.write_text('[{"who": "a", "ms": 1.5}, {"who": "a", "ms": null}, {"who": "b", "ms": 2}]')
    figures = example("figures")
    counted = [(e.group, e.count, e.mean) for e in figures.summarise(figures.read_figures(path))]
    assert counted == [("a", 1, 1.5), ("b", 1, 2.0)]
    path.write_text('[{"ms": NaN}]')
    assert figures.summarise(figures.read_figures(path)) == []


@pytest.mark.parametrize("content", [b"", b"ms\n", b"\xff\xfe\x00", b'ms\n"1'])
def test_a_file_without_figures_is_told(content: bytes, example: Any, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(content)
    read = example("figures").read_figures
    with pytest.raises(example("connection").AgentError, match=r"f\.csv"):
        read(path)


def test_numbers_that_the_model_made_up_are_found(example: Any) -> None:
    found = example("performance_agent").unknown_numbers
    comment = "3 reasons: the mean is 0.67 s (p95 2), not 17 s or 0.68 s, 17 again"
    assert found(comment, "mean 0.673, p95 1.95") == ["17", "0.68"]


def test_only_named_groups_and_columns_are_chosen(example: Any) -> None:
    rows = [{"who": who, "ms": "1", "tokens": "2"} for who in ("code", "talk") for _ in range(2)]
    summaries = example("figures").summarise(rows)
    chosen = example("performance_agent").chosen_summaries
    assert len(chosen("性能怎么样", summaries)) == 4
    assert [(e.group, e.column) for e in chosen("code的ms", summaries)] == [("code", "ms")]
    assert len(chosen("decoders", summaries)) == 4


def test_without_a_server_the_command_that_starts_it_is_told() -> None:
    done = ask("--once", "你好", url="http://127.0.0.1:1/v1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no server answers at http://127.0.0.1:1/v1" in done.stderr
    assert "trueup serve --config trueup.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_answer_that_breaks_off_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=break_off, args=(listener,))
        thread.start()
        done = ask("--once", "hi", url=f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        thread.join()
    assert (done.returncode, done.stdout) == (1, "[user_communication]\nHel\n")
    assert "`user_communication`: the answer broke off" in done.stderr
    assert "Traceback" not in done.stderr


def break_off(listener: socket.socket) -> None:
    chunk = {"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}
    event = {"id": "a", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    data = b"data: " + json.dumps({**event, "choices": [chunk]}).encode() + b"\n\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(data) + data)
        # All of the request is read and the end is told, so that this is no reset.
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


def test_an_empty_message_is_a_usage_error() -> None:
    assert ask("--once", " ", url="http://127.0.0.1:1/v1").returncode == 2


def test_an_interrupt_ends_the_conversation_without_a_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "agents.py"],
        cwd=FOLDER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.read(1) == ">"
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    assert (process.returncode, stdout, stderr.strip()) == (130, "", "")


@contextmanager
def served(folder: Path, config: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "trueup", "serve", "--config", str(config)),
            *("--port", "0", "--format", "json", "--quiet"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "TRUEUP_HOME": str(folder / "home"), "TRUEUP_API_KEY": ""},
    )
    try:
        assert process.stdout is not None
        yield f"{json.loads(process.stdout.readline())['url']}/v1"
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("agents")
    made = subprocess.run(
        [sys.executable, str(FOLDER / "make_encoder.py"), "--out", str(folder / "encoder")],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    assert "not what they mean" in made.stderr
    with served(folder, FOLDER / "trueup.demo.yaml") as url:
        yield url


@pytest.mark.slow
@pytest.mark.parametrize(
    ("message", "said"), [("你好", "你好！"), ("Hello", "Hello!"), ("What is TrueUp?", "TrueUp")]
)
def test_the_user_agent_answers_in_the_language_of_the_user(
    message: str, said: str, server: str
) -> None:
    done = ask("--once", message, url=server)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"[user_communication]\n{said}")


@pytest.mark.slow
@pytest.mark.parametrize("message", ["哪些函数重复？", "Which functions are duplicates?"])
def test_the_code_agent_finds_the_pair_that_is_there_twice(message: str, server: str) -> None:
    done = ask("--once", message, url=server)
    assert done.returncode == 0, done.stderr
    role, heading, first, *_ = done.stdout.splitlines()
    assert role == "[code_analysis]"
    assert heading.isascii() == message.isascii()
    score, _, pair = first.strip().partition("  ")
    assert 0.98 < float(score) < 1
    assert set(pair.split("  =  ")) == NEAR_DUPLICATES


@pytest.mark.slow
@pytest.mark.parametrize(
    "message", ["与 invoice_sum 相似的函数", "Which functions are like invoice_sum?"]
)
def test_the_code_agent_finds_what_is_like_a_named_function(message: str, server: str) -> None:
    done = ask("--once", message, url=server)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[code_analysis]\n")
    assert done.stdout.splitlines()[2].endswith("orders.py:25 total_with_discount")


@pytest.mark.slow
def test_the_code_agent_takes_code_and_functions_longer_than_the_context(
    server: str, tmp_path: Path
) -> None:
    (tmp_path / "a.py").write_text("def short(a):\n    return a\n")
    (tmp_path / "b.py").write_text("def long(a):\n" + "    a = a + 1\n" * 900)
    question = "Which is like this?\n```python\ndef short(b):\n    return b\n```"
    done = ask("--code", str(tmp_path), "--once", question, url=server)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2].endswith("a.py:1 short")
    assert len(done.stdout.splitlines()) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("message", "comment"),
    [
        ("How is the latency of code_analysis?", "demonstration model"),
        ("code_analysis 的延迟怎么样？", "小模型"),
    ],
)
def test_the_performance_agent_says_the_computed_figures(
    message: str, comment: str, server: str
) -> None:
    done = ask("--once", message, url=server)
    assert done.returncode == 0, done.stderr
    role, figures, words = done.stdout.splitlines()
    assert role == "[performance_analysis]"
    # 0.42 0.39 0.44 | 0.41 1.95 0.43: 4.04 / 6, and 2.79 to 1.25
    assert figures.strip() == (
        "code_analysis answer_seconds: n 6, mean 0.673, p95 1.95, max 1.95, +123.2 %"
    )
    assert comment in words


@pytest.mark.slow
def test_a_conversation_goes_on_after_an_error_and_ends_with_its_input(server: str) -> None:
    done = ask(url=server, stdin="你好\n/nope\n哪些函数重复？\n/quit\n你好\n")
    assert done.returncode == 0, done.stderr
    roles = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert roles == ["[user_communication]", "[code_analysis]"]
    assert "`/nope` is no command" in done.stderr


@pytest.mark.slow
def test_a_role_that_the_server_has_not_is_told_with_those_it_has(tmp_path: Path) -> None:
    config = tmp_path / "other.yaml"
    config.write_text(
        "config_version: 1\nmodels: {demo: {source: demo}}\nroles: {other: {chain: [demo]}}\n"
        "aliases: {code_analysis: demo}\n"
    )
    with served(tmp_path, config) as url:
        done = ask("--once", "你好", url=url)
        wrong_kind = ask("--once", "哪些函数重复？", url=url)
        no_api = ask("--once", "你好", url=url.removesuffix("/v1"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "no role `user_communication`; it has " in done.stderr
    assert "`other`" in done.stderr
    assert (wrong_kind.returncode, wrong_kind.stdout) == (1, "")
    assert "`code_analysis`: " in wrong_kind.stderr
    assert "ends in /v1" in no_api.stderr
    assert "Traceback" not in done.stderr + wrong_kind.stderr + no_api.stderr
