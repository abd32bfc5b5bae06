"""`trueup check MODEL --write-config`: rebuilds config.json from the weights and says how."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.layouts.layout import Value
from trueup.checkpoint.rebuild import Rebuilt, rebuild
from trueup.checkpoint.source import resolve
from trueup.checkpoint.write_config import refuse_borrowed, write_config
from trueup.doctor.finding import Finding

SCHEMA_VERSION = 1
WIDEST_VALUE = 32


def run_write_config(model: str, output: str) -> int:
    """Write config.json in the directory of `model`; prints every value with its reason.

    1 where `check` still calls the config broken, which is said.

    Raises: CheckpointError where the weights do not tell it or it cannot be written.
    """
    source = resolve(model)
    refuse_borrowed(source)
    checkpoint = read_checkpoint(source)
    rebuilt = rebuild(checkpoint)
    backup = write_config(source.directory, rebuilt.config) if rebuilt.is_new else None
    broken = _still_broken(model)
    if output == "json":
        shape = _shape(checkpoint, rebuilt, backup, broken)
        print(json.dumps(shape, indent=2, ensure_ascii=False))
        return int(bool(broken))
    from trueup.doctor.render.text import Line, print_lines

    print_lines(Line(text) for text in _lines(checkpoint, rebuilt, backup))
    for finding in broken:
        hint = f"\n  hint:  {finding.hint}" if finding.hint else ""
        print(f"\nThe check still says {finding.code}: {finding.cause}{hint}")
    return int(bool(broken))


def _still_broken(model: str) -> tuple[Finding, ...]:
    """What is wrong with the config that is there now, by what the running interpreter has."""
    from trueup.doctor.examine import examine
    from trueup.environment.packages import read_environment

    found = examine(read_checkpoint(resolve(model)), read_environment())
    return tuple(
        each for each in found if each.severity == "error" and each.where.path == "config.json"
    )


def _shape(
    checkpoint: Checkpoint, rebuilt: Rebuilt, backup: Path | None, broken: tuple[Finding, ...]
) -> Mapping[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "write_config",
        "path": str(checkpoint.directory / "config.json"),
        "written": rebuilt.is_new,
        "backup": str(backup) if backup is not None else None,
        "layout": rebuilt.layout.name,
        "values": [
            {"key": each.key, "value": each.value, "origin": each.origin, "reason": each.reason}
            for each in rebuilt.values
        ],
        "replaced": dict(rebuilt.replaced),
        "dropped": list(rebuilt.dropped),
        "still_broken": [each.as_dict() for each in broken],
    }


def _lines(checkpoint: Checkpoint, rebuilt: Rebuilt, backup: Path | None) -> Iterator[str]:
    path = checkpoint.directory / "config.json"
    count = len(checkpoint.weights.tensors)
    yield f"{rebuilt.layout.title}, told from the names and shapes of {count} tensors"
    by_origin = (
        ("Determined by the files:", ("weights", "tokenizer", "code")),
        ("Kept as config.json had them:", ("kept",)),
        ("NOT determined by the weights, taken from published models; compare them:", ("guess",)),
    )
    width = max((len(value.key) for value in rebuilt.values), default=0)
    for title, origins in by_origin:
        chosen = [value for value in rebuilt.values if value.origin in origins]
        if chosen:
            yield ""
            yield title
            yield from (_line(value, width) for value in chosen)
    for key, value in rebuilt.replaced.items():
        yield ""
        yield f"`{key}` was `{_short(value)}`, which the weights contradict"
    if rebuilt.dropped:
        yield ""
        names = ", ".join(f"`{_short(key)}`" for key in rebuilt.dropped)
        yield f"Left out, because `{rebuilt.layout.class_name}` does not take them: {names}"
    yield ""
    if not rebuilt.is_new:
        yield f"{path} says all of this already: nothing was written"
        return
    kept = f"; the former one is {backup}" if backup is not None else ""
    yield f"wrote {path}{kept}"


def _line(value: Value, width: int) -> str:
    return f"  {value.key:<{width}}  {_short(value.value)}  ({value.reason})"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= WIDEST_VALUE else f"{text[: WIDEST_VALUE - 1]}…"
