from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.forecasting.pictures import chromium
from tests.forecasting.pictures.charts import chart
from trueup.forecasting.pictures import draw, html

HOSTILE = "</script><script>document.title='x'</script><!-- <script> & \"'\u2028茅台"
LIGHT = {"up": "#1a9c84", "down": "#dd4a46", "ahead": "#2f6fe4", "ahead down": "#9457d6"}
DARK = {"up": "#2fbfa3", "down": "#f0645f", "ahead": "#5c98ff", "ahead down": "#b98aff"}


@pytest.fixture(scope="module")
def devtools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with chromium.running(tmp_path_factory.mktemp("browser") / "profile") as address:
        yield address


def colour(text: str) -> np.ndarray:
    return np.array([int(text[at : at + 2], 16) for at in (1, 3, 5)]) / 255


def places(picture: np.ndarray, text: str) -> np.ndarray:
    """The columns of the chart that have the colour, without the labels at its right."""
    part = picture[150:480, :1080]
    return np.flatnonzero((np.abs(part - colour(text)) < 0.02).all(axis=2).any(axis=0))


@pytest.mark.parametrize(("scheme", "colours"), [("light", LIGHT), ("dark", DARK)])
async def test_the_page_draws_history_and_forecast_and_asks_the_network_for_nothing(
    scheme: str, colours: dict[str, str], devtools: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.html"
    assert draw(chart(), path) == []
    async with chromium.new_page(devtools) as page:
        await page.open(path, scheme)
        picture = await page.picture()
        assert page.requests == [path.as_uri()]
        assert page.complaints == []
    history = np.concatenate([places(picture, colours[each]) for each in ("up", "down")])
    ahead = np.concatenate([places(picture, colours[each]) for each in ("ahead", "ahead down")])
    assert len(history) > 300
    assert len(ahead) > 50
    assert history.max() < ahead.min() + 10
    assert bool(picture[-5, 5].mean() > 0.5) is (scheme == "light")


async def test_a_page_that_does_ask_the_network_is_seen(devtools: str, tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text('<img src="http://example.invalid/a.png">')
    async with chromium.new_page(devtools) as page:
        await page.open(path)
        assert page.requests == [path.as_uri(), "http://example.invalid/a.png"]
        assert "ERR_PROXY_CONNECTION_FAILED" in "".join(page.complaints)


async def test_the_policy_of_the_page_stops_what_is_put_into_it(
    devtools: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.html"
    draw(chart(), path)
    put = "<script>document.title='x'</script><img src='http://example.invalid/a.png'>"
    path.write_text(path.read_text(encoding="utf-8").replace("<main>", put + "<main>"))
    async with chromium.new_page(devtools) as page:
        await page.open(path)
        assert await page.run("document.title") == "600519 · TrueUp"
        assert page.requests == [path.as_uri()]
        assert len(page.complaints) == 2


async def test_titles_and_remarks_are_text(devtools: str, tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    made = chart(title=HOSTILE, remarks=(HOSTILE,))
    draw(made, path)
    async with chromium.new_page(devtools) as page:
        await page.open(path)
        assert await page.run("document.title") == f"{made.title} · TrueUp"
        assert await page.run("document.querySelector('h1').textContent") == made.title
        assert await page.run("document.querySelector('header li').textContent") == made.title
        assert len(places(await page.picture(), LIGHT["up"])) > 100
        assert page.complaints == []


async def test_the_legend_tells_of_the_bar_under_the_pointer(devtools: str, tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    made = chart()
    draw(made, path)
    async with chromium.new_page(devtools) as page:
        await page.open(path)
        before = await page.run("document.getElementById('legend').innerText")
        await page.point(400, 400)
        over = await page.run("document.getElementById('legend').innerText")
    last = made.mean[-1]
    assert before.startswith(f"mean forecast  {made.moment(made.future[-1])}")
    assert f"C {last[3]:.{made.decimals()}f}" in before
    assert re.search(r"quantiles of the close  10% [\d.]+  25% [\d.]+  50%", before)
    assert f"P(close up)  {made.p_close_up[-1]:.0%}" in before
    shown = re.match(r"history  (\S+ \S+)  O ([\d.]+)", over)
    assert shown is not None
    (at,) = [each for each, time in enumerate(made.timestamps) if made.moment(time) == shown[1]]
    assert shown[2] == f"{made.history[at, 0]:.{made.decimals()}f}"


async def test_what_is_switched_off_is_not_seen(devtools: str, tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    draw(chart(), path)
    async with chromium.new_page(devtools) as page:
        await page.open(path)
        names = await page.run(
            "[...document.querySelectorAll('#switches label')].map(l => l.textContent)"
        )
        await page.run("document.querySelectorAll('#switches input')[0].click()")
        await page.painted()
        picture = await page.picture()
    assert names == [
        "history",
        "mean forecast",
        "quantiles 10%, 25%, 50%, 75%, 90%",
        "20 paths of samples",
        "volume",
    ]
    assert len(places(picture, LIGHT["down"])) == 0
    assert len(places(picture, LIGHT["ahead"])) > 10


@pytest.mark.parametrize(
    "changes",
    [
        {"has_volume": False, "quantiles": {}, "paths": None, "p_close_up": None},
        {"history": np.full((300, 6), 7.0), "mean": np.full((24, 6), 7.0)},
        {"quantiles": {0.5: np.full(24, 10.0)}},
        {"history": np.where(np.arange(6) == 4, np.nan, chart().history)},
    ],
)
async def test_charts_with_less_are_drawn(
    changes: dict[str, object], devtools: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.html"
    draw(chart(**changes), path)
    async with chromium.new_page(devtools) as page:
        await page.open(path)
        assert page.complaints == []
        assert len(places(await page.picture(), LIGHT["up"])) > 20


async def test_a_hundred_thousand_bars_are_drawn_and_no_more(devtools: str, tmp_path: Path) -> None:
    made = chart(bars=100_010)
    path = tmp_path / "a.html"
    remarks = draw(made, path, history_bars=1_000_000)
    assert remarks == ["the last 100,000 of 100,010 bars of history are in the page"]
    async with chromium.new_page(devtools) as page:
        await page.open(path)
        assert page.complaints == []
        assert len(places(await page.picture(), LIGHT["up"])) > 100


def test_the_default_page_is_bounded(tmp_path: Path) -> None:
    made = chart(bars=20_000)
    made = replace(made, paths=np.repeat(made.paths, 5, axis=0))
    assert draw(made, tmp_path / "a.html") == [
        "the last 5,000 of 20,000 bars of history are in the page",
        "50 of 100 paths are in the page",
    ]
    assert (tmp_path / "a.html").stat().st_size < 2_000_000


def test_the_page_names_no_address_but_the_attribution_and_a_namespace(tmp_path: Path) -> None:
    draw(chart(), tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[\w.-]+", text)) == {
        "https://www.tradingview.com",
        "https://www.apache.org",
        "http://www.w3.org",
    }
    assert "TradingView Lightweight Charts™" in text
    assert '<a href="https://www.tradingview.com/"' in text
    assert "attributionLogo: true" in text
    ours = text.replace(html.library(), "")
    assert len(ours) < len(text)
    assert not re.search(r"<(link|img|iframe|object)\b|<script[^>]* src=|@import|url\(", ours)
    assert (html.LIBRARY.parent / "LICENSE").read_text().lstrip().startswith("Apache License")


def test_numbers_of_the_page_are_those_of_the_chart(tmp_path: Path) -> None:
    made = chart()
    draw(made, tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert found is not None
    data = json.loads(found[1])
    assert np.allclose(data["forecast"]["close"], made.mean[:, 3], rtol=1e-8)
    assert np.allclose(data["quantiles"]["0.9"], made.quantiles[0.9], rtol=1e-8)
    assert data["history"]["time"][0] * 10**9 == made.timestamps[0].astype(np.int64)
    assert text.count("<tr>") == 25


def test_the_wheel_has_what_draws_the_page(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    folder = "trueup/forecasting/pictures"
    library = f"{folder}/lightweight-charts"
    assert {f"{folder}/page.js", f"{folder}/page.css", f"{library}/LICENSE"} <= names
    assert f"{library}/{html.LIBRARY.name}" in names
