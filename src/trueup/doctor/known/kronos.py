"""Kronos, the forecasting model: what predicting takes. Loading is a rule's. Data only."""

from __future__ import annotations

from trueup.doctor.known.row import Known

ROWS = (
    Known(
        code="KRONOS106",
        is_broad=True,
        patterns=(r"Price columns .* not found in", r"KeyError: 'open'"),
        seen_with=(r"[Kk]ronos", r"predict"),
        cause="the frame lacks the columns open, high, low and close; capitalised names are not "
        "recognised, and `vol` or `amt` are silently taken for no volume",
        hint="rename the columns to open, high, low, close, volume, amount",
    ),
    Known(
        code="KRONOS107",
        patterns=(
            r"'DatetimeIndex' object has no attribute '?dt\b",
            r"Can only use \.dt accessor with datetimelike values",
            r"'(?:list|str)' object has no attribute '?dt\b",
        ),
        cause="Kronos wants timestamps as a pandas Series of datetimes",
        hint="pass `pandas.Series(pandas.to_datetime(timestamps))`",
    ),
)
