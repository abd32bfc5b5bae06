"""`trueup forecast`: the candles to come, from a file of candles, with a Kronos model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.cli import words
from trueup.errors import ConfigError, RequestError, UsageError
from trueup.forecasting import defaults
from trueup.protocol.forecast import MODES

if TYPE_CHECKING:
    from trueup.forecasting.forecast import Request

EXAMPLE = """  trueup forecast candles.csv --model kronos-small --horizon 120 -o out.csv
  trueup forecast candles.csv --model kronos-small --horizon 120 --plot chart.html
  trueup forecast candles.csv --model ./kronos-mini --horizon 24 --plot terminal
  trueup forecast candles.csv --model kronos-small --horizon 24 --backtest --origins 10
  trueup forecast many.csv --id-column symbol --model kronos-mini --horizon 5 --format json
  trueup forecast candles.csv --model kronos --horizon 24 --url http://127.0.0.1:8484
  trueup forecast --demo --plot terminal      (a made-up series, random weights)"""
DTYPES = ("float32", "bfloat16")
DEMO_HORIZON = 24
STDOUT = "-"
# Options that are named otherwise than the field that they set.
OPTIONS = {"top_k": "--top-k", "top_p": "--top-p", "bars": "CANDLES", "return_samples": "--paths"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup forecast` takes."""
    parser.add_argument(
        "candles",
        nargs="?",
        metavar="CANDLES",
        help="a CSV file of any length, `-` for standard input: timestamps, open, high, low, "
        "close, and volume and amount if there are any",
    )
    parser.add_argument(
        "--model", metavar="MODEL", help="a directory, a hub id, kronos-mini, -small or -base"
    )
    parser.add_argument(
        "--url",
        type=words.url,
        help="ask this server of ours, which serves MODEL: http://127.0.0.1:8484",
    )
    parser.add_argument("--tokenizer", metavar="MODEL", help="default: the one of the model")
    parser.add_argument("--revision", help="the branch, tag or commit of a hub id")
    parser.add_argument(
        "--context", type=int, metavar="BARS", help="what the model sees at once (default: its own)"
    )
    parser.add_argument("--horizon", type=int, metavar="BARS", help="how many bars to forecast")
    parser.add_argument(
        "--lookback",
        type=int,
        metavar="BARS",
        help="how many of the newest bars to show the model (default: what the context holds "
        "beside the horizon)",
    )
    _add_sampling(parser)
    _add_times(parser)
    _add_output(parser)
    parser.add_argument(
        "--device", default="cpu", type=words.device, help="cpu, cuda or cuda:N (default: cpu)"
    )
    parser.add_argument("--dtype", default="float32", choices=DTYPES, help="default: float32")
    parser.add_argument(
        "--demo",
        action="store_true",
        help="a made-up series and a small model of random weights: a demonstration, no forecast",
    )


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--samples",
        type=int,
        default=defaults.SAMPLES,
        metavar="N",
        help=f"paths to draw (default: {defaults.SAMPLES})",
    )
    parser.add_argument(
        "--quantiles",
        type=_numbers,
        default=defaults.QUANTILES,
        metavar="Q,Q,...",
        help="default: 0.1,0.5,0.9",
    )
    parser.add_argument("--temperature", type=float, default=defaults.TEMPERATURE, metavar="T")
    parser.add_argument("--top-k", type=int, default=defaults.TOP_K, metavar="K")
    parser.add_argument("--top-p", type=float, default=defaults.TOP_P, metavar="P")
    parser.add_argument("--seed", type=int, help="the same paths again (default: drawn, and told)")
    parser.add_argument(
        "--mode",
        default="exact",
        choices=MODES,
        help="`rolling` is a fast approximation beyond the context (default: exact)",
    )
    parser.add_argument(
        "--repair", action="store_true", help="have high and low bound the prices, volumes >= 0"
    )
    parser.add_argument("--paths", action="store_true", help="every path in the output too")


