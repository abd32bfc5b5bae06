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
    Known(
        code="KRONOS108",
        patterns=(
            r"Shape of passed values is \(\d+, 6\), indices imply \(\d+, 6\)",
            r"y_timestamp length at index \d+ should equal pred_len",
            r"cannot reshape tensor of 0 elements into shape \[-1, 0, [56]\]",
        ),
        seen_with=(r"auto_regressive_inference", r"[Kk]ronos"),
        cause="there are more or fewer future timestamps than `pred_len`, none at all, or no bars; "
        "a `pred_len` beyond `max_context` ends the same way",
        hint="give exactly `pred_len` future timestamps as a pandas Series; "
        "`trueup.kronos.KronosPredictor` says which is wrong, and goes beyond the context",
    ),
    Known(
        code="KRONOS108",
        is_broad=True,
        patterns=(
            r"The size of tensor a \(\d+\) must match the size of tensor b \(\d+\) at "
            r"non-singleton dimension 1",
        ),
        seen_with=(r"decode_s1", r"auto_regressive_inference"),
        cause="there are fewer timestamps than bars: of the past, or of the future than `pred_len`",
        hint="give one timestamp for each bar, and exactly `pred_len` of the future",
    ),
    Known(
        code="KRONOS109",
        is_broad=True,
        patterns=(
            r"probability tensor contains either `inf`, `nan` or element < 0",
            r"'>' not supported between instances of 'NoneType' and 'int'",
        ),
        seen_with=(r"sample_from_logits", r"auto_regressive_inference"),
        cause="the sampling settings: `T = 0` divides by zero, and `top_k` must be a number, 0 for "
        "none; a model that gives NaN ends in the same message",
        hint="for the likeliest path give `T=1.0, top_k=1`; `top_k=0` turns it off",
    ),
    Known(
        code="KRONOS110",
        patterns=(
            r"Parallel prediction requires all series to have consistent "
            r"(?:historical|prediction) lengths",
        ),
        cause="`predict_batch` of the public code takes series of one length only",
        hint="cut them to one length, or take `trueup.kronos.KronosPredictor`, which takes any",
    ),
    Known(
        code="KRONOS111",
        patterns=(
            r"(?:Input DataFrame|DataFrame at index \d+) contains NaN values in price or volume",
        ),
        cause="the frame holds NaN; infinity is not found by that check, and the forecast is NaN",
        hint="drop or fill those rows: `df.replace([inf, -inf], nan).dropna()`",
    ),
)
