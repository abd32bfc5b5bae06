"""The OpenAPI document of the endpoint, made from the tables that requests are read by.

What a request may hold cannot drift: its fields are the protocol's own readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from trueup import __version__
from trueup.gateway.exchange import MAX_BODY_BYTES
from trueup.gateway.openapi_shapes import FURTHER, SCHEMAS, reference
from trueup.protocol import chat, completion, embedding, forecast
from trueup.protocol.candles import MAX_SERIES
from trueup.protocol.fields import Reader, schema_of
from trueup.protocol.sampling import MAX_STOP_STRINGS

OPENAPI_VERSION = "3.1.0"
# The gateway's own, no client's.
PRIVATE_FIELDS = frozenset({"trueup"})

TEXT = {"type": "string", "minLength": 1}
TOKEN_IDS = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
TEXTS = {"anyOf": [TEXT, TOKEN_IDS, {"type": "array", "items": TEXT, "minItems": 1}]}
# Fields whose readers say in code what they take.
FIELDS: Mapping[str, Mapping[str, Any]] = {
    "messages": {"type": "array", "minItems": 1, "items": reference("Message")},
    "stop": {
        "anyOf": [TEXT, {"type": "array", "items": TEXT, "maxItems": MAX_STOP_STRINGS}],
    },
    "stream_options": {
        "type": "object",
        "properties": {"include_usage": {"type": "boolean"}},
        "additionalProperties": False,
    },
    "top_k": {"type": "integer", "minimum": -1},
    "prompt": {"anyOf": [{"type": "string"}, *TEXTS["anyOf"][1:]]},
    "input": TEXTS,
    "encoding_format": {"enum": ["float", "base64"]},
    "series": {
        "anyOf": [
            reference("Candles"),
            {
                "type": "array",
                "items": reference("Candles"),
                "minItems": 1,
                "maxItems": MAX_SERIES,
            },
        ]
    },
    "truncate": {"enum": [*embedding.TRUNCATIONS, True, False]},
    # Taken for backends that take them; emulated, dropped or refused for others.
    "tools": {"type": "array", "items": {"type": "object"}},
    "tool_choice": {"anyOf": [{"enum": ["none", "auto", "required"]}, {"type": "object"}]},
    "parallel_tool_calls": {"type": "boolean"},
    "response_format": {"type": "object"},
    "logit_bias": {"type": "object", "additionalProperties": {"type": "number"}},
    "logprobs": {"type": ["boolean", "integer"]},
    "top_logprobs": {"type": "integer", "minimum": 0, "maximum": 20},
}
NAME = {"name": "name", "in": "path", "required": True, "schema": TEXT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of a path: what it is for, what it takes, what it answers with.

    `answers` is a schema's name, or a media type where the answer is text. `has_table`: both may
    be CSV, with the other fields in the query.
    """

    summary: str
    answers: str
    takes: str | None = None
    streams: bool = False
    is_open: bool = False
    further: tuple[int, ...] = ()
    has_name: bool = False
    has_table: bool = False