def _add_times(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--freq", help="the step, such as 5min, 1h, D, B, M (default: that of the history)"
    )
    parser.add_argument(
        "--future", metavar="FILE", help="a CSV file with the times to come (default: inferred)"
    )
    parser.add_argument("--id-column", metavar="NAME", help="which column names the series")
    parser.add_argument("--timestamp-column", metavar="NAME", help="which column has the times")


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", metavar="FILE", help="a CSV file, `-` for stdout")
    parser.add_argument(
        "--plot", metavar="WHERE", help="`terminal`, a file `*.html` or a file `*.png`"
    )
    parser.add_argument(
        "--plot-bars", type=int, metavar="BARS", help="bars of history in the picture"
    )
    parser.add_argument(
        "--backtest",
        action="store_true",
        help="forecast bars that the file has, from several origins, and compare with them, "
        "persistence and the season before",
    )
    parser.add_argument(
        "--origins", type=int, metavar="N", help=f"of a backtest (default: {defaults.ORIGINS})"
    )
    parser.add_argument(
        "--stride", type=int, metavar="BARS", help="between two origins (default: the horizon)"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(arguments: argparse.Namespace) -> int:
    """Forecast or backtest; 0 where it was done."""
    _check(arguments)
    defaults.require("numpy", *(("torch",) if arguments.url is None else ()))
    if arguments.plot is not None:
        _check_plot(arguments.plot)
    request = _request(arguments)
    from trueup.cli.forecast_running import run_backtest, run_forecast

    return (run_backtest if arguments.backtest else run_forecast)(arguments, request)


def _check(arguments: argparse.Namespace) -> None:
    """What can be told before anything is imported or read."""
    if arguments.demo:
        given = [("CANDLES", arguments.candles), ("--model", arguments.model)]
        given += [("--tokenizer", arguments.tokenizer), ("--future", arguments.future)]
        if named := [name for name, value in given if value is not None]:
            raise UsageError(
                f"--demo brings its own series and model, {' and '.join(named)} cannot be used",
                hint="trueup forecast --demo",
            )
        arguments.horizon = DEMO_HORIZON if arguments.horizon is None else arguments.horizon
    elif arguments.candles is None:
        raise UsageError("no file of candles is given", hint="trueup forecast --help, or --demo")
    elif arguments.model is None:
        raise UsageError(
            "no model is given", where="--model", hint="--model kronos-small, or a directory"
        )
    elif arguments.horizon is None:
        raise UsageError("it is not said how many bars to forecast", where="--horizon")
    _check_combinations(arguments)
    for name, least in (("context", 1), ("origins", 1), ("stride", 1), ("plot_bars", 1)):
        value = getattr(arguments, name)
        if value is not None and value < least:
            raise UsageError(f"`{value}`, expected {least} or more", where=_option(name))
    if arguments.output not in (None, STDOUT):
        _check_place(Path(arguments.output), arguments)


def _check_url(arguments: argparse.Namespace) -> None:
    """What another process has loaded is not chosen here."""
    given = [
        option
        for option, is_given in (
            ("--demo", arguments.demo),
            ("--backtest", arguments.backtest),
            ("--tokenizer", arguments.tokenizer is not None),
            ("--revision", arguments.revision is not None),
            ("--context", arguments.context is not None),
            ("--device", arguments.device != "cpu"),
            ("--dtype", arguments.dtype != "float32"),
        )
        if is_given
    ]
    if arguments.url is not None and given:
        raise UsageError(
            f"`{given[0]}` is for a model that is loaded here, and `--url` names a server",
            where=given[0],
            hint="leave one of them out",
        )


def _check_combinations(arguments: argparse.Namespace) -> None:
    _check_url(arguments)
    if arguments.backtest:
        for name in ("plot", "output", "future"):
            if getattr(arguments, name) is not None:
                raise UsageError(f"{_option(name)} is not for a backtest", where="--backtest")
        if arguments.paths:
            raise UsageError("--paths is not for a backtest", where="--backtest")
    else:
        for name in ("origins", "stride"):
            if getattr(arguments, name) is not None:
                raise UsageError(f"{_option(name)} is for a backtest", hint="add --backtest")
    if arguments.plot_bars is not None and arguments.plot is None:
        raise UsageError("--plot-bars without a picture", hint="add --plot terminal")
    shown = {
        "--output -": arguments.output == STDOUT,
        "--format json": arguments.format == "json",
        "--plot terminal": arguments.plot == "terminal",
    }
    if len(taken := [option for option, is_taken in shown.items() if is_taken]) > 1:
        raise UsageError(f"{' and '.join(taken)} would both be on standard output")


def _check_plot(place: str) -> None:
    from trueup.forecasting.pictures.destination import check_place

    try:
        check_place(place)
    except ConfigError as error:
        raise UsageError(error.cause, where=f"--plot {place}", hint=error.hint) from error


def _check_place(path: Path, arguments: argparse.Namespace) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise UsageError(f"there is no directory `{folder}`", where=f"--output {path}")
    if path.is_dir():
        raise UsageError(f"`{path}` is a directory", where=f"--output {path}")
    for option, read in (("CANDLES", arguments.candles), ("--future", arguments.future)):
        if read not in (None, STDOUT) and path.exists() and _is_same(path, Path(read)):
            raise UsageError(
                f"`{path}` is {option} itself, which would be written over",
                where=f"--output {path}",
                hint="give the forecast another name",
            )


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other.expanduser())
    except OSError:  # which is told where it is read
        return False


def _request(arguments: argparse.Namespace) -> Request:
    from trueup.forecasting.forecast import Request

    try:
        return Request(
            horizon=arguments.horizon,
            samples=arguments.samples,
            quantiles=tuple(arguments.quantiles),
            temperature=arguments.temperature,
            top_k=arguments.top_k,
            top_p=arguments.top_p,
            seed=arguments.seed,
            mode=arguments.mode,
            freq=arguments.freq,
            lookback=arguments.lookback,
            repair=arguments.repair,
            return_samples=arguments.paths,
        )
    except RequestError as error:
        where = None if error.param is None else _option(error.param)
        raise UsageError(error.cause, where=where, hint=error.hint) from error


def _option(name: str) -> str:
    return OPTIONS.get(name, f"--{name.replace('_', '-')}")


def _numbers(word: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in word.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{word}` is no list such as 0.1,0.5,0.9") from None
