"""Heads of attention in a config that is rebuilt: count, size, and what cannot be. Pure.

Rows of `q_proj` and `k_proj` are whole heads; what an old config says of them decides what the
tensors leave open, as long as the tensors can be so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from trueup.checkpoint.layouts.layout import Value

COUNT, KEYS, SIZE = "num_attention_heads", "num_key_value_heads", "head_dim"
# Of layouts that do not tell the size of a head: its count, and the width that it divides.
DIVIDED = (("num_attention_heads", "hidden_size"), ("n_head", "n_embd"))


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of both projections."""

    queries: int
    keys: int

    def can_have(self, size: int) -> bool:
        """Whether both are whole heads of `size`."""
        return size > 0 and self.queries % size == 0 and self.keys % size == 0


def refuted(old: Mapping[str, Any], told: Mapping[str, Value]) -> dict[str, Any]:
    """What an old config says of heads that its tensors cannot have."""
    if any(str(name).startswith("AutoModel") for name in _auto_map(old)):
        return {}  # code of its own may mean something else
    rows = _rows(told)
    if rows is None:
        return {
            count: old[count]
            for count, width in DIVIDED
            if SIZE not in told and count in told and width in told and old.get(count) is not None
            if not _divides(old[count], told[width].value)
        }
    size = _size(old, rows)
    wanted = {} if size is None else _heads(rows, size)
    return {
        key: old[key]
        for key in (COUNT, KEYS, SIZE)
        if old.get(key) is not None and old[key] != wanted.get(key)
    }


def with_heads_of(old: Mapping[str, Any], told: Mapping[str, Value]) -> Iterator[Value]:
    """The values, with heads of the size that the old config leaves, where it tells one."""
    rows = _rows(told)
    size = None if rows is None else _size(old, rows)
    if rows is None or size is None:
        yield from told.values()
        return
    heads = _heads(rows, size)
    names = {COUNT: f"{rows.queries} rows of `q_proj`", KEYS: f"{rows.keys} rows of `k_proj`"}
    for value in told.values():
        if value.key in names and old.get(value.key) is None:
            reason = f"{names[value.key]} in heads of {size}"
            yield replace(value, value=heads[value.key], origin="weights", reason=reason)
        elif value.key != SIZE:
            yield value
        elif SIZE not in old and rows.queries != told["hidden_size"].value:
            # Where it is the width divided by the count, the classes take that.
            reason = f"{rows.queries} rows of `q_proj` in the {heads[COUNT]} heads of config.json"
            yield replace(value, value=size, origin="weights", reason=reason)
        elif SIZE in old:
            yield value


def _auto_map(old: Mapping[str, Any]) -> Mapping[Any, Any]:
    found = old.get("auto_map")
    return found if isinstance(found, dict) else {}


def _rows(told: Mapping[str, Value]) -> _Rows | None:
    """The rows, of a layout whose tensors leave the size of a head open."""
    if not {COUNT, KEYS, SIZE} <= set(told) or told[SIZE].origin != "guess":
        return None
    size = told[SIZE].value
    return _Rows(told[COUNT].value * size, told[KEYS].value * size)


def _size(old: Mapping[str, Any], rows: _Rows) -> int | None:
    """The size of a head by what the old config says: of it, of the heads, of those of keys."""
    of_both = ((COUNT, rows.queries), (KEYS, rows.keys))
    sizes = [old[SIZE]] if _is_count(old.get(SIZE)) else []
    sizes += [all_rows // old[key] for key, all_rows in of_both if _divides(old.get(key), all_rows)]
    return next((size for size in sizes if rows.can_have(size)), None)


def _heads(rows: _Rows, size: int) -> dict[str, int]:
    return {COUNT: rows.queries // size, KEYS: rows.keys // size, SIZE: size}


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _divides(value: Any, width: int) -> bool:
    return _is_count(value) and width % int(value) == 0
