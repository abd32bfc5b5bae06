"""Forecasts of a running server for `trueup forecast --url`: candles out, its answer back."""

from __future__ import annotations

import asyncio
import io
import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Any

import aiohttp
import numpy as np
import orjson

from trueup.cli.client import ChatClient
from trueup.cli.served import with_version
from trueup.cli.server_api import KEY_VARIABLE
from trueup.errors import BackendError, RequestError
from trueup.forecasting.bars import MICROSECONDS, Series, Times, check_bars
from trueup.forecasting.forecast import Request
from trueup.forecasting.result import Floats, SeriesForecast
from trueup.forecasting.times import TimeReader
from trueup.protocol.candles import COLUMNS, MAX_BARS
from trueup.protocol.forecast import BAR, FORECAST

PATH = "/forecasts"
# The number of a bar, its series, and the position of the first of them.
Told = Callable[[int, Sequence[Any], int], None]


def ask_server(
    url: str,
    model: str,
    series: Sequence[Series],
    futures: Sequence[Times | None],
    request: Request,
    told: Told,
) -> list[SeriesForecast]:
    """The forecasts of `series` by the server's model, in their order; `told` hears of every bar.

    Raises:
        BackendError: there is no answer, or not the whole of it.
        RequestError: the server refuses the request.
    """
    if request.lookback is not None:  # else the server alone knows what is seen
        for each in series:
            check_bars(each.last(request.lookback))
    shape = _shape(model, series, futures, request)
    try:
        answer = asyncio.run(_ask(url, shape, told))
    except RequestError as error:
        raise _named(error, series) from error
    try:
        return [
            _forecast(each, row, answer)
            for each, row in zip(series, answer["forecasts"], strict=True)
        ]
    except (LookupError, TypeError, ValueError) as error:
        raise BackendError(
            f"the server's forecast cannot be read: {type(error).__name__}: {error}",
            retryable=False,
            where=url,
        ) from error


def _named(error: RequestError, series: Sequence[Series]) -> RequestError:
    """With the name that a series has here, where it was sent as a number."""
    found = re.fullmatch(r"series `(\d+)`", error.where or "")
    if found is None or int(found[1]) >= len(series):
        return error
    name = series[int(found[1])].name
    where = f"series `{name}`" if name else None
    return RequestError(
        error.cause, param=error.param or "bars", code=error.code, where=where, hint=error.hint
    )


class ForecastClient(ChatClient):
    """Talks to one server."""

    async def forecast(self, shape: Mapping[str, Any], told: Told) -> dict[str, Any]:
        """The whole answer to a streamed request."""
        places = {str(each["id"]): at for at, each in enumerate(shape["series"])}
        whole: dict[str, Any] | None = None
        try:
            async with self._open_session.post(
                f"{self.url}{PATH}",
                # As a file: the library warns of large bodies in bytes.
                data=io.BytesIO(orjson.dumps(shape)),
                headers={"Content-Type": "application/json"},
            ) as response:
                if response.status != 200:
                    raise self._stated(response.status, await response.read())
                async for event in self._events(response):
                    said = orjson.loads(event)
                    if "error" in said:
                        raise self._stated(200, event)
                    if said.get("object") == BAR:
                        bars = said["bars"]
                        told(said["step"], bars, places.get(bars[0]["id"], 0))
                    elif said.get("object") == FORECAST:
                        whole = said
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError) as error:
            raise self._malformed(f"the server sent what is no forecast: {error}") from error
        if whole is None:
            raise BackendError(
                "the forecast broke off",
                retryable=True,
                code="stream_incomplete",
                where=self.url,
                hint="ask again",
            )
        return whole


async def _ask(url: str, shape: Mapping[str, Any], told: Told) -> dict[str, Any]:
    key = os.environ.get(KEY_VARIABLE)
    async with ForecastClient(with_version(url), api_key=key) as client:
        return await client.forecast(shape, told)


def _shape(
    model: str, series: Sequence[Series], futures: Sequence[Times | None], request: Request
) -> dict[str, Any]:
    most = max(1, MAX_BARS // len(series))
    options = {
        "freq": request.freq,
        "lookback": request.lookback,
        "seed": request.seed,
    }
    return {
        "model": model,
        "horizon": request.horizon,
        "series": [
            _candles(str(at), each.last(most), times)
            for at, (each, times) in enumerate(zip(series, futures, strict=True))
        ],
        "samples": request.samples,
        "quantiles": list(request.quantiles),
        "temperature": request.temperature,
        "top_k": request.top_k,
        "top_p": request.top_p,
        "mode": request.mode,
        "repair": request.repair,
        "return_samples": request.return_samples,
        "stream": True,
        **{name: value for name, value in options.items() if value is not None},
    }


def _candles(name: str, series: Series, times: Times | None) -> dict[str, Any]:
    there = {"volume": series.has_volume, "amount": series.has_amount}
    shape: dict[str, Any] = {"id": name, "timestamps": _texts(series, series.timestamps)}
    for at, column in enumerate(COLUMNS):
        if there.get(column, True):
            shape[column] = series.values[:, at].tolist()
    if times is not None:
        shape["future_timestamps"] = _texts(series, times)
    return shape


def _texts(series: Series, times: Times) -> list[str]:
    moments = times.astype(MICROSECONDS).tolist()
    if series.timezone is None:
        return [each.isoformat() for each in moments]
    return [each.replace(tzinfo=UTC).astimezone(series.timezone).isoformat() for each in moments]


def _forecast(series: Series, row: Mapping[str, Any], answer: Mapping[str, Any]) -> SeriesForecast:
    reader = TimeReader("the server's answer")
    times = reader.read(row["timestamps"])
    paths = row.get("paths")
    remarks = (*series.remarks, *answer["remarks"], *row["remarks"])
    return SeriesForecast(
        name=series.name,
        timestamps=times,
        mean=_table(row["mean"]),
        quantiles={float(level): _table(table) for level, table in row["quantiles"].items()},
        p_close_up=np.array(row["p_close_up"], dtype=np.float32),
        expected_range=np.array(row["expected_range"], dtype=np.float32),
        paths=None if paths is None else np.stack([_table(path) for path in paths]),
        samples=answer["samples"],
        lookback=row["lookback"],
        last_close=row["last_close"],
        mode=answer["mode"],
        seed=answer["seed"],
        timezone=series.timezone,
        remarks=tuple(dict.fromkeys(remarks)),
    )


def _table(columns: Mapping[str, Sequence[float]]) -> Floats:
    return np.array([columns[name] for name in COLUMNS], dtype=np.float32).T
