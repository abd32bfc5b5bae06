"""Which column is what: names in any capitalisation, the field's short forms, and Chinese ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from trueup.errors import RequestError
from trueup.protocol.candles import COLUMNS, PRICES

# In the order of preference: a plain name beats a short form beside it.
ALIASES: dict[str, tuple[str, ...]] = {
    "open": ("open", "o", "open_price", "开盘", "开盘价"),
    "high": ("high", "h", "high_price", "最高", "最高价"),
    "low": ("low", "l", "low_price", "最低", "最低价"),
    "close": ("close", "c", "close_price", "last", "收盘", "收盘价"),
    "volume": ("volume", "vol", "v", "tickvol", "tick_volume", "成交量"),
    "amount": (
        "amount",
        "amt",
        "turnover",
        "quote_volume",
        "quote_asset_volume",
        "volume_quote",
        "成交额",
        "成交金额",
    ),
}
TIMES = (
    "timestamps",
    "timestamp",
    "datetime",
    "date_time",
    "ds",
    "date",
    "time",
    "ts",
    "open_time",
    "opentime",
    "trade_time",
    "trade_date",
    "candle_begin_time",
    "日期时间",
    "时间",
    "日期",
)
IDS = (
    "series",
    "unique_id",
    "item_id",
    "series_id",
    "symbol",
    "ticker",
    "ts_code",
    "stock_code",
    "代码",
)
INDEX_NAMES = ("", "index", "level_0", "unnamed:_0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The positions of the columns that matter.

    `time` has two where the date and the time of the day stand apart; none where nothing names
    the time. `bars` maps COLUMNS to positions.
    """

    time: tuple[int, ...]
    id: int | None
    bars: dict[str, int]
    remarks: tuple[str, ...] = field(default=())


def find_roles(
    names: Sequence[str],
    *,
    time_column: str | None = None,
    id_column: str | None = None,
    place: str | None = None,
) -> Roles:
    """Say what each column is; `time_column` and `id_column` are names that the caller gave.

    Raises: RequestError where a price has no column or a column that was named is not there.
    """
    plain = [_plain(name) for name in names]
    told: list[str] = []
    bars = {}
    for column in COLUMNS:
        position = _first(plain, ALIASES[column])
        if position is None:
            continue
        twin = _twin(plain, position)
        if twin is not None:
            raise RequestError(
                f"the columns `{names[position]}` and `{names[twin]}` are both `{column}`",
                param="bars",
                where=place,
                hint="leave one of them out or name it otherwise",
            )
        bars[column] = position
        if plain[position] != column:
            told.append(f"the column `{names[position]}` is taken as `{column}`")
    missing = [column for column in PRICES if column not in bars]
    if missing:
        raise RequestError(
            f"no column for {', '.join(f'`{each}`' for each in missing)}; "
            f"there {'are' if len(names) != 1 else 'is'} {_listed(names)}",
            param="bars",
            where=place,
            hint=f"name the columns {', '.join(COLUMNS)}; volume and amount may be left out",
        )
    identity = _named(names, id_column, "id_column", place)
    if identity is None and (identity := _first(plain, IDS)) is not None:
        told.append(f"the column `{names[identity]}` tells the series apart")
    return Roles(
        time=_time(names, plain, time_column, place),
        id=identity,
        bars=bars,
        remarks=tuple(told),
    )


def find_time_and_id(names: Sequence[str], place: str) -> tuple[int, int | None]:
    """The positions in a table of times alone; a single column has them whatever its name.

    Raises: RequestError.
    """
    plain = [_plain(name) for name in names]
    identity = _first(plain, IDS)
    position = 0 if len(names) == 1 else _first(plain, TIMES)
    if position is None:
        raise RequestError(
            f"no column has the times; there are {_listed(names)}", param="future", where=place
        )
    return position, identity


def _time(
    names: Sequence[str], plain: Sequence[str], given: str | None, place: str | None
) -> tuple[int, ...]:
    named = _named(names, given, "timestamp_column", place)
    if named is not None:
        return (named,)
    if "date" in plain and "time" in plain:
        return plain.index("date"), plain.index("time")
    position = _first(plain, TIMES)
    if position is None and plain and plain[0] in INDEX_NAMES:
        position = 0  # what `DataFrame.to_csv` writes of an index without a name
    return () if position is None else (position,)


def _named(names: Sequence[str], given: str | None, param: str, place: str | None) -> int | None:
    if given is None:
        return None
    if given in names:
        return list(names).index(given)
    plain = [_plain(name) for name in names]
    if _plain(given) in plain:
        return plain.index(_plain(given))
    raise RequestError(f"no column `{given}`; there are {_listed(names)}", param=param, where=place)


def _first(plain: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((plain.index(name) for name in wanted if name in plain), None)


def _twin(plain: Sequence[str], position: int) -> int | None:
    later = [at for at, name in enumerate(plain) if name == plain[position] and at != position]
    return later[0] if later else None


def _plain(name: str) -> str:
    """`<CLOSE>`, ` Close ` and `close` are one name."""
    return re.sub(r"[\s_-]+", "_", name.strip().strip("<>").lower())


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "none"
    shown = ", ".join(f"`{name}`" for name in names[:12])
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"
