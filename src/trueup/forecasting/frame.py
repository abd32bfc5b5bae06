"""`trueup.forecast`: forecasts of candles in pandas frames. The only place that knows pandas."""

from __future__ import annotations

import importlib.util
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from trueup.errors import ConfigError, RequestError
from trueup.forecasting.bars import Series, Times, build_series, from_wall_clock
from trueup.forecasting.columns import Roles, find_roles
from trueup.forecasting.forecast import (
    DEFAULT_QUANTILES,
    DEFAULT_SAMPLES,
    Mode,
    Request,
    forecast_series,
)
from trueup.forecasting.result import SeriesForecast
from trueup.forecasting.table import ID, TIME, numbers
from trueup.forecasting.times import TimeReader

if TYPE_CHECKING:
    import pandas as pd

    from trueup.kronos.forecaster import Forecaster

EXTRA = "pip install 'trueup[forecast]'"
TORCH_EXTRA = "pip install 'trueup[forecast,torch]'"


class ForecastWarning(UserWarning):
    """A remark on a forecast: what was assumed, left out or odd."""


def require(*packages: str) -> None:
    """Make sure that `packages` are installed.

    Raises: ConfigError.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{', '.join(f'`{name}`' for name in missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed",
            where="the packages of this Python environment",
            hint=TORCH_EXTRA if "torch" in missing else EXTRA,
        )


def forecast(
    data: pd.DataFrame,
    horizon: int,
    *,
    model: str | Path | Forecaster,
    tokenizer: str | Path | None = None,
    context: int | None = None,
    revision: str | None = None,
    freq: str | None = None,
    id_column: str | None = None,
    timestamp_column: str | None = None,
    future: Any = None,
    samples: int = DEFAULT_SAMPLES,
    quantiles: Sequence[float] = DEFAULT_QUANTILES,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 0.9,
    seed: int | None = None,
    mode: Mode = "exact",
    lookback: int | None = None,
    repair: bool = False,
    return_samples: bool = False,
    device: str = "cpu",
    dtype: str = "float32",
    progress: Callable[[float], None] | None = None,
) -> pd.DataFrame:
    """Forecast the `horizon` bars that follow the candles of `data`.

    `data` has a row for each bar, of one series or, with `id_column`, of many. `model` is a
    directory, a hub id, a known name such as `kronos-small`, or a loaded pair, which saves loading
    it again. `future` gives the times to come: a list for all series, or a frame with the id and
    the time. `progress` is told the part that is done, from 0 to 1.

    Returns a row for each bar to come: means as `open` … `amount`, `p_close_up`,
    `expected_range`, quantiles as `close_0.9`, with `return_samples` every path as
    `close_sample_1`. The times are where `data` has them. What was assumed or odd is a
    ForecastWarning and in `.attrs["trueup"]`, with the seed and the mode.

    Raises: RequestError where the request or the data cannot be used; ConfigError where a package
    is missing; CheckpointError where the model cannot be loaded.
    """
    require("pandas", "torch")
    request = Request(
        horizon=horizon,
        samples=samples,
        quantiles=tuple(quantiles),
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        mode=mode,
        freq=freq,
        lookback=lookback,
        repair=repair,
        return_samples=return_samples,
    )
    read = read_frame(data, id_column=id_column, timestamp_column=timestamp_column)
    futures = None if future is None else _futures(future, read, horizon)
    forecaster = model
    if isinstance(model, str | Path):
        from trueup.kronos.loading import load_forecaster

        forecaster = load_forecaster(
            model,
            tokenizer=tokenizer,
            context=context,
            revision=revision,
            device=device,
            dtype=dtype,
        )
    total = len(read.series) * horizon

    def on_step(step: int, bars: NDArray[np.float32], first: int) -> None:
        if progress is not None:
            progress((first * horizon + (step + 1) * len(bars)) / total)

    forecasts = forecast_series(
        forecaster,  # type: ignore[arg-type]
        read.series,
        request,
        futures=futures,
        on_step=on_step,
    )
    _warn(forecasts)
    return _frame(forecasts, read)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFrame:
    """The series of a frame, and how the frame names and keeps their times."""

    series: list[Series]
    ids: list[Any] | None
    id_name: Any
    time_name: Any
    zone: Any
    in_index: bool


def read_frame(
    data: pd.DataFrame, *, id_column: str | None = None, timestamp_column: str | None = None
) -> ReadFrame:
    """The series of a frame in the order of their names.

    Raises: RequestError.
    """
    import pandas as pd

    if not isinstance(data, pd.DataFrame):
        raise RequestError(
            f"the candles are a `{type(data).__name__}`, expected a pandas DataFrame", param="data"
        )
    if not len(data):
        raise RequestError("the frame has no row, expected 1 or more", param="data")
    data = _flat(data, id_column)
    roles, times, time_name, in_index = _roles(data, id_column, timestamp_column)
    reader = TimeReader()
    instants, zone = _instants(times, reader)
    told = [*roles.remarks, *reader.remarks]
    columns = {name: _numbers(data.iloc[:, at], name) for name, at in roles.bars.items()}
    ids: list[Any] | None = None
    groups: list[tuple[Any, Any]] = [("", slice(None))]
    if roles.id is not None:
        codes, names = pd.factorize(data.iloc[:, roles.id], sort=True)
        if (codes < 0).any():
            raise RequestError("a row does not say of which series it is", param="id_column")
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))
        ids = list(names)
        groups = [(name, order[bounds[at] : bounds[at + 1]]) for at, name in enumerate(ids)]
    series = [
        build_series(
            str(name),
            instants[rows],
            {column: values[rows] for column, values in columns.items()},
            timezone=_zone(zone) or reader.timezone,
            remarks=told,
        )
        for name, rows in groups
    ]
    return ReadFrame(
        series=series,
        ids=ids,
        id_name=ID if roles.id is None else data.columns[roles.id],
        time_name=time_name,
        zone=zone or reader.timezone,
        in_index=in_index and ids is None,
    )


def _flat(data: pd.DataFrame, id_column: str | None) -> pd.DataFrame:
    """With one level of columns, and ids and times in columns where the index has both."""
    if data.columns.nlevels > 1:
        outer = [level for level in range(data.columns.nlevels) if data.columns.levels[level].size]
        plain = [each for each in outer if data.columns.get_level_values(each).nunique() > 1]
        if len(plain) != 1:
            raise RequestError(
                f"the columns have {data.columns.nlevels} levels, expected one",
                param="data",
                hint="for many series: one row for each bar and series (`data.stack(level=1)`), "
                "with a column that names the series",
            )
        data = data.set_axis(data.columns.get_level_values(plain[0]), axis=1)
    if data.index.nlevels > 1 or (id_column is not None and data.index.name == id_column):
        data = data.reset_index()
    return data


def _roles(
    data: pd.DataFrame, id_column: str | None, timestamp_column: str | None
) -> tuple[Roles, Any, Any, bool]:
    import pandas as pd

    names = [str(name) for name in data.columns]
    is_index = timestamp_column is not None and timestamp_column == data.index.name
    if is_index and timestamp_column not in names:
        timestamp_column = None
    roles = find_roles(names, time_column=timestamp_column, id_column=id_column)
    has_time_index = isinstance(data.index, pd.DatetimeIndex | pd.PeriodIndex)
    if timestamp_column is None and (has_time_index or not roles.time):
        if not has_time_index and pd.api.types.is_integer_dtype(data.index.dtype):
            kept = isinstance(data.index, pd.RangeIndex) or abs(int(data.index[0])) < 10**7
            if kept:
                raise RequestError(
                    "neither a column nor the index has the times",
                    param="timestamps",
                    hint="name the column `timestamps`, or say which it is (`timestamp_column`)",
                )
        return roles, data.index, data.index.name or TIME, True
    if len(roles.time) == 2:
        date, clock = (data.iloc[:, at].astype(str) for at in roles.time)
        return roles, date + " " + clock, TIME, False
    at = roles.time[0]
    return roles, data.iloc[:, at], data.columns[at], False


def _instants(times: Any, reader: TimeReader) -> tuple[Times, Any]:
    """Times of a pandas column or index, in UTC where they have the zone beside them."""
    import pandas as pd

    values = pd.Index(times)
    if isinstance(values, pd.PeriodIndex):
        values = values.to_timestamp()
    if not isinstance(values, pd.DatetimeIndex):
        return reader.read(values.tolist()), None
    zone = values.tz
    if zone is not None:
        values = values.tz_convert("UTC").tz_localize(None)
    return reader.read(values.to_numpy()), zone


def _zone(zone: Any) -> tzinfo | None:
    """Pandas' zone as one that `datetime.replace` takes, which those of pytz are not for."""
    name = getattr(zone, "zone", None)
    if isinstance(name, str):
        return ZoneInfo(name)
    return zone if isinstance(zone, tzinfo) else None


