"""Series of a pandas frame: candles in columns, times in a column or the index."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from trueup.errors import RequestError
from trueup.forecasting.bars import Series, Times, build_series, from_wall_clock
from trueup.forecasting.columns import Roles, find_roles
from trueup.forecasting.table import ID, TIME
from trueup.forecasting.times import TimeReader

if TYPE_CHECKING:
    import pandas as pd


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


def read_futures(future: Any, read: ReadFrame) -> list[Times]:
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
