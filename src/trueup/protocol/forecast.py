"""Forecasts of candles on the wire: the request, parsed, and the shapes of the answer.

Not OpenAI's, which has none; the conventions are theirs: one model, JSON in and out, events of a
stream closed by `[DONE]`. Columns are lists, as long as the timestamps beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from trueup.errors import RequestError
from trueup.protocol.candles import (
    COLUMNS,
    MAX_BARS,
    MAX_SERIES,
    CandleSeries,
    read_series,
    too_many,
)
from trueup.protocol.fields import (
    Reader,
    anything,
    boolean,
    described,
    integer,
    number,
    read_fields,
    refuse,
    text,
)
from trueup.protocol.sampling import required

PATH = "/v1/forecasts"
FORECAST, BAR = "forecast", "forecast.bar"

MAX_HORIZON = 4096
MAX_SAMPLES = 256
MAX_QUANTILES = 99
# Of a request: bars are made one after another, all of the samples of all series at a time.
MAX_SAMPLED_BARS = 2**20
# Of an answer, and of one whose last event has to hold them: each takes some ten bytes.
MAX_NUMBERS, MAX_EVENT_NUMBERS = 2**22, 2**19
NUMBERS_OF_A_BAR = len(COLUMNS)
DEFAULT_SAMPLES = 30
DEFAULT_QUANTILES = (0.1, 0.5, 0.9)

Mode = Literal["exact", "rolling"]
MODES: tuple[Mode, ...] = ("exact", "rolling")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastRequest:
    """A checked request of /v1/forecasts.

    Candles are `series`, or `csv`: a table as text, whose columns `id_column` and
    `timestamp_column` may name. `lookback` is how many bars the model sees of each, None for what
    its context holds. `freq` is a step such as `5min` where the timestamps do not tell it; `top_k`
    0 takes every token; `seed` None draws one. `repair` mends sampled bars that no market could
    have, which are only told of else.
    """

    model: str
    horizon: int
    series: tuple[CandleSeries, ...] = ()
    csv: str | None = field(default=None, repr=False)
    id_column: str | None = None
    timestamp_column: str | None = None
    lookback: int | None = None
    freq: str | None = None
    samples: int = DEFAULT_SAMPLES
    quantiles: tuple[float, ...] = DEFAULT_QUANTILES
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 0.9
    seed: int | None = None
    mode: Mode = "exact"
    return_samples: bool = False
    repair: bool = False
    stream: bool = False


def _quantiles(param: str, value: Any) -> tuple[float, ...]:
    expected = f"a list of up to {MAX_QUANTILES} numbers between 0 and 1, each once"
    if not isinstance(value, list) or len(value) > MAX_QUANTILES:
        refuse(param, value, expected)
    for item in value:
        if isinstance(item, bool) or not isinstance(item, int | float) or not 0 < item < 1:
            refuse(param, item, expected)
    if len(set(value)) < len(value):
        refuse(param, value, expected)
    return tuple(sorted(map(float, value)))


def _mode(param: str, value: Any) -> Mode:
    if value not in MODES:
        refuse(param, value, "`exact` or `rolling`")
    return value  # type: ignore[no-any-return]


def _top_p(param: str, value: Any) -> float:
    found: float = number(0, 1)(param, value)
    if not found:
        refuse(param, value, "a number above 0 and up to 1")
    return found


described(
    _quantiles,
    type="array",
    maxItems=MAX_QUANTILES,
    uniqueItems=True,
    items={"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
)
described(_mode, enum=list(MODES))
described(_top_p, type="number", exclusiveMinimum=0, maximum=1)

READERS: dict[str, Reader] = {
    "model": text,
    "horizon": integer(1, MAX_HORIZON),
    "series": read_series,
    "csv": text,
    "id_column": text,
    "timestamp_column": text,
    "lookback": integer(1, MAX_BARS),
    "freq": text,
    "samples": integer(1, MAX_SAMPLES),
    "quantiles": _quantiles,
    "temperature": number(0, 100),
    "top_k": integer(0),
    "top_p": _top_p,
    "seed": integer(0, 2**63 - 1),
    "mode": _mode,
    "return_samples": boolean,
    "repair": boolean,
    "stream": boolean,
    "user": anything,
}


def parse_forecast_request(body: Mapping[str, Any]) -> ForecastRequest:
    """Check the JSON body of a request; null means absent.

    Raises:
        RequestError: a field is missing, out of range or unknown, or the request is too large;
            `param` names it.
    """
    values = read_fields(body, READERS)
    values.pop("user", None)
    for name in ("model", "horizon"):
        required(values, name)
    if "csv" not in values:
        required(values, "series")
        for name in ("id_column", "timestamp_column"):
            if name in values:
                raise RequestError(f"`{name}` is of a table, and there is no `csv`", param=name)
    elif "series" in values:
        raise RequestError(
            "`series` and `csv` are both given: candles are one of them", param="csv"
        )
    request = ForecastRequest(**values)
    check_size(request, len(request.series) or 1)
    return request


def check_size(request: ForecastRequest, count: int) -> None:
    """See that a forecast of `count` series is not too large; of a table, whoever reads it knows.

    Raises:
        RequestError: it is; the limit is told.
    """
    if count > MAX_SERIES:
        raise too_many("csv", f"{count} series", f"{MAX_SERIES}")
    bars = count * request.horizon
    drawn = bars * request.samples
    if drawn > MAX_SAMPLED_BARS:
        raise RequestError(
            f"{count} series of {request.horizon} bars with {request.samples} "
            f"samples are {drawn} bars, expected at most {MAX_SAMPLED_BARS} in one request",
            param="samples" if request.samples > 1 else "series",
            code="forecast_too_large",
            hint="ask for fewer samples, or send the series in several requests",
        )
    tables = 1 + len(request.quantiles) + (request.samples if request.return_samples else 0)
    numbers = bars * tables * NUMBERS_OF_A_BAR
    limit = MAX_EVENT_NUMBERS if request.stream else MAX_NUMBERS
    if numbers > limit:
        streamed = " of a stream" if request.stream else ""
        raise RequestError(
            f"the answer would have {numbers} numbers, expected at most {limit}{streamed}",
            param="return_samples" if request.return_samples else "quantiles",
            code="forecast_too_large",
            hint="leave out `return_samples`, or send the series in several requests"
            if request.return_samples
            else "ask for fewer quantiles, or send the series in several requests",
        )


def bar_event(model: str, step: int, bars: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """An event of a stream: bar `step` of every series, from 0 on.

    It says nothing that another try with the same seed would say otherwise.
    """
    return {"object": BAR, "model": model, "step": step, "bars": list(bars)}


def forecast_response(
    *,
    forecast_id: str,
    created: int,
    request: ForecastRequest,
    forecasts: Sequence[Mapping[str, Any]],
    bars_in: int,
    seed: int | None,
    remarks: Sequence[str],
) -> dict[str, Any]:
    """The whole answer, and the last event of a stream; `bars_in` is the history that was seen."""
    bars_out = len(forecasts) * request.horizon
    return {
        "id": forecast_id,
        "object": FORECAST,
        "created": created,
        "model": request.model,
        "mode": request.mode,
        "seed": seed,
        "samples": request.samples,
        "forecasts": list(forecasts),
        "remarks": list(remarks),
        "usage": {
            "bars_in": bars_in,
            "bars_out": bars_out,
            "sampled_bars": bars_out * request.samples,
        },
    }