def _numbers(column: Any, name: str) -> NDArray[np.float64]:
    import pandas as pd

    try:
        numeric = pd.to_numeric(column)
        return np.asarray(numeric.to_numpy(dtype=np.float64, na_value=np.nan))
    except (ValueError, TypeError) as error:
        raise RequestError(
            f"`{name}` has values that are no numbers: {error}", param="data"
        ) from error


def _futures(future: Any, read: ReadFrame, horizon: int) -> list[Times]:
    """The times to come of each series, in UTC where it has a zone."""
    import pandas as pd

    if not isinstance(future, pd.DataFrame):
        return [_future_of(future, each) for each in read.series]
    names = [str(name) for name in future.columns]
    if str(read.time_name) not in names:
        raise RequestError(
            f"`future` has no column `{read.time_name}`, there {'are' if len(names) != 1 else 'is'}"
            f" {', '.join(f'`{name}`' for name in names)}",
            param="future",
        )
    times = future.iloc[:, names.index(str(read.time_name))]
    if read.ids is None:
        return [_future_of(times, read.series[0])]
    if str(read.id_name) not in names:
        raise RequestError(f"`future` has no column `{read.id_name}`", param="future")
    owners = future.iloc[:, names.index(str(read.id_name))]
    return [
        _future_of(times[owners == name], each)
        for name, each in zip(read.ids, read.series, strict=True)
    ]


