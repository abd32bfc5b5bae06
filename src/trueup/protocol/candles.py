"""Candles of a request: series of bars with their timestamps, read and checked.

Reads shapes alone: whether bars can be (a high below the close, times that go back) is judged by
whoever forecasts. No numpy: the gateway reads requests as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from trueup.errors import RequestError
from trueup.protocol.fields import refuse, unknown

MAX_SERIES = 256
# Of all series of a request.
MAX_BARS = 200_000
MAX_ID_CHARACTERS = 200
PRICES = ("open", "high", "low", "close")
COLUMNS = (*PRICES, "volume", "amount")
KEYS = ("id", "timestamps", *COLUMNS, "future_timestamps")

EPOCH = datetime(1970, 1, 1)
MICROSECOND = timedelta(microseconds=1)
# Whole numbers are Unix time: seconds, and milliseconds from here on (in seconds: the year 5138).
FIRST_MILLISECONDS = 10**11
# What 64 bits of nanoseconds can hold.
FIRST_TIME, LAST_TIME = datetime(1678, 1, 1), datetime(2262, 1, 1)
NUMBERS = frozenset({int, float, type(None)})


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleSeries:
    """One series; `columns` has open, high, low, close and perhaps volume and amount.

    A missing number is None. `timestamps` are nanoseconds since 1970 of the local clock, whose
    distance to UTC is `offset` where it was stated (`+08:00`, `Z`); `future` are those of the bars
    to come, None where they are to be inferred.
    """

    id: str
    timestamps: tuple[int, ...]
    columns: Mapping[str, Sequence[float | None]] = field(repr=False)
    future: tuple[int, ...] | None = None
    offset: str = ""


def read_series(param: str, value: Any) -> tuple[CandleSeries, ...]:
    """Read the series of a request: a list of objects, or one object.

    Raises:
        RequestError: one of them has a field that is missing, unknown or of another length, or
            there are too many.
    """
    listed = [value] if isinstance(value, dict) else value
    if not isinstance(listed, list) or not listed:
        refuse(param, value, "a list of series that is not empty")
    if len(listed) > MAX_SERIES:
        raise _too_many(param, f"{len(listed)} series", f"{MAX_SERIES}")
    found = tuple(_one(f"{param}[{index}]", index, each) for index, each in enumerate(listed))
    bars = sum(len(each.timestamps) for each in found)
    if bars > MAX_BARS:
        raise _too_many(param, f"{bars} bars", f"{MAX_BARS} of all series")
    seen: set[str] = set()
    for index, each in enumerate(found):
        if each.id in seen:
            raise RequestError(
                f"`{param}[{index}].id` is `{each.id}`, which another series has",
                param=f"{param}[{index}].id",
            )
        seen.add(each.id)
    return found


def _too_many(param: str, found: str, limit: str) -> RequestError:
    return RequestError(
        f"`{param}` has {found}, expected at most {limit} in one request",
        param=param,
        code="forecast_too_large",
        hint="send fewer: models see no more of a series than their context, 512 or 2048 bars",
    )


def _one(place: str, index: int, shape: Any) -> CandleSeries:
    if not isinstance(shape, dict):
        refuse(place, shape, "an object with `timestamps`, `open`, `high`, `low` and `close`")
    for name in shape:
        if name not in KEYS:
            raise unknown(f"{place}.{name}", name, KEYS)
    missing = [name for name in ("timestamps", *PRICES) if shape.get(name) is None]
    if missing:
        raise RequestError(
            f"`{place}` has no `{missing[0]}`, expected `timestamps`, `open`, `high`, `low` and "
            "`close`",
            param=f"{place}.{missing[0]}",
        )
    times, offset = _times(f"{place}.timestamps", shape["timestamps"])
    columns = {
        name: _numbers(f"{place}.{name}", shape[name], len(times))
        for name in COLUMNS
        if shape.get(name) is not None
    }
    future = None
    if shape.get("future_timestamps") is not None:
        where = f"{place}.future_timestamps"
        future, future_offset = _times(where, shape["future_timestamps"])
        if future_offset != offset:
            raise _two_offsets(where, offset, future_offset)
    return CandleSeries(
        id=_id(f"{place}.id", shape.get("id"), index),
        timestamps=times,
        columns=columns,
        future=future,
        offset=offset,
    )


def _id(param: str, value: Any, index: int) -> str:
    if value is None:
        return str(index)
    if isinstance(value, bool) or not isinstance(value, str | int):
        refuse(param, value, "a string")
    name = str(value)
    if not 0 < len(name) <= MAX_ID_CHARACTERS:
        refuse(param, value, f"a string of 1 to {MAX_ID_CHARACTERS} characters")
    return name


def _numbers(param: str, value: Any, count: int) -> Sequence[float | None]:
    if not isinstance(value, list):
        refuse(param, value, "a list of numbers")
    if len(value) != count:
        raise RequestError(
            f"`{param}` has {len(value)} numbers, and there are {count} timestamps", param=param
        )
    if not NUMBERS.issuperset(map(type, value)):
        at = next(i for i, each in enumerate(value) if type(each) not in NUMBERS)
        refuse(f"{param}[{at}]", value[at], "a number")
    return value


def _times(param: str, value: Any) -> tuple[tuple[int, ...], str]:
    if not isinstance(value, list) or not value:
        refuse(param, value, "a list of timestamps that is not empty")
    if isinstance(value[0], int) and not isinstance(value[0], bool):
        return _unix_times(param, value), ""
    times: list[int] = []
    offsets: dict[timedelta | None, datetime] = {}
    for index, each in enumerate(value):
        try:
            moment = datetime.fromisoformat(each)
        except (ValueError, TypeError):
            refuse(
                f"{param}[{index}]",
                each,
                "a time such as `2026-06-30 14:55:00` (ISO 8601), or Unix seconds in every place",
            )
        offsets.setdefault(moment.utcoffset(), moment)
        plain = moment.replace(tzinfo=None)
        if not FIRST_TIME <= plain < LAST_TIME:
            refuse(f"{param}[{index}]", each, "a time between the years 1678 and 2261")
        times.append((plain - EPOCH) // MICROSECOND * 1000)
    first, *others = (_offset(each) for each in offsets.values())
    if others:
        raise _two_offsets(param, first, others[0])
    return tuple(times), first


def _unix_times(param: str, value: Sequence[Any]) -> tuple[int, ...]:
    if {*map(type, value)} != {int}:
        at = next(i for i, each in enumerate(value) if type(each) is not int)
        refuse(f"{param}[{at}]", value[at], "Unix time as a whole number, as the first one")
    unit = 10**6 if max(map(abs, value)) >= FIRST_MILLISECONDS else 10**9
    first, last = ((each - EPOCH) // MICROSECOND * 1000 for each in (FIRST_TIME, LAST_TIME))
    for index, each in enumerate(value):
        if not first <= each * unit < last:
            refuse(f"{param}[{index}]", each, "Unix time in seconds or milliseconds")
    return tuple(each * unit for each in value)


def _offset(moment: datetime) -> str:
    if moment.tzinfo is None:
        return ""
    text = moment.isoformat(timespec="seconds")
    return "Z" if moment.tzinfo is UTC else text[len("2026-06-30T14:55:00") :]


def _two_offsets(param: str, first: str, second: str) -> RequestError:
    return RequestError(
        f"`{param}` has times with the offset `{first or 'none'}` and with `{second or 'none'}`: "
        "a bar is told by the clock of its exchange",
        param=param,
        hint="send the local times of one place, without offsets",
    )
