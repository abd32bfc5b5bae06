"""`KronosPredictor` with the published arguments and results: code switches by its import."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trueup.errors import RequestError
from trueup.kronos.forecaster import Forecaster, Window
from trueup.kronos.model import Kronos
from trueup.kronos.pairing import refuse_mismatched
from trueup.kronos.tokenizer import KronosTokenizer
from trueup.protocol.candles import COLUMNS

PRICES = COLUMNS[:4]
# What data sources call volume and amount: unnoticed, they would mean a volume of zero.
ALIASES = {"vol": "volume", "amt": "amount", "turnover": "amount"}


class KronosPredictor:
    """Forecasts frames of candles; draws with torch's own generator, which `manual_seed` sets.

    Raises: CheckpointError for a tokenizer that is not the model's, which would run all the same;
    `is_pair_checked` False takes a published one for the other's model.
    """

    def __init__(
        self,
        model: Kronos,
        tokenizer: KronosTokenizer,
        device: str | torch.device | None = None,
        max_context: int = 512,
        clip: float = 5,
        *,
        is_pair_checked: bool = True,
    ) -> None:
        refuse_mismatched(model.arguments(), tokenizer.arguments(), is_group_known=is_pair_checked)
        self.device = torch.device(device or _best_device())
        self.model = model.to(self.device)
        self.tokenizer = tokenizer.to(self.device)
        self.max_context = max_context
        self.clip = clip
        self._forecaster = Forecaster(
            model=self.model, tokenizer=self.tokenizer, context=max_context, clip=clip
        )

    def predict(
        self,
        df: Any,
        x_timestamp: Any,
        y_timestamp: Any,
        pred_len: int,
        T: float = 1.0,
        top_k: int | None = 0,
        top_p: float | None = 0.9,
        sample_count: int = 1,
        verbose: bool = True,
    ) -> Any:
        """A frame of `pred_len` bars, indexed by `y_timestamp`: the mean of `sample_count` paths.

        Raises: RequestError for frames, timestamps and numbers that cannot be used.
        """
        (predicted,) = self.predict_batch(
            [df], [x_timestamp], [y_timestamp], pred_len, T, top_k, top_p, sample_count, verbose
        )
        return predicted

    def predict_batch(
        self,
        df_list: Sequence[Any],
        x_timestamp_list: Sequence[Any],
        y_timestamp_list: Sequence[Any],
        pred_len: int,
        T: float = 1.0,
        top_k: int | None = 0,
        top_p: float | None = 0.9,
        sample_count: int = 1,
        verbose: bool = True,
    ) -> list[Any]:
        """A frame for each frame; histories may differ in length."""
        import pandas

        lists = (df_list, x_timestamp_list, y_timestamp_list)
        counts = [len(each) for each in lists]
        if len(set(counts)) != 1:
            raise RequestError(
                f"{counts[0]} frames came with {counts[1]} and {counts[2]} lists of timestamps",
                hint="give one `x_timestamp` and one `y_timestamp` for each frame",
            )
        steps = _whole("pred_len", pred_len)
        if steps < 1:
            raise RequestError(f"pred_len is {steps}, and must be 1 or more", param="pred_len")
        windows = [
            _window(frame, past, future, steps, f"frame {number}")
            for number, (frame, past, future) in enumerate(zip(*lists, strict=True))
        ]
        with _progress(steps, verbose) as tick:
            means = self._forecaster.mean(
                windows,
                steps,
                samples=_whole("sample_count", sample_count),
                temperature=T,
                top_k=0 if top_k is None else top_k,
                top_p=1.0 if top_p is None else top_p,
                seed=None,
                is_cancelled=tick,
            )
        return [
            pandas.DataFrame(each, columns=list(COLUMNS), index=index)
            for each, index in zip(means, y_timestamp_list, strict=True)
        ]


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda:0"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _whole(name: str, number: Any) -> int:
    try:
        return operator.index(number)
    except TypeError as error:
        raise RequestError(
            f"{name} is {number!r}, and must be a whole number", param=name
        ) from error


@contextmanager
def _progress(steps: int, is_shown: bool) -> Iterator[Callable[[], bool]]:
    """What is called before each step, and says that there is no reason to stop."""
    if not is_shown:
        yield lambda: False
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("forecast", total=steps)

        def tick() -> bool:
            progress.advance(task)
            return False

        yield tick


def _window(frame: Any, past: Any, future: Any, steps: int, where: str) -> Window:
    import pandas

    if not isinstance(frame, pandas.DataFrame):
        raise RequestError(
            f"a {type(frame).__name__} came where a pandas DataFrame belongs", where=where
        )
    frame = _with_amounts(frame, where)
    before = _timestamps(past, len(frame), "x_timestamp", where)
    after = _timestamps(future, steps, "y_timestamp", where)
    try:
        is_later = bool(after.iloc[0] > before.iloc[-1])
    except TypeError as error:
        raise RequestError(
            "one of `x_timestamp` and `y_timestamp` has a time zone and the other has none",
            where=where,
        ) from error
    if not is_later:
        raise RequestError(
            f"y_timestamp begins at {after.iloc[0]}, and the last bar is of {before.iloc[-1]}",
            where=where,
            hint="give the timestamps of the bars that follow the history",
        )
    return Window(bars=_values(frame, where), past=_parts(before), future=_parts(after))


def _with_amounts(frame: Any, where: str) -> Any:
    """The six columns; volume and amount that are missing are filled in as published."""
    missing = [name for name in PRICES if name not in frame.columns]
    if missing:
        raise RequestError(
            f"the frame has no column {', '.join(f'`{name}`' for name in missing)}; "
            f"it has {', '.join(f'`{name}`' for name in frame.columns)}",
            where=where,
            hint="rename its columns to open, high, low, close, volume and amount",
        )
    if frame.empty:
        raise RequestError("the frame has no rows", where=where)
    frame = frame.copy()
    for name in (name for name in ("volume", "amount") if name not in frame.columns):
        for other in frame.columns:
            if ALIASES.get(str(other).lower(), str(other).lower()) == name:
                raise RequestError(
                    f"the column `{other}` would be left out: it is not called `{name}`",
                    where=where,
                    hint=f"rename it: df.rename(columns={{{str(other)!r}: {name!r}}})",
                )
    if "volume" not in frame.columns:
        frame["volume"] = 0.0
        frame["amount"] = 0.0
    if "amount" not in frame.columns:
        frame["amount"] = frame["volume"] * frame[list(PRICES)].mean(axis=1)
    return frame[list(COLUMNS)]


def _values(frame: Any, where: str) -> NDArray[np.float32]:
    try:
        values: NDArray[np.float32] = frame.values.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"a column holds something else than numbers: {error}", where=where
        ) from error
    rows, columns = np.nonzero(~np.isfinite(values))
    if len(rows):
        found = frame.iloc[rows[0], columns[0]]
        raise RequestError(
            f"`{COLUMNS[columns[0]]}` of row {rows[0]} is {found}, and must be a finite number",
            where=where,
        )
    return values


def _timestamps(given: Any, wanted: int, name: str, where: str) -> Any:
    """A series of datetimes, of `wanted` length and rising."""
    import pandas

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of texts in more than one format
            times = pandas.Series(pandas.to_datetime(pandas.Series(list(given))))
    except (TypeError, ValueError) as error:
        raise RequestError(f"{name} is no list of timestamps: {error}", where=where) from error
    if len(times) != wanted:
        raise RequestError(f"{name} has {len(times)} timestamps for {wanted} bars", where=where)
    if not pandas.api.types.is_datetime64_any_dtype(times.dtype):
        raise RequestError(f"{name} holds {times.dtype}, and must hold timestamps", where=where)
    if times.isna().any():
        raise RequestError(f"{name} has none for bar {int(times.isna().argmax())}", where=where)
    falls = np.flatnonzero(times.diff().dt.total_seconds().to_numpy()[1:] <= 0)
    if len(falls):
        first = int(falls[0])
        raise RequestError(
            f"{name} does not rise: {times[first]} is followed by {times[first + 1]}",
            where=where,
            hint="sort the rows by time and drop those that are there twice",
        )
    return times


def _parts(times: Any) -> NDArray[np.int64]:
    """Minute, hour, weekday, day and month, int64 [length, 5]."""
    parts = times.dt
    columns = (parts.minute, parts.hour, parts.day_of_week, parts.day, parts.month)
    return np.stack([np.asarray(each, dtype=np.int64) for each in columns], axis=1)
