"""Candles of a request: series of bars with their timestamps, read and checked.

Reads shapes alone: whether bars can be (a high below the close, times that go back) is judged by
whoever forecasts. No numpy: the gateway reads requests as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

NUMBERS = frozenset({int, float, type(None)})


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleSeries:
    """One series; `columns` has open, high, low, close and perhaps volume and amount.

    A missing number is None. `timestamps` are texts or counts from 1970 as they were sent, `future`
    those of the bars to come, None where they are to be inferred.
    """

    id: str
    timestamps: Sequence[str] | Sequence[int] = field(repr=False)
    columns: Mapping[str, Sequence[float | None]] = field(repr=False)
    future: Sequence[str] | Sequence[int] | None = field(default=None, repr=False)


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
        raise too_many(param, f"{len(listed)} series", f"{MAX_SERIES}")
    found = tuple(_one(f"{param}[{index}]", index, each) for index, each in enumerate(listed))
    bars = sum(len(each.timestamps) for each in found)
    if bars > MAX_BARS:
        raise too_many(param, f"{bars} bars", f"{MAX_BARS} of all series")
    seen: set[str] = set()
    for index, each in enumerate(found):
        if each.id in seen:
            raise RequestError(
                f"`{param}[{index}].id` is `{each.id}`, which another series has",
                param=f"{param}[{index}].id",
            )
        seen.add(each.id)
    return found


def too_many(param: str, found: str, limit: str) -> RequestError:
    """The error of more than one request may have."""
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
    times = _times(f"{place}.timestamps", shape["timestamps"])
    columns = {
        name: _numbers(f"{place}.{name}", shape[name], len(times))
        for name in COLUMNS
        if shape.get(name) is not None
    }
    future = shape.get("future_timestamps")
    return CandleSeries(
        id=_id(f"{place}.id", shape.get("id"), index),
        timestamps=times,
        columns=columns,
        future=None if future is None else _times(f"{place}.future_timestamps", future),
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


def _times(param: str, value: Any) -> Sequence[str] | Sequence[int]:
    """Texts or whole numbers; what time they are, whoever forecasts reads."""
    if not isinstance(value, list) or not value:
        refuse(param, value, "a list of timestamps that is not empty")
    kind = type(value[0])
    expected = "a text such as `2026-06-30 14:55:00`, or a whole number in every place"
    if kind not in (str, int):
        refuse(f"{param}[0]", value[0], expected)
    if {*map(type, value)} != {kind}:
        at = next(i for i, each in enumerate(value) if type(each) is not kind)
        refuse(f"{param}[{at}]", value[at], expected)
    return value
