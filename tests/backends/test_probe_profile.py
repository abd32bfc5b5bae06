from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.backends.replies import chunk, stream
from trueup.backends.presets import PRESETS
from trueup.backends.probe import Seen, Verdict
from trueup.backends.probe_profile import (
    SIGNS,
    Profile,
    make_of,
    make_of_version,
    version_rows,
)
from trueup.backends.probe_stream import stream_facts
from trueup.config.document import parsed_document
from trueup.config.load import check_document

RIGHT = stream_facts(stream(chunk("a", role="assistant"), chunk(finish="stop"), b"[DONE]"))
CUT = stream_facts(stream(chunk("a", role="assistant")))


def profile(**more: Any) -> Profile:
    given: dict[str, Any] = {
        "name": "xin",
        "url": "http://127.0.0.1:9997/v1",
        "preset": "xinference",
        "is_reachable": True,
        "model": "glm4-chat",
        "kind": "chat",
        "stream": RIGHT,
        **more,
    }
    return Profile(**given)


def seen(group: str, name: str, verdict: Verdict) -> tuple[str, str, Seen]:
    return group, name, Seen(verdict=verdict, text="x")


PASTED = [
    profile(),
    profile(key_variable="XIN_KEY"),
    profile(kind="embedding", stream=None),
    profile(kind="completion", stream=CUT),
    profile(name="my server: a", model='glm "4"\u2028#x'),
    profile(rows=[seen("continuation", "prefix", "honoured"), seen("parameters", "n", "ignored")]),
    profile(
        stream=stream_facts(
            stream(*[chunk() for _ in range(900)], chunk("a"), chunk(finish="stop"))
        )
    ),
]


@pytest.mark.parametrize("each", PASTED)
def test_the_entry_can_be_pasted_into_a_configuration(each: Profile) -> None:
    text = "config_version: 1\n" + each.entry_yaml()
    document = parsed_document(Path("trueup.yaml"), text.encode())
    checked = check_document(document, {"XIN_KEY": "secret"})
    if each.name != "xin":  # a name with a space is refused by its own rule
        assert [error.key for error in checked.errors] == [("backends", each.name)]
        return
    assert checked.errors == ()
    assert checked.settings is not None
    (backend,) = checked.settings.backends
    entry = each.entry()
    assert (backend.name, backend.url, backend.model) == (each.name, entry["url"], entry["model"])
    assert backend.preset == "xinference"
    assert backend.kind == each.kind
    assert backend.end_of_answer == entry.get("end_of_answer")
    assert backend.continuation == entry.get("continuation")
    assert (backend.api_key is not None) == (each.key_variable is not None)


def test_the_key_itself_is_never_in_the_entry() -> None:
    assert '"${env.XIN_KEY}"' in profile(key_variable="XIN_KEY").entry_yaml()


def test_what_a_configuration_cannot_say_stands_in_comments() -> None:
    rows = [
        seen("parameters", "n", "ignored"),
        seen("tools", "tools", "rejected"),
        seen("parameters", "seed", "no answer"),
        seen("errors", "no JSON", "fails"),
    ]
    comments = [line for line in profile(rows=rows).entry_yaml().splitlines() if line[0] == "#"]
    assert comments[1:] == [
        "# it rejects: tools",
        "# it takes without effect: n",
        "# it fails with: seed",
    ]


def test_a_parameter_whose_every_value_is_rejected_is_in_the_entry() -> None:
    values = ("auto", "none", "required", "named")
    rows = [seen("tools", f"tool_choice {value}", "rejected") for value in values]
    assert profile(rows=rows).entry()["unsupported"] == ["tool_choice"]


SOUND = [
    (profile(), True, None),
    (profile(kind="embedding", stream=None), True, None),
    (profile(is_reachable=False, kind=None), False, "no question got an answer"),
    (profile(stream=CUT), False, "its streams do not end properly"),
    (profile(stream=None), False, "its streams do not end properly"),
    (profile(is_key_taken=False, key="refused", kind=None), False, "the key: refused"),
]


@pytest.mark.parametrize(("each", "is_sound", "trouble"), SOUND)
def test_a_server_is_sound_where_it_answers_and_its_streams_end(
    each: Profile, is_sound: bool, trouble: str | None
) -> None:
    assert (each.is_sound, each.trouble) == (is_sound, trouble)
    assert each.as_dict()["sound"] is is_sound


def test_slow_servers_get_more_patience_in_their_entry() -> None:
    slow = stream(chunk("a"), chunk(finish="stop"))
    late = stream_facts(type(slow)(events=((9.0, slow.events[0][1]), slow.events[1])))
    assert profile(stream=late).entry()["limits"] == {"first_token_seconds": 180}
    assert "limits" not in profile().entry()


def test_every_sign_leads_to_a_preset() -> None:
    assert {sign.preset for sign in SIGNS} <= set(PRESETS)


MAKES: list[tuple[list[Any], dict[str, str], str | None]] = [
    ([{"owned_by": "vllm"}], {}, "vllm"),
    ([{"owned_by": "library"}], {}, "ollama"),
    ([], {"server": "llama.cpp"}, "llama.cpp"),
    ([], {"x-litellm-version": "1.2"}, "litellm"),
    ([3, {"owned_by": ["x"]}][:1], {"server": "uvicorn"}, None),
]


@pytest.mark.parametrize(("rows", "headers", "make"), MAKES)
def test_the_make_is_known_by_its_signs(
    rows: list[Any], headers: dict[str, str], make: str | None
) -> None:
    assert make_of(rows, headers) == make


def test_owners_of_no_shape_are_no_bug() -> None:
    assert make_of([{"owned_by": ["x"]}, {"owned_by": {}}], {}) is None


def test_the_version_is_asked_where_the_make_tells_it() -> None:
    assert version_rows("ollama") == [("/api/version", "version")]
    assert version_rows("openai") == []
    assert ("/v1/cluster/version", "version") in version_rows("openai-compatible")
    assert len(version_rows("openai-compatible")) <= 6
    assert make_of_version("/v1/cluster/version") == "xinference"
    assert make_of_version("/version") is None
