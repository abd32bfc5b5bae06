"""Forecasts for whoever speaks CSV: a table and a query as a request, an answer as a table.

Without numpy; a whole answer is turned in a thread of its own.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from trueup.errors import RequestError
from trueup.protocol.candles import COLUMNS
from trueup.protocol.fields import refuse

MEDIA = "text/csv"
CONTENT_TYPE = "text/csv; charset=utf-8"
MAX_PARAMETERS = 64
WHOLE_NUMBERS = frozenset({"horizon", "samples", "top_k", "seed", "lookback"})
NUMBERS = frozenset({"temperature", "top_p"})
TRUTHS = frozenset({"return_samples", "repair", "stream"})
WORDS = {"true": True, "1": True, "false": False, "0": False}
# What `trueup forecast` calls them in its tables.
SERIES, TIMES = "series", "timestamps"
MIDNIGHT = "T00:00:00"


def request_of_table(table: bytes, query: str) -> dict[str, Any]:
    """The request that a table with a query is.

    Raises:
        RequestError: the table is not UTF-8, or a parameter's value is none.
    """
    try:
        text = table.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(
            f"the table is not UTF-8: byte 0x{table[error.start]:02x} at offset {error.start}",
            code="invalid_csv",
            hint="iconv -f GB18030 -t UTF-8 (or from what it is in)",
        ) from error
    if not text.strip():
        raise RequestError(
            "the body is empty, expected a table with a line of names", code="invalid_csv"
        )
    return {**_parameters(query), "csv": text}


def wants_table(accept: str | None) -> bool:
    """Whether a client asks for a table, by its header `Accept`."""
    media = [each.partition(";")[0].strip().lower() for each in (accept or "").split(",")]
    return MEDIA in media


def table_of_answer(body: bytes) -> bytes:
    """The table that a whole answer is: a row for each bar to come, of one series after another.

    `open` to `amount` are means; `close_0.9` is a quantile, `close_sample_1` the first path. A
    column `series` is there where there are several.
    """
    forecasts = orjson.loads(body)["forecasts"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    has_names = len(forecasts) > 1
    names = [name for name, _ in _columns(forecasts[0])]
    writer.writerow([*((SERIES,) if has_names else ()), TIMES, *names])
    for each in forecasts:
        columns = [_times(each["timestamps"]), *(values for _, values in _columns(each))]
        if has_names:
            columns.insert(0, [each["id"]] * len(columns[0]))
        writer.writerows(zip(*columns, strict=True))
    return out.getvalue().encode()


def _columns(forecast: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    for name in COLUMNS:
        yield name, forecast["mean"][name]
    for name in ("p_close_up", "expected_range"):
        yield name, forecast[name]
    tables = list(forecast["quantiles"].items())
    paths = forecast.get("paths") or ()
    tables += [(f"sample_{number}", path) for number, path in enumerate(paths, start=1)]
    for suffix, table in tables:
        for name in COLUMNS:
            yield f"{name}_{suffix}", table[name]


def _times(stamps: list[str]) -> list[str]:
    if all(each.endswith(MIDNIGHT) for each in stamps):
        return [each.removesuffix(MIDNIGHT) for each in stamps]
    return [each.replace("T", " ") for each in stamps]


def _parameters(query: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError as error:
        raise RequestError(f"the query cannot be read: {error}", code="invalid_query") from error
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise RequestError(f"`{name}` is there twice", param=name, where="query")
        if name in ("csv", "series"):
            raise RequestError(
                f"`{name}` is a parameter of JSON; a table is the body itself", param=name
            )
        found[name] = _value(name, value)
    return found


def _value(name: str, text: str) -> Any:
    try:
        if name in WHOLE_NUMBERS:
            return int(text)
        if name in NUMBERS:
            return _finite(text)
        if name == "quantiles":
            return [_finite(each) for each in text.split(",") if each.strip()]
    except ValueError:
        expected = "numbers with commas between" if name == "quantiles" else "a number"
        refuse(name, text, expected)
    if name in TRUTHS:
        if text.lower() not in WORDS:
            refuse(name, text, "`true` or `false`")
        return WORDS[text.lower()]
    return text


def _finite(text: str) -> float:
    """JSON has no other numbers: NaN would be null, which is what was left out."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
