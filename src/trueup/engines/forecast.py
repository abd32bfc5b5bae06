"""The forecasting engine: a request of candles in, bars as they are decoded and the whole out.

What a forecast is, is `trueup.forecasting`'s; here its arrays become the wire's shapes.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueup.engines.base import Work
from trueup.errors import RequestError
from trueup.forecasting.bars import MICROSECONDS, Series, Times, build_series, repaired
from trueup.forecasting.calendar import future_timestamps
from trueup.forecasting.csv_file import read_text
from trueup.forecasting.forecast import Request, forecast_series
from trueup.forecasting.result import SeriesForecast
from trueup.forecasting.times import TimeReader
from trueup.protocol.candles import COLUMNS, CandleSeries
from trueup.protocol.forecast import (
    ForecastRequest,
    bar_event,
    check_size,
    forecast_response,
)

if TYPE_CHECKING:
    from trueup.adapt.plan import Plan
    from trueup.kronos.forecaster import Forecaster

# Of a table without a column of names, as of the first series of a request without ids.
UNNAMED = "0"

Floats = NDArray[np.floating]
# Gets the shape of an event: one more bar.
OnBar = Callable[[Mapping[str, Any]], None]


class ForecastEngine:
    """Answers requests of forecasts with one loaded pair, one after another.

    `work` counts bars: those that were read and those that were made.
    """

    def __init__(self, forecaster: Forecaster, plan: Plan) -> None:
        self.work = Work()
        self._forecaster = forecaster
        self._plan = plan

    def forecast(
        self, request: ForecastRequest, on_bar: OnBar | None, is_cancelled: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """The whole answer, None where it was cancelled; `on_bar` gets every bar before.

        Raises:
            RequestError: bars or times cannot be used.
            CheckpointError: the model gives what is no number.
        """
        series, futures = self._read(request)
        try:
            found = forecast_series(
                self._forecaster,
                series,
                _order(request),
                futures=futures,
                on_step=self._told(request, series, futures, on_bar),
                is_cancelled=is_cancelled,
            )
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            raise _too_large(request, self._plan.device) from error
        if is_cancelled():
            return None
        bars_in = sum(each.lookback for each in found)
        self.work.prefilled_tokens += bars_in
        self.work.decoded_tokens += len(found) * request.horizon * request.samples
        common = _common(found)
        return forecast_response(
            forecast_id=f"forecast-{uuid.uuid4().hex}",
            created=int(time.time()),
            request=request,
            forecasts=[_row(each, common) for each in found],
            bars_in=bars_in,
            seed=found[0].seed,
            remarks=(*self._remarks(), *common),
        )

    def _read(self, request: ForecastRequest) -> tuple[list[Series], list[Times | None]]:
        if request.csv is None:
            read = [_read(index, each) for index, each in enumerate(request.series)]
            return [each for each, _ in read], [each for _, each in read]
        series = read_text(
            request.csv,
            request.lookback or self._forecaster.context,
            place="csv",
            time_column=request.timestamp_column,
            id_column=request.id_column,
        )
        check_size(request, len(series))
        named = [replace(each, name=each.name or UNNAMED) for each in series]
        return named, [None] * len(series)

    def _remarks(self) -> tuple[str, ...]:
        if self._plan.dtype == "float32":
            return ()
        return (f"computed in {self._plan.dtype}: another forecast than the published code's",)

    def _told(
        self,
        request: ForecastRequest,
        series: Sequence[Series],
        futures: Sequence[Times | None],
        on_bar: OnBar | None,
    ) -> Callable[[int, NDArray[np.float32], int], None] | None:
        if on_bar is None:
            return None
        stamps = [
            _texts(
                each.timezone,
                future_timestamps(each, request.horizon, request.freq).timestamps
                if times is None
                else times,
            )
            for each, times in zip(series, futures, strict=True)
        ]

        def tell(step: int, bars: NDArray[np.float32], first: int) -> None:
            shapes = [
                _bar(series[first + place].name, stamps[first + place][step], each, request)
                for place, each in enumerate(bars)
            ]
            on_bar(bar_event(request.model, step, shapes))

        return tell


def load_forecast_engine(
    plan: Plan, progress: Callable[[float], None] | None = None
) -> ForecastEngine:
    """Load what `plan` describes; blocks until the engine can answer.

    Raises: AdaptError where files changed since the plan was made; CheckpointError for what cannot
    be read; CapacityError where memory runs out.
    """
    from trueup.adapt.load import memory_told
    from trueup.adapt.planned_files import unchanged
    from trueup.kronos.loading import load_forecaster

    if plan.forecast is None:
        raise ValueError(f"the plan of `{plan.model.id}` is not for forecasts")
    for each in (plan.model, plan.forecast.tokenizer):
        unchanged(each)
    with memory_told(plan):
        forecaster = load_forecaster(
            plan.model.directory,
            tokenizer=plan.forecast.tokenizer.directory,
            context=plan.context_tokens,
            device=plan.device,
            dtype=plan.dtype,
        )
    if progress is not None:
        progress(1.0)
    return ForecastEngine(forecaster, plan)


def _read(index: int, shape: CandleSeries) -> tuple[Series, Times | None]:
    """A series of a request as arrays, and its future times where they are given."""
    place = f"series[{index}]"
    try:
        reader = TimeReader(place)
        times = reader.read(shape.timestamps)
        future = None if shape.future is None else reader.read(shape.future)
        columns = {
            name: np.array(values, dtype=np.float64) for name, values in shape.columns.items()
        }
        series = build_series(
            shape.id, times, columns, timezone=reader.timezone, remarks=reader.remarks
        )
    except RequestError as error:
        error.where = error.where or place
        raise
    except OverflowError:  # a whole number that no float holds
        raise RequestError(f"`{place}` has a number that is too large", param=place) from None
    return series, future


def _order(request: ForecastRequest) -> Request:
    return Request(
        horizon=request.horizon,
        samples=request.samples,
        quantiles=request.quantiles,
        temperature=request.temperature,
        top_k=request.top_k,
        top_p=request.top_p,
        seed=request.seed,
        mode=request.mode,
        freq=request.freq,
        lookback=request.lookback,
        repair=request.repair,
        return_samples=request.return_samples,
    )


def _texts(zone: tzinfo | None, times: Times) -> list[str]:
    """Times as ISO 8601, by the clock of their series, with its offset where it has one."""
    moments: list[datetime] = times.astype(MICROSECONDS).tolist()
    if zone is None:
        return [each.isoformat() for each in moments]
    return [each.replace(tzinfo=UTC).astimezone(zone).isoformat() for each in moments]


def _bar(
    name: str, timestamp: str, samples: NDArray[np.float32], request: ForecastRequest
) -> dict[str, Any]:
    """One bar of one series [samples, 6], as the whole answer will have it."""
    drawn = (repaired(samples) if request.repair else samples).astype(np.float64)
    levels = np.quantile(drawn, request.quantiles, axis=0) if request.quantiles else ()
    return {
        "id": name,
        "timestamp": timestamp,
        "mean": _numbers(drawn.mean(axis=0)),
        "quantiles": {
            _level(level): _numbers(values)
            for level, values in zip(request.quantiles, levels, strict=True)
        },
    }


def _numbers(bar: Floats) -> dict[str, np.float32]:
    return dict(zip(COLUMNS, bar.astype(np.float32), strict=True))


def _columns(table: Floats) -> dict[str, Floats]:
    """[h, 6] as six lists; contiguous, which the JSON writer needs."""
    return dict(zip(COLUMNS, np.ascontiguousarray(table.T), strict=True))


def _level(quantile: float) -> str:
    return f"{quantile:g}"


def _row(found: SeriesForecast, common: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": found.name,
        "timestamps": _texts(found.timezone, found.timestamps),
        "mean": _columns(found.mean),
        "quantiles": {_level(level): _columns(table) for level, table in found.quantiles.items()},
        "p_close_up": found.p_close_up,
        "expected_range": found.expected_range,
        "last_close": found.last_close,
        "lookback": found.lookback,
        "remarks": [each for each in found.remarks if each not in common],
    }
    if found.paths is not None:
        row["paths"] = [_columns(path) for path in found.paths]
    return row


def _common(found: Sequence[SeriesForecast]) -> list[str]:
    """What is remarked of every series alike, of one as of many."""
    first, *others = (each.remarks for each in found)
    return [each for each in first if all(each in told for told in others)]


def _is_out_of_memory(error: Exception) -> bool:
    """Of a GPU's memory torch has a class, of the host's only words."""
    return isinstance(error, MemoryError) or ("memory" in str(error) and "alloc" in str(error))


def _too_large(request: ForecastRequest, device: str) -> RequestError:
    return RequestError(
        f"the memory of `{device}` does not hold {request.samples} samples of this many bars",
        param="samples",
        code="forecast_too_large",
        hint="ask for fewer samples or a shorter horizon",
    )