OPERATIONS: Mapping[str, Mapping[str, Operation]] = {
    "/v1/chat/completions": {
        "post": Operation(
            summary="Answer a conversation",
            takes="ChatRequest",
            answers="Completion",
            streams=True,
        )
    },
    "/v1/completions": {
        "post": Operation(
            summary="Continue one or several prompts",
            takes="CompletionRequest",
            answers="Completion",
            streams=True,
        )
    },
    "/v1/embeddings": {
        "post": Operation(
            summary="Embed one or several texts", takes="EmbeddingRequest", answers="Embeddings"
        )
    },
    "/v1/forecasts": {
        "post": Operation(
            summary="Forecast candles, as JSON or as a table",
            takes="ForecastRequest",
            answers="Forecasts",
            streams=True,
            has_table=True,
        )
    },
    "/v1/models": {"get": Operation(summary="Every name that is served", answers="Models")},
    "/v1/models/{name}": {
        "get": Operation(summary="One served name", answers="Model", has_name=True, further=(404,))
    },
    "/health": {"get": Operation(summary="The process runs", answers="Status", is_open=True)},
    "/ready": {
        "get": Operation(
            summary="Traffic may be sent here", answers="Status", is_open=True, further=(503,)
        )
    },
    "/version": {"get": Operation(summary="The version", answers="Version", is_open=True)},
    "/metrics": {"get": Operation(summary="Prometheus' metrics", answers="text/plain")},
    "/openapi.json": {"get": Operation(summary="This document", answers="Object")},
    "/api/ps": {"get": Operation(summary="What is loaded, with its memory", answers="Object")},
    "/api/streams": {"get": Operation(summary="Every answer under way", answers="Object")},
    "/api/backends": {
        "get": Operation(summary="Who can be asked, and what was learned", answers="Backends")
    },
    "/api/backends/lessons": {
        "delete": Operation(summary="Forget what was learned of all", answers="Cleared")
    },
    "/api/backends/{name}/lessons": {
        "delete": Operation(
            summary="Forget what was learned of one backend",
            answers="Cleared",
            has_name=True,
            further=(404,),
        )
    },
}
REQUESTS: Mapping[str, tuple[Mapping[str, Reader], tuple[str, ...]]] = {
    "ChatRequest": (chat.READERS, ("model", "messages")),
    "CompletionRequest": (completion.READERS, ("model", "prompt")),
    "EmbeddingRequest": (embedding.READERS, ("model", "input")),
    "ForecastRequest": (forecast.READERS, ("model", "horizon")),
}


@cache
def document() -> Mapping[str, Any]:
    """The whole document; made once, not to be changed."""
    requests = {name: request_schema(*fields) for name, fields in REQUESTS.items()}
    return {
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": "TrueUp",
            "version": __version__,
            "description": "OpenAI's API in front of models of our own and of other servers. "
            "A body has at most "
            f"{MAX_BODY_BYTES} bytes where the server is not told otherwise.",
        },
        "security": [{"key": []}],
        "paths": {
            path: {method: _operation(path, method, each) for method, each in methods.items()}
            for path, methods in OPERATIONS.items()
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {**requests, **SCHEMAS},
        },
    }


def request_schema(readers: Mapping[str, Reader], required: tuple[str, ...]) -> dict[str, Any]:
    """The schema of a body that is read by these readers; null means absent."""
    properties = {
        name: _field(name, reader, is_required=name in required)
        for name, reader in readers.items()
        if name not in PRIVATE_FIELDS
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "description": FURTHER,
        "additionalProperties": True,
    }


def _field(name: str, reader: Reader, *, is_required: bool) -> Mapping[str, Any]:
    schema = FIELDS[name] if name in FIELDS else schema_of(reader)
    if schema is None:
        raise KeyError(f"`{name}` is read by code that says nothing here: add it to FIELDS")
    if is_required or not schema:
        return schema
    return {"anyOf": [schema, {"type": "null"}]}


def _operation(path: str, method: str, operation: Operation) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": f"{method} {path}",
        "responses": _responses(operation),
    }
    if operation.has_name:
        shape["parameters"] = [NAME]
    if operation.takes is not None:
        content = {"application/json": {"schema": reference(operation.takes)}, **_table(operation)}
        shape["requestBody"] = {"required": True, "content": content}
    if operation.is_open:
        shape["security"] = []
    return shape


def _table(operation: Operation) -> dict[str, Any]:
    return {"text/csv": {"schema": {"type": "string"}}} if operation.has_table else {}


def _responses(operation: Operation) -> dict[str, Any]:
    answers = operation.answers
    content: dict[str, Any] = (
        {answers: {"schema": {"type": "string"}}}
        if "/" in answers
        else {"application/json": {"schema": reference(answers)}}
    )
    content |= _table(operation)
    if operation.streams:
        content["text/event-stream"] = {"schema": reference("Event")}
    responses: dict[str, Any] = {"200": {"description": "The answer", "content": content}}
    for status in operation.further:
        about = "Status" if operation.is_open else "Error"
        described = {"application/json": {"schema": reference(about)}}
        responses[str(status)] = {"description": "Not so", "content": described}
    failed = {"application/json": {"schema": reference("Error")}}
    responses["default"] = {"description": "An error", "content": failed}
    return responses
