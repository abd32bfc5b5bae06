from __future__ import annotations

import io
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib import font_manager, image
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from tests.forecasting.pictures.charts import chart
from trueup.forecasting.pictures import Chart, draw, png


def pixels(made: Chart, path: Path, history_bars: int | None = None) -> np.ndarray:
    draw(made, path, history_bars=history_bars)
    return image.imread(io.BytesIO(path.read_bytes()), format="png")[..., :3]


def columns_of(picture: np.ndarray, colour: str) -> np.ndarray:
    """Where along x the colour is, below the legend and above the volumes."""
    height = len(picture)
    part = picture[height // 10 : height * 7 // 10]
    return np.flatnonzero((np.abs(part - to_rgb(colour)) < 0.02).all(axis=2).any(axis=0))


def test_the_forecast_is_right_of_the_history_in_colours_of_its_own(tmp_path: Path) -> None:
    picture = pixels(chart(), tmp_path / "a.png")
    assert picture.shape == (960, 1680, 3)
    history = np.concatenate([columns_of(picture, each) for each in png.HISTORY_COLOURS])
    forecast = np.concatenate([columns_of(picture, each) for each in png.FORECAST_COLOURS])
    assert len(history) > 500
    assert len(forecast) > 100
    assert history.max() < forecast.min() + 10


def test_sessions_have_no_holes_between_them(tmp_path: Path) -> None:
    picture = pixels(chart(bars=120, paths=None), tmp_path / "a.png")
    drawn = np.unique(np.concatenate([columns_of(picture, each) for each in png.HISTORY_COLOURS]))
    assert np.diff(drawn).max() < 10


def test_more_bars_than_stay_apart_are_merged(tmp_path: Path) -> None:
    made = chart(bars=2000)
    assert draw(made, tmp_path / "a.png", history_bars=2000) == [
        "each candle is 3 bars, so that they stay apart"
    ]
    assert draw(made, tmp_path / "a.png") == ["the last 120 of 2,000 bars of history are drawn"]


@pytest.mark.parametrize("title", ["600519 $close_{x}$ \\frac", "a" * 5000])
def test_titles_are_text_and_nothing_else(title: str, tmp_path: Path) -> None:
    assert draw(chart(bars=100, title=title), tmp_path / "a.png") == []


def test_a_character_that_no_font_has_is_told_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(png, "WIDE_FONTS", ())
    remarks = draw(chart(bars=100, title="茅台 600519"), tmp_path / "a.png")
    assert remarks == ["no installed font has some characters of the text: they are `□`"]


def test_a_font_with_the_characters_is_used_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # No Chinese font is everywhere: one that every matplotlib has stands for it.
    monkeypatch.setattr(png, "OWN_FONT", "cmr10")
    monkeypatch.setattr(png, "WIDE_FONTS", ("No Such Font", "DejaVu Sans"))
    families = png._families()
    assert families == ["cmr10", "DejaVu Sans"]
    assert png._writable(["Ж"], families) == ["Ж"]
    assert png._writable(["Ж"], ["cmr10"]) == ["□"]
    assert font_manager.findfont("DejaVu Sans")


def test_charts_without_volume_quantiles_and_paths_are_drawn(tmp_path: Path) -> None:
    bare = chart(has_volume=False, quantiles={}, paths=None, p_close_up=None)
    picture = pixels(bare, tmp_path / "a.png")
    assert len(columns_of(picture, png.FORECAST_COLOURS[0])) > 20


def test_flat_prices_are_drawn(tmp_path: Path) -> None:
    flat = chart(history=np.full((300, 6), 7.0), mean=np.full((24, 6), 7.0))
    assert draw(flat, tmp_path / "a.png", history_bars=300) == []


def test_neither_windows_nor_settings_of_matplotlib_are_touched(tmp_path: Path) -> None:
    code = (
        "import sys, matplotlib; before = matplotlib.rcParams.copy();"
        "from tests.forecasting.pictures.charts import chart;"
        "from trueup.forecasting.pictures import draw;"
        f"draw(chart(), {str(tmp_path / 'a.png')!r});"
        "assert matplotlib.rcParams.copy() == before;"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    root = Path(__file__).resolve().parents[3]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


@pytest.mark.parametrize(
    ("bars", "horizon"), [(1, 1), (1, 6), (2, 3), (5, 12), (40, 12), (300, 24)]
)
def test_the_times_do_not_run_into_one_another(bars: int, horizon: int) -> None:
    made = chart(bars=bars, horizon=horizon)
    figure = Figure(figsize=png.INCHES, dpi=png.DOTS_PER_INCH, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    png._prices(made, axes)
    png._times(made, axes)
    canvas.draw()
    texts = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert len(texts) >= 2
    assert all(one.x1 < two.x0 for one, two in pairwise(texts))
