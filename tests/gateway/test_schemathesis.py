"""Requests made from our own OpenAPI document, right and wrong ones, at a listening server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from trueup.gateway.openapi import document

ANSWER_SECONDS = 20.0
SERVED = ("chat", "embedding", "alias", "own", "lacking")
MESSAGES = [{"role": "user", "content": "Hello"}]
SCHEMA = schemathesis.openapi.from_dict(dict(document()))
OPERATIONS = {found.ok().label: found.ok() for found in SCHEMA.get_all_operations()}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server that, at the end, is alive and has had no bug."""
    home = tmp_path_factory.mktemp("home")
    errors = home / "stderr"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.gateway.fuzzed_server"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**_environment(), "TRUEUP_HOME": str(home)},
        )
    assert process.stdout is not None
    with process.stdout:
        yield process.stdout.readline().strip()
        assert process.poll() is None
        process.send_signal(signal.SIGUSR1)
        assert process.wait(ANSWER_SECONDS) == 0
    assert errors.read_text() == ""


def _environment() -> dict[str, str]:
    paths = (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", ""))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


ROWS = [
    (label, mode)
    for label, operation in OPERATIONS.items()
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if mode is GenerationMode.POSITIVE or len(operation.body)
]


@pytest.mark.parametrize(("label", "mode"), ROWS)
def test_no_request_is_answered_by_a_fault_of_the_server(
    label: str, mode: GenerationMode, url: str
) -> None:
    @settings(
        max_examples=20,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=OPERATIONS[label].as_strategy(generation_mode=mode),
        name=st.sampled_from((*SERVED, None)),
        is_plain=st.booleans(),
    )
    def ask(case: Any, name: str | None, is_plain: bool) -> None:
        if name is not None and isinstance(case.body, dict):
            # Messages of every field at once are refused for one or the other of them.
            plain = {"messages": MESSAGES} if is_plain and "messages" in case.body else {}
            case.body = {**case.body, "model": name, **plain}
        elif name is not None and case.path_parameters:
            case.path_parameters = {"name": name}
        response = case.call(base_url=url, timeout=ANSWER_SECONDS)
        case.validate_response(response, checks=CHECKS)

    ask()


@pytest.mark.parametrize("name", ["chat", "alias"])
def test_a_stream_is_as_the_document_says(name: str, url: str) -> None:
    case = OPERATIONS["POST /v1/chat/completions"].Case(
        body={"model": name, "messages": MESSAGES, "stream": True}, media_type="application/json"
    )
    response = case.call(base_url=url, timeout=ANSWER_SECONDS)
    assert response.headers["content-type"][0].startswith("text/event-stream")
    case.validate_response(response, checks=CHECKS)
