"""`trueup serve` with real embedding models, asked by the clients that people use."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from tests.checkpoints.encoders import CORPUS, build_encoder
from tests.cli.test_serve import get, served
from trueup.cli.embedding_client import embedding_client
from trueup.cli.main import main
from trueup.cli.server_api import ask_server

pytestmark = pytest.mark.slow
MODEL = "small"
LIMIT_SECONDS = 120.0


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_encoder("roberta", tmp_path_factory.mktemp("models") / MODEL)


@pytest.fixture(scope="module")
def server(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = tmp_path_factory.mktemp("home")
    with served(home, str(checkpoint), "demo", "--quiet") as (_, said):
        yield said


def openai_client(said: Any) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{said['url']}/v1", api_key="none", timeout=LIMIT_SECONDS, max_retries=0
    )


def test_the_official_sdk(server: Any) -> None:
    with openai_client(server) as client:
        as_usual = client.embeddings.create(model=MODEL, input=list(CORPUS))
        numbers = client.embeddings.create(model=MODEL, input=list(CORPUS), encoding_format="float")
        assert len(as_usual.data) == len(CORPUS)
        for left, right in zip(as_usual.data, numbers.data, strict=True):
            assert left.embedding == pytest.approx(right.embedding, abs=1e-6)
        assert np.linalg.norm(numbers.data[0].embedding) == pytest.approx(1, abs=1e-5)
        assert as_usual.usage.prompt_tokens == as_usual.usage.total_tokens > len(CORPUS)
        few = client.embeddings.create(model=MODEL, input=CORPUS[0], dimensions=8)
        assert np.linalg.norm(few.data[0].embedding) == pytest.approx(1, abs=1e-5)
        assert len(few.data[0].embedding) == 8
        tokens = client.embeddings.create(model=MODEL, input=[[10, 11, 12], [13]])
        assert tokens.usage.prompt_tokens == 4 + 2 * 2  # `<s>` and `</s>` around each
        (one,) = client.embeddings.create(model=MODEL, input=[10, 11, 12]).data
        assert one.embedding == pytest.approx(tokens.data[0].embedding, abs=1e-5)
        with pytest.raises(openai.BadRequestError, match="gives text, not embeddings"):
            client.embeddings.create(model="demo", input="a")
        with pytest.raises(openai.BadRequestError, match="context holds 512"):
            client.embeddings.create(model=MODEL, input="x = 1\n" * 1000)
        long = client.embeddings.create(
            model=MODEL, input="x = 1\n" * 1000, extra_body={"windows": True}
        )
        assert long.model_extra is not None
        assert long.model_extra["trueup"] == {"windows": [0]}


def test_langchain(server: Any) -> None:
    from langchain_openai import OpenAIEmbeddings

    embeddings = OpenAIEmbeddings(
        model=MODEL,
        base_url=f"{server['url']}/v1",
        api_key="none",
        # Else texts are cut into the tokens of another model, whose vocabulary is downloaded.
        check_embedding_ctx_length=False,
    )
    rows = embeddings.embed_documents(list(CORPUS))
    assert len(rows) == len(CORPUS)
    assert embeddings.embed_query(CORPUS[1]) == pytest.approx(rows[1], abs=1e-5)


def test_many_clients_at_once_get_the_vectors_that_one_alone_gets(server: Any) -> None:
    texts = [f"{line}{number} " * (1 + number % 7) for number, line in enumerate(CORPUS * 12)]
    with openai_client(server) as client:

        def ask(part: list[str]) -> list[list[float]]:
            return [row.embedding for row in client.embeddings.create(model=MODEL, input=part).data]

        alone = [ask([text])[0] for text in texts]
        parts = [texts[start : start + 3] for start in range(0, len(texts), 3)]
        with ThreadPoolExecutor(16) as clients:
            together = [row for rows in clients.map(ask, parts) for row in rows]
    assert np.abs(np.array(alone) - np.array(together)).max() < 1e-5


def test_the_models_tell_how_they_embed(server: Any) -> None:
    rows = {row["id"]: row["trueup"] for row in get(f"{server['url']}/v1/models")["data"]}
    assert rows[MODEL]["kind"] == "embedding"
    embedding = rows[MODEL]["plan"]["embedding"]
    assert (embedding["pooling"], embedding["dimensions"]) == ("mean", 64)
    assert rows["demo"]["plan"]["embedding"] is None


def test_commands_embed_through_a_running_server(
    server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    async def found() -> Any:
        async with embedding_client(MODEL, url=server["url"]) as client:
            return client.identity, await client.embed([CORPUS[0], CORPUS[0], "x = 1\n" * 1000])

    identity, rows = asyncio.run(found())
    assert identity.startswith("sha256:")
    assert rows[0] @ rows[1] == pytest.approx(1, abs=1e-5)
    assert main(["embed", MODEL, "x = 1\n" * 1000, "--url", server["url"]]) == 0
    assert "windows" in capsys.readouterr().out


def test_bfloat16_tells_what_it_deviates_by_once_it_was_loaded(
    checkpoint: Path, tmp_path: Path
) -> None:
    with served(tmp_path, str(checkpoint), "--dtype", "bfloat16", "--quiet") as (_, said):
        models = f"{said['url']}/v1/models"
        assert get(models)["data"][0]["trueup"]["plan"]["embedding"]["deviation"] is None
        with openai_client(said) as client:
            client.embeddings.create(model=MODEL, input="a")
        plan = get(models)["data"][0]["trueup"]["plan"]
    deviation = plan["embedding"]["deviation"]
    assert 0.99 < deviation["cosine_min"] <= deviation["cosine_mean"] < 1.0001
    assert deviation["texts"] > 0
    (caveat,) = (each for each in plan["caveats"] if each["code"] == "DEVIATION")
    assert f"{deviation['cosine_min']:.6f}" in caveat["text"]


def state_of(said: Any) -> Any:
    return next(
        row
        for row in ask_server(said["url"], "/api/ps", wants="models")["models"]
        if row["id"] == MODEL
    )


def large_request(said: Any) -> tuple[threading.Thread, list[Any]]:
    """A request of some seconds under way, and where its answer will be."""
    found: list[Any] = []

    def ask() -> None:
        with openai_client(said) as client:
            texts = [f"x = {number}\n" * 40 for number in range(2000)]
            try:
                found.append(client.embeddings.create(model=MODEL, input=texts))
            except openai.APIError as error:
                found.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    deadline = time.monotonic() + LIMIT_SECONDS
    while not state_of(said)["leases"] and time.monotonic() < deadline:
        pass
    return thread, found


def test_a_worker_killed_under_a_request_is_replaced_and_the_request_answered(server: Any) -> None:
    with openai_client(server) as client:
        client.embeddings.create(model=MODEL, input="a")
        thread, found = large_request(server)
        killed = state_of(server)["pid"]
        os.kill(killed, signal.SIGKILL)
        thread.join(LIMIT_SECONDS)
        assert len(found[0].data) == 2000
        assert state_of(server)["pid"] != killed


def test_a_server_that_is_ended_finishes_its_embeddings(checkpoint: Path, tmp_path: Path) -> None:
    with served(tmp_path, str(checkpoint), "--quiet", "--preload") as (process, said):
        with openai_client(said) as client:
            client.embeddings.create(model=MODEL, input="a")
        thread, found = large_request(said)
        process.send_signal(signal.SIGTERM)
        thread.join(LIMIT_SECONDS)
        assert len(found[0].data) == 2000
        assert process.wait(LIMIT_SECONDS) == 0
