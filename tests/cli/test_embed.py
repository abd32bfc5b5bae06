from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.embedding_server import DIMENSIONS, MODEL, EmbeddingServer, our_row
from trueup.cli.embedding_client import REQUEST_CHARACTERS, REQUEST_TEXTS, embedding_client
from trueup.cli.main import main
from trueup.errors import BackendError, RequestError


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with EmbeddingServer(rows=[our_row(), our_row("demo", "chat")]).listening() as server:
        yield server


@pytest.fixture
def foreign() -> Iterator[EmbeddingServer]:
    with EmbeddingServer().listening() as server:
        yield server


def embed(server: EmbeddingServer, *words: str, model: str = MODEL) -> int:
    return main(["embed", model, *words, "--url", server.url])


def given(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_texts_are_shown_with_their_cosine_to_the_first(
    server: EmbeddingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed(server, "ab", "a\n  longer text") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "ab             6 dimensions  +2.0000 +1.0000 +1.0000 +1.0000 …"
    assert second.startswith("a longer text  6 dimensions  +15.0000 ")
    assert second.endswith("cosine to the first 0.7693")
    assert server.requests[0]["input"] == ["ab", "a\n  longer text"]


def test_the_json_report(server: EmbeddingServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.notes = {"windows": [1]}
    assert embed(server, "ab", "ü", "--format", "json") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {
        "schema_version": 1,
        "kind": "embeddings",
        "model": MODEL,
        "data": [
            {"index": 0, "source": "ab", "embedding": [2.0, *[1.0] * 5]},
            {"index": 1, "source": "ü", "embedding": [1.0, *[1.0] * 5]},
        ],
        "usage": {},
        "notes": {"windows": [1]},
    }
    assert shown.err == ""


def test_notes_are_shown_at_their_text(
    server: EmbeddingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.notes = {"windows": [1], "truncated": [0]}
    assert embed(server, "a", "b") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("  truncated")
    assert second.endswith("  windows")


def test_texts_files_lines_and_stdin_come_in_this_order(
    server: EmbeddingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"\xef\xbb\xbfx = 1\r\n")
    given(monkeypatch, b"one\n\n  \ntwo")
    assert embed(server, "text", "--file", str(path), "--lines") == 0
    assert server.requests[-1]["input"] == ["text", "x = 1\r\n", "one", "two"]
    given(monkeypatch, b"all\nof it\n")
    assert embed(server, "a", "-", "b") == 0
    assert server.requests[-1]["input"] == ["a", "all\nof it\n", "b"]


@pytest.mark.parametrize(
    ("text", "is_noted"),
    [("/no.py", True), ("src/no.py", True), ("~/no", True), ("// no", False), ("a / b.c", False)],
)
def test_a_text_that_looks_like_a_path_to_no_file_is_noted(
    text: str, is_noted: bool, server: EmbeddingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed(server, text) == 0
    assert ("there is no such file" in capsys.readouterr().err) is is_noted


def test_options_may_stand_between_texts(server: EmbeddingServer) -> None:
    assert embed(server, "a", "--dimensions", "3", "b", "--truncate", "end", "c") == 0
    (request,) = server.requests
    assert request["input"] == ["a", "b", "c"]
    assert (request["dimensions"], request["truncate"]) == (3, "end")
    assert "windows" not in request


def test_long_texts_are_embedded_by_windows_where_the_server_has_them(
    server: EmbeddingServer, foreign: EmbeddingServer
) -> None:
    assert embed(server, "a") == 0
    assert server.requests[0]["windows"] is True
    assert embed(foreign, "a") == 0
    assert foreign.requests[0] == {"model": MODEL, "input": ["a"], "encoding_format": "base64"}


BAD_FILES = {"binary": b"a\0b", "latin-1": "grün".encode("latin-1"), "utf-16": "a".encode("utf-16")}


@pytest.mark.parametrize("kind", [*BAD_FILES, "empty", "absent", "a directory"])
def test_a_file_that_is_no_text_is_a_usage_error(
    kind: str, server: EmbeddingServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file"
    if kind == "a directory":
        path.mkdir()
    elif kind != "absent":
        path.write_bytes(BAD_FILES.get(kind, b""))
    assert embed(server, "--file", str(path)) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert str(path) in shown.err
    assert server.requests == []


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        ([], b"", "nothing to embed"),
        (["--lines"], b"\n \n", "nothing to embed"),
        (["-"], b"", "empty"),
        (["-"], b"a\0", "binary"),
        (["--lines"], b"\xff", "0xff at offset 0"),
        ([""], b"", "empty"),
        (["a\udcff"], b"", "not UTF-8"),
        (["a", "--dimensions", "0"], b"", "0"),
        (["a", "--dimensions", "x"], b"", "--dimensions"),
        (["a", "--truncate", "middle"], b"", "--truncate"),
        (["a", "--dtype", "int9"], b"", "--dtype"),
        (["a", "--dtype", "int8"], b"", "leave one of them out"),
        (["a", "--unknown"], b"", "--unknown"),
    ],
)
def test_wrong_words_are_usage_errors(
    words: list[str],
    stdin: bytes,
    said: str,
    server: EmbeddingServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given(monkeypatch, stdin)
    try:
        status: Any = embed(server, *words)
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""
    assert server.requests == []


def test_a_chat_model_is_refused_with_what_to_do(
    server: EmbeddingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    hint = "served for this: `codebert`"
    message = f"the model `demo` gives text, not embeddings; {hint}"
    error = {"message": message, "code": "model_kind", "hint": hint}
    server.answer = (400, json.dumps({"error": error}).encode())
    assert embed(server, "a", model="demo") == 1
    shown = capsys.readouterr().err
    assert "the model `demo` gives text, not embeddings" in shown
    assert shown.count(hint) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, b'{"error":{"message":"there is no model `x`"}}'), "there is no model `x`"),
        ((500, b"<html>oops</html>"), "oops"),
        ((200, b"<html>"), "no JSON"),
        ((200, b'{"data":[]}'), "0 embeddings"),
        ((200, b'{"data":[{"index":0,"embedding":[1.0,null]}]}'), "0 embeddings"),
        ((200, b'{"data":[{"index":0,"embedding":[1e300]}]}'), "0 embeddings"),
        ((200, b'{"data":[{"index":0,"embedding":[]}]}'), "0 embeddings"),
        ((200, b'{"data":[{"index":1,"embedding":"AAAAAA=="}]}'), "expected 1"),
        ((200, b'{"data":[{"index":0,"embedding":"!!!!"}]}'), "embedding"),
        ((200, b'{"data":[{"index":0,"embedding":"AAA="}]}'), "embedding"),
        ((200, b'{"data":[{"index":[],"embedding":"AAAAAA=="}]}'), "embedding"),
        ((200, b'{"data":[{"index":"0","embedding":"AAAAAA=="}]}'), "embedding"),
        ((200, b'{"data":[{"index":0,"embedding":""}]}'), "embedding"),
        ((200, b'{"data":[{"index":0,"embedding":"AADAfw=="}]}'), "0 embeddings"),
    ],
)
def test_what_is_no_answer_is_told(
    answer: tuple[int, bytes],
    said: str,
    foreign: EmbeddingServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    foreign.answer = answer
    assert embed(foreign, "a") == 1
    shown = capsys.readouterr()
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_a_server_that_gives_numbers_where_base64_was_asked_for_is_understood(
    foreign: EmbeddingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign.answer = (200, b'{"data":[{"index":0,"embedding":[0.5,2]}]}')
    assert embed(foreign, "a", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["data"][0]["embedding"] == [0.5, 2.0]


def test_vectors_of_another_length_are_told(
    foreign: EmbeddingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"index": 0, "embedding": "AAAAAA=="}, {"index": 1, "embedding": "AAAAAAAAAAA="}]
    foreign.answer = (200, json.dumps({"data": rows}).encode())
    assert embed(foreign, "a", "b") == 1
    assert "dimensions" in capsys.readouterr().err


def test_where_nobody_listens_that_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with EmbeddingServer().listening() as gone:
        pass
    assert embed(gone, "a") == 1
    assert "no answer from the server" in capsys.readouterr().err


def identity(*rows: dict[str, Any], model: str = MODEL) -> str:
    with EmbeddingServer(rows=list(rows)).listening() as server:

        async def found() -> str:
            async with embedding_client(model, url=server.url) as client:
                return client.identity

        return asyncio.run(found())


def test_the_identity_is_of_the_files_and_of_how_they_are_run() -> None:
    own = identity(our_row())
    assert own == identity(our_row("another name"), model="another name")
    changes: tuple[dict[str, Any], ...] = (
        {"dtype": "bfloat16"},
        {"pooling": "cls"},
        {"context_tokens": 256},
        {"model": {"digest": "sha256:2"}},
    )
    others = [identity(our_row(**change)) for change in changes]
    assert len({own, *others}) == len(changes) + 1


def test_roles_and_aliases_have_the_identity_of_the_model_that_answers() -> None:
    other = our_row("other", model={"digest": "sha256:2"})
    role = {"id": "role", "trueup": {"kind": "embedding", "role": {"answers": "other"}}}
    alias = {"id": "alias", "trueup": {"kind": "embedding", "alias_of": "role"}}
    direct = {"id": "direct", "trueup": {"kind": "embedding", "alias_of": "other"}}
    rows = (our_row(), other, role, alias, direct)
    wanted = identity(*rows, model="other")
    assert {identity(*rows, model=name) for name in ("role", "alias", "direct")} == {wanted}
    assert wanted != identity(*rows)


def test_another_servers_identity_is_its_place_and_the_name(foreign: EmbeddingServer) -> None:
    async def found() -> str:
        async with embedding_client(MODEL, url=foreign.url) as client:
            return client.identity

    assert asyncio.run(found()) == f"{foreign.url}/v1 {MODEL}"


def test_an_embedder_of_a_chat_model_is_refused(server: EmbeddingServer) -> None:
    async def opened() -> None:
        async with embedding_client("demo", url=server.url):
            pass

    with pytest.raises(RequestError, match="gives text, not embeddings"):
        asyncio.run(opened())


def vectors(server: EmbeddingServer, *texts: str) -> Any:
    async def found() -> Any:
        async with embedding_client(MODEL, url=server.url) as client:
            return await client.embed(texts)

    return asyncio.run(found())


def test_an_embedder_gives_rows_of_length_1_in_the_order_of_the_texts(
    server: EmbeddingServer,
) -> None:
    texts = ["x" * (1 + number % 7) for number in range(REQUEST_TEXTS + 3)]
    rows = vectors(server, *texts)
    assert rows.shape == (len(texts), DIMENSIONS)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert np.allclose(rows[:, 0] / rows[:, 1], [len(text) for text in texts], atol=1e-5)
    assert [len(request["input"]) for request in server.requests] == [REQUEST_TEXTS, 3]
    assert all(request["windows"] is True for request in server.requests)


def test_large_texts_are_sent_in_requests_of_a_sensible_size(server: EmbeddingServer) -> None:
    half = "x" * (REQUEST_CHARACTERS // 2)
    vectors(server, half, half, half, "x" * REQUEST_CHARACTERS, "x")
    assert [len(request["input"]) for request in server.requests] == [2, 1, 1, 1]


def test_an_embedder_of_no_texts_asks_nobody(server: EmbeddingServer) -> None:
    assert len(vectors(server)) == 0
    assert server.requests == []


@pytest.mark.parametrize("vector", ["AADAfw==", "AACAfw==", "AAA=", "!"])
def test_an_embedder_passes_on_nothing_that_is_no_vector(
    vector: str, foreign: EmbeddingServer
) -> None:
    shape = {"data": [{"index": 0, "embedding": vector}]}
    foreign.answer = (200, json.dumps(shape).encode())
    with pytest.raises(BackendError, match="embedding"):
        vectors(foreign, "a")
