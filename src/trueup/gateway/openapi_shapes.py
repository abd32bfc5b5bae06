"""Schemas of answers and of a message, as far as clients may rely on them: data, no logic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trueup.protocol.candles import COLUMNS, PRICES
from trueup.protocol.chat import MESSAGE_READERS, ROLES

STRING = {"type": "string"}
NULL = {"type": "null"}
INTEGER = {"type": "integer"}
OBJECT = {"type": "object"}
NUMBERS = {"type": "array", "items": {"type": ["number", "null"]}}
TEXTS = {"type": "array", "items": STRING, "minItems": 1}
INTEGERS = {"type": "array", "items": INTEGER, "minItems": 1}
PART = {
    "anyOf": [
        {
            "type": "object",
            "properties": {"type": {"const": "text"}, "text": STRING},
            "required": ["type", "text"],
        },
        {
            "type": "object",
            "description": "Images and the like, for servers that take them.",
            "properties": {"type": {"type": "string", "not": {"const": "text"}}},
            "required": ["type"],
        },
    ]
}
FURTHER = (
    "What is not named here goes on as it is to servers that others run; models that TrueUp runs "
    "itself refuse it."
)


def reference(name: str) -> dict[str, str]:
    """The place of a schema in the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _list_of(name: str) -> dict[str, Any]:
    return {"type": "array", "items": reference(name)}


SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "Message": {
        "type": "object",
        "properties": {
            **{name: {} for name in MESSAGE_READERS},
            "role": {"enum": list(ROLES)},
            "content": {"anyOf": [STRING, {"type": "array", "items": PART, "minItems": 1}, NULL]},
        },
        "required": ["role"],
        "description": FURTHER,
        "additionalProperties": True,
    },
    "Error": _object(
        "error",
        error=_object(
            "message",
            "type",
            "code",
            message=STRING,
            type=STRING,
            code=STRING,
            param={"anyOf": [STRING, NULL]},
            source=STRING,
            where={"anyOf": [STRING, NULL]},
            hint={"anyOf": [STRING, NULL]},
        ),
    ),
    "Usage": _object(
        prompt_tokens=INTEGER, completion_tokens=INTEGER, total_tokens=INTEGER
    ),
    "Choice": _object(
        "index", "finish_reason", index=INTEGER, finish_reason=STRING, message=OBJECT, text=STRING
    ),
    "Completion": _object(
        "choices", id=STRING, object=STRING, choices=_list_of("Choice"), usage=reference("Usage")
    ),
    "Embedding": _object(
        "index",
        "embedding",
        index=INTEGER,
        embedding={"anyOf": [{"type": "array", "items": {"type": "number"}}, STRING]},
    ),
    "Embeddings": _object("data", data=_list_of("Embedding"), model=STRING),
    "Candles": {
        **_object(
            *("timestamps", *PRICES),
            id={"anyOf": [STRING, INTEGER, NULL]},
            timestamps={"anyOf": [TEXTS, INTEGERS]},
            **{name: NUMBERS for name in COLUMNS},
            future_timestamps={"anyOf": [TEXTS, INTEGERS, NULL]},
        ),
        "description": "Columns as long as the timestamps; volume and amount may be left out.",
        "additionalProperties": False,
    },
    "Forecast": _object(
        *("id", "timestamps", "mean", "quantiles", "p_close_up", "expected_range"),
        id=STRING,
        timestamps={"type": "array", "items": STRING},
        mean=OBJECT,
        quantiles=OBJECT,
        p_close_up=NUMBERS,
        expected_range=NUMBERS,
        paths={"type": "array", "items": OBJECT},
        remarks={"type": "array", "items": STRING},
    ),
    "Forecasts": _object(
        *("object", "model", "mode", "seed", "forecasts", "usage"),
        object={"const": "forecast"},
        model=STRING,
        mode={"enum": ["exact", "rolling"]},
        seed=INTEGER,
        forecasts=_list_of("Forecast"),
        usage=OBJECT,
    ),
    "Model": _object(
        "id", "object", id=STRING, object={"const": "model"}, owned_by=STRING, trueup=OBJECT
    ),
    "Models": _object("data", object={"const": "list"}, data=_list_of("Model")),
    "Status": _object("status", status=STRING),
    # One event of a stream: its data is a chunk as JSON, or `[DONE]`.
    "Event": _object("data", data=STRING),
    "Version": _object("version", version=STRING),
    "Cleared": _object("cleared", cleared=INTEGER),
    "Lesson": _object(
        "parameter", parameter=STRING, age_seconds={"type": "number"},
        expires_in_seconds={"type": "number"},
    ),
    "Backend": _object(
        "name",
        "kind",
        "state",
        "breaker",
        "lessons",
        name=STRING,
        kind=STRING,
        state={"enum": ["stopped", "starting", "ready", "stopping", "failed"]},
        breaker={"enum": ["closed", "open", "half-open"]},
        lessons=_list_of("Lesson"),
        limits=OBJECT,
        accepts=OBJECT,
    ),
    "Backends": _object("backends", backends=_list_of("Backend")),
    "Object": OBJECT,
}  # fmt: skip
