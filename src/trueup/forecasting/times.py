"""Timestamps as people write them: ISO texts, other texts, dates as numbers, epochs.

One reader reads one column, whole or in parts: what its first part says of the form holds for the
rest, so that a day and a month cannot change places in the middle of a file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any

import numpy as np

from trueup.errors import RequestError
from trueup.forecasting.bars import NANOSECONDS, Times

FIRST_YEAR, LAST_YEAR = 1678, 2261  # what nanoseconds in 64 bits reach
OFFSET = re.compile(r"(?:[zZ]|[+-]\d\d:?\d\d(?::?\d\d)?)$")
ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?")
ISO_LINES = re.compile(rf"{ISO.pattern}(?:\n{ISO.pattern})*")
NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")
# Day and month can be told apart in the first of each list only by their values.
FORMS = (
    ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日"),
    ("%d.%m.%Y",),
    ("%d/%m/%Y", "%m/%d/%Y"),
    ("%d-%m-%Y", "%m-%d-%Y"),
)
CLOCKS = ("", " %H:%M:%S", " %H:%M", " %H:%M:%S.%f", " %I:%M:%S %p", " %I:%M %p")
# Of numbers: the digits of the whole part say what they count or spell.
SPELLED = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
EPOCHS = ((1e11, "s", "seconds"), (1e14, "ms", "milliseconds"), (1e17, "us", "microseconds"))
Parse = Callable[[Sequence[str]], Times]


class TimeReader:
    """Reads the parts of one column; `timezone` and `remarks` are known after the first.

    Times that have an offset are returned in UTC.
    """

    def __init__(self, place: str | None = None) -> None:
        self.timezone: tzinfo | None = None
        self.remarks: list[str] = []
        self._place = place
        self._parse: Parse | None = None
        self._offsets: list[timedelta] = []

    def read(self, values: Sequence[Any]) -> Times:
        """The times of the next part of the column.

        Raises: RequestError where one of them is no time.
        """
        if isinstance(values, np.ndarray) and values.dtype.kind == "M":
            return self._checked(values.astype(NANOSECONDS), values)
        listed = values.tolist() if isinstance(values, np.ndarray) else values
        if not len(listed):
            return np.empty(0, dtype=NANOSECONDS)
        texts = [each if isinstance(each, str) else _text(each) for each in listed]
        if self._parse is None:
            self._parse = self._form_of(texts)
        return self._checked(self._parse(texts), texts)

    def _form_of(self, texts: Sequence[str]) -> Parse:
        first = texts[0].strip()
        if ISO.fullmatch(first):
            return self._iso
        if NUMBER.fullmatch(first):
            return self._number_form(first)
        if _is_from_iso(first):
            return self._iso_offset if OFFSET.search(first) else self._from_iso
        for group in FORMS:
            fitting = [form for form in group if self._fits(first, form)]
            if fitting:
                return self._written(texts, [form + c for form in fitting for c in CLOCKS])
        raise self._refusal(first)

    def _fits(self, text: str, form: str) -> bool:
        return any(_reads(text, form + clock) for clock in CLOCKS)

    def _written(self, texts: Sequence[str], forms: Sequence[str]) -> Parse:
        """The one form that all `texts` have."""
        forms = [form for form in forms if _reads(texts[0].strip(), form)]
        forms = [form for form in forms if all(_reads(text.strip(), form) for text in texts)]
        if not forms:
            raise RequestError(
                f"the times have several forms: the first is `{texts[0]}`",
                param="timestamps",
                where=self._place,
                hint="write all of them as 2024-06-18 11:15:00",
            )
        if len(forms) > 1 and _read_as(texts, forms[0]) != _read_as(texts, forms[1]):
            raise RequestError(
                f"`{texts[0]}`: the day and the month cannot be told apart",
                param="timestamps",
                where=self._place,
                hint="write times as 2024-06-18 11:15:00",
            )
        form = forms[0]
        self.remarks.append(f"times such as `{texts[0]}` are read as `{form}`")
        return lambda part: self._strptime(part, form)

    def _number_form(self, first: str) -> Parse:
        whole = first.partition(".")[0].lstrip("+")
        form = SPELLED.get(len(whole))
        if form is not None and whole.isdigit() and _reads(whole, form):
            self.remarks.append(f"times such as `{first}` are read as `{form}`")
            return lambda part: self._strptime([text.partition(".")[0] for text in part], form)
        size = abs(float(first))
        unit, words = next(
            ((unit, words) for limit, unit, words in EPOCHS if size < limit), ("ns", "nanoseconds")
        )
        if size < 1e8:
            raise RequestError(
                f"the time `{first}` is a number that is neither a date nor a count from 1970",
                param="timestamps",
                where=self._place,
                hint="name the column that has the times (`timestamp_column`)",
            )
        self.remarks.append(f"times are read as {words} since 1970")
        return lambda part: self._epoch(part, unit)

    def _epoch(self, texts: Sequence[str], unit: str) -> Times:
        scale = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
        out = np.empty(len(texts), dtype=np.int64)
        for position, text in enumerate(texts):
            try:
                exact = int(text) if text.strip().lstrip("+-").isdigit() else None
                value = exact * scale if exact is not None else round(float(text) * scale)
                out[position] = value
            except (ValueError, OverflowError):
                raise self._refusal(text) from None
        return out.astype(NANOSECONDS)

    def _iso(self, texts: Sequence[str]) -> Times:
        # numpy takes `now`, bare years and offsets too, which are not meant.
        if ISO_LINES.fullmatch("\n".join(texts)) is None:
            texts = [text.strip() for text in texts]
            if bad := next((text for text in texts if ISO.fullmatch(text) is None), None):
                raise self._refusal(bad)
        try:
            parsed = np.array(texts, dtype=NANOSECONDS)
        except ValueError:
            bad = next(text for text in texts if not _is_from_iso(text))
            raise self._refusal(bad) from None
        years = [int(text[:4]) for text in (min(texts), max(texts))]
        if years[0] < FIRST_YEAR or years[1] > LAST_YEAR:
            raise self._refusal(min(texts) if years[0] < FIRST_YEAR else max(texts))
        return parsed

    def _from_iso(self, texts: Sequence[str]) -> Times:
        return self._moments(texts, datetime.fromisoformat)

    def _strptime(self, texts: Sequence[str], form: str) -> Times:
        return self._moments(texts, lambda text: datetime.strptime(text, form))

    def _iso_offset(self, texts: Sequence[str]) -> Times:
        moments = self._moments_of(texts, datetime.fromisoformat)
        for moment, text in zip(moments, texts, strict=True):
            offset = moment.utcoffset()
            if offset is None:
                raise RequestError(
                    f"the time `{text}` has no offset, others have one",
                    param="timestamps",
                    where=self._place,
                )
            if not self._offsets or offset != self._offsets[-1]:
                self._offsets.append(offset)
        self.timezone = UTC if not self._offsets[-1] else timezone(self._offsets[-1])
        if len(set(self._offsets)) > 1 and not self._is_told_of_offsets():
            self.remarks.append(
                "the times have several offsets from UTC: all are seen from the last one"
            )
        return np.array(
            [moment.astimezone(UTC).replace(tzinfo=None) for moment in moments], dtype=NANOSECONDS
        )

    def _is_told_of_offsets(self) -> bool:
        return any("several offsets" in remark for remark in self.remarks)

    def _moments(self, texts: Sequence[str], read: Callable[[str], datetime]) -> Times:
        moments = self._moments_of(texts, read)
        for moment, text in zip(moments, texts, strict=True):
            if moment.tzinfo is not None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
                raise self._refusal(text)
        return np.array(moments, dtype=NANOSECONDS)

    def _moments_of(self, texts: Sequence[str], read: Callable[[str], datetime]) -> list[datetime]:
        moments = []
        for text in texts:
            try:
                moments.append(read(text.strip()))
            except ValueError:
                raise self._refusal(text) from None
        return moments

    def _checked(self, times: Times, values: Sequence[Any]) -> Times:
        empty = np.flatnonzero(np.isnat(times))
        if len(empty):
            raise self._refusal(str(values[int(empty[0])]))
        return times

    def _refusal(self, text: str) -> RequestError:
        what = f"`{text}` is no time" if text.strip() else "a bar has no time"
        form = "" if self._parse is None else ", or not of the form of the first one"
        return RequestError(
            what + (form if text.strip() else ""),
            param="timestamps",
            where=self._place,
            hint="write times as 2024-06-18 11:15:00 or as seconds since 1970",
        )


def _text(value: Any) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return str(int(value)) if value.is_integer() else repr(value)
    return "" if value is None else str(value)


def _is_from_iso(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _reads(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def _read_as(texts: Sequence[str], form: str) -> list[datetime]:
    return [datetime.strptime(text.strip(), form) for text in texts]
