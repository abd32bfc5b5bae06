from __future__ import annotations

from typing import Any

import jsonschema_rs
import orjson
import pytest

from tests.fakes import FakeBackend
from trueup.config.settings import PROFILES
from trueup.gateway.openapi import OPERATIONS, PRIVATE_FIELDS, document
from trueup.gateway.parameters import adapt
from trueup.protocol import chat, completion, embedding

READERS = {
    "ChatRequest": chat.READERS,
    "CompletionRequest": completion.READERS,
    "EmbeddingRequest": embedding.READERS,
}


def schemas() -> dict[str, Any]:
    found: dict[str, Any] = document()["components"]["schemas"]
    return found


@pytest.mark.parametrize("name", READERS)
def test_every_field_that_is_read_is_in_the_document_and_no_other(name: str) -> None:
    properties = schemas()[name]["properties"]
    assert set(properties) == set(READERS[name]) - PRIVATE_FIELDS


def test_every_field_of_a_message_is_in_the_document() -> None:
    assert set(schemas()["Message"]["properties"]) == set(chat.MESSAGE_READERS)


ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("ChatRequest", {"messages": [{"role": "user", "content": "hi"}], "guided_json": {}}),
    ("ChatRequest", {"messages": [{"role": "user", "content": "hi", "prefix": True}]}),
    (
        "ChatRequest",
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is it?"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}},
                    ],
                }
            ]
        },
    ),
    ("CompletionRequest", {"prompt": [1, 2], "best_of": 1, "echo": None}),
    ("EmbeddingRequest", {"input": ["a"], "input_type": "query"}),
]


@pytest.mark.parametrize(("name", "asked"), ACCEPTED)
def test_what_servers_of_others_take_can_be_said_by_the_document(
    name: str, asked: dict[str, Any]
) -> None:
    schema = {**schemas()[name], "components": {"schemas": schemas()}}
    validator = jsonschema_rs.validator_for(schema)
    shape = {"model": "m", **asked}
    validator.validate(shape)
    path = {"ChatRequest": "chat/completions", "CompletionRequest": "completions"}
    far = FakeBackend(is_foreign=True)
    adapt(
        f"/v1/{path.get(name, 'embeddings')}",
        shape,
        far,
        profile=PROFILES["strict"],
        is_strict=False,
    )
    assert not validator.is_valid({**shape, "model": 1})


def test_ranges_are_those_of_the_readers() -> None:
    temperature = schemas()["ChatRequest"]["properties"]["temperature"]
    assert temperature == {
        "anyOf": [{"type": "number", "minimum": 0, "maximum": 2}, {"type": "null"}]
    }
    with pytest.raises(Exception, match="from 0 to 2"):
        chat.READERS["temperature"]("temperature", 3)


def test_every_route_is_in_the_document_and_no_other() -> None:
    from trueup.gateway.app import PREFIXES, ROUTES

    documented = {(path, method) for path, methods in OPERATIONS.items() for method in methods}
    routes = {(path, method.lower()) for path, methods in ROUTES.items() for method in methods}
    named = {(path, method) for path, method in documented if "{name}" in path}
    assert documented - named == {(path, method) for path, method in routes if path not in PREFIXES}
    assert {(path.partition("{name}")[0], method) for path, method in named} == {
        (path, method) for path, method in routes if path in PREFIXES
    }


def test_every_reference_leads_somewhere() -> None:
    text = orjson.dumps(document()).decode()
    named = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= set(schemas())


def test_operations_have_ids_of_their_own() -> None:
    ids = [
        operation["operationId"]
        for methods in document()["paths"].values()
        for operation in methods.values()
    ]
    assert len(ids) == len(set(ids))
