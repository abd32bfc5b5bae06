"""The published regression of Kronos-small: its input, and what the original gave for it.

A directory holds the bars and two files of outputs, by context. Whoever has the published weights
can confirm that this implementation gives the same; other weights give other bars.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.errors import CheckpointError
from trueup.kronos.forecaster import Forecaster, Window
from trueup.protocol.candles import COLUMNS

INPUT = "kronos_regression_input.csv"
OUTPUTS = {256: "kronos_regression_output_256.csv", 512: "kronos_regression_output_512.csv"}
# As in the public repository's own regression test: the likeliest token, on the CPU, in fp32, with
# the bars after the lookback as future timestamps.
MAX_CONTEXT = 512
TEMPERATURE, TOP_K, TOP_P, SAMPLES, SEED = 1.0, 1, 1.0, 1, 123
# Its tolerance too, relative to each expected number.
RELATIVE_TOLERANCE = 1e-5
ROWS_LIMIT = 100_000
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Candles:
    """Timestamps and bars [n, 6] of one file."""

    timestamps: tuple[datetime, ...]
    bars: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """The bars, and by lookback what came of them."""

    candles: Candles
    expected: dict[int, Candles]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One lookback: how far our bars are from the original's, and how long they took.

    `worst` is the largest relative difference, of the column `column` at the step `step` (from 1);
    `first` is the first step where a number is beyond the tolerance, None where none is.
    """

    lookback: int
    horizon: int
    worst: float
    column: str
    step: int
    first: int | None
    seconds: float

    @property
    def is_equal(self) -> bool:
        """Whether every number is within the tolerance."""
        return self.first is None


def read_golden(directory: Path) -> Golden:
    """The three files.

    Raises: CheckpointError where one is absent, not as published, or does not fit the others.
    """
    candles = _read(directory / INPUT)
    expected = {lookback: _read(directory / name) for lookback, name in OUTPUTS.items()}
    for lookback, after in expected.items():
        future = candles.timestamps[lookback : lookback + len(after.timestamps)]
        if not after.timestamps or future != after.timestamps:
            raise CheckpointError(
                f"the timestamps of `{OUTPUTS[lookback]}` are not those of `{INPUT}` after its "
                f"first {lookback} bars",
                where=str(directory / OUTPUTS[lookback]),
                hint="take all three files from one place",
            )
    return Golden(candles=candles, expected=expected)


def compare(
    golden: Golden, forecaster: Forecaster, told: Callable[[str], None] = lambda _: None
) -> tuple[Case, ...]:
    """Forecast as the original did, one case after the other.

    Raises: RequestError where the bars cannot be forecast.
    """
    cases = []
    for lookback, after in golden.expected.items():
        horizon = len(after.timestamps)
        told(f"lookback {lookback}: {horizon} bars")
        started = time.monotonic()
        paths = forecaster.sample(
            [_window(golden.candles, lookback, horizon)],
            horizon,
            samples=SAMPLES,
            temperature=TEMPERATURE,
            top_k=TOP_K,
            top_p=TOP_P,
            seed=SEED,
        )
        seconds = time.monotonic() - started
        cases.append(_case(lookback, paths[0, 0], after.bars, seconds))
    return tuple(cases)


def report(
    cases: tuple[Case, ...], forecaster: Forecaster, *, directory: Path, model: dict[str, Any]
) -> dict[str, Any]:
    """The comparison in its JSON shape."""
    is_equal = all(each.is_equal for each in cases)
    dtype = str(forecaster.model.norm.weight.dtype).removeprefix("torch.")
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "kronos golden answers",
        "verdict": "confirmed" if is_equal else "mismatch",
        "model": model,
        "golden": str(directory),
        "dtype": dtype,
        "device": str(forecaster.device),
        "context": forecaster.context,
        "relative_tolerance": RELATIVE_TOLERANCE,
        "call": {
            "temperature": TEMPERATURE,
            "top_k": TOP_K,
            "top_p": TOP_P,
            "samples": SAMPLES,
            "seed": SEED,
        },
        "cases": [
            {**asdict(each), "verdict": "equal" if each.is_equal else "different"} for each in cases
        ],
    }


def _window(candles: Candles, lookback: int, horizon: int) -> Window:
    stamps = np.array(
        [
            (each.minute, each.hour, each.weekday(), each.day, each.month)
            for each in candles.timestamps[: lookback + horizon]
        ],
        dtype=np.int64,
    )
    return Window(bars=candles.bars[:lookback], past=stamps[:lookback], future=stamps[lookback:])


def _case(
    lookback: int, found: NDArray[np.float32], expected: NDArray[np.float64], seconds: float
) -> Case:
    # Both in fp32, as the original's test compares.
    wanted = expected.astype(np.float32)
    apart = np.abs(found.astype(np.float64) - wanted)
    relative = apart / np.maximum(np.abs(wanted), 1e-9)
    relative[~np.isfinite(relative)] = np.inf
    step, column = np.unravel_index(int(np.argmax(relative)), relative.shape)
    beyond = np.flatnonzero((relative > RELATIVE_TOLERANCE).any(axis=1))
    return Case(
        lookback=lookback,
        horizon=len(wanted),
        worst=float(relative[step, column]),
        column=COLUMNS[int(column)],
        step=int(step) + 1,
        first=int(beyond[0]) + 1 if len(beyond) else None,
        seconds=seconds,
    )


def _read(path: Path) -> Candles:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            timestamps, bars = _rows(rows, path)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"there is no `{path.name}` in the directory",
            where=str(path.parent),
            hint=f"it holds {INPUT} and {' and '.join(OUTPUTS.values())}: the files of the "
            "regression test in the public repository, under these names",
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CheckpointError(f"the file cannot be read: {reason}", where=str(path)) from error
    return Candles(timestamps=timestamps, bars=bars)


def _rows(
    rows: csv.DictReader[str], path: Path
) -> tuple[tuple[datetime, ...], NDArray[np.float64]]:
    names = ("timestamps", *COLUMNS)
    lacking = [name for name in names if name not in (rows.fieldnames or ())]
    if lacking:
        raise CheckpointError(
            f"the file has no column `{lacking[0]}`, expected {', '.join(names)}", where=str(path)
        )
    timestamps: list[datetime] = []
    bars: list[list[float]] = []
    for row in rows:
        if len(bars) == ROWS_LIMIT:
            raise CheckpointError(f"more than {ROWS_LIMIT:,} rows", where=str(path))
        try:
            timestamps.append(datetime.fromisoformat(row["timestamps"]))
            bars.append([float(row[name]) for name in COLUMNS])
        except (TypeError, ValueError) as error:
            raise CheckpointError(
                f"a row that is not a timestamp and six numbers: {error}",
                where=f"{path}:{rows.line_num}",
            ) from error
    return tuple(timestamps), np.array(bars, dtype=np.float64).reshape(-1, len(COLUMNS))
