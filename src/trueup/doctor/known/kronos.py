"""Kronos, the forecasting model: loading and predicting. Data only."""

from __future__ import annotations

from trueup.doctor.known.row import CHECK, Known

ROWS = (
    Known(
        code="KRONOS101",
        is_broad=True,
        patterns=(r"missing 16 required positional arguments",),
        seen_with=(r"[Kk]ronos", r"hub_mixin"),
        cause="Kronos's config.json was not found, on the hub or locally: the mixin logs that and "
        "goes on without arguments. Reasons: a wrong repository or revision, no network, a "
        "403, 404, 429 or 500, an empty config",
        hint="download the repository and give its directory; look whether config.json is in it. "
        "Where only the weights are there, `trueup check DIR --write-config` rebuilds it",
        command=CHECK,
    ),
    Known(
        code="KRONOS102",
        is_broad=True,
        patterns=(r"missing 1 required positional argument: '(?P<key>group_size|\w+)'",),
        seen_with=(r"[Kk]ronos", r"hub_mixin"),
        cause="config.json lacks the key `{key}`, or has it under another name",
        hint="take the config.json that belongs to these weights, or have it rebuilt from them: "
        "trueup check DIR --write-config",
        command=CHECK,
    ),
    Known(
        code="KRONOS103",
        is_broad=True,
        patterns=(r"missing (?:3|8) required positional arguments",),
        seen_with=(r"[Kk]ronos", r"hub_mixin"),
        cause="the tokenizer's directory was given to the model, or the model's to the tokenizer",
        hint="give KronosTokenizer the tokenizer's repository and Kronos the model's",
    ),
    Known(
        code="KRONOS104",
        patterns=(r"size mismatch for [\w.]*group_basis", r"group_basis.*\[5\].*\[4\]"),
        cause="the weights of Tokenizer-2k were read with the config of Tokenizer-base",
        hint="Kronos-mini goes with Tokenizer-2k, small and base with Tokenizer-base",
    ),
    Known(
        code="KRONOS105",
        is_broad=True,
        patterns=(r"No such file or directory.*model\.safetensors",),
        seen_with=(r"[Kk]ronos", r"hub_mixin"),
        cause="the directory has a config.json and no weights",
        hint="copy model.safetensors from where the model came from",
    ),
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
