"""`trueup serve` with a small Kronos pair: asked by HTTP and by `trueup forecast --url`."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cli.test_serve import get, served
from tests.kronos.directories import model_files, tokenizer_files, write
from trueup.cli.main import main

pytestmark = pytest.mark.slow
DAYS = [f"2026-06-{day:02}" for day in range(1, 21)]
CLOSES = [10 + day % 3 for day in range(20)]
TABLE = "date,open,high,low,close,volume\n" + "".join(
    f"{day},{c},{c + 1},{c - 1},{c},100\n" for day, c in zip(DAYS, CLOSES, strict=True)
)
QUERY = "model=market_forecast&samples=4&seed=3"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = write(tmp_path_factory.mktemp("models") / "kronos", model_files())
    write(directory / "tokenizer", tokenizer_files())
    return directory


@pytest.fixture(scope="module")
def server(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = tmp_path_factory.mktemp("home")
    config = home / "trueup.yaml"
    config.write_text(
        "config_version: 1\n"
        f"models: {{small: {{source: {directory}, kind: forecast, context_tokens: 400}}}}\n"
        "roles: {market_forecast: {chain: [small]}}\n"
    )
    with served(home, "--config", str(config), "--quiet") as (_, said):
        yield said


@contextmanager
def ask(server: Any, query: str, accept: str = "*/*") -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(urlsplit(server["url"]).netloc, timeout=120)
    headers = {"Content-Type": "text/csv", "Accept": accept}
    with closing(connection):
        connection.request("POST", f"/v1/forecasts?{query}", TABLE, headers)
        with connection.getresponse() as response:
            yield response


def events_of(response: http.client.HTTPResponse) -> Iterator[Any]:
    for line in response:
        if line.startswith(b"data: ") and line != b"data: [DONE]\n":
            yield json.loads(line[6:])


def worker_of(server: Any) -> int:
    (row,) = get(f"{server['url']}/api/ps")["models"]
    return int(row["pid"])


def test_the_row_of_the_model_tells_how_it_is_run(server: Any, directory: Path) -> None:
    rows = {row["id"]: row["trueup"] for row in get(f"{server['url']}/v1/models")["data"]}
    assert rows["market_forecast"]["kind"] == rows["small"]["kind"] == "forecast"
    plan = rows["small"]["plan"]
    assert (plan["implementation"], plan["context_tokens"]) == ("trueup.kronos.Kronos", 400)
    assert plan["forecast"]["tokenizer"]["directory"] == str(directory / "tokenizer")


def test_a_worker_that_is_killed_under_a_stream_is_replaced_and_the_rest_comes(server: Any) -> None:
    with ask(server, f"{QUERY}&horizon=200&stream=true") as response:
        *_, undisturbed = events_of(response)
    with ask(server, f"{QUERY}&horizon=200") as response:
        whole = json.load(response)["forecasts"][0]["mean"]["close"]
    with ask(server, f"{QUERY}&horizon=200&stream=true") as response:
        events = events_of(response)
        bars = [next(events)]
        os.kill(worker_of(server), signal.SIGKILL)
        *rest, last = events
    bars += rest
    assert [each["step"] for each in bars] == list(range(200))
    assert last["forecasts"] == undisturbed["forecasts"]
    closes = [each["bars"][0]["mean"]["close"] for each in bars]
    assert closes == last["forecasts"][0]["mean"]["close"]
    # Bars that are decoded one by one may differ in their last bit.
    assert closes == pytest.approx(whole, rel=1e-5)


def _numbers(table: str) -> list[float]:
    return [float(each) for line in table.splitlines()[1:] for each in line.split(",")[1:]]


def test_the_command_has_the_servers_forecast(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "candles.csv"
    table.write_text(TABLE)
    words = ["forecast", str(table), "--model", "small", "--horizon", "5", "--samples", "4"]
    words += ["--seed", "3", "--url", server["url"], "-o", "-"]
    assert main(words) == 0
    told = capsys.readouterr().out
    with ask(server, f"{QUERY}&horizon=5", "text/csv") as response:
        answered = response.read().decode()
    assert answered.splitlines()[0] == told.splitlines()[0]
    assert _numbers(answered) == pytest.approx(_numbers(told), rel=1e-5)
    assert main([*words, "--paths", "--mode", "rolling"]) == 0
    assert "close_sample_4" in capsys.readouterr().out
    assert main([*words, "--context", "9"]) == 2
    assert "`--context` is for a model that is loaded here" in capsys.readouterr().err
    words[3] = "nothing"
    assert main(words) == 1
    assert "nothing" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "said"), [((), "nan"), (("--lookback", "3"), "inf")])
def test_a_bar_that_cannot_be_used_is_told_by_the_file(
    server: Any,
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = tmp_path / "candles.csv"
    rows = TABLE.splitlines()
    rows[-1] = ",".join([*rows[-1].split(",")[:4], "inf", *rows[-1].split(",")[5:]])
    table.write_text("\n".join(rows))
    given = ["forecast", str(table), "--model", "small", "--horizon", "5", "--url", server["url"]]
    assert main([*given, *words]) == 1
    err = capsys.readouterr().err
    assert f"`close` is {said} at" in err
    assert f"where: {table}" in err