def _future_of(times: Any, series: Series) -> Times:
    reader = TimeReader()
    instants, zone = _instants(times, reader)
    has_zone = zone is not None or reader.timezone is not None
    if has_zone and series.timezone is None:
        raise RequestError(
            "the times of `future` have a time zone, those of the history have none",
            param="future",
            hint="future.tz_localize(None)",
        )
    if not has_zone:
        return from_wall_clock(instants, series.timezone)
    return instants


def _warn(forecasts: Sequence[SeriesForecast]) -> None:
    counts = Counter(remark for each in forecasts for remark in each.remarks)
    for remark, count in counts.items():
        of = f" (of {count:,} series)" if count > 1 else ""
        warnings.warn(remark + of, ForecastWarning, stacklevel=3)


def _frame(forecasts: Sequence[SeriesForecast], read: ReadFrame) -> pd.DataFrame:
    import pandas as pd

    times = pd.DatetimeIndex(np.concatenate([each.timestamps for each in forecasts]))
    if read.zone is not None:
        times = times.tz_localize(UTC).tz_convert(read.zone)
    tables = [numbers(each) for each in forecasts]
    columns: dict[Any, Any] = {}
    if read.ids is not None:
        lengths = [len(each) for each in forecasts]
        columns[read.id_name] = [
            name for name, count in zip(read.ids, lengths, strict=True) for _ in range(count)
        ]
    if not read.in_index:
        columns[read.time_name] = times
    columns |= {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    frame = pd.DataFrame(columns)
    if read.in_index:
        frame.index = times.rename(read.time_name)
    first = forecasts[0]
    frame.attrs["trueup"] = {
        "mode": first.mode,
        "seed": first.seed,
        "samples": first.samples,
        "lookback": {each.name: each.lookback for each in forecasts},
        "remarks": {each.name: list(each.remarks) for each in forecasts if each.remarks},
    }
    return frame
